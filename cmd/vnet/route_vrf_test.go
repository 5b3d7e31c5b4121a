package main

import (
	"strings"
	"testing"
)

// TestRouteVRF needs a kernel with VRFs, but no ip. testdata/same/route_vrf.txt compares the same commands with ip.
func TestRouteVRF(t *testing.T) {
	w := newWorld(t)
	if r := w.run("vnet", "link", "add", "blue", "type", "vrf", "table", "10"); r.Status != 0 {
		t.Skipf("the kernel has no VRFs: %s", strings.TrimSpace(r.Stderr))
	}
	for _, line := range []string{
		"link set blue up",
		"link add v0 type veth peer name v1",
		"link set v0 addrgenmode none master blue",
		"link set v1 addrgenmode none",
		"link set v0 up",
		"link set v1 up",
		"addr add 10.0.0.1/24 dev v0",
		"addr add fd00::1/64 dev v0 nodad",
		"route add vrf blue 10.1.0.0/16 via 10.0.0.2",
		"route add 10.2.0.0/16 vrf blue nexthop via 10.0.0.2 nexthop via 10.0.0.3",
		"route add unreachable default vrf blue metric 4278198272",
		"route add vrf blue fd01::/64 via fd00::2",
		"route add 10.3.0.0/16 vrf blue dev v0",
		"route del vrf blue 10.3.0.0/16",
	} {
		w.must(append([]string{"vnet"}, strings.Fields(line)...)...)
	}
	for _, tt := range []struct {
		args, want string
		status     int
	}{
		{"route show", "", 0},
		{"route show vrf blue",
			"unreachable default metric 4278198272 \n10.0.0.0/24 dev v0 proto kernel scope link src 10.0.0.1 \n" +
				"10.1.0.0/16 via 10.0.0.2 dev v0 \n10.2.0.0/16 \n\tnexthop via 10.0.0.2 dev v0 weight 1 \n\tnexthop via 10.0.0.3 " +
				"dev v0 weight 1 \n", 0},
		{"-6 route show vrf blue fd01::/64", "fd01::/64 via fd00::2 dev v0 metric 1024 pref medium\n", 0},
		{"-j route show vrf blue 10.1/16", `[{"dst":"10.1.0.0/16","gateway":"10.0.0.2","dev":"v0","flags":[]}]` + "\n", 0},
		{"route get vrf blue fibmatch 10.1.2.3", "10.1.0.0/16 via 10.0.0.2 dev v0 table 10 \n", 0},
		{"route add vrf v0 10.4.0.0/16 dev v0", "", 255},
		{"route del vrf blue 10.3.0.0/16", "", 2},
		{"route flush vrf blue proto boot", "", 0},
		{"route show vrf blue", "10.0.0.0/24 dev v0 proto kernel scope link src 10.0.0.1 \n", 0},
	} {
		r := w.run(append([]string{"vnet"}, strings.Fields(tt.args)...)...)
		if r.Stdout != tt.want || r.Status != tt.status {
			t.Errorf("vnet %s: exit %d\n got %q\nwant %q, exit %d\n%s", tt.args, r.Status, r.Stdout, tt.want, tt.status,
				r.Stderr)
		}
	}
}
