package rtnl

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
)

// TestAddrsLive: added addresses are read back.
func TestAddrsLive(t *testing.T) {
	c := newLinkConn(t)
	v := LinkConfig{Name: "v0", Index: 7, Kind: Kind{Name: "veth", Peer: &LinkConfig{Name: "v1"}}}
	v.SetUp(true)
	if err := c.Do(AddLink(v)); err != nil {
		t.Fatal(err)
	}
	want := []Addr{
		{Link: 7, Prefix: pfx("10.0.0.1/24"), Broadcast: ipa("10.0.0.255"), Label: "v0:a", Flags: unix.IFA_F_PERMANENT,
			Valid: Forever, Preferred: Forever},
		{Link: 7, Prefix: pfx("10.1.0.1/32"), Peer: ipa("10.1.0.2"), Scope: unix.RT_SCOPE_LINK, Label: "v0", Valid: 1000,
			Preferred: 500},
		{Link: 7, Prefix: pfx("fd00::1/64"), Flags: unix.IFA_F_NODAD | unix.IFA_F_PERMANENT, Valid: Forever,
			Preferred: Forever, Metric: 5},
	}
	for _, a := range want {
		a.Flags &^= unix.IFA_F_PERMANENT
		if a.Valid == Forever {
			a.Valid, a.Preferred = 0, 0
		}
		if err := c.Do(AddAddr(a)); err != nil {
			t.Fatal(err)
		}
		if err := c.Do(AddAddr(a)); !errors.Is(err, fs.ErrExist) {
			t.Errorf("adding %v twice: %v", a, err)
		}
	}
	got, err := c.Addrs(AddrFilter{Link: 7})
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		got[i].Created, got[i].Updated = 0, 0
		if got[i].Valid != Forever {
			got[i].Valid, got[i].Preferred = 1000, 500 // the kernel counts down
		}
	}
	found := 0
	for _, w := range want {
		for _, g := range got {
			if g == w {
				found++
			}
		}
	}
	if found != len(want) {
		t.Error(cmp.Diff(want, got, cmpRoute, cmpAddr))
	}
	if err := c.Do(DeleteAddr(want[0])); err != nil {
		t.Error(err)
	}
	if err := c.Do(DeleteAddr(want[0])); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("deleting an address twice: %v", err)
	}
}

func TestNeighsLive(t *testing.T) {
	c := newLinkConn(t)
	// The bridge is down. If it were up without carrier, the kernel would delete proxy entries.
	br := LinkConfig{Name: "br0", Index: 9, Kind: Kind{Name: "bridge"}}
	want := []Neigh{
		{Link: 9, Addr: ipa("10.0.0.9"), LLAddr: "\x02\x00\x00\x00\x00\x09", State: unix.NUD_PERMANENT},
		{Link: 9, Addr: ipa("fd00::9"), LLAddr: "\x02\x00\x00\x00\x00\x09", State: unix.NUD_NOARP, Flags: unix.NTF_ROUTER},
		{Link: 9, Addr: ipa("10.0.0.10"), Flags: unix.NTF_PROXY},
	}
	if err := c.Do(AddLink(br), AddNeigh(want[0]), AddNeigh(want[1]), AddNeigh(want[2])); err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		got, err := c.Neigh(9, w.Addr, w.Proxy())
		if err != nil {
			t.Fatal(err)
		}
		got.Cache, got.Type = NeighCache{}, 0
		if got != w {
			t.Errorf("got %+v, want %+v", got, w)
		}
		if err := c.Do(DeleteNeigh(w)); err != nil {
			t.Error(err)
		}
	}
	if all, err := c.Neighs(NeighFilter{Proxy: true}); err != nil || len(all) != 0 {
		t.Errorf("left: %+v, %v", all, err)
	}
}

func TestNSIDs(t *testing.T) {
	c := newLinkConn(t)
	far, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	if id, err := c.NSID(far); err != nil || id != NoNSID {
		t.Errorf("NSID before = %d, %v", id, err)
	}
	if err := c.Do(SetNSID(far, 42)); err != nil {
		t.Fatal(err)
	}
	if err := c.Do(SetNSID(far, 43)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second id: %v", err)
	}
	id, err := c.NSID(far)
	all, aerr := c.NSIDs()
	if id != 42 || err != nil || aerr != nil || len(all) != 1 || all[0].ID != 42 {
		t.Errorf("NSID = %d, %v; NSIDs = %+v, %v", id, err, all, aerr)
	}
}

// TestWatch: the watcher reports changes, reports lost events, and continues afterwards.
func TestWatch(t *testing.T) {
	ns, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	c, err := Dial(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w, err := Watch(ns, GroupLink, GroupAddr4, GroupNSID)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	br := LinkConfig{Name: "br0", Index: 9, Kind: Kind{Name: "bridge"}}
	if err := c.Do(AddLink(br), AddAddr(Addr{Link: 9, Prefix: pfx("10.0.0.1/24")})); err != nil {
		t.Fatal(err)
	}
	if e, err := w.Next(ctx); err != nil || e.Object.(Link).Name != "br0" || e.Deleted {
		t.Errorf("first event: %+v, %v", e, err)
	}
	if e, err := w.Next(ctx); err != nil || e.Object.(Addr).Prefix != pfx("10.0.0.1/24") {
		t.Errorf("second event: %+v, %v", e, err)
	}
	// More events than the receive buffer holds.
	addrs := make([]Request, 0, 4000)
	for i := range 4000 {
		a := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		addrs = append(addrs, AddAddr(Addr{Link: 9, Prefix: netip.PrefixFrom(a, 32)}))
	}
	if err := c.Do(addrs...); err != nil {
		t.Fatal(err)
	}
	lost := false
	for range 4000 {
		e, err := w.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if lost = e.Lost; lost {
			break
		}
	}
	if !lost {
		t.Error("4000 events were kept, and no lost events reported")
	}
	if err := c.Do(DeleteLink(LinkID{Index: 9})); err != nil {
		t.Fatal(err)
	}
	for {
		e, err := w.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Link(LinkID{Index: 9}); e.Lost && errors.Is(err, fs.ErrNotExist) {
			break // the events of its addresses filled the buffer again
		}
		if l, ok := e.Object.(Link); ok && e.Deleted && l.Index == 9 {
			break
		}
	}
	cancel()
	if _, err := w.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after cancel: %v", err)
	}
}

// TestWatchCancelled: a cancelled call does not affect the next one.
func TestWatchCancelled(t *testing.T) {
	ns, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	c, err := Dial(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w, err := Watch(ns, GroupLink)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 100 {
		if e, err := w.Next(cancelled); !errors.Is(err, context.Canceled) {
			t.Fatalf("a cancelled call: %+v, %v", e, err)
		}
		mtu := uint32(1400 + i)
		if err := c.Do(SetLink(LinkID{Index: 1}, LinkConfig{MTU: mtu})); err != nil {
			t.Fatal(err)
		}
		if e, err := w.Next(t.Context()); err != nil || e.Object.(Link).MTU != mtu {
			t.Fatalf("the next call, round %d: %+v, %v", i, e, err)
		}
	}
}
