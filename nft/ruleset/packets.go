//go:build linux

package ruleset

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
)

// packets describes packets for a port forward: those that may reach a place in a ruleset.
type packets struct {
	v4    bool
	proto nft.Proto
	ports nft.Ports
	addrs []netip.Addr // destinations
	in    string       // the input link; "" means any
	all   bool         // all packets that enter the chain reach this step of the rule
}

// restrict returns the packets that match accepts (CmpOpEq), or those that it does not accept (CmpOpNeq); false means
// that there are none.
func (p packets) restrict(op expr.CmpOp, match func(packets) (packets, bool)) (packets, bool) {
	was := p.all
	p.all = true
	q, some := match(p)
	if op == expr.CmpOpEq {
		q.all = q.all && was
		return q, some
	}
	p.all = was && !some
	return p, !some || !q.all
}

func (p packets) restrictPorts(s step) (packets, bool) {
	return p.restrict(s.op, func(p packets) (packets, bool) {
		for _, r := range s.ports {
			if q, some := p.match(loadedField{name: portField}, be16(r.First), be16(r.Last)); some {
				return q, true
			}
		}
		return p, false
	})
}

// match returns the packets with a value of the field between low and high; nil means no limit. It clears all if there
// may be packets with other values. It returns false if there are no packets with such a value.
func (p packets) match(f loadedField, low, high []byte) (packets, bool) {
	compare := func(value, with []byte) int { // only the bytes that both have: with may be a prefix, or padded
		n := min(len(value), len(with))
		return bytes.Compare(value[:n], with[:n])
	}
	within := func(value []byte) bool { return compare(value, low) >= 0 && compare(value, high) <= 0 }
	switch f.name {
	case familyField:
		return p, within([]byte{p.family()})
	case protoField:
		return p, within([]byte{byte(p.proto)})
	case portField:
		return p.matchPort(low, high)
	case targetField, target4Field, target6Field:
		if f.name == target4Field && !p.v4 || f.name == target6Field && p.v4 {
			return p, false
		}
		count := len(p.addrs)
		p.addrs = slices.DeleteFunc(slices.Clone(p.addrs), func(a netip.Addr) bool {
			b := a.AsSlice()
			for i := range f.mask {
				b[i] &= f.mask[i]
			}
			return !within(b)
		})
		p.all = p.all && len(p.addrs) == count
		return p, len(p.addrs) > 0
	case inField:
		name := linkName(low)
		whole := wholeName(low) && (f.mask == nil || bytes.IndexByte(f.mask, 0) > len(name))
		if p.in != "" && whole && bytes.Equal(low, high) {
			return p, name == p.in
		}
	case typeField:
		return p, len(low) == 4 && binary.NativeEndian.Uint32(low) == unix.RTN_LOCAL
	}
	p.all = false
	return p, true
}

func (p packets) family() byte {
	if p.v4 {
		return unix.NFPROTO_IPV4
	}
	return unix.NFPROTO_IPV6
}

func (p packets) matchPort(low, high []byte) (packets, bool) {
	first, last := uint16(0), uint16(0xffff)
	if len(low) >= 2 {
		first = binary.BigEndian.Uint16(low)
	}
	if len(high) >= 2 {
		last = binary.BigEndian.Uint16(high)
	}
	had := p.ports
	p.ports = nft.Ports{First: max(first, had.First), Last: min(last, had.Last)}
	p.all = p.all && p.ports == had
	return p, p.ports.First <= p.ports.Last
}
