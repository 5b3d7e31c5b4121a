//go:build linux

package nft

import (
	"sort"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft/internal/nfnetlink"
)

// A rawSet is a set as the kernel lists it.
type rawSet struct {
	name            string
	keyLen, dataLen uint32 // bytes
	flags           uint32 // NFT_SET_*
}

func decodeSet(body []byte) (s rawSet, err error) {
	ad, err := nfnetlink.Attributes(body)
	if err != nil {
		return s, err
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_SET_NAME:
			s.name = ad.String()
		case unix.NFTA_SET_KEY_LEN:
			s.keyLen = ad.Uint32()
		case unix.NFTA_SET_DATA_LEN:
			s.dataLen = ad.Uint32()
		case unix.NFTA_SET_FLAGS:
			s.flags = ad.Uint32()
		}
	}
	return s, ad.Err()
}

// decodeOwnSet returns the name of a listed set in a table of this family; "" if it is not one of this package's.
func decodeOwnSet(family byte, body []byte) (name string, err error) {
	listed, err := decodeSet(body)
	if s := setNamed(listed.name); err == nil && s.name != "" && s.family() == family && s.matches(listed) {
		return s.name, nil
	}
	return "", err
}

// matches reports whether a listed set has the type and flags of s. A foreign set of the same name may have other
// types, which this package cannot decode.
func (s set) matches(listed rawSet) bool {
	isMap, interval := listed.flags&unix.NFT_SET_MAP != 0, listed.flags&unix.NFT_SET_INTERVAL != 0
	return listed.keyLen == wireSize(s.key) && isMap == (s.data != nil) && interval == s.interval &&
		(!isMap || listed.dataLen == wireSize(s.data))
}

// A rawElement is an element as the kernel lists it.
type rawElement struct {
	element
	count
	intervalEnd bool
}

// decodeElements decodes a message with elements of s.
func decodeElements(body []byte, s set) ([]rawElement, error) {
	ad, err := nfnetlink.Attributes(body)
	if err != nil {
		return nil, err
	}
	var all []rawElement
	for ad.Next() {
		if ad.Type() != unix.NFTA_SET_ELEM_LIST_ELEMENTS {
			continue
		}
		ad.Nested(func(list *netlink.AttributeDecoder) error {
			for list.Next() {
				list.Nested(func(ad *netlink.AttributeDecoder) error {
					e, err := decodeElement(ad, s)
					all = append(all, e)
					return err
				})
			}
			return nil
		})
	}
	return all, ad.Err()
}

func decodeElement(ad *netlink.AttributeDecoder, s set) (rawElement, error) {
	e := rawElement{element: element{set: s.name}}
	catchAll := false
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_SET_ELEM_KEY:
			ad.Nested(decodeValue(&e.key, s.key))
		case nfnetlink.SetElemKeyEnd:
			ad.Nested(decodeValue(&e.end, s.key))
		case unix.NFTA_SET_ELEM_DATA:
			ad.Nested(decodeValue(&e.data, s.data))
		case unix.NFTA_SET_ELEM_FLAGS:
			flags := ad.Uint32()
			e.intervalEnd, catchAll = flags&unix.NFT_SET_ELEM_INTERVAL_END != 0, flags&setElemCatchAll != 0
		case unix.NFTA_SET_ELEM_USERDATA:
			e.comment = commentOf(ad.Bytes())
		case unix.NFTA_SET_ELEM_EXPR:
			ad.Nested(e.decodeCounter)
		}
	}
	if err := ad.Err(); err != nil {
		return e, err
	}
	if e.key == "" && !catchAll || s.data != nil && e.data == "" && !e.intervalEnd {
		return e, nfnetlink.ErrTruncated
	}
	if s.interval && len(s.key) > 1 && e.end == "" { // a single key
		e.end = e.key
	}
	return e, nil
}

// decodeValue decodes a key or data. It adds the padding that the kernel omits for a single field.
func decodeValue(to *string, fields []*field) func(*netlink.AttributeDecoder) error {
	return func(ad *netlink.AttributeDecoder) error {
		for ad.Next() {
			if ad.Type() != unix.NFTA_DATA_VALUE {
				continue
			}
			b := ad.Bytes()
			if len(fields) == 0 || len(b) < int(wireSize(fields)) || len(b) > keySize(fields) {
				return nfnetlink.ErrTruncated
			}
			*to = string(b) + strings.Repeat("\x00", keySize(fields)-len(b))
		}
		return nil
	}
}

// decodeCounter decodes an expression if it is a counter.
func (e *rawElement) decodeCounter(ad *netlink.AttributeDecoder) error {
	name := ""
	for ad.Next() {
		switch {
		case ad.Type() == unix.NFTA_EXPR_NAME:
			name = ad.String()
		case ad.Type() == unix.NFTA_EXPR_DATA && name == "counter":
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					switch ad.Type() {
					case unix.NFTA_COUNTER_BYTES:
						e.bytes = ad.Uint64()
					case unix.NFTA_COUNTER_PACKETS:
						e.packets = ad.Uint64()
					}
				}
				return nil
			})
		}
	}
	return nil
}

// commentOf returns the comment in an element's user data, which is a list of type, length and value.
func commentOf(b []byte) string {
	for len(b) >= 2 && len(b) >= 2+int(b[1]) {
		value := b[2 : 2+int(b[1])]
		if b[0] == setElemComment {
			return strings.TrimRight(string(value), "\x00")
		}
		b = b[2+len(value):]
	}
	return ""
}

// joinIntervals joins pairs of elements. For a set with one field, the kernel lists an interval as two elements: its
// first key, and the first key after it.
func joinIntervals(all []rawElement, s set) []rawElement {
	if !s.interval || len(s.key) > 1 {
		return all
	}
	// Ends sort before starts: the end of an interval and the start of an adjacent one have the same key.
	sort.Slice(all, func(i, j int) bool {
		c := strings.Compare(all[i].key, all[j].key)
		return c < 0 || c == 0 && all[i].intervalEnd && !all[j].intervalEnd
	})
	var joined []rawElement
	for i, e := range all {
		if e.intervalEnd {
			continue
		}
		if e.key == "" { // a catch-all element
			joined = append(joined, e)
			continue
		}
		e.end = strings.Repeat("\xff", keySize(s.key))
		if i+1 < len(all) {
			e.end = nfnetlink.Predecessor(all[i+1].key)
		}
		joined = append(joined, e)
	}
	return joined
}

// decodeString returns the first attribute of a type as a string.
func decodeString(body []byte, kind uint16) (string, error) {
	ad, err := nfnetlink.Attributes(body)
	if err != nil {
		return "", err
	}
	for ad.Next() {
		if ad.Type() == kind {
			return ad.String(), ad.Err()
		}
	}
	return "", ad.Err()
}
