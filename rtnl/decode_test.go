package rtnl

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/mdlayher/netlink"
	"github.com/mdlayher/netlink/nltest"
	"golang.org/x/sys/unix"
)

// TestInterruptedDump: a list that changed while the kernel wrote it is asked for
// again, as often as is sensible, and never returned.
func TestInterruptedDump(t *testing.T) {
	for _, tt := range []struct {
		interrupted, asked int
		err                error
	}{
		{0, 1, nil}, {1, 2, nil}, {dumpTries - 1, dumpTries, nil}, {dumpTries, dumpTries, ErrDumpInterrupted},
	} {
		asked := 0
		nl := nltest.Dial(func(req []netlink.Message) ([]netlink.Message, error) {
			if len(req) == 0 {
				return nil, errors.New("read without a question")
			}
			asked++
			m := netlink.Message{
				Header: netlink.Header{Type: unix.RTM_NEWNEIGH, Flags: netlink.Multi, Sequence: req[0].Header.Sequence, PID: req[0].Header.PID},
				Data:   neighHeader(Neigh{Link: 7, Addr: netip.MustParseAddr("10.0.0.1")}),
			}
			m.Data = append(m.Data, 8, 0, unix.NDA_DST, 0, 10, 0, 0, 1)
			if asked <= tt.interrupted {
				m.Header.Flags |= netlink.DumpInterrupted
			}
			return nltest.Multipart([]netlink.Message{m, {Header: netlink.Header{Sequence: req[0].Header.Sequence, PID: req[0].Header.PID}}})
		})
		c := NewConn(nl)
		neighs, err := c.Neighs(NeighFilter{})
		c.Close()
		if !errors.Is(err, tt.err) || asked != tt.asked || err == nil && len(neighs) != 1 {
			t.Errorf("interrupted %d times: asked %d times, want %d: %v, %v", tt.interrupted, asked, tt.asked, neighs, err)
		}
	}
}

// Requests cost a known number of allocations: a regression is seen at once, on any
// machine.
func TestRequestAllocations(t *testing.T) {
	addr := Addr{Link: 7, Prefix: netip.MustParsePrefix("10.0.0.1/24")}
	route := Route{Dst: netip.MustParsePrefix("10.0.0.0/8"), Gateway: netip.MustParseAddr("10.0.0.1"), Link: 7}
	for _, tt := range []struct {
		what string
		most float64
		do   func()
	}{
		{"a cable", 36, func() {
			AddLink(LinkConfig{Name: "v0", Kind: Kind{Name: "veth", Peer: &LinkConfig{Name: "v1"}}})
		}},
		{"up", 8, func() { SetLink(LinkID{Index: 7}, LinkConfig{Flags: unix.IFF_UP, Change: unix.IFF_UP}) }},
		{"an address", 20, func() { AddAddr(addr) }},
		{"a route", 25, func() { AddRoute(route) }},
		{"a neighbour", 15, func() { AddNeigh(Neigh{Link: 7, Addr: addr.Prefix.Addr(), LLAddr: "\x02\x00\x00\x00\x00\x01"}) }},
	} {
		got := testing.AllocsPerRun(100, tt.do)
		t.Logf("%s: %v allocations", tt.what, got)
		if got > tt.most {
			t.Errorf("%s: %v allocations, at most %v", tt.what, got, tt.most)
		}
	}
}

// The decoders take whatever comes: the kernel is newer than this.
func FuzzDecode(f *testing.F) {
	for _, r := range []Request{
		AddLink(LinkConfig{Name: "v0", Kind: Kind{Name: "veth", Peer: &LinkConfig{Name: "v1"}}}),
		AddLink(LinkConfig{Name: "br0", Kind: Kind{Name: "bridge", Options: Options{"stp_state": uint64(1)}}}),
		AddAddr(Addr{Link: 7, Prefix: netip.MustParsePrefix("fd00::1/64")}),
		AddNeigh(Neigh{Link: 7, Addr: netip.MustParseAddr("10.0.0.1"), LLAddr: "\x02\x00\x00\x00\x00\x01"}),
		AddRoute(Route{Dst: netip.MustParsePrefix("::/0"), Gateway: netip.MustParseAddr("fe80::1"), Link: 7}),
	} {
		f.Add(r.msg.Data)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		// What they make of it is of no interest; that they end, and do not panic, is.
		_, _ = decodeLink(b)
		_, _ = decodeAddr(b)
		_, _ = decodeNeigh(b)
		_, _ = decodeRoute(b)
		_, _ = decodeNSID(b)
		for _, typ := range []netlink.HeaderType{unix.RTM_NEWLINK, unix.RTM_DELADDR, unix.RTM_NEWROUTE, unix.RTM_NEWNEIGH, unix.RTM_NEWNSID} {
			decodeEvent(netlink.Message{Header: netlink.Header{Type: typ}, Data: b})
		}
	})
}
