package lab

import (
	"cmp"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/topo"
)

// OutsideLinks returns the links that lead out of the lab and that it does not create, by host:
// uplinks of networks, and parents of devices. The derived MAC addresses of the links behind them
// depend on [Topology.OutsideMACs], because another machine on the same wire may have the same lab.
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
