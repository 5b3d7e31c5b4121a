package topo

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestHops: equal hops are equal with ==, and the words are ip-route(8)'s.
func TestHops(t *testing.T) {
	via := Hop{Via: netip.MustParseAddr("10.0.0.1"), Device: "eth0"}
	dev := Hop{Device: "eth1", Weight: 3, Onlink: true}
	for _, tt := range []struct {
		hops []Hop
		want string
		list []Hop
	}{
		{nil, "", nil},
		{[]Hop{{}}, "", nil},
		{[]Hop{{Weight: 5}}, "", nil},
		{[]Hop{via}, "via 10.0.0.1 dev eth0", []Hop{via}},
		{[]Hop{dev}, "dev eth1 onlink", []Hop{{Device: "eth1", Onlink: true}}},
		{[]Hop{via, dev}, "nexthop via 10.0.0.1 dev eth0 weight 1 nexthop dev eth1 weight 3 onlink",
			[]Hop{{Via: via.Via, Device: "eth0", Weight: 1}, dev}},
		{[]Hop{dev, via}, "nexthop dev eth1 weight 3 onlink nexthop via 10.0.0.1 dev eth0 weight 1",
			[]Hop{dev, {Via: via.Via, Device: "eth0", Weight: 1}}},
	} {
		h := NewHops(tt.hops...)
		if h.String() != tt.want {
			t.Errorf("got %q, want %q", h, tt.want)
		}
		if diff := cmp.Diff(tt.list, h.List(), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("%v: -want +got:\n%s", h, diff)
		}
		if again := NewHops(h.List()...); again != h {
			t.Errorf("%v is not equal to itself", h)
		}
	}
	if NewHops(via, dev) == NewHops(dev, via) {
		t.Error("the order of hops does not matter")
	}
}
