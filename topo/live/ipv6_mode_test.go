package live

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab"
)

// TestIPv6DisabledOnPorts: a veth end in a bridge has disable_ipv6=1, one that left its bridge has
// the default, and a change that fails restores the former value.
func TestIPv6DisabledOnPorts(t *testing.T) {
	veth := topo.Veth{Ends: [2]topo.Link{
		{Name: "p", MAC: topo.MAC{2, 1}, Master: "sw"}, {NS: "h", Name: "eth0", MAC: topo.MAC{2, 2}},
	}}
	port := topo.NewState(topo.Bridge{Link: topo.Link{Name: "sw", MAC: topo.MAC{2, 3}}}, topo.Namespace{Name: "h"}, veth,
		topo.Up{NS: "", Link: "p"}, topo.Up{NS: "", Link: "sw"}, topo.Up{NS: "h", Link: "eth0"})
	veth.Ends[0].Master = ""
	alone := topo.NewState(veth)
	for key, o := range port {
		if key != veth.Key() {
			alone.Put(o)
		}
	}
	alone.Put(topo.Address{NS: "", Link: "p", Prefix: netip.MustParsePrefix("fd00::1/64")})
	k := openKernel(t, "modes")
	is := func(when, want string) {
		t.Helper()
		if got, err := nsfs.Sysctl("net/ipv6/conf/p/disable_ipv6"); err != nil || got != want {
			t.Errorf("%s: disable_ipv6 is %s, want %s (%v)", when, got, want, err)
		}
	}
	up := func(want topo.State, around func(topo.Plan, topo.Do) topo.Do) error {
		_, err := k.Up(t.Context(), want, around)
		return err
	}
	if err := up(port, nil); err != nil {
		t.Fatal(err)
	}
	is("a port", "1")
	if err := up(alone, failingAt(topo.OfAddress)); err == nil {
		t.Fatal("nothing failed")
	}
	is("a port after undoing", "1")
	if err := up(alone, nil); err != nil {
		t.Fatal(err)
	}
	is("no port", "0")
	if !linkLocal(t, topo.LinkKey("", "p")) {
		t.Error("no port, and no link-local address")
	}
	const byDefault = "net/ipv6/conf/default/disable_ipv6"
	if err := nsfs.SetSysctl(byDefault, "1"); err != nil {
		t.Fatal(err)
	}
	defer nsfs.SetSysctl(byDefault, "0")
	if err := up(port, nil); err != nil {
		t.Fatal(err)
	}
	is("a port again", "1")
	veth.Ends[0].Master = ""
	delete(alone, topo.Key{Kind: topo.OfAddress, NS: "", Name: "fd00::1/64 dev p"})
	if err := up(alone, nil); err != nil {
		t.Fatal(err)
	}
	is("no port, and IPv6 is off by default", "1")
	alone.Put(topo.Sysctl{NS: "", Name: "net.ipv6.conf.p.disable_ipv6", Value: "0"})
	if err := up(alone, nil); err != nil {
		t.Fatal(err)
	}
	is("no port, with a sysctl", "0")
	port.Put(topo.Sysctl{NS: "", Name: "net.ipv6.conf.p.disable_ipv6", Value: "0"})
	if err := up(port, nil); err != nil {
		t.Fatal(err)
	}
	is("a port with a sysctl", "0")
}

// TestIPv6DisabledAndUserSet: a port that leaves its bridge keeps disable_ipv6=1 if a sysctl of the lab
// says so.
func TestIPv6DisabledAndUserSet(t *testing.T) {
	veth := topo.Veth{Ends: [2]topo.Link{
		{Name: "p", MAC: topo.MAC{2, 1}, Master: "sw"}, {NS: "h", Name: "eth0", MAC: topo.MAC{2, 2}},
	}}
	k := openKernel(t, "modes")
	sw, h := topo.Bridge{Link: topo.Link{Name: "sw", MAC: topo.MAC{2, 3}}}, topo.Namespace{Name: "h"}
	if _, err := k.Up(t.Context(), topo.NewState(sw, h, veth), nil); err != nil {
		t.Fatal(err)
	}
	veth.Ends[0].Master = ""
	want := topo.NewState(sw, h, veth, topo.Sysctl{NS: "", Name: "net.ipv6.conf.p.disable_ipv6", Value: "1"})
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := nsfs.Sysctl("net/ipv6/conf/p/disable_ipv6"); err != nil || got != "1" {
		t.Errorf("disable_ipv6 is %s (%v)", got, err)
	}
}

