package topo

import "slices"

// fastpaths makes the fast paths of whoever forwards for a network that has them: its
// links to such networks, its cables, and the machine's way out.
func (c *compiler) fastpaths() {
	for host, ifaces := range c.l.of {
		if !c.hasFastpaths(host) {
			continue
		}
		for _, n := range ifaces {
			if i := &c.l.ifaces[n]; i.cable != nil && len(i.addrs) > 0 || c.isFast(i) {
				c.put(Fastpath{NS: nsOf(host), Link: i.dev})
			}
			if i := &c.l.ifaces[n]; c.isFast(i) && i.isSwitch() {
				c.fastPorts(host, i.net)
			}
		}
		if host != Machine {
			continue
		}
		for _, link := range c.t.WayOut {
			c.put(Fastpath{Link: link})
		}
	}
}

// fastPorts are the ports of a switch that the host holds: hosts', links of its own, and
// the uplink.
func (c *compiler) fastPorts(host string, net int) {
	put := func(link string) { c.put(Fastpath{NS: nsOf(host), Link: link, Port: true}) }
	for _, n := range c.l.on[net] {
		switch i := &c.l.ifaces[n]; {
		case i.att != nil:
			name, _ := portName(c.t.Name, i.host, i.dev)
			put(name)
		case i.made != nil:
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

// isFast tells whether it is a router's link to a network with fast paths.
func (c *compiler) isFast(i *iface) bool {
	return i.made == nil && i.cable == nil && len(i.addrs) > 0 && c.t.Networks[i.net].Fastpath
}
