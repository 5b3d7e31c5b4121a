package topo

import (
	"maps"
	"net/netip"
	"slices"
	"testing"
)

// TestIPv6Modes: what the lab configures on a link decides how the kernel uses IPv6 on it.
func TestIPv6Modes(t *testing.T) {
	d0 := Dummy{Link{NS: "red", Name: "d0"}}
	v4, v6 := Address{"red", "d0", prefix("10.0.0.1/24")}, Address{"red", "d0", prefix("fd00::1/64")}
	with := func(l Link, mtu int, master string) Link {
		l.MTU, l.Master = mtu, master
		return l
	}
	vx := Link{NS: "red", Name: "vx"}
	route := func(dst string, hop Hop) Route { return Route{NS: "red", Dst: prefix(dst), Hops: NewHops(hop)} }
	bridgePort := Veth{[2]Link{with(d0.Link, 0, "sw"), {NS: "blue", Name: "eth0"}}}
	for _, tt := range []struct {
		name    string
		objects []Object
		want    IPv6Mode
	}{
		{"no address", []Object{d0}, IPv6Default},
		{"an IPv4 address", []Object{d0, v4}, IPv6NoLinkLocal},
		{"an IPv6 address", []Object{d0, v4, v6}, IPv6Static},
		{"an address of another link",
			[]Object{d0, Address{"red", "d1", v6.Prefix}, Address{"blue", "d0", v6.Prefix}}, IPv6Default},
		{"an IPv4 neighbour", []Object{d0, v4, Neigh{"red", "d0", address("10.0.0.9"), mac1, false}}, IPv6NoLinkLocal},
		{"an IPv6 neighbour", []Object{d0, v4, Neigh{"red", "d0", address("fd00::9"), mac1, false}}, IPv6Static},
		{"an IPv4 route", []Object{d0, v4, route("10.9.0.0/16", Hop{Device: "d0"})}, IPv6NoLinkLocal},
		{"an IPv6 route", []Object{d0, v4, route("fd09::/64", Hop{Device: "d0"})}, IPv6Static},
		{"an IPv4 route via IPv6",
			[]Object{d0, v4, route("10.9.0.0/16", Hop{Via: address("fd00::9"), Device: "d0"})}, IPv6Static},
		{"a setting of IPv6", []Object{d0, v4, Sysctl{"red", "net.ipv6.conf.d0.mtu", "1400"}}, IPv6Static},
		{"a setting of IPv6 for all links",
			[]Object{d0, v4, Sysctl{"red", "net.ipv6.conf.all.forwarding", "1"}}, IPv6NoLinkLocal},
		{"a setting of IPv4", []Object{d0, v4, Sysctl{"red", "net.ipv4.conf.d0.rp_filter", "1"}}, IPv6NoLinkLocal},
		{"disable_ipv6", []Object{d0, v6, Sysctl{"red", "net.ipv6.conf.d0.disable_ipv6", "0"}}, IPv6UserSet},
		{"a tunnel over IPv4", []Object{d0, v4, VXLAN{Link: vx, Parent: "d0", Remote: address("10.0.0.9")}},
			IPv6NoLinkLocal},
		{"a tunnel to IPv6", []Object{d0, v4, VXLAN{Link: vx, Parent: "d0", Remote: address("ff05::1")}}, IPv6Static},
		{"a tunnel from IPv6", []Object{d0, v4, VXLAN{Link: vx, Parent: "d0", Local: address("fd00::1")}}, IPv6Static},
		{"an MTU for IPv6", []Object{Dummy{with(d0.Link, leastMTU6, "")}, v4}, IPv6NoLinkLocal},
		{"an MTU too small for IPv6", []Object{Dummy{with(d0.Link, leastMTU6-1, "")}, v4}, IPv6Unused},
		{"a bridge port", []Object{bridgePort}, IPv6Disabled},
		{"a bridge port with an IPv4 address", []Object{bridgePort, v4}, IPv6Disabled},
		{"a bridge port with an IPv6 address", []Object{bridgePort, v6}, IPv6Unused},
		{"another kind of port", []Object{Dummy{with(d0.Link, 0, "sw")}}, IPv6Unused},
	} {
		s := NewState(tt.objects...)
		link := tt.objects[0].(LinkObject).Links()[0]
		for _, namespaces := range []map[string]bool{nil, {"red": true, "blue": true}} {
			if got := s.IPv6ModesIn(namespaces)[link.IPv6ModeKey()]; got != tt.want {
				t.Errorf("%s: mode %d, want %d", tt.name, got, tt.want)
			}
		}
		if got := s.IPv6ModesIn(map[string]bool{"green": true}); len(got) != 0 {
			t.Errorf("%s: the links of another namespace: %v", tt.name, got)
		}
		s.AddAddrGenNone()
		if _, none := s[Key{OfAddrGen, "red", "d0"}]; none != (tt.want == IPv6NoLinkLocal) {
			t.Errorf("%s: addrgenmode none: %t", tt.name, none)
		}
	}
}