// TestPortWithAddress: a port with an IPv6 address does not get disable_ipv6=1.
func TestPortWithAddress(t *testing.T) {
	k := openKernel(t, "modes")
	sw := topo.Bridge{Link: topo.Link{Name: "sw", MAC: topo.MAC{2, 3}}}
	p := topo.Dummy{Link: topo.Link{Name: "p", MAC: topo.MAC{2, 1}, Master: "sw"}}
	veth := topo.Veth{Ends: [2]topo.Link{
		{Name: "c", MAC: topo.MAC{2, 4}, Master: "sw"}, {Name: "d", MAC: topo.MAC{2, 5}, Master: "sw"},
	}}
	want := topo.NewState(sw, veth, topo.Up{NS: "", Link: "c"}, topo.Up{NS: "", Link: "d"},
		topo.Address{NS: "", Link: "c", Prefix: netip.MustParsePrefix("fd00::1/64")})
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Error(err)
	}
	state := topo.NewState(sw, p, topo.Address{NS: "", Link: "p", Prefix: netip.MustParsePrefix("fd00::1/64")})
	if got := state.IPv6ModesIn(nil)[topo.Key{Kind: topo.OfPort, NS: "", Name: "p"}]; got != topo.IPv6Unused {
		t.Errorf("the mode of a dummy device in a bridge is %d, want %d", got, topo.IPv6Unused)
	}
}

// failingAt makes stages of a kind fail.
func failingAt(kind topo.Kind) func(topo.Plan, topo.Do) topo.Do {
	return func(_ topo.Plan, do topo.Do) topo.Do {
		return func(ctx context.Context, stage []topo.Step) error {
			if stage[0].Object().Key().Kind == kind {
				return errors.New("injected")
			}
			return do(ctx, stage)
		}
	}
}

// TestIPv6Modes: any use of IPv6 on a link keeps its link-local address.
func TestIPv6Modes(t *testing.T) {
	eth0 := topo.LinkKey("h", "eth0")
	veth := topo.Veth{Ends: [2]topo.Link{{NS: "h", Name: "eth0"}, {NS: "r", Name: "eth0"}}}
	addr := topo.Address{NS: "h", Link: "eth0", Prefix: netip.MustParsePrefix("10.0.0.2/24")}
	addr6 := topo.Address{NS: "h", Link: "eth0", Prefix: netip.MustParsePrefix("fd00::2/64")}
	neigh := topo.Neigh{NS: "h", Link: "eth0", Addr: netip.MustParseAddr("fd00::9"), MAC: topo.MAC{2}}
	acceptRA := func(link string) topo.Sysctl {
		return topo.Sysctl{NS: "h", Name: "net.ipv6.conf." + link + ".accept_ra", Value: "2"}
	}
	route := func(dst, via string) topo.Route {
		hop := topo.Hop{Via: netip.MustParseAddr(via), Device: "eth0"}
		return topo.Route{NS: "h", Dst: netip.MustParsePrefix(dst), Hops: topo.NewHops(hop)}
	}
	for _, c := range []struct {
		what string
		want topo.IPv6Mode
		in   topo.State
	}{
		{"no address", topo.IPv6Default, topo.NewState(veth)},
		{"IPv4", topo.IPv6NoLinkLocal, topo.NewState(veth, addr)},
		{"an IPv6 neighbour", topo.IPv6Static, topo.NewState(veth, addr, neigh)},
		{"an IPv6 setting", topo.IPv6Static, topo.NewState(veth, addr, acceptRA("eth0"))},
		{"another link's setting", topo.IPv6NoLinkLocal, topo.NewState(veth, addr, acceptRA("eth1"))},
		{"an IPv4 route", topo.IPv6NoLinkLocal, topo.NewState(veth, addr, route("10.1.0.0/16", "10.0.0.1"))},
		{"an IPv4 route via IPv6", topo.IPv6Static, topo.NewState(veth, addr, route("10.1.0.0/16", "fe80::1"))},
		{"an IPv6 route", topo.IPv6Static, topo.NewState(veth, addr, route("fd00::/64", "fe80::1"))},
		{"IPv4 and IPv6", topo.IPv6Static, topo.NewState(veth, addr, addr6)},
	} {
		if got := c.in.IPv6ModesIn(nil)[eth0]; got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}

// TestLinkLocalByHand: a lab may give a link a link-local address. No fact uses it as a target.
func TestLinkLocalByHand(t *testing.T) {
	topology, err := lab.Parse("lab.yaml", []byte(`name: ll
networks: {sw: {subnets: [10.0.0.0/24]}}
hosts:
  a: {networks: {sw: {address: [10.0.0.5, "fe80::5/64"]}}}
  b: {networks: [sw]}
links:
  - endpoints: ["a:x", "b:x"]
    addresses: [["fe80::1/64"], ["fe80::2/64"]]
expect: ["a -> b: ping"]
`))
	if err != nil {
		t.Fatal(err)
	}
	want, err := lab.Compile(topology)
	if err != nil {
		t.Fatal(err)
	}
	modes := map[topo.Key]topo.IPv6Mode{
		topo.LinkKey("a", "eth0"): topo.IPv6Static, topo.LinkKey("a", "x"): topo.IPv6Static,
		topo.LinkKey("b", "eth0"): topo.IPv6NoLinkLocal,
	}
	for link, mode := range modes {
		if got := want.IPv6ModesIn(nil)[link]; got != mode {
			t.Errorf("%s: %d, want %d", link, got, mode)
		}
	}
	for _, f := range lab.Facts(topology) {
		if f.Target.IsLinkLocalUnicast() {
			t.Errorf("the target of %s -> %s is %s, which is not unique", f.From, f.To, f.Target)
		}
	}
}
