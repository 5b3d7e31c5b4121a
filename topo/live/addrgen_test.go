package live

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
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
		links := []topo.Key{
			topo.LinkKey("", "sw"), topo.LinkKey("a", "eth0"), topo.LinkKey("b", "eth0"), topo.LinkKey("c", "eth0"),
		}
		for _, link := range links {
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
	k.table.Etc = "/etc/netns" // where ip expects it
	if _, err := k.Up(t.Context(), ipv4, nil); err != nil {
		t.Fatal(err)
	}
	before := ipv6State(t)
	have := ipv4
	for _, want := range []topo.State{both, ipv4} {
		script, err := topo.Diff(have, want).Commands(k.table.Lab, have, NATScript())
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
					settings = append(settings, "addr_gen_mode=1")
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
