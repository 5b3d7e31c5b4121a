package nft

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// An element is an element of a set or map, as the kernel stores it: the fields of the key one after the other, each
// padded to four bytes, in network byte order.
type element struct {
	set string
	// key is "" for the catch-all element "*", which only foreign elements use.
	key  string
	end  string // the last key of an interval (inclusive); "" in sets without intervals
	data string // the value in a map
	// comment is free text.
	comment string
}

// elementID identifies an element in a table. Two elements with the same ID and different data conflict.
type elementID struct{ set, key, end string }

func (e element) id() elementID { return elementID{e.set, e.key, e.end} }

// overlaps reports whether two elements of an interval set have a key in common: their ranges overlap in every field.
func (e element) overlaps(o element, s set) bool {
	if e.key == "" || o.key == "" {
		return false
	}
	at := 0
	for _, f := range s.key {
		next := at + f.padded()
		if e.key[at:next] > o.end[at:next] || o.key[at:next] > e.end[at:next] {
			return false
		}
		at = next
	}
	return true
}

// text returns the element as nft prints it, without its counter.
func (e element) text(s set) string {
	text := intervalText(e.key, e.end, s.key)
	if e.comment != "" {
		text += fmt.Sprintf(" comment %q", e.comment)
	}
	if e.data != "" {
		text += " : " + intervalText(e.data, "", s.data)
	}
	return text
}

func intervalText(first, last string, fields []*field) string {
	if first == "" {
		return "*"
	}
	var words []string
	for _, f := range fields {
		n := f.padded()
		word := f.text(first[:n])
		if last != "" && first[:n] != last[:n] {
			word = f.interval(first[:n], last[:n])
		}
		words = append(words, word)
		if first = first[n:]; last != "" {
			last = last[n:]
		}
	}
	return strings.Join(words, " . ")
}

// nameSize is IFNAMSIZ of <linux/if.h>, in bytes.
const nameSize = 16

func encodeName(name string) string { return name + strings.Repeat("\x00", nameSize-len(name)) }

func decodeName(b string) string {
	name, _, _ := strings.Cut(b[:min(len(b), nameSize)], "\x00")
	return name
}

func encodeProto(p Proto) string { return string([]byte{byte(p), 0, 0, 0}) }

func encodePort(port uint16) string {
	return string(append(binary.BigEndian.AppendUint16(nil, port), 0, 0))
}

func decodePort(b string) uint16 { return binary.BigEndian.Uint16([]byte(b)) }

// Address families: NFPROTO_* of <linux/netfilter.h>.
const (
	protoInet   = 1
	protoIPv4   = 2
	protoBridge = 7
	protoIPv6   = 10
)

// familyNames are nft's names of the families of tables.
var familyNames = map[byte]string{protoInet: "inet", protoIPv4: "ip", protoIPv6: "ip6", protoBridge: "bridge"}

func encodeFamily(a netip.Addr) string {
	if a.Is4() {
		return string([]byte{protoIPv4, 0, 0, 0})
	}
	return string([]byte{protoIPv6, 0, 0, 0})
}

func decodeFamily(b string) netip.Prefix {
	if b[0] == protoIPv4 {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}

// lastAddr returns the last address of a prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// prefixBetween returns the prefix whose first and last addresses are given.
func prefixBetween(first, last string) (netip.Prefix, error) {
	from, ok1 := netip.AddrFromSlice([]byte(first))
	to, ok2 := netip.AddrFromSlice([]byte(last))
	if !ok1 || !ok2 {
		return netip.Prefix{}, fmt.Errorf("addresses of %d and %d bytes", len(first), len(last))
	}
	for bits := 0; bits <= from.BitLen(); bits++ {
		if p := netip.PrefixFrom(from, bits); p == p.Masked() && lastAddr(p) == to {
			return p, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("%s-%s is not a prefix", from, to)
}
