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

const quietLab = `name: voices
networks: {sw: {subnets: [%s]}, low: {subnets: [192.0.2.0/24], mtu: 1000}}
hosts:
  a: {networks: [sw, low]%s}
  b: {networks: [sw]}
  c: {}
  d: {}
links:
  - endpoints: ["c:eth0", "d:eth0"]
`

// TestQuiet: what the lab says of addresses decides what its links say of IPv6, also when it
// changes its mind, and when that fails.
func TestQuiet(t *testing.T) {
	lab := func(subnets, more string) State {
		_, want := compiled(t, fmt.Sprintf(quietLab, subnets, more))
		return want
	}
	const four, both = "10.0.0.0/24", "10.0.0.0/24, fd00::/64"
	k := openKernel(t, "voices")
	linkLocals := func(want State) string {
		var b strings.Builder
		for _, link := range []Key{{OfLink, "", "sw"}, {OfLink, "a", "eth0"}, {OfLink, "b", "eth0"}, {OfLink, "c", "eth0"}} {
			fmt.Fprintf(&b, "%s %t, ", link.Name, linkLocal(t, link))
		}
		return b.String()
	}
	const none, all = "sw false, eth0 false, eth0 false, eth0 true, ", "sw true, eth0 true, eth0 true, eth0 true, "
	for _, step := range []struct {
		what string
		want State
		has  string
	}{
		{"IPv4", lab(four, ""), none},
		{"both", lab(both, ""), all},
		{"IPv4 again", lab(four, ""), none},
		{"a route of IPv6", lab(four, ", routes: [\"fd99::/64 via fe80::1 dev eth0\"]"), "sw false, eth0 true, eth0 false, eth0 true, "},
		{"a setting", lab(four, ", sysctls: {net.ipv6.conf.eth0.addr_gen_mode: 0}"), "sw false, eth0 true, eth0 false, eth0 true, "},
		{"nothing", nil, ""},
		{"a setting from the start", lab(four, ", sysctls: {net.ipv6.conf.eth0.addr_gen_mode: 0}"), "sw false, eth0 true, eth0 false, eth0 true, "},
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
		if got := linkLocals(step.want); got != step.has {
			t.Errorf("%s: there are link-local addresses: %s want %s", step.what, got, step.has)
		}
		if plan, err := k.Plan(step.want); err != nil || len(plan) > 0 {
			t.Errorf("%s: there is more to do: %v, %v", step.what, plan, err)
		}
	}
}

// TestQuietAgain: what fails leaves links as quiet as they were.
func TestQuietAgain(t *testing.T) {
	_, four := compiled(t, fmt.Sprintf(quietLab, "10.0.0.0/24", ""))
	_, both := compiled(t, fmt.Sprintf(quietLab, "10.0.0.0/24, fd00::/64", ""))
	k := openKernel(t, "voices")
	if _, err := k.Up(t.Context(), four, nil); err != nil {
		t.Fatal(err)
	}
	fewer := NewState()
	for key, o := range four {
		if key.NS != "b" && key != (Key{OfNamespace, "b", ""}) && key != (Key{OfLink, "", "b-eth0"}) && key != (Key{OfUp, "", "b-eth0"}) {
			fewer.put(o)
		}
	}
	before := quietState(t)
	for what, want := range map[string]State{"dual stack": both, "a host less": fewer} {
		failed := false
		_, err := k.Up(t.Context(), want, func(_ Plan, do Do) Do {
			return func(ctx context.Context, stage []Step) error {
				last := stage[0].Op() == Create || stage[0].Object().Key().Kind == OfNamespace
				if last && !failed {
					failed = true
					return errors.New("no more of it")
				}
				return do(ctx, stage)
			}
		})
		if err == nil {
			t.Fatalf("%s: nothing failed", what)
		}
		if diff := cmp.Diff(before, quietState(t)); diff != "" {
			t.Errorf("%s: undoing left (-before +after):\n%s", what, diff)
		}
	}
}

// TestQuietCommands: the script of a change does as vnet does.
func TestQuietCommands(t *testing.T) {
	needIP(t)
	privateEtc(t)
	_, four := compiled(t, fmt.Sprintf(quietLab, "10.0.0.0/24", ""))
	_, both := compiled(t, fmt.Sprintf(quietLab, "10.0.0.0/24, fd00::/64", ""))
	k := openKernel(t, "voices")
	k.etc = "/etc/netns" // where ip looks for it
	if _, err := k.Up(t.Context(), four, nil); err != nil {
		t.Fatal(err)
	}
	before := quietState(t)
	have := four
	for _, want := range []State{both, four} {
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
		_, isQuiet := want[Key{OfQuiet, "a", "eth0"}]
		if speaks := linkLocal(t, Key{OfLink, "a", "eth0"}); speaks == isQuiet {
			t.Errorf("a has a link-local address: %t\n%s", speaks, script)
		}
	}
	if diff := cmp.Diff(before, quietState(t)); diff != "" {
		t.Errorf("there and back left (-before +after):\n%s", diff)
	}
}

