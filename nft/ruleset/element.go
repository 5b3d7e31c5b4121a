//go:build linux

package ruleset

import (
	"bytes"
	"slices"
	"sort"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft/internal/nfnetlink"
)

// An element is an element of a set or map that another program made. Its keys are those from key to end. A
// catch-all element has no key.
type element struct {
	key, end    []byte
	verdict     step // of a verdict map
	intervalEnd bool // the element only marks the end of an interval; see joinIntervals
}

// decodeElements decodes a message with elements.
func decodeElements(body []byte) (all []element, err error) {
	ad, err := nfnetlink.Attributes(body)
	if err != nil {
		return nil, err
	}
	for ad.Next() {
		if ad.Type() != unix.NFTA_SET_ELEM_LIST_ELEMENTS {
			continue
		}
		ad.Nested(func(list *netlink.AttributeDecoder) error {
			for list.Next() {
				list.Nested(func(ad *netlink.AttributeDecoder) error {
					all = append(all, decodeElement(ad))
					return nil
				})
			}
			return nil
		})
	}
	return all, ad.Err()
}

func decodeElement(ad *netlink.AttributeDecoder) (e element) {
	value := func(to *[]byte) func(*netlink.AttributeDecoder) error {
		return func(ad *netlink.AttributeDecoder) error {
			for ad.Next() {
				if ad.Type() == unix.NFTA_DATA_VALUE {
					*to = ad.Bytes()
				}
			}
			return nil
		}
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_SET_ELEM_KEY:
			ad.Nested(value(&e.key))
		case nfnetlink.SetElemKeyEnd:
			ad.Nested(value(&e.end))
		case unix.NFTA_SET_ELEM_DATA:
			ad.Nested(e.verdict.decodeVerdictData)
		case unix.NFTA_SET_ELEM_FLAGS:
			e.intervalEnd = ad.Uint32()&unix.NFT_SET_ELEM_INTERVAL_END != 0
		}
	}
	return e
}

// joinIntervals returns the elements of a set, each with the end of its keys. For a set with one field, the kernel
// lists an interval as two elements: its first key, and the first key after it.
func joinIntervals(all []element) (joined []element) {
	isInterval := slices.ContainsFunc(all, func(e element) bool { return e.intervalEnd })
	// Ends sort before starts: the end of an interval and the start of an adjacent one have the same key.
	sort.Slice(all, func(i, j int) bool {
		c := bytes.Compare(all[i].key, all[j].key)
		return c < 0 || c == 0 && all[i].intervalEnd && !all[j].intervalEnd
	})
	for i, e := range all {
		switch {
		case e.intervalEnd:
			continue
		case e.end != nil:
		case !isInterval || len(e.key) == 0:
			e.end = e.key
		case i+1 < len(all):
			e.end = []byte(nfnetlink.Predecessor(string(all[i+1].key)))
		default:
			e.end = bytes.Repeat([]byte{0xff}, len(e.key))
		}
		joined = append(joined, e)
	}
	return joined
}
