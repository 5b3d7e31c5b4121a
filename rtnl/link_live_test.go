package rtnl

import (
	"errors"
	"io/fs"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
)

// newLinkConn returns a socket in a new namespace. Both are closed at the end of the test.
func newLinkConn(t testing.TB) *Conn {
	t.Helper()
	ns, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	c, err := Dial(ns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func ptr[T any](v T) *T { return &v }

// TestVethAcrossNamespaces creates a veth pair as topo does: with one request, both ends in
// their namespaces with their names and indexes.
func TestVethAcrossNamespaces(t *testing.T) {
	c := newLinkConn(t)
	far, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	fc, err := Dial(far)
	if err != nil {
		t.Fatal(err)
	}
	defer fc.Close()
	near := LinkConfig{
		Name: "veth-red-br", Index: 11, MTU: 1400, Address: "\x02\x00\x00\x00\x00\x01", Master: ptr(uint32(10)),
		Group: ptr(uint32(7)),
		Kind: Kind{Name: "veth", Peer: &LinkConfig{
			Name: "eth0", Index: 2, MTU: 1400, Address: "\x02\x00\x00\x00\x00\x02", NS: far,
		}},
	}
	near.SetUp(true)
	bridge := LinkConfig{Name: "v-net-0", Index: 10,
		Kind: Kind{Name: "bridge", Options: Options{"stp_state": uint64(0), "ageing_time": uint64(1000)}}}
	if err := c.Do(AddLink(bridge), AddLink(near),
		SetLink(LinkID{Index: 11}, LinkConfig{Alias: ptr("vnet:demo")})); err != nil {
		t.Fatal(err)
	}
	got, err := c.Link(LinkID{Name: "veth-red-br"})
	if err != nil {
		t.Fatal(err)
	}
	if got.Index != 11 || got.MTU != 1400 || got.Address.String() != "02:00:00:00:00:01" || got.Master != 10 ||
		got.Group != 7 || !got.Up() || got.Kind.Name != "veth" || got.Parent != 2 || got.ParentNSID == nil ||
		got.PortKind != "bridge_slave" || got.Port["learning"] != uint64(1) || got.Alias != "vnet:demo" {
		t.Errorf("near end: %+v", got)
	}
	br, err := c.Link(LinkID{Index: 10})
	if err != nil || br.Kind.Options["ageing_time"] != uint64(1000) {
		t.Errorf("bridge: %+v, %v", br, err)
	}
	end, err := fc.Link(LinkID{Name: "eth0"})
	if err != nil || end.Index != 2 || end.MTU != 1400 || end.Address.String() != "02:00:00:00:00:02" || end.Up() {
		t.Errorf("far end: %+v, %v", end, err)
	}
	if err := c.Do(DeleteLinkGroup(7)); err != nil {
		t.Fatal(err)
	}
	if _, err := fc.Link(LinkID{Name: "eth0"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("far end after the near one was deleted: %v", err)
	}
}

func TestAltNames(t *testing.T) {
	c := newLinkConn(t)
	long := "a-name-with-more-than-fifteen-bytes"
	lo := LinkID{Name: "lo"}
	if err := c.Do(AddAltNames(lo, long, "other")); err != nil {
		t.Fatal(err)
	}
	l, err := c.Link(LinkID{Name: long})
	if err != nil || l.Name != "lo" || len(l.AltNames) != 2 {
		t.Fatalf("%+v, %v", l, err)
	}
	err = c.Do(SetLink(LinkID{Name: long}, LinkConfig{MTU: 9000}))
	if errors.Is(err, fs.ErrNotExist) { // before Linux 5.19
		err = c.Do(SetLink(lo, LinkConfig{MTU: 9000}))
	}
	if err := errors.Join(err, c.Do(DeleteAltNames(lo, "other"))); err != nil {
		t.Fatal(err)
	}
	if l, _ = c.Link(lo); l.MTU != 9000 || len(l.AltNames) != 1 {
		t.Errorf("%+v", l)
	}
}

// TestLinkErrors: each error names its request, and works with errors.Is.
func TestLinkErrors(t *testing.T) {
	c := newLinkConn(t)
	err := c.Do(
		AddLink(LinkConfig{Name: "v0", Kind: Kind{Name: "veth", Peer: &LinkConfig{Name: "v1"}}}),
		AddLink(LinkConfig{Name: "v0", Kind: Kind{Name: "bridge"}}),
		SetLink(LinkID{Name: "nope"}, LinkConfig{MTU: 1400}),
		SetLink(LinkID{Name: "v0"}, LinkConfig{MTU: 10}),
		SetLink(LinkID{Name: "v1"}, LinkConfig{Flags: unix.IFF_UP, Change: unix.IFF_UP}),
	)
	want := "add link v0 type bridge: file exists\n" +
		"set link nope: no such device\n" +
		"set link v0: mtu less than device minimum (invalid argument)"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if !errors.Is(err, fs.ErrExist) || !errors.Is(err, fs.ErrNotExist) {
		t.Error("errors.Is is false")
	}
	if l, err := c.Link(LinkID{Name: "v1"}); err != nil || !l.Up() {
		t.Errorf("the kernel did not continue after an error: %+v, %v", l, err)
	}
}

func TestLinkNames(t *testing.T) {
	for _, name := range []string{"sixteen-bytes-xx", "a/b", "a b", "a:b", ".", "..", "nul\x00"} {
		r := AddLink(LinkConfig{Name: name, Kind: Kind{Name: "bridge"}})
		if r.err == nil {
			t.Errorf("%q was not refused", name)
		}
	}
}
