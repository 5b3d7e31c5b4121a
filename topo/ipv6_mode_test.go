//go:build linux

package topo

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

const ipv6Lab = `name: modes
networks: {sw: {subnets: [%s]}, low: {subnets: [192.0.2.0/24], mtu: 1000}}
hosts:
  a: {networks: [sw, low]%s}
  b: {networks: [sw]}
  c: {}
  d: {}
links:
  - endpoints: ["c:eth0", "d:eth0"]
`

// TestAddrGenNone: the lab's addresses, routes and settings decide which links have a link-local
// address, also after they change.
func TestAddrGenNone(t *testing.T) {
	lab := func(subnets, more string) State {
		_, want := compiled(t, fmt.Sprintf(ipv6Lab, subnets, more))
		return want
	}
	const ipv4, both = "10.0.0.0/24", "10.0.0.0/24, fd00::/64"
	k := openKernel(t, "modes")
	linkLocals := func() string {
		var b strings.Builder
		for _, link := range []Key{{OfLink, "", "sw"}, {OfLink, "a", "eth0"}, {OfLink, "b", "eth0"}, {OfLink, "c", "eth0"}} {
			fmt.Fprintf(&b, "%s %t, ", link.Name, linkLocal(t, link))
		}
		return b.String()
	}
	const (
		none  = "sw false, eth0 false, eth0 false, eth0 true, "
		onlyA = "sw false, eth0 true, eth0 false, eth0 true, "
		all   = "sw true, eth0 true, eth0 true, eth0 true, "
		mode  = ", sysctls: {net.ipv6.conf.eth0.addr_gen_mode: 0}"
	)
	for _, step := range []struct {
		what string
		want State
		has  string
	}{
		{"IPv4", lab(ipv4, ""), none},
		{"both", lab(both, ""), all},
		{"IPv4 again", lab(ipv4, ""), none},
		{"an IPv6 route", lab(ipv4, ", routes: [\"fd99::/64 via fe80::1 dev eth0\"]"), onlyA},
		{"a setting", lab(ipv4, mode), onlyA},
		{"nothing", nil, ""},
		{"a setting from the start", lab(ipv4, mode), onlyA},
		{"both, and a setting", lab(both, ", sysctls: {net.ipv6.conf.eth0.router_solicitations: 3}"), all},
	} {
		if step.want == nil {
			if _, err := k.Down(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if _, err := k.Up(t.Context(), step.want, nil); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if got := linkLocals(); got != step.has {
			t.Errorf("%s: link-local addresses: %s want %s", step.what, got, step.has)
		}
		if plan, err := k.Plan(step.want); err != nil || len(plan) > 0 {
			t.Errorf("%s: the plan is not empty: %v, %v", step.what, plan, err)
		}
	}
}

// TestAddrGenNoneUndo: a change that fails restores addrgenmode and link-local addresses.
func TestAddrGenNoneUndo(t *testing.T) {
	_, ipv4 := compiled(t, fmt.Sprintf(ipv6Lab, "10.0.0.0/24", ""))
	_, both := compiled(t, fmt.Sprintf(ipv6Lab, "10.0.0.0/24, fd00::/64", ""))
	k := openKernel(t, "modes")
	if _, err := k.Up(t.Context(), ipv4, nil); err != nil {
		t.Fatal(err)
	}
	fewer := NewState()
	for key, o := range ipv4 {
		peer := key.NS == "" && key.Name == "b-eth0" && (key.Kind == OfLink || key.Kind == OfUp)
		if key.NS != "b" && !peer {
			fewer.Put(o)
		}
	}
	before := ipv6State(t)
	for what, want := range map[string]State{"dual stack": both, "a host less": fewer} {
		failed := false
		_, err := k.Up(t.Context(), want, func(_ Plan, do Do) Do {
			return func(ctx context.Context, stage []Step) error {
				last := stage[0].Op() == Create || stage[0].Object().Key().Kind == OfNamespace
				if last && !failed {
					failed = true
					return errors.New("injected")
				}
				return do(ctx, stage)
			}
		})
		if err == nil {
			t.Fatalf("%s: nothing failed", what)
		}
		if diff := cmp.Diff(before, ipv6State(t)); diff != "" {
			t.Errorf("%s: after undoing (-before +after):\n%s", what, diff)
		}
	}
}

// TestAddrGenNoneCommands: the script of a change does the same as vnet.
func TestAddrGenNoneCommands(t *testing.T) {
	needIP(t)
	privateEtc(t)
	_, ipv4 := compiled(t, fmt.Sprintf(ipv6Lab, "10.0.0.0/24", ""))
	_, both := compiled(t, fmt.Sprintf(ipv6Lab, "10.0.0.0/24, fd00::/64", ""))
	k := openKernel(t, "modes")
	k.etc = "/etc/netns" // where ip expects it
	if _, err := k.Up(t.Context(), ipv4, nil); err != nil {
		t.Fatal(err)
	}
	before := ipv6State(t)
	have := ipv4
	for _, want := range []State{both, ipv4} {
		script, err := Diff(have, want).Commands(k.lab, have, NFTScript)
		if err != nil {
			t.Fatal(err)
		}
		shell(t, script)
		if have, err = k.Snapshot(want); err != nil {
			t.Fatal(err)
		}
		if !have.Equal(want) {
			t.Errorf("-want +got:\n%s\n%s", cmp.Diff(want.String(), have.String()), script)
		}
		_, none := want[Key{OfAddrGen, "a", "eth0"}]
		if has := linkLocal(t, Key{OfLink, "a", "eth0"}); has == none {
			t.Errorf("a has a link-local address: %t\n%s", has, script)
		}
	}
	if diff := cmp.Diff(before, ipv6State(t)); diff != "" {
		t.Errorf("after both changes (-before +after):\n%s", diff)
	}
}

// ipv6State returns addrgenmode and link-local addresses of the hosts' links and the bridge.
func ipv6State(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, link := range []Key{{OfLink, "", "sw"}, {OfLink, "a", "eth0"}, {OfLink, "b", "eth0"}} {
		fmt.Fprintf(&b, "%s: link-local %t", link, linkLocal(t, link))
		inHost(t, link.NS, func() error {
			mode, err := nsfs.Sysctl("net/ipv6/conf/" + link.Name + "/addr_gen_mode")
			fmt.Fprintf(&b, ", mode %s\n", mode)
			return err
		})
	}
	return b.String()
}

// checkIPv6Settings compares the IPv6 settings of the links of a lab with those that vnet writes.
func checkIPv6Settings(t *testing.T, want State) {
	t.Helper()
	modes := want.IPv6ModesIn(nil)
	for _, o := range want {
		made, ok := o.(LinkObject)
		if !ok {
			continue
		}
		for _, l := range made.Links() {
			inHost(t, l.NS, func() error {
				settings := modes[l.IPv6ModeKey()].Settings()
				if modes[l.IPv6ModeKey()] == IPv6NoLinkLocal {
					settings = []string{"addr_gen_mode=1"}
				}
				for _, set := range settings {
					name, value, _ := strings.Cut(set, "=")
					if got, err := nsfs.Sysctl("net/ipv6/conf/" + l.Name + "/" + name); err != nil || got != value {
						t.Errorf("%s: %s is %s, want %s (%v)", l.Key(), name, got, value, err)
					}
				}
				return nil
			})
		}
	}
}

// linkLocal reports whether a link has a usable link-local address. It waits half a second for a
// tentative one: less than the second that duplicate address detection takes.
func linkLocal(t *testing.T, link Key) (has bool) {
	t.Helper()
	inHost(t, link.NS, func() error {
		c, err := rtnl.Dial(nil)
		if err != nil {
			return err
		}
		defer c.Close()
		l, err := c.Link(rtnl.LinkID{Name: link.Name})
		tentative := err == nil
		for until := time.Now().Add(time.Second / 2); tentative && time.Now().Before(until); {
			var addrs []rtnl.Addr
			if addrs, err = c.Addrs(rtnl.AddrFilter{Link: l.Index, Family: unix.AF_INET6}); err != nil {
				return err
			}
			tentative = false
			for _, a := range addrs {
				if a.Prefix.Addr().IsLinkLocalUnicast() {
					tentative = a.Flags&unix.IFA_F_TENTATIVE != 0
					has = !tentative
				}
			}
		}
		return err
	})
	return has
}

// asIn runs fn in a host, or in the machine.
func inHost(t *testing.T, host string, fn func() error) {
	t.Helper()
	do := fn
	if host != "" {
		do = func() error { return doIn(host, fn) }
	}
	if err := do(); err != nil {
		t.Fatal(err)
	}
}

// TestIPv6DisabledOnPorts: a veth end in a bridge has disable_ipv6=1, one that left its bridge has
// the default, and a change that fails restores the former value.
func TestIPv6DisabledOnPorts(t *testing.T) {
	veth := Veth{Ends: [2]Link{{Name: "p", MAC: MAC{2, 1}, Master: "sw"}, {NS: "h", Name: "eth0", MAC: MAC{2, 2}}}}
	port := NewState(Bridge{Link: Link{Name: "sw", MAC: MAC{2, 3}}}, Namespace{Name: "h"}, veth,
		Up{"", "p"}, Up{"", "sw"}, Up{"h", "eth0"})
	veth.Ends[0].Master = ""
	alone := NewState(veth)
	for key, o := range port {
		if key != veth.Key() {
			alone.Put(o)
		}
	}
	alone.Put(Address{"", "p", netip.MustParsePrefix("fd00::1/64")})
	k := openKernel(t, "modes")
	is := func(when, want string) {
		t.Helper()
		if got, err := nsfs.Sysctl("net/ipv6/conf/p/disable_ipv6"); err != nil || got != want {
			t.Errorf("%s: disable_ipv6 is %s, want %s (%v)", when, got, want, err)
		}
	}
	up := func(want State, around func(Plan, Do) Do) error {
		_, err := k.Up(t.Context(), want, around)
		return err
	}
	if err := up(port, nil); err != nil {
		t.Fatal(err)
	}
	is("a port", "1")
	if err := up(alone, failingAt(OfAddress)); err == nil {
		t.Fatal("nothing failed")
	}
	is("a port after undoing", "1")
	if err := up(alone, nil); err != nil {
		t.Fatal(err)
	}
	is("no port", "0")
	if !linkLocal(t, Key{OfLink, "", "p"}) {
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
	delete(alone, Key{OfAddress, "", "fd00::1/64 dev p"})
	if err := up(alone, nil); err != nil {
		t.Fatal(err)
	}
	is("no port, and IPv6 is off by default", "1")
	alone.Put(Sysctl{"", "net.ipv6.conf.p.disable_ipv6", "0"})
	if err := up(alone, nil); err != nil {
		t.Fatal(err)
	}
	is("no port, with a sysctl", "0")
	port.Put(Sysctl{"", "net.ipv6.conf.p.disable_ipv6", "0"})
	if err := up(port, nil); err != nil {
		t.Fatal(err)
	}
	is("a port with a sysctl", "0")
}

// TestIPv6DisabledAndUserSet: a port that leaves its bridge keeps disable_ipv6=1 if a sysctl of the lab
// says so.
func TestIPv6DisabledAndUserSet(t *testing.T) {
	veth := Veth{Ends: [2]Link{{Name: "p", MAC: MAC{2, 1}, Master: "sw"}, {NS: "h", Name: "eth0", MAC: MAC{2, 2}}}}
	k := openKernel(t, "modes")
	sw, h := Bridge{Link: Link{Name: "sw", MAC: MAC{2, 3}}}, Namespace{Name: "h"}
	if _, err := k.Up(t.Context(), NewState(sw, h, veth), nil); err != nil {
		t.Fatal(err)
	}
	veth.Ends[0].Master = ""
	want := NewState(sw, h, veth, Sysctl{"", "net.ipv6.conf.p.disable_ipv6", "1"})
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
	sw, p := Bridge{Link: Link{Name: "sw", MAC: MAC{2, 3}}}, Dummy{Link{Name: "p", MAC: MAC{2, 1}, Master: "sw"}}
	veth := Veth{Ends: [2]Link{{Name: "c", MAC: MAC{2, 4}, Master: "sw"}, {Name: "d", MAC: MAC{2, 5}, Master: "sw"}}}
	want := NewState(sw, veth, Up{"", "c"}, Up{"", "d"}, Address{"", "c", netip.MustParsePrefix("fd00::1/64")})
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Error(err)
	}
	state := NewState(sw, p, Address{"", "p", netip.MustParsePrefix("fd00::1/64")})
	if got := state.IPv6ModesIn(nil)[Key{OfPort, "", "p"}]; got != IPv6Unused {
		t.Errorf("the mode of a dummy device in a bridge is %d, want %d", got, IPv6Unused)
	}
}

// failingAt makes stages of a kind fail.
func failingAt(kind Kind) func(Plan, Do) Do {
	return func(_ Plan, do Do) Do {
		return func(ctx context.Context, stage []Step) error {
			if stage[0].Object().Key().Kind == kind {
				return errors.New("injected")
			}
			return do(ctx, stage)
		}
	}
}

// TestIPv6Modes: any use of IPv6 on a link keeps its link-local address.
func TestIPv6Modes(t *testing.T) {
	eth0 := Key{OfLink, "h", "eth0"}
	veth := Veth{Ends: [2]Link{{NS: "h", Name: "eth0"}, {NS: "r", Name: "eth0"}}}
	addr := Address{"h", "eth0", netip.MustParsePrefix("10.0.0.2/24")}
	route := func(dst, via string) Route {
		hop := Hop{Via: netip.MustParseAddr(via), Device: "eth0"}
		return Route{NS: "h", Dst: netip.MustParsePrefix(dst), Hops: JoinHops(hop)}
	}
	for _, c := range []struct {
		what string
		want IPv6Mode
		in   State
	}{
		{"no address", IPv6Default, NewState(veth)},
		{"IPv4", IPv6NoLinkLocal, NewState(veth, addr)},
		{"an IPv6 neighbour", IPv6Default, NewState(veth, addr, Neigh{"h", "eth0", netip.MustParseAddr("fd00::9"), MAC{2}})},
		{"an IPv6 setting", IPv6Default, NewState(veth, addr, Sysctl{"h", "net.ipv6.conf.eth0.accept_ra", "2"})},
		{"another link's setting", IPv6NoLinkLocal, NewState(veth, addr, Sysctl{"h", "net.ipv6.conf.eth1.accept_ra", "2"})},
		{"an IPv4 route", IPv6NoLinkLocal, NewState(veth, addr, route("10.1.0.0/16", "10.0.0.1"))},
		{"an IPv4 route via IPv6", IPv6Default, NewState(veth, addr, route("10.1.0.0/16", "fe80::1"))},
		{"an IPv6 route", IPv6Default, NewState(veth, addr, route("fd00::/64", "fe80::1"))},
		{"IPv4 and IPv6", IPv6Static, NewState(veth, addr, Address{"h", "eth0", netip.MustParsePrefix("fd00::2/64")})},
	} {
		if got := c.in.IPv6ModesIn(nil)[eth0]; got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}

// TestLinkLocalByHand: a lab may give a link a link-local address. No fact uses it as a target.
func TestLinkLocalByHand(t *testing.T) {
	topology, err := Parse("lab.yaml", []byte(`name: ll
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
	want, err := Compile(topology)
	if err != nil {
		t.Fatal(err)
	}
	modes := map[Key]IPv6Mode{
		{OfLink, "a", "eth0"}: IPv6Static, {OfLink, "a", "x"}: IPv6Static, {OfLink, "b", "eth0"}: IPv6NoLinkLocal,
	}
	for link, mode := range modes {
		if got := want.IPv6ModesIn(nil)[link]; got != mode {
			t.Errorf("%s: %d, want %d", link, got, mode)
		}
	}
	for _, f := range Facts(topology) {
		if f.Target.IsLinkLocalUnicast() {
			t.Errorf("the target of %s -> %s is %s, which is not unique", f.From, f.To, f.Target)
		}
	}
}

// TestStatusOfAddrGenNone: status shows a changed addrgenmode as drift.
func TestStatusOfAddrGenNone(t *testing.T) {
	lab, want := compiled(t, fmt.Sprintf(ipv6Lab, "10.0.0.0/24", ""))
	k := openKernel(t, lab)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	inHost(t, "a", func() error { return nsfs.SetSysctl("net/ipv6/conf/eth0/addr_gen_mode", "0") })
	o, err := Observe(lab)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	status, err := o.Status(want)
	if err != nil {
		t.Fatal(err)
	}
	if drift := status.Drift.String(); !strings.Contains(drift, "+ a: link eth0 addrgenmode none") {
		t.Errorf("the drift is %q", drift)
	}
}
