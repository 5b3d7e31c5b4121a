package nft

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// An element is one entry of a set or map as the kernel has it: the fields of the
// key one after the other, each padded to four bytes, in network byte order.
type element struct {
	set string
	// key is "" of the one that stands for all keys that are not there, *; we make
	// none.
	key  string
	end  string // the last key of an interval, included; "" in sets without
	data string // what a map leads to
	// comment is free text, which nft prints.
	comment string
}

// place is what makes elements the same one: two with one place and different
// data exclude each other.
type place struct{ set, key, end string }

func (e element) place() place { return place{e.set, e.key, e.end} }

// overlaps says that the keys of two elements of an interval set have some key in
// common: every field has.
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

// text prints the element as nft does, without its counter.
func (e element) text(s set) string {
	words := intervalText(e.key, e.end, s.key)
	if e.comment != "" {
		words += fmt.Sprintf(" comment %q", e.comment)
	}
	if e.data != "" {
		words += " : " + intervalText(e.data, "", s.data)
	}
	return words
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

// The kernel's numbers of the families, NFPROTO_* of <linux/netfilter.h>.
const (
	protoInet = 1
	protoIPv4 = 2
	protoIPv6 = 10
)

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

// lastOf is the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// prefixOf is the prefix from one address to another.
func prefixOf(first, last string) (netip.Prefix, error) {
	from, ok1 := netip.AddrFromSlice([]byte(first))
	to, ok2 := netip.AddrFromSlice([]byte(last))
	if !ok1 || !ok2 {
		return netip.Prefix{}, fmt.Errorf("%d and %d bytes are no addresses", len(first), len(last))
	}
	for bits := 0; bits <= from.BitLen(); bits++ {
		if p := netip.PrefixFrom(from, bits); p == p.Masked() && lastOf(p) == to {
			return p, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("%s-%s is no prefix", from, to)
}
