//go:build linux

package member

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"net/netip"

	"github.com/vnet-lab/vnet/rtnl"
)

// ErrExhausted means that all addresses of a subnet are taken.
var ErrExhausted = errors.New("all addresses are taken")

// A TakenError says that an address or a port of the machine belongs to another member.
type TakenError struct {
	What    string // "address 10.77.0.5", "port tcp 8080"
	Network string // of the owner
	Owner   ID     // zero if it is not known
}

// Error names the owner.
func (e *TakenError) Error() string {
	if e.Owner == (ID{}) {
		return e.What + " is taken"
	}
	return fmt.Sprintf("%s is taken by %s of %s in network %s", e.What, e.Owner.Link, e.Owner.Container, e.Network)
}

// maxTries is more than the ports of a bridge, 1023, so among as many addresses in a row one is free.
const maxTries = 1100

// maxAddresses is how many addresses of a subnet are given, from the start of its ranges, if members do not ask for
// one. It limits the network's table, which has an element for each address that was given.
const maxAddresses = 1 << 14

// gateway returns the gateway's address of a subnet.
func (s Subnet) gateway() netip.Addr {
	if s.Gateway.IsValid() {
		return s.Gateway
	}
	return s.Prefix.Addr().Next()
}

// Hosts returns the addresses that a subnet without ranges gives, apart from the gateway's.
func (s Subnet) Hosts() Range { return Subnet{Prefix: s.Prefix}.ranges()[0] }

// ranges returns the addresses to give: by default all but network, broadcast and gateway.
func (s Subnet) ranges() []Range {
	if len(s.Ranges) > 0 {
		return s.Ranges
	}
	first, last := s.Prefix.Addr(), lastOf(s.Prefix)
	if s.Prefix.Bits() < first.BitLen()-1 {
		first = first.Next()
		if first.Is4() {
			last = last.Prev()
		}
	}
	return []Range{{first, last}}
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// size returns the number of addresses of a range, at most 2^62.
func (r Range) size() uint64 {
	a, b := r.First.As16(), r.Last.As16()
	low, borrow := bits.Sub64(binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(a[8:]), 0)
	high, _ := bits.Sub64(binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(a[:8]), borrow)
	if high > 0 || low >= 1<<62 {
		return 1 << 62
	}
	return low + 1
}

// at returns an address of a range by its number from 0.
func (r Range) at(n uint64) netip.Addr {
	a := r.First.As16()
	low, carry := bits.Add64(binary.BigEndian.Uint64(a[8:]), n, 0)
	binary.BigEndian.PutUint64(a[8:], low)
	binary.BigEndian.PutUint64(a[:8], binary.BigEndian.Uint64(a[:8])+carry)
	if r.First.Is4() {
		return netip.AddrFrom16(a).Unmap()
	}
	return netip.AddrFrom16(a)
}

// candidates calls try with the addresses of a subnet until it returns true or an error. It begins at a place that the
// member's ID determines, so that an address that is free again is not given again at once.
func (s Subnet) candidates(start uint64, try func(netip.Addr) (bool, error)) error {
	ranges, size := s.ranges(), uint64(0)
	for _, r := range ranges {
		size += r.size()
	}
	size = min(size, maxAddresses)
	for i := range min(size, maxTries) {
		n := (start + i) % size
		for _, r := range ranges {
			if n >= r.size() {
				n -= r.size()
				continue
			}
			if a := r.at(n); a != s.gateway() {
				if done, err := try(a); done || err != nil {
					return err
				}
			}
			break
		}
	}
	return fmt.Errorf("%s: %w", s.Prefix, ErrExhausted)
}

// claim takes an address of a subnet for a link: the wanted one, or the first that is free.
func claim(c *rtnl.Conn, link, network string, s Subnet, want netip.Addr, start uint64) (got netip.Addr, err error) {
	take := func(a netip.Addr) (bool, error) {
		err := claimName(c, link, claimOf(network, a), "address "+a.String())
		var taken *TakenError
		if errors.As(err, &taken) && !want.IsValid() {
			return false, nil
		}
		got = a
		return err == nil, err
	}
	if want.IsValid() {
		_, err = take(want)
		return got, err
	}
	err = s.candidates(start, take)
	return got, err
}

// claimName gives a link an alternative name, which only one link can have. If another has it, the error is a
// [TakenError] with the owner.
func claimName(c *rtnl.Conn, link, name, what string) error {
	err := c.Do(rtnl.AddAltNames(rtnl.LinkID{Name: link}, name))
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	taken := &TakenError{What: what}
	if l, err := c.Link(rtnl.LinkID{Name: name}); err == nil {
		taken.Network, taken.Owner, _, _ = parseAlias(l.Alias)
	}
	return taken
}
