package live

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

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab"
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
	lab := func(subnets, more string) topo.State {
		_, want := labtest.Compiled(t, fmt.Sprintf(ipv6Lab, subnets, more))
		return want
	}
	const ipv4, both = "10.0.0.0/24", "10.0.0.0/24, fd00::/64"
	k := openKernel(t, "modes")
	linkLocals := func() string {
		var b strings.Builder
		for _, link := range []topo.Key{topo.LinkKey("", "sw"), topo.LinkKey("a", "eth0"), topo.LinkKey("b", "eth0"), topo.LinkKey("c", "eth0")} {
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
		want topo.State
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
	_, ipv4 := labtest.Compiled(t, fmt.Sprintf(ipv6Lab, "10.0.0.0/24", ""))
	_, both := labtest.Compiled(t, fmt.Sprintf(ipv6Lab, "10.0.0.0/24, fd00::/64", ""))
	k := openKernel(t, "modes")
	if _, err := k.Up(t.Context(), ipv4, nil); err != nil {
		t.Fatal(err)
	}
	fewer := topo.NewState()
	for key, o := range ipv4 {
		peer := key.NS == "" && key.Name == "b-eth0" && (key.Kind == topo.OfLink || key.Kind == topo.OfUp)
		if key.NS != "b" && !peer {
			fewer.Put(o)
		}
	}
	before := ipv6State(t)
	for what, want := range map[string]topo.State{"dual stack": both, "a host less": fewer} {
		failed := false
		_, err := k.Up(t.Context(), want, func(_ topo.Plan, do topo.Do) topo.Do {
			return func(ctx context.Context, stage []topo.Step) error {
				last := stage[0].Op() == topo.Create || stage[0].Object().Key().Kind == topo.OfNamespace
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
	labtest.NeedIP(t)
	privateEtc(t)
	_, ipv4 := labtest.Compiled(t, fmt.Sprintf(ipv6Lab, "10.0.0.0/24", ""))
	_, both := labtest.Compiled(t, fmt.Sprintf(ipv6Lab, "10.0.0.0/24, fd00::/64", ""))
	k := openKernel(t, "modes")
	k.etc = "/etc/netns" // where ip expects it
	if _, err := k.Up(t.Context(), ipv4, nil); err != nil {
		t.Fatal(err)
	}
	before := ipv6State(t)
	have := ipv4
	for _, want := range []topo.State{both, ipv4} {
		script, err := topo.Diff(have, want).Commands(k.lab, have, NATScript())
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
		_, none := want[topo.Key{Kind: topo.OfAddrGen, NS: "a", Name: "eth0"}]
		if has := linkLocal(t, topo.LinkKey("a", "eth0")); has == none {
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
	for _, link := range []topo.Key{topo.LinkKey("", "sw"), topo.LinkKey("a", "eth0"), topo.LinkKey("b", "eth0")} {
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
func checkIPv6Settings(t *testing.T, want topo.State) {
	t.Helper()
	modes := want.IPv6ModesIn(nil)
	for _, o := range want {
		made, ok := o.(topo.LinkObject)
		if !ok {
			continue
		}
		for _, l := range made.Links() {
			inHost(t, l.NS, func() error {
				settings := modes[l.IPv6ModeKey()].Settings()
				if modes[l.IPv6ModeKey()] == topo.IPv6NoLinkLocal {
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
func linkLocal(t *testing.T, link topo.Key) (has bool) {
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
	veth := topo.Veth{Ends: [2]topo.Link{{Name: "p", MAC: topo.MAC{2, 1}, Master: "sw"}, {NS: "h", Name: "eth0", MAC: topo.MAC{2, 2}}}}
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
	veth := topo.Veth{Ends: [2]topo.Link{{Name: "p", MAC: topo.MAC{2, 1}, Master: "sw"}, {NS: "h", Name: "eth0", MAC: topo.MAC{2, 2}}}}
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
	sw, p := topo.Bridge{Link: topo.Link{Name: "sw", MAC: topo.MAC{2, 3}}}, topo.Dummy{Link: topo.Link{Name: "p", MAC: topo.MAC{2, 1}, Master: "sw"}}
	veth := topo.Veth{Ends: [2]topo.Link{{Name: "c", MAC: topo.MAC{2, 4}, Master: "sw"}, {Name: "d", MAC: topo.MAC{2, 5}, Master: "sw"}}}
	want := topo.NewState(sw, veth, topo.Up{NS: "", Link: "c"}, topo.Up{NS: "", Link: "d"}, topo.Address{NS: "", Link: "c", Prefix: netip.MustParsePrefix("fd00::1/64")})
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
		{"an IPv6 neighbour", topo.IPv6Default, topo.NewState(veth, addr, topo.Neigh{NS: "h", Link: "eth0", Addr: netip.MustParseAddr("fd00::9"), MAC: topo.MAC{2}})},
		{"an IPv6 setting", topo.IPv6Default, topo.NewState(veth, addr, topo.Sysctl{NS: "h", Name: "net.ipv6.conf.eth0.accept_ra", Value: "2"})},
		{"another link's setting", topo.IPv6NoLinkLocal, topo.NewState(veth, addr, topo.Sysctl{NS: "h", Name: "net.ipv6.conf.eth1.accept_ra", Value: "2"})},
		{"an IPv4 route", topo.IPv6NoLinkLocal, topo.NewState(veth, addr, route("10.1.0.0/16", "10.0.0.1"))},
		{"an IPv4 route via IPv6", topo.IPv6Default, topo.NewState(veth, addr, route("10.1.0.0/16", "fe80::1"))},
		{"an IPv6 route", topo.IPv6Default, topo.NewState(veth, addr, route("fd00::/64", "fe80::1"))},
		{"IPv4 and IPv6", topo.IPv6Static, topo.NewState(veth, addr, topo.Address{NS: "h", Link: "eth0", Prefix: netip.MustParsePrefix("fd00::2/64")})},
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
		topo.LinkKey("a", "eth0"): topo.IPv6Static, topo.LinkKey("a", "x"): topo.IPv6Static, topo.LinkKey("b", "eth0"): topo.IPv6NoLinkLocal,
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

// TestStatusOfAddrGenNone: status shows a changed addrgenmode as drift.
func TestStatusOfAddrGenNone(t *testing.T) {
	lab, want := labtest.Compiled(t, fmt.Sprintf(ipv6Lab, "10.0.0.0/24", ""))
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
