package lab

import (
	"net/netip"

	"github.com/vnet-lab/vnet/topo"
)

// antispoof restricts what the hosts of a network with `antispoof` send to their addresses in the
// file. Uplinks and other devices in the bridge are not restricted: others' hosts are behind them.
func (c *compiler) antispoof() {
	for n := range c.t.Networks {
		if !c.t.Networks[n].Antispoof {
			continue
		}
		for _, k := range c.l.ByNetwork[n] {
			if i := &c.l.Ifaces[k]; i.Attachment != nil {
				c.antispoofPort(n, i)
			}
		}
	}
}

func (c *compiler) antispoofPort(n int, i *Iface) {
	name, _ := c.l.PortName(i)
	p := topo.AntispoofPort{NS: topo.NSOf(c.t.BridgeHost(n)), Link: name, Gateway: c.t.GatewayOf(n) == i.Host}
	p.Routes = p.Gateway
	if h, ok := c.l.Hosts[i.Host]; ok {
		p.Routes = p.Routes || c.l.Forwards(&c.t.Hosts[h])
	}
	if i.Host == topo.Machine {
		p.Routes = p.Routes || c.machineForwards()
	}
	c.put(p)
	c.portAddresses(p, i, c.l.macOf(i))
}

// portAddresses adds the addresses of a device whose frames a port receives, of the host's lo, and of the devices
// above it.
func (c *compiler) portAddresses(p topo.AntispoofPort, i *Iface, mac topo.MAC) {
	c.put(topo.PortAddress{NS: p.NS, Link: p.Link, MAC: mac})
	for _, a := range i.Addrs {
		if a.Addr() != linkLocal(mac) { // MAC itself allows it
			c.put(topo.PortAddress{NS: p.NS, Link: p.Link, MAC: mac, Addr: a.Addr()})
		}
	}
	if h, ok := c.l.Hosts[i.Host]; ok {
		for _, nb := range c.t.Hosts[h].Neighbours {
			if nb.Proxy && nb.Device == i.Name {
				c.put(topo.PortAddress{NS: p.NS, Link: p.Link, MAC: mac, Addr: nb.Addr})
			}
		}
	}
	for _, k := range c.l.ByHost[i.Host] {
		above := &c.l.Ifaces[k]
		for _, a := range above.Addrs {
			if above.IsLoopback() {
				c.put(topo.PortAddress{NS: p.NS, Link: p.Link, MAC: mac, Addr: a.Addr()})
			}
		}
		if above.Device == nil || above.Device.Parent != i.Name {
			continue
		}
		switch above.Device.Kind {
		case "macvlan":
			c.portAddresses(p, above, c.l.macOf(above))
		case "ipvlan":
			c.portAddresses(p, above, mac)
		}
	}
}

// linkLocal returns the link-local address that follows from a MAC address; RFC 4291, appendix A.
func linkLocal(m topo.MAC) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
}

// antispoof reports what sends frames with VLAN tags, which `antispoof` drops.
func (k *checker) antispoof(n int) {
	net := &k.t.Networks[n]
	if !net.Antispoof {
		return
	}
	if net.VLANFiltering {
		k.mistakef(net.at, "antispoof", "remove antispoof or vlan_filtering",
			"network %s cannot have antispoof and vlan_filtering: antispoof drops frames with VLAN tags", net.Name)
	}
	for _, i := range k.layout.ByNetwork[n] {
		port := &k.layout.Ifaces[i]
		for _, d := range k.layout.ByHost[port.Host] {
			v := k.layout.Ifaces[d].Device
			if port.Attachment != nil && v != nil && v.Kind == "vlan" && v.Parent == port.Name {
				k.mistakef(v.at, v.Name, "remove antispoof from network "+net.Name,
					"device %s of %s cannot send: network %s has antispoof, which drops frames with VLAN tags",
					v.Name, displayName(port.Host), net.Name)
			}
		}
	}
}
