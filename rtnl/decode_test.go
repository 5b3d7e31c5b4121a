package rtnl

import (
	"bytes"
	"cmp"
	"errors"
	"net/netip"
	"os"
	"reflect"
	"testing"

	"github.com/mdlayher/netlink"
	"github.com/mdlayher/netlink/nltest"
	"golang.org/x/sys/unix"
)

// TestInterruptedDump: if the table changes during a dump, list requests it again, up to
// dumpTries times. It never returns an inconsistent list.
func TestInterruptedDump(t *testing.T) {
	for _, tt := range []struct {
		interrupted, tries int
		err                error
	}{
		{0, 1, nil}, {1, 2, nil}, {dumpTries - 1, dumpTries, nil}, {dumpTries, dumpTries, ErrDumpInterrupted},
	} {
		tries := 0
		nl := nltest.Dial(func(req []netlink.Message) ([]netlink.Message, error) {
			if len(req) == 0 {
				return nil, errors.New("read without a request")
			}
			tries++
			m := netlink.Message{
				Header: netlink.Header{Type: unix.RTM_NEWNEIGH, Flags: netlink.Multi, Sequence: req[0].Header.Sequence,
					PID: req[0].Header.PID},
				Data: AddNeigh(Neigh{Link: 7, Addr: netip.MustParseAddr("10.0.0.1")}).msg.Data,
			}
			last := m
			if tries <= tt.interrupted {
				last.Header.Flags |= netlink.DumpInterrupted
			}
			return nltest.Multipart([]netlink.Message{m, last,
				{Header: netlink.Header{Sequence: req[0].Header.Sequence, PID: req[0].Header.PID}}})
		})
		c := NewConn(nl)
		neighs, err := c.Neighs(NeighFilter{})
		c.Close()
		if !errors.Is(err, tt.err) || tries != tt.tries || err == nil && len(neighs) != 2 || err != nil && neighs != nil {
			t.Errorf("interrupted %d times: tried %d times, want %d: %v, %v", tt.interrupted, tries, tt.tries, neighs, err)
		}
	}
}

// partedAnswers is a transport. Each answer is the next of several lists, part by part.
type partedAnswers struct {
	lists [][][]netlink.Message
	tries int
}

func (p *partedAnswers) SendMessages(m []netlink.Message) ([]netlink.Message, error) { return m, nil }
func (p *partedAnswers) Close() error                                                { return nil }
func (p *partedAnswers) ReceiveAnswer(fn func([]netlink.Message) error) (fnErr error) {
	for _, part := range p.lists[p.tries] {
		fnErr = cmp.Or(fnErr, fn(part))
	}
	p.tries++
	return fnErr
}

// TestPartsOfAList: if one part of a list, or its end, has NLM_F_DUMP_INTR, list tries again.
// If a part cannot be decoded, list returns an error and does not try again.
func TestPartsOfAList(t *testing.T) {
	neigh := func(addr string, flags netlink.HeaderFlags) []netlink.Message {
		return []netlink.Message{{Header: netlink.Header{Type: unix.RTM_NEWNEIGH, Flags: netlink.Multi | flags},
			Data: AddNeigh(Neigh{Link: 7, Addr: netip.MustParseAddr(addr)}).msg.Data}}
	}
	end := func(flags netlink.HeaderFlags) []netlink.Message {
		return []netlink.Message{{Header: netlink.Header{Type: netlink.Done, Flags: netlink.Multi | flags},
			Data: make([]byte, 4)}}
	}
	malformed := []netlink.Message{{Header: netlink.Header{Type: unix.RTM_NEWNEIGH, Flags: netlink.Multi}}}
	const changed = netlink.DumpInterrupted
	for _, tt := range []struct {
		what         string
		lists        [][][]netlink.Message
		tries, found int
	}{
		{"consistent", [][][]netlink.Message{{neigh("10.0.0.1", 0), neigh("10.0.0.2", 0), end(0)}}, 1, 2},
		{"changed", [][][]netlink.Message{{neigh("10.0.0.1", 0), neigh("10.0.0.2", changed), end(0)},
			{neigh("10.0.0.3", 0), end(0)}}, 2, 1},
		{"changed at the end", [][][]netlink.Message{{neigh("10.0.0.1", 0), end(changed)}, {end(0)}}, 2, 0},
		{"malformed", [][][]netlink.Message{{neigh("10.0.0.1", 0), malformed, neigh("10.0.0.2", 0), end(0)}}, 1, -1},
		{"malformed and changed", [][][]netlink.Message{{malformed, end(changed)}, {neigh("10.0.0.3", 0), end(0)}}, 2, 1},
	} {
		p := &partedAnswers{lists: tt.lists}
		neighs, err := (&Conn{nl: p}).Neighs(NeighFilter{})
		if p.tries != tt.tries || len(neighs) != max(tt.found, 0) || (err == nil) != (tt.found >= 0) {
			t.Errorf("%s: tried %d times, %v, %v", tt.what, p.tries, neighs, err)
		}
	}
}

