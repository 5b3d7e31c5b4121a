package lab

import (
	"net/netip"

	"github.com/vnet-lab/vnet/topo"
)

// closed closes private networks on their routers: the outside reaches only their forwarded ports.
// A network is private if the router translates its addresses, or if the machine is its gateway and
// forwards packets, unless the file says `routed`. The other networks of the lab on the same router
// do not count as outside, but entries of `links:` do.
func (c *compiler) closed() {
	machineForwards := c.machineForwards()
	for host := range c.l.ByHost {
		var own []*Iface
		closed := false
		for _, k := range c.l.ByHost[host] {
			i := &c.l.Ifaces[k]
			if i.Network < 0 || i.Device != nil || len(i.Addrs) == 0 {
				continue
			}
			net := &c.t.Networks[i.Network]
			gateway := c.t.GatewayOf(i.Network) == host
			nat := gateway && (net.NAT || len(net.NATTo) > 0) || c.masquerades(host, net)
			own = append(own, i)
			if nat || gateway && (!net.Routed && host == topo.Machine && machineForwards || len(net.RoutedFrom) > 0) {
				closed = true
				c.closeLink(i, net.RoutedFrom)
			}
		}
		for _, i := range own {
			if closed {
				c.put(topo.OwnLink{NS: topo.NSOf(host), Link: i.Name})
			}
		}
	}
}

// isolatedHosts prevents the hosts of a network with `isolate` from reaching each other through
// their gateway. The bridge passes no packets between them, but a host may have a route to another
// host via the gateway.
func (c *compiler) isolatedHosts() {
	for n := range c.t.Networks {
		net := &c.t.Networks[n]
		if !net.IsolateHosts {
			continue
		}
		for _, k := range c.l.ByNetwork[n] {
			i := &c.l.Ifaces[k]
			if i.Host != c.t.GatewayOf(n) || i.Device != nil || len(i.Addrs) == 0 {
				continue
			}
			ns := topo.NSOf(i.Host)
			c.put(topo.Isolation{NS: ns, In: i.Name, Out: i.Name})
			c.put(topo.SourceGate{NS: ns, Link: i.Name, MAC: c.l.macOf(i)})
		}
	}
}

func (c *compiler) closeLink(i *Iface, except []netip.Prefix) {
	ns := topo.NSOf(i.Host)
	c.put(topo.ClosedLink{NS: ns, Link: i.Name})
	c.put(topo.SourceGate{NS: ns, Link: i.Name, MAC: c.l.macOf(i)})
	for _, source := range except {
		c.put(topo.AllowedSource{NS: ns, Link: i.Name, Source: source})
	}
}

// masquerades reports whether the key nat of a router names a subnet of the network.
func (c *compiler) masquerades(host string, net *Network) bool {
	h, ok := c.l.Hosts[host]
	if !ok {
		return false
	}
	for _, p := range c.t.Hosts[h].NAT {
		for _, s := range net.Subnets {
			if p.Overlaps(s) {
				return true
			}
		}
	}
	return false
}
