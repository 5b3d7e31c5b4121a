package lab

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/topo"
)

// A Machine reads what a lab needs to know about the machine on which it will be up. [live.Machine]
// is one.
type Machine interface {
	// DefaultRouteLinks returns the links of the default routes, and the smallest of their MTUs in
	// bytes; 0 if there are none.
	DefaultRouteLinks() (links []string, mtu int, err error)
	// OutsideMACs returns the MAC addresses of those of the links that exist. namespaceOf is
	// [Topology.NamespaceOf].
	OutsideMACs(links []topo.Key, namespaceOf func(host string) topo.Namespace) (map[topo.Key]topo.MAC, error)
	// BridgeNetfilter reports whether br_netfilter is loaded and the kernel supports nftables rules for bridges.
	BridgeNetfilter() (bool, error)
}

// Fill sets the fields that depend on the machine. Call it between [Parse] and [Compile]. It calls only those methods
// of m that the lab needs, and returns their errors.
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

// OutsideLinks returns the links that lead out of the lab and that it does not create, by host:
// uplinks of networks, and parents of devices. The derived MAC addresses of the links behind them
// depend on [Topology.OutsideMACs], because another machine on the same Ethernet may have the same lab.
func (t *Topology) OutsideLinks() (links []topo.Key) {
	var all []topo.Key
	for n := range t.Networks {
		if up := t.Networks[n].Uplink; up != "" {
			all = append(all, topo.Key{NS: t.BridgeHost(n), Name: up})
		}
	}
	for i := range t.Hosts {
		for d := range t.Hosts[i].Devices {
			if host, parent := t.Hosts[i].Devices[d].parentOf(t.Hosts[i].Name); parent != "" {
				all = append(all, topo.Key{NS: host, Name: parent})
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	l, _ := NewLayout(t)
	for _, at := range all {
		key := topo.LinkKey(topo.NSOf(at.NS), at.Name)
		ownNS := at.NS != topo.Machine && t.NamespaceOf(at.NS).From == ""
		if !ownNS && !l.has(at.NS, at.Name) && !slices.Contains(links, key) {
			links = append(links, key)
		}
	}
	return links
}

// has reports whether the lab creates a link of a host.
func (l *Layout) has(host, link string) bool {
	return slices.ContainsFunc(l.ByHost[host], func(i int) bool { return l.Ifaces[i].Name == link })
}

// parentOf returns the host and the name of a device's parent; "" if it has none.
func (v *Device) parentOf(host string) (owner, parent string) {
	if owner, parent, ok := strings.Cut(v.Parent, ":"); ok {
		return owner, parent
	}
	return host, v.Parent
}

// outsideMAC returns the MAC address of the outside link that a device is behind; zero if there
// is none or it is unknown.
func (l *Layout) outsideMAC(i *Iface) topo.MAC {
	if len(l.Topology.OutsideMACs) == 0 {
		return topo.MAC{}
	}
	mac := topo.MAC{}
	if i.Device != nil {
		host, parent := i.Device.parentOf(i.Host)
		mac = l.Topology.OutsideMACs[topo.LinkKey(topo.NSOf(host), parent)]
	}
	if i.Network < 0 || !mac.IsZero() {
		return mac
	}
	t, n := l.Topology, i.Network
	return t.OutsideMACs[topo.LinkKey(topo.NSOf(t.BridgeHost(n)), cmp.Or(t.Networks[n].Uplink, l.parentOn(n)))]
}

// parentOn returns the parent of the first device that is a port of a network, such as a VLAN
// device above a link of the machine; "" if there is none.
func (l *Layout) parentOn(n int) string {
	for _, at := range l.ByNetwork[n] {
		if d := l.Ifaces[at].Device; d != nil && d.Parent != "" {
			_, parent := d.parentOf("")
			return parent
		}
	}
	return ""
}