// TestRequestAllocations limits the number of allocations per request. Unlike the run time,
// it is the same on each machine.
func TestRequestAllocations(t *testing.T) {
	addr := Addr{Link: 7, Prefix: netip.MustParsePrefix("10.0.0.1/24")}
	route := Route{Dst: netip.MustParsePrefix("10.0.0.0/8"), Gateway: netip.MustParseAddr("10.0.0.1"), Link: 7}
	for _, tt := range []struct {
		what string
		max  float64
		do   func()
	}{
		{"a veth pair", 36, func() {
			AddLink(LinkConfig{Name: "v0", Kind: Kind{Name: "veth", Peer: &LinkConfig{Name: "v1"}}})
		}},
		{"up", 8, func() { SetLink(LinkID{Index: 7}, LinkConfig{Flags: unix.IFF_UP, Change: unix.IFF_UP}) }},
		{"an address", 20, func() { AddAddr(addr) }},
		{"a route", 25, func() { AddRoute(route) }},
		{"a neighbour", 15, func() {
			AddNeigh(Neigh{Link: 7, Addr: addr.Prefix.Addr(), LLAddr: "\x02\x00\x00\x00\x00\x01"})
		}},
	} {
		got := testing.AllocsPerRun(100, tt.do)
		t.Logf("%s: %v allocations", tt.what, got)
		if got > tt.max {
			t.Errorf("%s: %v allocations, at most %v", tt.what, got, tt.max)
		}
	}
}

// FuzzDecode: the decoders accept any bytes, because a newer kernel may send anything. They
// must return, must not panic, and must not keep references to the bytes.
func FuzzDecode(f *testing.F) {
	for _, r := range []Request{
		AddLink(LinkConfig{Name: "v0", Kind: Kind{Name: "veth", Peer: &LinkConfig{Name: "v1"}}}),
		AddLink(LinkConfig{Name: "br0", Kind: Kind{Name: "bridge", Options: Options{"stp_state": uint64(1)}}}),
		AddAddr(Addr{Link: 7, Prefix: netip.MustParsePrefix("fd00::1/64")}),
		AddNeigh(Neigh{Link: 7, Addr: netip.MustParseAddr("10.0.0.1"), LLAddr: "\x02\x00\x00\x00\x00\x01"}),
		AddRoute(Route{Dst: netip.MustParsePrefix("::/0"), Gateway: netip.MustParseAddr("fe80::1"), Link: 7}),
		AddRule(ruleOf(Rule{Is6: true, From: netip.MustParsePrefix("fd00::/8"), In: "v0"}, unix.FRA_UID_RANGE, 1)),
	} {
		f.Add(r.msg.Data)
	}
	if os.Getenv("VNET_EMULATED") == "" { // in an emulator the kernel has another architecture
		for _, body := range kernelDumps(f) {
			f.Add(body)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for i, decode := range []func([]byte) (any, error){
			func(b []byte) (any, error) { return decodeLink(b) },
			func(b []byte) (any, error) { return decodeAddr(b) },
			func(b []byte) (any, error) { return decodeNeigh(b) },
			func(b []byte) (any, error) { return decodeRoute(b) },
			func(b []byte) (any, error) { return decodeRule(b) },
			func(b []byte) (any, error) { return decodeNSID(b) },
			func(b []byte) (any, error) { return decodeVLANs(b) },
			func(b []byte) (any, error) { n, ok, err := decodeNetem(b); return []any{n, ok}, err },
		} {
			reused := bytes.Clone(b)
			got, _ := decode(reused)
			clear(reused)
			if want, _ := decode(b); !reflect.DeepEqual(got, want) {
				t.Errorf("decoder %d keeps references to the message: %+v was %+v", i, got, want)
			}
		}
		for _, typ := range []netlink.HeaderType{unix.RTM_NEWLINK, unix.RTM_DELADDR, unix.RTM_NEWROUTE, unix.RTM_NEWNEIGH,
			unix.RTM_NEWRULE, unix.RTM_NEWNSID} {
			decodeEvent(netlink.Message{Header: netlink.Header{Type: typ}, Data: b})
		}
	})
}

