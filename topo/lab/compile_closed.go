package lab

import (
	"net/netip"
	"slices"

	"github.com/vnet-lab/vnet/topo"
)

// closed closes private networks on their routers: the outside reaches only their forwarded ports.
// A network is private if the router translates its addresses, or if the machine is its gateway and
// forwards packets, unless the file says `routed`. With prefixes under `routed`, a network is private, but also
// reachable from these prefixes. If its gateway is a host that translates its addresses, the
// network is also private on the machine: the outside may use the machine as a router. Other networks of the
// lab on the same router are not the outside, but entries of `links:` are.
func (c *compiler) closed() {
	machineForwards := c.machineForwards()
	for host := range c.l.ByHost {
		var own []*Iface
		protected := false // with closed or isolated links
		for _, k := range c.l.ByHost[host] {
			i := &c.l.Ifaces[k]
			if i.Network < 0 || i.Device != nil || len(i.Addrs) == 0 {
				continue
			}
			net := &c.t.Networks[i.Network]
			gateway := c.t.GatewayOf(i.Network) == host
			nat := (gateway || host == topo.Machine) && (net.NAT || len(net.NATTo) > 0) || c.masquerades(host, net)
			own = append(own, i)
			if nat || gateway && (!net.Routed && host == topo.Machine && machineForwards || len(net.RoutedFrom) > 0) {
				protected = true
				c.closeLink(i, net.RoutedFrom)
			}
			protected = protected || gateway && net.IsolateHosts // its gate knows the lab's own links
		}
		for _, i := range own {
			if protected {
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

// unrouted makes a [topo.SourceGate] on a router that has the bridge of a network, but no address there. No source is
// behind the bridge, so the gate drops every packet that is sent to the bridge's MAC address: hosts cannot use it as
// their gateway. On the machine, a network with NAT always has this gate, because another lab may turn forwarding on.
func (c *compiler) unrouted() {
	machineForwards := c.machineForwards()
	var nat []netip.Prefix
	for i := range c.t.Hosts {
		nat = append(nat, c.t.Hosts[i].NAT...)
	}
	for n := range c.t.Networks {
		net, bridge := &c.t.Networks[n], &c.l.Ifaces[c.l.ByNetwork[n][0]]
		routes := machineForwards || net.NAT || len(net.NATTo) > 0 || overlaps(nat, net.Subnets)
		if bridge.Host != topo.Machine {
			routes = c.l.Forwards(&c.t.Hosts[c.l.Hosts[bridge.Host]])
		}
		if routes && len(bridge.Addrs) == 0 {
			c.put(topo.SourceGate{NS: topo.NSOf(bridge.Host), Link: bridge.Name, MAC: c.l.macOf(bridge)})
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
	return overlaps(c.t.Hosts[h].NAT, net.Subnets)
}

// overlaps reports whether a prefix of a overlaps one of b.
func overlaps(a, b []netip.Prefix) bool {
	return slices.ContainsFunc(a, func(p netip.Prefix) bool { return slices.ContainsFunc(b, p.Overlaps) })
}
