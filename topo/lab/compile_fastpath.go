package lab

import (
	"slices"

	"github.com/vnet-lab/vnet/topo"
)

// fastpaths makes the fast paths of each router of a network with fastpath: on its devices on
// such networks, on its ends of links, and on the machine's egress links.
func (c *compiler) fastpaths() {
	for host, ifaces := range c.l.ByHost {
		if !c.hasFastpaths(host) {
			continue
		}
		for _, n := range ifaces {
			if i := &c.l.Ifaces[n]; i.Link != nil && len(i.Addrs) > 0 || c.isFast(i) {
				c.put(topo.Fastpath{NS: topo.NSOf(host), Link: i.Name})
			}
			if i := &c.l.Ifaces[n]; c.isFast(i) && i.IsBridge() {
				c.fastPorts(host, i.Network)
			}
		}
		if host != topo.Machine {
			continue
		}
		for _, link := range c.t.EgressLinks {
			c.put(topo.Fastpath{Link: link})
		}
	}
}

// fastPorts adds the ports of a bridge in the namespace of host: bridge ends of veth pairs,
// other devices, and the uplink.
func (c *compiler) fastPorts(host string, net int) {
	put := func(link string) { c.put(topo.Fastpath{NS: topo.NSOf(host), Link: link, Port: true}) }
	for _, n := range c.l.ByNetwork[net] {
		switch i := &c.l.Ifaces[n]; {
		case i.Attachment != nil:
			name, _ := c.l.PortName(i)
			put(name)
		case i.Device != nil:
			put(i.Name)
		}
	}
	if up := c.t.Networks[net].Uplink; up != "" {
		put(up)
	}
}

func (c *compiler) hasFastpaths(host string) bool {
	forwards := host == topo.Machine && c.machineForwards()
	if n, ok := c.l.Hosts[host]; ok && !forwards {
		forwards = c.l.Forwards(&c.t.Hosts[n])
	}
	return forwards && slices.ContainsFunc(c.l.ByHost[host], func(n int) bool { return c.isFast(&c.l.Ifaces[n]) })
}

// isFast reports whether i is a device with addresses on a network with fastpath.
func (c *compiler) isFast(i *Iface) bool {
	return i.Device == nil && i.Link == nil && len(i.Addrs) > 0 && c.t.Networks[i.Network].Fastpath
}
