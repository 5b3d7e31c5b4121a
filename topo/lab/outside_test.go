package lab

import (
	"slices"
	"testing"

	"github.com/vnet-lab/vnet/topo"
)

const outsideLab = `
name: wired
networks:
  lan: {subnets: [10.1.0.0/24], uplink: wire0}
  tagged: {subnets: [10.2.0.0/24]}
  inner: {subnets: [10.3.0.0/24]}
  taken: {in: box, uplink: eth7}
hosts:
  red: {networks: [lan, inner], devices: {on-eth0: {type: macvlan, parent: eth0}}}
  green: {networks: [tagged], devices: {direct: {type: macvlan, parent: "machine:wire1"}}}
  box: {namespace: outside}
  machine: {devices: {wire1.5: {type: vlan, id: 5, parent: wire1, network: tagged}}}
`

// Links that are behind the same kind of link on two machines have different MAC addresses on
// them; others have the same.
func TestOutsideMACs(t *testing.T) {
	topology, err := Parse("lab.yaml", []byte(outsideLab))
	if err != nil {
		t.Fatal(err)
	}
	links := topology.OutsideLinks()
	want := []topo.Key{
		topo.LinkKey("", "wire0"), topo.LinkKey("box", "eth7"), topo.LinkKey("", "wire1"),
	}
	if !slices.Equal(links, want) {
		t.Errorf("outside links %v, want %v", links, want)
	}
	without := macsOf(t, topology)
	var machines [2]map[topo.Key]topo.MAC
	for n := range machines {
		topology.OutsideMACs = map[topo.Key]topo.MAC{}
		for i, l := range links {
			topology.OutsideMACs[l] = topo.MAC{2, 0, 0, 0, byte(n), byte(i)}
		}
		machines[n] = macsOf(t, topology)
	}
	for key, differs := range map[topo.Key]bool{
		topo.LinkKey("", "lan"): true, topo.LinkKey("red", "eth0"): true, topo.LinkKey("", "tagged"): true,
		topo.LinkKey("green", "eth0"): true, topo.LinkKey("green", "direct"): true, topo.LinkKey("", "wire1.5"): true,
		topo.LinkKey("box", "taken"): true,
		topo.LinkKey("", "inner"):    false, topo.LinkKey("red", "eth1"): false, topo.LinkKey("red", "on-eth0"): false,
	} {
		a, b := machines[0][key], machines[1][key]
		if a.IsZero() || (a != b) != differs || (a == without[key]) == differs {
			t.Errorf("%v: %s and %s on two machines, %s without", key, a, b, without[key])
		}
	}
}

func macsOf(t *testing.T, topology Topology) map[topo.Key]topo.MAC {
	t.Helper()
	state, err := Compile(topology)
	if err != nil {
		t.Fatal(err)
	}
	macs := map[topo.Key]topo.MAC{}
	for _, o := range state {
		if made, ok := o.(topo.LinkObject); ok {
			for _, l := range made.Links() {
				macs[l.Key()] = l.MAC
			}
		}
	}
	return macs
}
