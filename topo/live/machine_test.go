package live

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/setting"
)

// A lab that needs forwarding turns it on; the last such lab restores the former value.
// Foreign firewall rules for forwarded packets do not change.
func TestForwardingIsRestored(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("no nft to make a foreign firewall with")
	}
	unix.Mkdir("/run/etc-netns", 0o755)
	shell(t, "nft 'add table ip fw; add chain ip fw f { type filter hook forward priority 0; policy drop; }'")
	t.Cleanup(func() { shell(t, "nft delete table ip fw") })
	firewall := func() string {
		out, _ := exec.Command("nft", "list", "table", "ip", "fw").Output()
		return string(out)
	}
	theirs := firewall()
	one, wantOne := labtest.Compiled(t, "name: one\n"+
		"networks: {n1: {subnets: [10.0.6.0/24, 'fd00:6::/64'], nat: true}}\nhosts: {h1: {networks: [n1]}}")
	two, wantTwo := labtest.Compiled(t, "name: two\n"+
		"networks: {n2: {subnets: [10.0.7.0/24], routed: true}}\nhosts: {h2: {networks: [n2]}}")
	k1, k2 := openKernel(t, one), openKernel(t, two)
	for _, was := range []string{"0", "1"} {
		for _, name := range []string{linux.ForwardingIPv4, linux.ForwardingIPv6} {
			if err := nsfs.SetSysctl(setting.Key(name), was); err != nil {
				t.Fatal(err)
			}
			defer nsfs.SetSysctl(setting.Key(name), "0")
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
			v4, err4 := nsfs.Sysctl(setting.Key(linux.ForwardingIPv4))
			v6, err6 := nsfs.Sysctl(setting.Key(linux.ForwardingIPv6))
			if v4 != step.v4 || v6 != step.v6 || err4 != nil || err6 != nil {
				t.Errorf("before %s; %s: IPv4 %s, want %s, IPv6 %s, want %s", was, step.what, v4, step.v4, v6, step.v6)
			}
			if now := firewall(); now != theirs {
				t.Errorf("%s: the foreign firewall was\n%s\nand is\n%s", step.what, theirs, now)
			}
		}
	}
}

// Programs that watch for new links, such as network managers, never see one that is up
// without its mark: each new link is down, has its final MAC, and gets its mark and its
// bridge before it is set up.
func TestNewLinksAreMarkedBeforeUp(t *testing.T) {
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
		if !ok || e.Deleted || l.Kind.Name == "" { // a short message of the bridge about its port
			continue
		}
		_, known := macs[l.Name]
		if !known && l.Up() {
			t.Errorf("%s is up in its first message", l.Name)
		}
		if known && macs[l.Name] != string(l.Address) {
			t.Errorf("%s changes its MAC", l.Name)
		}
		macs[l.Name] = string(l.Address)
		if l.Up() && (l.Alias != mark.Of(lab) || l.Master == 0 && strings.HasSuffix(l.Name, "-eth0")) {
			t.Errorf("%s is up with alias %q and master %d", l.Name, l.Alias, l.Master)
		}
		up[l.Name] = up[l.Name] || l.Up()
	}
}

// Up refuses a lab that needs a feature this kernel does not have, before it changes
// anything.
func TestMissingFeatures(t *testing.T) {
	unix.Mkdir("/run/etc-netns", 0o755)
	lab, want := labtest.Compiled(t, `
name: much
networks: {sw: {vlan_filtering: true}}
hosts:
  red:
    networks: [sw]
    devices: {d0: {type: dummy}, v0: {type: vlan, parent: d0, id: 5}, m0: {type: macvlan, parent: d0}}
  blue: {}
links: [{endpoints: [red, blue], impair: {delay: 10ms}}]`)
	if missingFeatures(topo.Diff(nil, want)) == nil {
		t.Skip("this kernel has all features")
	}
	k := openKernel(t, lab)
	before := machineState(t)
	_, err := k.Up(t.Context(), want, func(_ topo.Plan, do topo.Do) topo.Do {
		t.Error("Up started to change the machine")
		return do
	})
	var missing *MissingFeatureError
	if !errors.As(err, &missing) || !errors.Is(err, errors.ErrUnsupported) ||
		len(missing.Features) == 0 || missing.For == nil {
		t.Errorf("%v", err)
	}
	if diff := cmp.Diff(before, machineState(t)); diff != "" {
		t.Errorf("the machine is not as before (-before +after):\n%s", diff)
	}
}