// TestIPv6SettingsOfSteps: settings are written for new links, and for veth ends that enter or leave a bridge.
func TestIPv6SettingsOfSteps(t *testing.T) {
	machine := Dummy{Link{Name: "d0"}}
	free, setting := port(func(l *Link) { l.Master = "" }), Sysctl{"", "net.ipv6.conf.red-eth0.disable_ipv6", "1"}
	have, want := NewState(machine), NewState(machine, Address{"", "d0", prefix("10.0.0.1/24")})
	for _, tt := range []struct {
		name       string
		have, want State
		settings   map[string][]string
	}{
		{"a link of the machine with IPv4 ignores router advertisements", nil, want,
			map[string][]string{"d0": {"accept_ra=0"}}},
		{"nothing for a link that exists", have, NewState(Dummy{Link{Name: "d0", MTU: 1400}}), map[string][]string{}},
		{"both ends of a pair", nil, NewState(sw, pair), map[string][]string{
			"sw": {"accept_dad=0"}, "red-eth0": {"disable_ipv6=1"}, "eth0": {"accept_dad=0", "accept_ra=1"}}},
		{"a pair that leaves its bridge", NewState(sw, pair), NewState(sw, free),
			map[string][]string{"red-eth0": {"accept_dad=0", "disable_ipv6"}}},
		{"a pair that leaves its bridge, with a setting of the user", NewState(sw, pair, setting),
			NewState(sw, free, setting),
			map[string][]string{}},
		{"a pair that enters its bridge", NewState(sw, free), NewState(sw, pair),
			map[string][]string{"red-eth0": {"disable_ipv6=1"}}},
		{"a pair that changes its bridge", NewState(sw, pair), NewState(sw, port(func(l *Link) { l.Master = "other" })),
			map[string][]string{}},
	} {
		plan := Diff(tt.have, tt.want)
		modes, got := plan.IPv6Modes(tt.have, tt.want), map[string][]string{}
		for _, step := range plan {
			for _, l := range step.IPv6Settings(modes, func(ns string) bool { return ns == "" }) {
				got[l.Link.Name] = l.Settings
			}
		}
		if !maps.EqualFunc(got, tt.settings, slices.Equal) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.settings)
		}
	}
}

// TestIPv6SettingsInSharedNamespaces: where others may have disabled IPv6 for new links, it is enabled for a link with
// an IPv6 address.
func TestIPv6SettingsInSharedNamespaces(t *testing.T) {
	want := NewState(Dummy{Link{NS: "box", Name: "d0"}},
		Address{NS: "box", Link: "d0", Prefix: netip.MustParsePrefix("fd00::1/64")})
	plan := Diff(nil, want)
	modes := plan.IPv6Modes(nil, want)
	for _, shared := range []bool{false, true} {
		for _, step := range plan {
			for _, l := range step.IPv6Settings(modes, func(ns string) bool { return shared && ns == "box" }) {
				if got := slices.Contains(l.Settings, "disable_ipv6=0"); got != shared {
					t.Errorf("shared %t: %q", shared, l.Settings)
				}
			}
		}
	}
}
