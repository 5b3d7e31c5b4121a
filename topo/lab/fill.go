package lab

import (
	"cmp"
	"slices"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/topo"
)

// FillBridgeNetfilter sets BridgeNetfilter if the lab forwards ports. Call it before [Compile].
// [live.BridgeNetfilter] is such a function as find. The error is that of find.
func (t *Topology) FillBridgeNetfilter(find func() (bool, error)) (err error) {
	if slices.ContainsFunc(t.Hosts, func(h Host) bool { return len(h.Ports)+len(h.Forwards) > 0 }) {
		t.BridgeNetfilter, err = find()
	}
	return err
}

// FillEgress sets the values that depend on the machine: with `mtu: auto`, networks get the MTU of the
// machine's default routes, and with `fastpath: true`, EgressLinks becomes the list of their links.
// Call it before [Compile]. It calls find only if a network has one of these keys: find returns the
// links of the default routes, and the smallest of their MTUs in bytes, 0 if there are none; this
// means an MTU of 1500. [live.DefaultRouteLinks] is such a function. The error is that of find.
func (t *Topology) FillEgress(find func() (links []string, mtu int, err error)) error {
	if !slices.ContainsFunc(t.Networks, func(n Network) bool { return n.MTUAuto || n.Fastpath }) {
		return nil
	}
	links, mtu, err := find()
	if err != nil {
		return err
	}
	for i := range t.Networks {
		n := &t.Networks[i]
		if n.MTUAuto {
			n.MTU = cmp.Or(mtu, linux.DefaultMTU)
		}
		if n.Fastpath {
			t.EgressLinks = links
		}
	}
	return nil
}

// FillOutsideMACs sets OutsideMACs to the MAC addresses that find returns for the OutsideLinks. Call it before
// [Compile]. It calls find only if there are such links; namespaceOf is [Topology.NamespaceOf]. [live.OutsideMACs] is
// such a function. The error is that of find.
func (t *Topology) FillOutsideMACs(find func(links []topo.Key, namespaceOf func(host string) topo.Namespace) (
	map[topo.Key]topo.MAC, error)) (err error) {
	if links := t.OutsideLinks(); len(links) > 0 {
		t.OutsideMACs, err = find(links, t.NamespaceOf)
	}
	return err
}
