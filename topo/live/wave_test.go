package live

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/execute"
)

// TestWaves: a lab comes up in waves, and the namespaces of each wave have lower ids than those of
// the wave before, so the kernel finds them first.
func TestWaves(t *testing.T) {
	const hosts, size = 10, 4
	lab, want := labtest.Compiled(t, starLab(hosts))
	k := openKernel(t, lab)
	k.waveSize = size
	plan, err := k.Up(t.Context(), want, nil)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []topo.Kind
	for _, stage := range plan.Stages() {
		kinds = append(kinds, stage[0].Object().Key().Kind)
	}
	wave := []topo.Kind{topo.OfNamespace, topo.OfLink, topo.OfAddrGen}
	if want := slices.Concat(wave, wave, wave); !slices.Equal(kinds[:len(want)], want) {
		t.Errorf("kinds of stages are %v, want first %v", kinds, want)
	}
	lowest := int32(math.MaxInt32)
	for w := range (hosts + size - 1) / size {
		before := lowest
		for h := w * size; h < min(hosts, (w+1)*size); h++ {
			id := idOf(t, k, fmt.Sprintf("h%d", h+1))
			if lowest = min(lowest, id); id < 0 || id >= before {
				t.Errorf("h%d, of wave %d, has id %d; the lowest id of the wave before is %d", h+1, w, id, before)
			}
		}
	}
}

// idOf returns the id of a host's namespace in the machine's.
func idOf(t *testing.T, k *Kernel, host string) int32 {
	t.Helper()
	s, err := k.table.Handle(host)
	if err != nil {
		t.Fatal(err)
	}
	id, err := k.table.Machine().NSID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestWavesOfAllKinds: a lab with all kinds of dependencies comes up in waves of one to five hosts. Then
// the plan is empty, and down removes everything.
func TestWavesOfAllKinds(t *testing.T) {
	const text = `name: all
networks:
  a: {subnets: [10.1.0.0/16, "fd00:1::/64"], nat: true}
  b: {subnets: [10.2.0.0/16], isolate: true}
  c: {in: sw1, subnets: [10.3.0.0/16], gateway: none}
  d: {in: sw2, subnets: [10.4.0.0/16], gateway: none}
hosts:
  sw1: {}
  sw2: {}
  r: {router: true}
  web: {networks: [b], ports: ["8080:80"], sysctls: {net.ipv4.conf.all.rp_filter: 0, net.ipv4.conf.eth0.rp_filter: 2}}
  h: {networks: [a], repeat: 5}
  x: {networks: [c], repeat: 5}
  y: {networks: [d], repeat: 5}
links:
  - {endpoints: [r, sw1], addresses: [10.9.1.1/30, 10.9.1.2/30]}
  - {endpoints: [r, y5], addresses: [10.9.2.1/30, 10.9.2.2/30]}
`
	lab, want := labtest.Compiled(t, text)
	for size := 1; size < 6; size++ {
		k := openWithoutCleanup(t, lab)
		before := machineState(t)
		k.waveSize = size
		_, err := k.Up(t.Context(), want, nil)
		if err != nil {
			t.Errorf("waves of %d: %v", size, err)
		}
		if plan, err := k.Plan(want); err != nil || len(plan) > 0 {
			t.Errorf("the plan is not empty: %v\n%s", err, plan)
		}
		if _, err := k.Down(t.Context(), nil); err != nil {
			t.Error(err)
		}
		if err := k.Close(); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(before, machineState(t)); diff != "" {
			t.Errorf("the machine is not as before (-before +after):\n%s", diff)
		}
	}
}

// TestDescendingNSIDs: the namespaces of a new lab with several waves get descending ids, above all
// ids in use. With one wave, they get none.
func TestDescendingNSIDs(t *testing.T) {
	k := openKernel(t, "star")
	other, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := k.table.Machine().Conn.Do(rtnl.SetNSID(other, 5000)); err != nil {
		t.Fatal(err)
	}
	_, want := labtest.Compiled(t, starLab(4))
	plan := topo.Diff(nil, want).InWaves(2)
	if execute.DescendingNSIDs(k.table, plan, 4) != nil {
		t.Error("the hosts of one wave have ids")
	}
	k.waveSize = 3
	want4 := map[string]int32{"h1": 5004, "h2": 5003, "h3": 5002, "h4": 5001}
	if diff := cmp.Diff(want4, execute.DescendingNSIDs(k.table, plan, k.waveSize)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
