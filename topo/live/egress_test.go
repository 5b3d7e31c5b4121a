package live

import (
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab"
)

// A network with `mtu: auto` gets the MTU of the machine's default route, and so do both
// ends of its veth pairs. The usual case is a tunnel with 1420.
func TestFillMTU(t *testing.T) {
	labtest.NeedIP(t)
	ns, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	filled := func() lab.Topology {
		t.Helper()
		lab := labtest.MustParse(t, "lab.yaml", []byte(
			"networks: {lan: {mtu: auto, subnets: 10.0.0.0/24}, other: {}}\nhosts: {red: {networks: [lan]}}"))
		if err := nsfs.Do(ns, func() error { return lab.Fill(Machine{}) }); err != nil {
			t.Fatal(err)
		}
		return lab
	}
	inNS := func(args string) { t.Helper(); labtest.IPIn(t, ns, args) }
	if lab := filled(); lab.Networks[0].MTU != 1500 || lab.Networks[1].MTU != 0 {
		t.Errorf("without a default route: %d", lab.Networks[0].MTU)
	}
	for _, c := range []struct {
		ip   []string
		want int
	}{
		{[]string{"link add wide type bridge", "link set wide mtu 9000 up", "addr add 10.9.0.1/24 dev wide",
			"route add default via 10.9.0.2 metric 9"}, 9000},
		{[]string{"link add tun type bridge", "link set tun mtu 1420 up", "addr add fd00:9::1/64 dev tun nodad",
			"-6 route add default via fd00:9::2"}, 1420},
		{[]string{"link set lo mtu 1300 up", "route add 10.8.0.0/16 dev lo", "route add blackhole default metric 99"}, 1420},
		{[]string{"link add lab type bridge", "link set lab mtu 1290 up",
			"route add default dev lab proto 118 metric 3"}, 1420},
	} {
		for _, args := range c.ip {
			inNS(args)
		}
		topology := filled()
		if topology.Networks[0].MTU != c.want {
			t.Errorf("after %q: MTU %d, want %d", c.ip, topology.Networks[0].MTU, c.want)
		}
		if len(topology.EgressLinks) > 0 {
			t.Errorf("EgressLinks is %q without a fast path", topology.EgressLinks)
		}
		state, err := lab.Compile(topology)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range state {
			if v, ok := o.(topo.Veth); ok && (v.Ends[0].MTU != c.want || v.Ends[1].MTU != c.want) {
				t.Errorf("%s", v)
			}
		}
	}
}

// The machine's networks have fast paths to the links of its default routes, each once. The
// networks of a router have none to them.
func TestFillWayOut(t *testing.T) {
	labtest.NeedIP(t)
	ns, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	for _, args := range []string{
		"link add wide type bridge", "link set wide up",
		"addr add 10.9.0.1/24 dev wide", "addr add fd00:9::1/64 dev wide nodad",
		"route add default via 10.9.0.2", "-6 route add default via fd00:9::2",
		"link add tun type bridge", "link set tun up", "-6 route add default dev tun metric 9",
		"link add lab type bridge", "link set lab up", "route add default dev lab proto 118 metric 3",
	} {
		labtest.IPIn(t, ns, args)
	}
	for _, tt := range []struct{ text, want string }{
		{"networks: {lan: {subnets: 10.0.0.0/24, nat: true, fastpath: true}}", "fastpath lan, fastpath tun, fastpath wide"},
		{"networks: {lan: {subnets: 10.0.0.0/24, fastpath: true}}", ""}, // forwards nothing
		{"networks: {lan: {subnets: 10.0.0.0/24, in: r, fastpath: true}}\nhosts: {r: {router: true}}", "r: fastpath lan"},
	} {
		topology := labtest.MustParse(t, "lab.yaml", []byte(tt.text))
		if err := nsfs.Do(ns, func() error { return topology.Fill(Machine{}) }); err != nil {
			t.Fatal(err)
		}
		state, err := lab.Compile(topology)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range state.Objects() {
			if f, ok := o.(topo.Fastpath); ok {
				got = append(got, f.String())
			}
		}
		if got := strings.Join(got, ", "); got != tt.want {
			t.Errorf("%s\nhas %s\nwant %s", tt.text, got, tt.want)
		}
	}
}
