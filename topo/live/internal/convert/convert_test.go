package convert

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// An object that becomes the request for a link is the same when the kernel lists that link. The parent has index 7.
func TestLinksRoundTrip(t *testing.T) {
	addr := netip.MustParseAddr
	l := topo.Link{NS: "red", Name: "new0"}
	tested := map[reflect.Type]bool{reflect.TypeOf(topo.Veth{}): true} // has no conversion of its own
	for _, o := range []topo.Object{
		topo.Bridge{Link: l}, topo.Bridge{Link: l, STP: true}, topo.Bridge{Link: l, VLANFiltering: true},
		topo.Dummy{Link: l},
		topo.VLAN{Link: l, Parent: "up0", ID: 5},
		topo.VXLAN{Link: l, ID: 9, Port: 4789, Parent: "up0", Local: addr("10.0.0.1"), Remote: addr("10.0.0.2")},
		topo.VXLAN{Link: l, ID: 9, Port: 8472, Local: addr("fd00::1")},
		topo.Macvlan{Link: l, Parent: "up0", Mode: "private"}, topo.Macvlan{Link: l, Parent: "up0", Mode: "bridge"},
		topo.Ipvlan{Link: l, Parent: "up0", Mode: "l2"}, topo.Ipvlan{Link: l, Parent: "up0", Mode: "l3"},
	} {
		k := LinkKindOf(o)
		if k == nil || LinkKindNamed(k.Name) != k {
			t.Errorf("%T has no kind", o)
			continue
		}
		tested[reflect.TypeOf(o)] = true
		n := k.Encode(o)
		c := rtnl.LinkConfig{Kind: rtnl.Kind{Name: k.Name, Options: n.Options}}
		if n.Parent != "" {
			n.SetParent(&c, 7)
		}
		listed := ListedLink{
			Link: &rtnl.Link{Name: n.Name, Parent: c.Parent, Kind: c.Kind}, Names: map[uint32]string{7: "up0"},
			Resolve: func() (ns, name string) { return "", "up0" },
		}
		if got := k.Decode(listed, l); topo.Normalize(got) != topo.Normalize(o) {
			t.Errorf("%v became %v", o, got)
		}
	}
	for _, k := range LinkKinds {
		if !tested[reflect.TypeOf(k.Sample)] {
			t.Errorf("%s is not tested", k.Name)
		}
	}
}

// An object that becomes a rule is the same when the rule is read.
func TestRulesRoundTrip(t *testing.T) {
	addr, pfx := netip.MustParseAddr, netip.MustParsePrefix
	mac := topo.MAC{2, 0, 0, 0, 0, 1}
	for _, o := range []topo.Object{
		topo.Masquerade{NS: "red", Source: pfx("10.0.0.0/24"), Out: "up0"},
		topo.SourceNAT{NS: "red", Source: pfx("fd00::/64"), Out: "up0", To: addr("fd01::1")},
		topo.Isolation{NS: "red", In: "a", Out: "b"},
		topo.OwnLink{NS: "red", Link: "a"}, topo.ClosedLink{NS: "red", Link: "a"},
		topo.AllowedSource{NS: "red", Link: "a", Source: pfx("10.0.0.0/24")},
		topo.SourceGate{NS: "red", Link: "a", MAC: mac},
		topo.HairpinFilter{NS: "red", Link: "a"},
		topo.AntispoofPort{NS: "red", Link: "a"}, topo.AntispoofPort{NS: "red", Link: "a", Routes: true},
		topo.AntispoofPort{NS: "red", Link: "a", Routes: true, Gateway: true},
		topo.PortAddress{NS: "red", Link: "a", MAC: mac, Addr: addr("10.0.0.1")},
		topo.Fastpath{NS: "red", Link: "a", Port: true},
		topo.Forward{NS: "red", Proto: "udp", In: "up0", First: 53, Last: 54, To: addr("fd00::1"), ToPort: 5353},
		topo.Forward{NS: "red", Proto: "tcp", Addr: addr("10.0.0.1"), First: 80, Last: 80, To: addr("10.0.1.1"), ToPort: 80},
	} {
		rule, err := Rule(o)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := Object("red", rule); topo.Normalize(got) != topo.Normalize(o) {
			t.Errorf("%v became %v", o, got)
		}
	}
	for _, o := range []topo.Object{topo.Dummy{}, topo.Forward{NS: "red", Proto: "icmp", First: 1, Last: 1}} {
		if rule, err := Rule(o); err == nil {
			t.Errorf("%v became the rule %v", o, rule)
		}
	}
}

// A bridge with a spanning tree has times of the tree's root, and a short ageing time while the topology changes. They
// are not its own, so the wanted ones count.
func TestBridgeOptionsOfATree(t *testing.T) {
	wanted := topo.NewBridgeOptions(func(o *topo.BridgeOption) uint64 { return o.Default + 100 })
	for _, tt := range []struct {
		option            string
		tree, root, moves bool // it has a spanning tree and another root, and the topology changes
		ownValue          bool
	}{
		{"forward_delay", false, true, true, true},
		{"forward_delay", true, false, true, true},
		{"forward_delay", true, true, false, false},
		{"hello_time", true, true, false, false},
		{"max_age", true, true, false, false},
		{"ageing_time", true, true, false, true},
		{"ageing_time", true, false, true, false},
		{"ageing_time", false, false, true, true},
		{"priority", true, true, true, true},
	} {
		number := map[bool]uint64{true: 1}
		l := ListedLink{Wanted: topo.Bridge{Options: wanted}, Link: &rtnl.Link{Kind: rtnl.Kind{Name: "bridge",
			Options: rtnl.Options{tt.option: uint64(5), "stp_state": number[tt.tree], "bridge_id": uint64(0),
				"root_id": number[tt.root], "topology_change": number[tt.moves]}}}}
		for i := range topo.BridgeOptionRows {
			row := &topo.BridgeOptionRows[i]
			want := row.Default
			if row.Name == tt.option && tt.ownValue {
				want = 5
			} else if tt.tree && l.fromTree(row.Name) {
				want = row.Default + 100
			}
			if got := l.bridgeOption(row); got != want {
				t.Errorf("%+v: %s is %d, want %d", tt, row.Name, got, want)
			}
		}
		if got := l.fromTree(tt.option); tt.tree && got == tt.ownValue {
			t.Errorf("%+v: of the tree: %t", tt, got)
		}
	}
}

func TestLLAddr(t *testing.T) {
	if got := LLAddr(topo.MAC{}); got != "" {
		t.Errorf("no address became %q", got)
	}
	if got := LLAddr(topo.MAC{2, 0, 0, 0, 0, 9}); got != "\x02\x00\x00\x00\x00\x09" {
		t.Errorf("an address became %q", got)
	}
}
