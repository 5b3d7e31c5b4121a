//go:build linux

package topo

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// TestForwardingComesBack: a lab that needs it lets the machine forward; the last one
// that does leaves it as it was. What others say of forwarded packets stays all the
// while.
func TestForwardingComesBack(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("no nft here to make somebody's firewall with")
	}
	unix.Mkdir("/run/etc-netns", 0o755)
	shell(t, "nft 'add table ip fw; add chain ip fw f { type filter hook forward priority 0; policy drop; }'")
	t.Cleanup(func() { shell(t, "nft delete table ip fw") })
	firewall := func() string {
		out, _ := exec.Command("nft", "list", "table", "ip", "fw").Output()
		return string(out)
	}
	theirs := firewall()
	one, wantOne := compiled(t, "name: one\nnetworks: {n1: {subnets: [10.0.6.0/24, 'fd00:6::/64'], nat: true}}\nhosts: {h1: {networks: [n1]}}")
	two, wantTwo := compiled(t, "name: two\nnetworks: {n2: {subnets: [10.0.7.0/24], routed: true}}\nhosts: {h2: {networks: [n2]}}")
	k1, k2 := openKernel(t, one), openKernel(t, two)
	for _, was := range []string{"0", "1"} {
		for _, name := range []string{forwarding4, forwarding6} {
			if err := nsfs.SetSysctl(sysctlKey(name), was); err != nil {
				t.Fatal(err)
			}
			defer nsfs.SetSysctl(sysctlKey(name), "0")
		}
		for _, step := range []struct {
			what   string
			do     func() error
			v4, v6 string
		}{
			{"one up", func() error { _, err := k1.Up(t.Context(), wantOne, nil); return err }, "1", "1"},
			{"two up", func() error { _, err := k2.Up(t.Context(), wantTwo, nil); return err }, "1", "1"},
			{"one down", func() error { _, err := k1.Down(t.Context(), nil); return err }, "1", was},
			{"two down", func() error { _, err := k2.Down(t.Context(), nil); return err }, was, was},
		} {
			if err := step.do(); err != nil {
				t.Fatal(step.what, ": ", err)
			}
			v4, err4 := nsfs.Sysctl(sysctlKey(forwarding4))
			v6, err6 := nsfs.Sysctl(sysctlKey(forwarding6))
			if v4 != step.v4 || v6 != step.v6 || err4 != nil || err6 != nil {
				t.Errorf("it was %s; %s: IPv4 %s, not %s, IPv6 %s, not %s", was, step.what, v4, step.v4, v6, step.v6)
			}
			if now := firewall(); now != theirs {
				t.Errorf("%s: somebody's firewall was\n%s\nand is\n%s", step.what, theirs, now)
			}
		}
	}
}

// TestBornInPlace: what other programs watch for on the machine, a link that is up and
// nobody's, is never there: links come down, with the MAC that they keep, and are ports and
// marked before they are up.
func TestBornInPlace(t *testing.T) {
	unix.Mkdir("/run/etc-netns", 0o755)
	lab, want := example(t, "cheatsheet.yaml")
	k := openKernel(t, lab)
	events, err := rtnl.Watch(nil, rtnl.GroupLink)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	macs, up := map[string]string{}, map[string]bool{}
	for !up["red-eth0"] || !up["blue-eth0"] || !up["v-net-0"] {
		e, err := events.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		l, ok := e.Object.(rtnl.Link)
		if !ok || e.Deleted || l.Kind.Name == "" { // the bridge tells of its ports in few words
			continue
		}
		_, known := macs[l.Name]
		if !known && l.Up() {
			t.Errorf("%s comes up", l.Name)
		}
		if known && macs[l.Name] != string(l.Address) {
			t.Errorf("%s changes its MAC", l.Name)
		}
		macs[l.Name] = string(l.Address)
		if l.Up() && (l.Alias != Mark(lab) || l.Master == 0 && strings.HasSuffix(l.Name, "-eth0")) {
			t.Errorf("%s is up with alias %q and master %d", l.Name, l.Alias, l.Master)
		}
		up[l.Name] = up[l.Name] || l.Up()
	}
}

// TestLacks: a lab that needs what this kernel does not have is refused before anything
// is touched.
func TestLacks(t *testing.T) {
	unix.Mkdir("/run/etc-netns", 0o755)
	lab, want := compiled(t, `
name: much
networks: {sw: {vlan_filtering: true}}
hosts:
  red: {networks: [sw], devices: {d0: {type: dummy}, v0: {type: vlan, parent: d0, id: 5}, m0: {type: macvlan, parent: d0}}}
  blue: {}
links: [{endpoints: [red, blue], impair: {delay: 10ms}}]`)
	if lacks(Diff(nil, want)) == nil {
		t.Skip("this kernel lacks nothing")
	}
	k := openKernel(t, lab)
	before := machine(t)
	_, err := k.Up(t.Context(), want, func(_ Plan, do Do) Do {
		t.Error("it is begun")
		return do
	})
	var lack *LackError
	if !errors.As(err, &lack) || !errors.Is(err, errors.ErrUnsupported) || len(lack.Features) == 0 || lack.For == nil {
		t.Errorf("%v", err)
	}
	if diff := cmp.Diff(before, machine(t)); diff != "" {
		t.Errorf("the machine is not as before (-before +after):\n%s", diff)
	}
}
