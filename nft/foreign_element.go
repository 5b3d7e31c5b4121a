//go:build linux

package nft

import (
	"bytes"
	"slices"
	"sort"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A foreignElement is an element of a set or map that another program made. Its keys are those from key to end. A
// catch-all element has no key.
type foreignElement struct {
	key, end    []byte
	verdict     ruleStep // of a verdict map
	intervalEnd bool     // only the end of the interval before
}

// decodeForeignElements decodes a message with elements.
func decodeForeignElements(body []byte) (all []foreignElement, err error) {
	ad, err := attrs(body)
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
					all = append(all, decodeForeignElement(ad))
					return nil
				})
			}
			return nil
		})
	}
	return all, ad.Err()
}

func decodeForeignElement(ad *netlink.AttributeDecoder) (e foreignElement) {
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
		case nftaSetElemKeyEnd:
			ad.Nested(value(&e.end))
		case unix.NFTA_SET_ELEM_DATA:
			ad.Nested(e.verdict.decodeVerdictData)
		case unix.NFTA_SET_ELEM_FLAGS:
			e.intervalEnd = ad.Uint32()&unix.NFT_SET_ELEM_INTERVAL_END != 0
		}
	}
	return e
}

// joinForeignIntervals joins the elements of a set; see joinIntervals.
func joinForeignIntervals(all []foreignElement) (joined []foreignElement) {
	isInterval := slices.ContainsFunc(all, func(e foreignElement) bool { return e.intervalEnd })
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
			e.end = []byte(predecessor(string(all[i+1].key)))
		default:
			e.end = bytes.Repeat([]byte{0xff}, len(e.key))
		}
		joined = append(joined, e)
	}
	return joined
}
