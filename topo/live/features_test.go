package live

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/topo"
)

func TestRequiredFeature(t *testing.T) {
	for _, tt := range []struct {
		object topo.Object
		want   string
	}{
		{topo.Bridge{VLANFiltering: true}, "bridge VLAN filtering"}, {topo.Bridge{}, ""}, {topo.Veth{}, ""},
		{topo.Namespace{Name: "red"}, ""},
		{topo.Dummy{}, "dummy"}, {topo.VLAN{}, "vlan"}, {topo.VXLAN{}, "vxlan"}, {topo.Macvlan{}, "macvlan"},
		{topo.Ipvlan{}, "ipvlan"},
		{topo.Qdisc{}, "netem"}, {topo.NoOffload{}, "ethtool netlink"},
	} {
		if got := topo.Feature(tt.object); got != tt.want {
			t.Errorf("%T needs %q, want %q", tt.object, got, tt.want)
		}
	}
}

func TestNeedsIPv6(t *testing.T) {
	pfx, addr := netip.MustParsePrefix, netip.MustParseAddr
	for _, tt := range []struct {
		object topo.Object
		want   bool
	}{
		{topo.Address{Prefix: pfx("fd00::1/64")}, true}, {topo.Address{Prefix: pfx("10.0.0.1/24")}, false},
		{topo.Route{Dst: pfx("::/0")}, true}, {topo.Route{Dst: pfx("0.0.0.0/0")}, false},
		{topo.Neigh{Addr: addr("fd00::2")}, true}, {topo.Neigh{Addr: addr("10.0.0.2")}, false},
		{topo.Sysctl{Name: "net.ipv6.conf.all.forwarding"}, true}, {topo.Sysctl{Name: "net/ipv6/conf/a.b/accept_ra"}, true},
		{topo.Sysctl{Name: "net.ipv4.ip_forward"}, false}, {topo.Up{Link: "lo"}, false},
	} {
		if got := topo.NeedsIPv6(tt.object); got != tt.want {
			t.Errorf("%v: %t", tt.object, got)
		}
	}
}

func TestMissingFeatureError(t *testing.T) {
	var err error = &MissingFeatureError{[]string{"netem", "vlan"}, topo.Namespace{Name: "red"}}
	const want = "this kernel has no netem, no vlan, needed for netns red"
	if err.Error() != want || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v, want %s", err, want)
	}
}

// Tries a kind of link that every kernel has and one that none has.
func TestScratchNetns(t *testing.T) {
	scratch, err := newScratchNetns()
	if err != nil {
		t.Fatal(err)
	}
	defer scratch.close()
	for feature, want := range map[string]bool{"veth": true, "nosuchkind": false} {
		if got, err := scratch.supports(feature); got != want || err != nil {
			t.Errorf("%s: %t, %v", feature, got, err)
		}
	}
}

func TestHostError(t *testing.T) {
	for want, err := range map[string]HostError{
		`there is no host "rde"`:                             {Host: "rde", Known: []string{"red"}},
		`there is no host "rde" in lab one`:                  {Host: "rde", Lab: "one"},
		`there is a host "red" in each of the labs one, two`: {Host: "red", Labs: []string{"one", "two"}},
	} {
		if err.Error() != want {
			t.Errorf("%s, want %s", err.Error(), want)
		}
	}
}

// A SettingChange shows the key as sysctl(8) writes it, also if the link's name has a dot.
func TestSettingChange(t *testing.T) {
	for want, s := range map[string]SettingChange{
		"net.ipv4.ip_forward is now 1, was 0: to forward IPv4": {
			Key: "net/ipv4/ip_forward", Old: "0", New: "1", Why: "to forward IPv4"},
		"net/ipv6/conf/eth0.5/accept_ra is now 2, was 1: to keep routes": {
			Key: "net/ipv6/conf/eth0.5/accept_ra", Old: "1", New: "2", Why: "to keep routes"},
	} {
		if s.String() != want {
			t.Errorf("%s, want %s", s, want)
		}
	}
}

// Which families the machine has to forward for some NAT rules.
func TestFamiliesOf(t *testing.T) {
	four, six := netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("fd00::/64")
	for _, tt := range []struct {
		rules  []nft.Rule
		v4, v6 bool
	}{
		{nil, false, false},
		{[]nft.Rule{nft.Masquerade{Source: four}}, true, false},
		{[]nft.Rule{nft.Masquerade{Source: six}}, false, true},
		{[]nft.Rule{nft.Masquerade{Out: "eth0"}}, true, true},
		{[]nft.Rule{nft.SourceNAT{Source: six, To: six.Addr()}}, false, true},
		{[]nft.Rule{nft.Forward{To: four.Addr()}, nft.Forward{To: six.Addr()}}, true, true},
		{[]nft.Rule{nft.Isolate{In: "a", Out: "b"}}, false, false},
	} {
		if v4, v6 := familiesOf(tt.rules); v4 != tt.v4 || v6 != tt.v6 {
			t.Errorf("%v: IPv4 %t, IPv6 %t", tt.rules, v4, v6)
		}
	}
}
