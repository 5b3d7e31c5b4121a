package lab

import (
	"cmp"
	"errors"
	"slices"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/topo"
)

// A Machine answers what a lab asks about the machine that it is for. [live.Machine] is one.
type Machine interface {
	// DefaultRouteLinks returns the links of the default routes, and the smallest of their MTUs in
	// bytes; 0 if there are none.
	DefaultRouteLinks() (links []string, mtu int, err error)
	// OutsideMACs returns the MAC addresses of those of the links that exist. namespaceOf is
	// [Topology.NamespaceOf].
	OutsideMACs(links []topo.Key, namespaceOf func(host string) topo.Namespace) (map[topo.Key]topo.MAC, error)
	// BridgeNetfilter reports whether br_netfilter is loaded.
	BridgeNetfilter() (bool, error)
}

// Fill sets what depends on the machine. Call it between [Parse] and [Compile]. It asks only what the lab needs.
func (t *Topology) Fill(m Machine) error {
	return errors.Join(t.fillOutsideMACs(m.OutsideMACs), t.fillEgress(m.DefaultRouteLinks),
		t.fillBridgeNetfilter(m.BridgeNetfilter))
}

// fillBridgeNetfilter sets BridgeNetfilter if the lab forwards ports. The error is that of find.
func (t *Topology) fillBridgeNetfilter(find func() (bool, error)) (err error) {
	if slices.ContainsFunc(t.Hosts, func(h Host) bool { return len(h.Ports)+len(h.Forwards) > 0 }) {
		t.BridgeNetfilter, err = find()
	}
	return err
}

// fillEgress sets the values that depend on the machine: with `mtu: auto`, networks get the MTU of the
// machine's default routes, and with `fastpath: true`, EgressLinks becomes the list of their links.
// It calls find only if a network has one of these keys. No default route means an MTU of 1500. The
// error is that of find.
func (t *Topology) fillEgress(find func() (links []string, mtu int, err error)) error {
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

// fillOutsideMACs sets OutsideMACs to the MAC addresses that find returns for the OutsideLinks. It calls find only if
// there are such links. The error is that of find.
func (t *Topology) fillOutsideMACs(find func(links []topo.Key, namespaceOf func(host string) topo.Namespace) (
	map[topo.Key]topo.MAC, error)) (err error) {
	if links := t.OutsideLinks(); len(links) > 0 {
		t.OutsideMACs, err = find(links, t.NamespaceOf)
	}
	return err
}
