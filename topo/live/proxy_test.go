package live

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/topo"
)

// proxyLab has a host behind a router whose addresses are in the subnet of the router's other network.
const proxyLab = `
name: proxy
networks: {lan: {subnets: [10.1.0.0/24, "fd00:1::/64"], gateway: none}}
hosts:
  pc: {networks: [lan]}
  router:
    networks: [lan]
    router: true
    routes: [10.1.0.77 dev eth1, "fd00:1::77 dev eth1"]
    neighbours: [proxy 10.1.0.77 dev eth0, "proxy fd00:1::77 dev eth0"]
  far: {routes: [default via 10.9.0.1, "default via fd00:9::1"]}
links:
  - endpoints: [far, router]
    addresses: [[10.9.0.2/24, 10.1.0.77/32, "fd00:9::2/64", "fd00:1::77/128"], [10.9.0.1/24, "fd00:9::1/64"]]
`

// The router answers for the address of a host behind it; without the entry, nobody does.
func TestProxyNeighbours(t *testing.T) {
	labtest.NeedIP(t)
	before := machineState(t)
	lab, want := labtest.Compiled(t, proxyLab)
	k := openKernel(t, lab)
	up(t, k, want)
	for _, addr := range []string{"10.1.0.77", "fd00:1::77"} {
		checkReachesSoon(t, "pc", addr)
	}
	if have, err := k.Snapshot(nil); err != nil || !have.Equal(want) {
		t.Errorf("without the file, the snapshot differs: %v\n%s", err, topo.Diff(have, want))
	}
	surveyed, _, err := Survey()
	for _, addr := range []string{"10.1.0.77", "fd00:1::77"} {
		labtest.IP(t, "-n router neigh del proxy "+addr+" dev eth0")
		labtest.IP(t, "-n pc neigh flush dev eth0")
		if reaches("pc", addr) == nil {
			t.Errorf("pc reaches %s without a proxy entry", addr)
		}
		key := topo.Key{Kind: topo.OfProxy, NS: "router", Name: "proxy " + addr + " dev eth0"}
		if surveyed[key] == nil || err != nil {
			t.Errorf("%v is not in the survey (%v)", key, err)
		}
	}
	drift, err := k.Plan(want)
	const missing = "+ router: neigh proxy 10.1.0.77 dev eth0\n+ router: neigh proxy fd00:1::77 dev eth0\n"
	if text := drift.String(); err != nil || text != missing {
		t.Errorf("the drift is %v\n%s", err, text)
	}
	up(t, k, want)
	_, without := labtest.Compiled(t, strings.Replace(proxyLab, "    neighbours:", "    #", 1))
	up(t, k, without)
	if shown := labtest.IP(t, "-n router neigh show proxy"); shown != "" {
		t.Errorf("left: %s", shown)
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, machineState(t)); diff != "" {
		t.Errorf("the machine is not as before (-before +after):\n%s", diff)
	}
}

// A lab's entry on a link of the machine has a record. Entries of other programs stay; those of another lab are a
// conflict.
func TestProxyNeighboursOfTheMachine(t *testing.T) {
	labtest.NeedIP(t)
	labtest.IP(t, "link add wan type veth peer name wan1")
	defer labtest.IP(t, "link del wan")
	labtest.IP(t, "link set wan up")
	labtest.IP(t, "neigh add proxy 10.0.0.8 dev wan")
	labtest.IP(t, "neigh add proxy fd00::8 dev wan")
	state := func() string { return machineState(t) + labtest.IP(t, "neigh show proxy") }
	before := state()
	const text = "name: NAME\nhosts: {machine: {neighbours: " +
		"[proxy 10.0.0.8 dev wan, proxy 10.0.0.9 dev wan, 'proxy fd00::8 dev wan', 'proxy fd00::9 dev wan']}}"
	one, want := labtest.Compiled(t, strings.Replace(text, "NAME", "one", 1))
	two, wantToo := labtest.Compiled(t, strings.Replace(text, "NAME", "two", 1))
	k1, k2 := openKernel(t, one), openKernel(t, two)
	for range 2 {
		up(t, k1, want)
		if drift, err := k1.Plan(want); err != nil || len(drift) > 0 {
			t.Errorf("%v\n%s", err, drift)
		}
		_, err := k2.Up(t.Context(), wantToo, nil)
		const conflict = "neigh proxy 10.0.0.9 dev wan: it already exists and belongs to lab one\n" +
			"neigh proxy fd00::9 dev wan: it already exists and belongs to lab one"
		if !errors.Is(err, fs.ErrExist) || err.Error() != conflict {
			t.Errorf("%v", err)
		}
		if _, err := k1.Down(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, state()); diff != "" {
			t.Errorf("the machine is not as before (-before +after):\n%s", diff)
		}
	}
	// The link goes down, and the kernel deletes all entries. The record goes with the next up or down.
	up(t, k1, want)
	labtest.IP(t, "link set wan down")
	labtest.IP(t, "link set wan up")
	if _, err := k1.Down(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if lo := labtest.IP(t, "link show lo"); strings.Contains(lo, "proxy=") {
		t.Errorf("left: %s", lo)
	}
}
