package topo

import "slices"

// fastpaths makes the fast paths of each router of a network with fastpath: on its devices on
// such networks, on its ends of links, and on the machine's egress links.
func (c *compiler) fastpaths() {
	for host, ifaces := range c.l.of {
		if !c.hasFastpaths(host) {
			continue
		}
		for _, n := range ifaces {
			if i := &c.l.ifaces[n]; i.cable != nil && len(i.addrs) > 0 || c.isFast(i) {
				c.put(Fastpath{NS: nsOf(host), Link: i.dev})
			}
			if i := &c.l.ifaces[n]; c.isFast(i) && i.isBridge() {
				c.fastPorts(host, i.net)
			}
		}
		if host != Machine {
			continue
		}
		for _, link := range c.t.EgressLinks {
			c.put(Fastpath{Link: link})
		}
	}
}

// fastPorts adds the ports of a bridge in the namespace of host: bridge ends of veth pairs,
// other devices, and the uplink.
func (c *compiler) fastPorts(host string, net int) {
	put := func(link string) { c.put(Fastpath{NS: nsOf(host), Link: link, Port: true}) }
	for _, n := range c.l.on[net] {
		switch i := &c.l.ifaces[n]; {
		case i.att != nil:
			name, _ := portName(c.t.Name, i.host, i.dev)
			put(name)
		case i.device != nil:
			put(i.dev)
		}
	}
	if up := c.t.Networks[net].Uplink; up != "" {
		put(up)
	}
}

func (c *compiler) hasFastpaths(host string) bool {
	forwards := host == Machine && c.machineForwards()
	if n, ok := c.l.hosts[host]; ok && !forwards {
		forwards = c.l.forwards(&c.t.Hosts[n])
	}
	return forwards && slices.ContainsFunc(c.l.of[host], func(n int) bool { return c.isFast(&c.l.ifaces[n]) })
}

// isFast reports whether i is a device with addresses on a network with fastpath.
func (c *compiler) isFast(i *iface) bool {
	return i.device == nil && i.cable == nil && len(i.addrs) > 0 && c.t.Networks[i.net].Fastpath
}