// quietState is what says how quiet the links of hosts and the switch are.
func quietState(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, link := range []Key{{OfLink, "", "sw"}, {OfLink, "a", "eth0"}, {OfLink, "b", "eth0"}} {
		fmt.Fprintf(&b, "%s: link-local %t", link, linkLocal(t, link))
		asIn(t, link.NS, func() error {
			mode, err := nsfs.Sysctl("net/ipv6/conf/" + link.Name + "/addr_gen_mode")
			fmt.Fprintf(&b, ", mode %s\n", mode)
			return err
		})
	}
	return b.String()
}

// said compares what the links of a lab that is up say of IPv6 with what they were told.
func said(t *testing.T, want State) {
	t.Helper()
	voices := want.voicesIn(nil)
	for _, o := range want {
		made, ok := o.(linked)
		if !ok {
			continue
		}
		for _, l := range made.links() {
			asIn(t, l.NS, func() error {
				settings := voices[l.voiceKey()].settings()
				if voices[l.voiceKey()] == quiet {
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

// linkLocal tells whether a link has a link-local address that can be used. The kernel lets it
// be used on its own time, which is less than to look for duplicates takes: a second.
func linkLocal(t *testing.T, link Key) (has bool) {
	t.Helper()
	asIn(t, link.NS, func() error {
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
func asIn(t *testing.T, host string, fn func() error) {
	t.Helper()
	do := fn
	if host != "" {
		do = func() error { return doIn(host, fn) }
	}
	if err := do(); err != nil {
		t.Fatal(err)
	}
}

// TestMute: a port speaks no IPv6, one that is none any more does, and what fails leaves it
// as it was.
func TestMute(t *testing.T) {
	cable := Veth{Ends: [2]Link{{Name: "p", MAC: MAC{2, 1}, Master: "sw"}, {NS: "h", Name: "eth0", MAC: MAC{2, 2}}}}
	port := NewState(Bridge{Link: Link{Name: "sw", MAC: MAC{2, 3}}}, Namespace{Name: "h"}, cable, Up{"", "p"}, Up{"", "sw"}, Up{"h", "eth0"})
	cable.Ends[0].Master = ""
	alone := NewState(cable)
	for key, o := range port {
		if key != cable.Key() {
			alone.put(o)
		}
	}
	alone.put(Address{"", "p", netip.MustParsePrefix("fd00::1/64")})
	k := openKernel(t, "mute")
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
	is("a port after all", "1")
	if err := up(alone, nil); err != nil {
		t.Fatal(err)
	}
	is("alone", "0")
	if !linkLocal(t, Key{OfLink, "", "p"}) {
		t.Error("alone, it has no link-local address")
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
	cable.Ends[0].Master = ""
	delete(alone, Key{OfAddress, "", "fd00::1/64 dev p"})
	if err := up(alone, nil); err != nil {
		t.Fatal(err)
	}
	is("alone, where others do not speak it either", "1")
	alone.put(Sysctl{"", "net.ipv6.conf.p.disable_ipv6", "0"})
	if err := up(alone, nil); err != nil {
		t.Fatal(err)
	}
	is("told to speak", "0")
	port.put(Sysctl{"", "net.ipv6.conf.p.disable_ipv6", "0"})
	if err := up(port, nil); err != nil {
		t.Fatal(err)
	}
	is("a port that is told to speak", "0")
}

// TestMuteAndRuled: a port that comes out of its switch stays mute where a setting wants it so.
func TestMuteAndRuled(t *testing.T) {
	cable := Veth{Ends: [2]Link{{Name: "p", MAC: MAC{2, 1}, Master: "sw"}, {NS: "h", Name: "eth0", MAC: MAC{2, 2}}}}
	k := openKernel(t, "mute")
	sw, h := Bridge{Link: Link{Name: "sw", MAC: MAC{2, 3}}}, Namespace{Name: "h"}
	if _, err := k.Up(t.Context(), NewState(sw, h, cable), nil); err != nil {
		t.Fatal(err)
	}
	cable.Ends[0].Master = ""
	if _, err := k.Up(t.Context(), NewState(sw, h, cable, Sysctl{"", "net.ipv6.conf.p.disable_ipv6", "1"}), nil); err != nil {
		t.Fatal(err)
	}
	if got, err := nsfs.Sysctl("net/ipv6/conf/p/disable_ipv6"); err != nil || got != "1" {
		t.Errorf("disable_ipv6 is %s (%v)", got, err)
	}
}

// TestPortWithAddress: a port that has an address of IPv6 is not mute.
func TestPortWithAddress(t *testing.T) {
	k := openKernel(t, "mute")
	sw, p := Bridge{Link: Link{Name: "sw", MAC: MAC{2, 3}}}, Dummy{Link{Name: "p", MAC: MAC{2, 1}, Master: "sw"}}
	cable := Veth{Ends: [2]Link{{Name: "c", MAC: MAC{2, 4}, Master: "sw"}, {Name: "d", MAC: MAC{2, 5}, Master: "sw"}}}
	want := NewState(sw, cable, Up{"", "c"}, Up{"", "d"}, Address{"", "c", netip.MustParsePrefix("fd00::1/64")})
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Error(err)
	}
	if got := NewState(sw, p, Address{"", "p", netip.MustParsePrefix("fd00::1/64")}).voicesIn(nil)[Key{OfPort, "", "p"}]; got != dumb {
		t.Errorf("a device that is a port is %d, want %d", got, dumb)
	}
}

// failingAt lets stages of a kind fail.
func failingAt(kind Kind) func(Plan, Do) Do {
	return func(_ Plan, do Do) Do {
		return func(ctx context.Context, stage []Step) error {
			if stage[0].Object().Key().Kind == kind {
				return errors.New("no more of it")
			}
			return do(ctx, stage)
		}
	}
}

// TestVoices: who has to reach a router by its link-local address has one as well.
func TestVoices(t *testing.T) {
	eth0 := Key{OfLink, "h", "eth0"}
	veth := Veth{Ends: [2]Link{{NS: "h", Name: "eth0"}, {NS: "r", Name: "eth0"}}}
	addr := Address{"h", "eth0", netip.MustParsePrefix("10.0.0.2/24")}
	route := func(dst, via string) Route {
		return Route{NS: "h", Dst: netip.MustParsePrefix(dst), Hops: JoinHops(Hop{Via: netip.MustParseAddr(via), Device: "eth0"})}
	}
	for _, c := range []struct {
		what string
		want voice
		in   State
	}{
		{"no address", curious, NewState(veth)},
		{"IPv4", quiet, NewState(veth, addr)},
		{"a neighbour of IPv6", curious, NewState(veth, addr, Neigh{"h", "eth0", netip.MustParseAddr("fd00::9"), MAC{2}})},
		{"a setting of IPv6", curious, NewState(veth, addr, Sysctl{"h", "net.ipv6.conf.eth0.accept_ra", "2"})},
		{"a setting of another link's", quiet, NewState(veth, addr, Sysctl{"h", "net.ipv6.conf.eth1.accept_ra", "2"})},
		{"a route of IPv4", quiet, NewState(veth, addr, route("10.1.0.0/16", "10.0.0.1"))},
		{"a route of IPv4 by IPv6", curious, NewState(veth, addr, route("10.1.0.0/16", "fe80::1"))},
		{"a route of IPv6", curious, NewState(veth, addr, route("fd00::/64", "fe80::1"))},
		{"IPv4 and IPv6", settled, NewState(veth, addr, Address{"h", "eth0", netip.MustParsePrefix("fd00::2/64")})},
	} {
		if got := c.in.voicesIn(nil)[eth0]; got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}

// TestLinkLocalByHand: a link may be given a link-local address of its own, of the subnet
// that each has; nobody is spoken of by it.
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
	for link, is := range map[Key]voice{{OfLink, "a", "eth0"}: settled, {OfLink, "a", "x"}: settled, {OfLink, "b", "eth0"}: quiet} {
		if got := want.voicesIn(nil)[link]; got != is {
			t.Errorf("%s: %d, want %d", link, got, is)
		}
	}
	for _, f := range Facts(topology) {
		if f.Target.IsLinkLocalUnicast() {
			t.Errorf("%s -> %s is proved at %s, which more than one link has", f.From, f.To, f.Target)
		}
	}
}

// TestStatusOfQuiet: who lets a link speak is told of by status.
func TestStatusOfQuiet(t *testing.T) {
	lab, want := compiled(t, fmt.Sprintf(quietLab, "10.0.0.0/24", ""))
	k := openKernel(t, lab)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	asIn(t, "a", func() error { return nsfs.SetSysctl("net/ipv6/conf/eth0/addr_gen_mode", "0") })
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