// kernelDumps returns messages of this kernel: links of several kinds, their addresses,
// routes and neighbours.
func kernelDumps(t testing.TB) (all [][]byte) {
	t.Helper()
	c := newVethConn(t)
	err := c.Do(
		AddLink(LinkConfig{Name: "br0", Index: 9, Kind: Kind{Name: "bridge"}}),
		SetLink(LinkID{Index: 7}, LinkConfig{Master: ptr(uint32(9))}),
		AddLink(LinkConfig{Name: "x0", Kind: Kind{Name: "vxlan",
			Options: Options{"id": uint64(5), "dstport": uint64(4789)}}}),
		AddAddr(Addr{Link: 7, Prefix: pfx("10.0.0.1/24"), Broadcast: ipa("10.0.0.255"), Label: "v0:a"}),
		AddAddr(Addr{Link: 7, Prefix: pfx("fd00::1/64"), Valid: 100, Preferred: 50}),
		AddNeigh(Neigh{Link: 7, Addr: ipa("10.0.0.9"), LLAddr: "\x02\x00\x00\x00\x00\x09"}),
		AddAltNames(LinkID{Index: 7}, "another-name"),
		AddRoute(Route{Dst: pfx("10.9.0.0/16"), Hops: []Hop{{Gateway: ipa("10.0.0.2")},
			{Gateway: ipa("10.0.0.3"), Weight: 2}}}),
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, dump := range []struct {
		typ  netlink.HeaderType
		body []byte
	}{
		{unix.RTM_GETLINK, make([]byte, unix.SizeofIfInfomsg)}, {unix.RTM_GETADDR, make([]byte, unix.SizeofIfAddrmsg)},
		{unix.RTM_GETROUTE, make([]byte, unix.SizeofRtMsg)}, {unix.RTM_GETNEIGH, make([]byte, unix.SizeofNdMsg)},
		{unix.RTM_GETQDISC, make([]byte, sizeofTcMsg)}, {unix.RTM_GETNSID, make([]byte, sizeofRtgenmsg)},
		{unix.RTM_GETRULE, make([]byte, sizeofRuleHdr)},
	} {
		bodies, err := dumpBodies(c, dump.typ, dump.body)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, bodies...)
	}
	return all
}

// dumpBodies returns the bodies of the messages of a dump.
func dumpBodies(c *Conn, typ netlink.HeaderType, body []byte) (bodies [][]byte, err error) {
	err = c.list("all", typ, body, func() { bodies = nil }, func(b []byte) error {
		bodies = append(bodies, bytes.Clone(b))
		return nil
	})
	return bodies, err
}

// TestDecodeAllocations limits the number of allocations per object: the decoders copy each
// attribute once.
func TestDecodeAllocations(t *testing.T) {
	c := newVethConn(t)
	bodies, err := dumpBodies(c, unix.RTM_GETLINK, make([]byte, unix.SizeofIfInfomsg))
	if err != nil {
		t.Fatal(err)
	}
	addr, err := encodeAddr(Addr{Link: 7, Prefix: pfx("fd00::1/64"), Label: "v0"})
	if err != nil {
		t.Fatal(err)
	}
	route, err := encodeRoute(Route{Dst: pfx("10.0.0.0/8"), Gateway: ipa("10.0.0.1"), Link: 7})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what string
		max  float64
		do   func() error
	}{
		{"a link", 125, func() error { _, err := decodeLink(bodies[len(bodies)-1]); return err }},
		{"an address", 9, func() error { _, err := decodeAddr(addr); return err }},
		{"a route", 9, func() error { _, err := decodeRoute(route); return err }},
	} {
		got := testing.AllocsPerRun(100, func() {
			if err := tt.do(); err != nil {
				t.Fatal(err)
			}
		})
		t.Logf("%s: %v allocations", tt.what, got)
		if got > tt.max {
			t.Errorf("%s: %v allocations, at most %v", tt.what, got, tt.max)
		}
	}
}

// TestTruncatedMessages: all decoders refuse a message that is shorter than its header, and
// none panics on a message that is truncated elsewhere.
func TestTruncatedMessages(t *testing.T) {
	for _, body := range kernelDumps(t) {
		for n := range len(body) {
			truncated := body[:n:n]
			if _, err := decodeLink(truncated); n < unix.SizeofIfInfomsg && err == nil {
				t.Fatalf("a link of %d bytes", n)
			}
			if _, err := decodeAddr(truncated); n < unix.SizeofIfAddrmsg && err == nil {
				t.Fatalf("an address of %d bytes", n)
			}
			if _, err := decodeRoute(truncated); n < unix.SizeofRtMsg && err == nil {
				t.Fatalf("a route of %d bytes", n)
			}
			if _, err := decodeNeigh(truncated); n < unix.SizeofNdMsg && err == nil {
				t.Fatalf("a neighbour of %d bytes", n)
			}
			if _, err := decodeRule(truncated); n < sizeofRuleHdr && err == nil {
				t.Fatalf("a rule of %d bytes", n)
			}
			if _, err := decodeNSID(truncated); n < sizeofRtgenmsg && err == nil {
				t.Fatalf("an id of %d bytes", n)
			}
			if _, _, err := decodeNetem(truncated); n < sizeofTcMsg && err == nil {
				t.Fatalf("a qdisc of %d bytes", n)
			}
		}
	}
}
