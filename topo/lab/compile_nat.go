package lab

import (
	"cmp"
	"net/netip"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/topo"
)

// nat makes the masquerade, SNAT and port forward objects, each in the namespace
// of its gateway.
func (c *compiler) nat() {
	for n := range c.t.Networks {
		net := &c.t.Networks[n]
		if !net.NAT && len(net.NATTo) == 0 {
			continue
		}
		for _, s := range net.Subnets {
			c.masquerade(c.t.GatewayOf(n), s, net.NATTo)
		}
	}
	for i := range c.t.Hosts {
		for _, p := range c.t.Hosts[i].NAT {
			c.masquerade(c.t.Hosts[i].Name, p, nil)
		}
	}
	for _, p := range c.forwards {
		f := topo.Forward{
			NS: topo.NSOf(p.gateway), Proto: p.spec.Proto, Addr: p.spec.Listen,
			First: p.spec.First, Last: p.spec.Last, To: p.to, ToPort: p.spec.ToFirst,
		}
		if f.Addr.IsUnspecified() {
			f.Addr = netip.Addr{}
		}
		c.put(f)
		c.allowLoopback(f)
	}
}

func (c *compiler) masquerade(host string, source netip.Prefix, to []netip.Addr) {
	for _, a := range to {
		if a.Is4() == source.Addr().Is4() {
			c.put(topo.SourceNAT{NS: topo.NSOf(host), Source: source, To: a})
			return
		}
	}
	c.put(topo.Masquerade{NS: topo.NSOf(host), Source: source})
}

// allowLoopback sets route_localnet for a port forward that accepts packets to
// 127.0.0.1.
func (c *compiler) allowLoopback(f topo.Forward) {
	if !f.To.Is4() || f.Addr.IsValid() && !f.Addr.IsLoopback() {
		return
	}
	host := cmp.Or(f.NS, topo.Machine)
	if i := c.deviceTo(host, f.To); i != nil {
		c.put(topo.Sysctl{NS: f.NS, Name: linux.LinkSysctl("ipv4", i.Name, "route_localnet"), Value: "1"})
	}
}

// deviceTo is deviceFor in constant time, for hosts that have many devices.
func (c *compiler) deviceTo(host string, a netip.Addr) *Iface {
	if c.bySubnet[host] == nil {
		c.bySubnet[host] = c.l.devicesBySubnet(host)
	}
	for bits := a.BitLen(); bits >= 0; bits-- {
		s, _ := a.Prefix(bits)
		if i := c.bySubnet[host][s]; i != nil {
			return i
		}
	}
	return nil
}

// isolation isolates networks on every router that is on both.
func (c *compiler) isolation() {
	for n := range c.t.Networks {
		for _, other := range c.t.Networks[n].IsolateFrom {
			for host, links := range c.l.routersOf(n, c.l.nets[other]) {
				c.put(topo.Isolation{NS: topo.NSOf(host), In: links[0], Out: links[1]})
				c.put(topo.Isolation{NS: topo.NSOf(host), In: links[1], Out: links[0]})
			}
		}
	}
}

// routersOf returns the hosts that have addresses on both networks, and their
// devices there.
func (l *Layout) routersOf(a, b int) map[string][2]string {
	devices := map[string]string{}
	for _, k := range l.ByNetwork[a] {
		if i := &l.Ifaces[k]; i.Device == nil && len(i.Addrs) > 0 {
			devices[i.Host] = i.Name
		}
	}
	both := map[string][2]string{}
	for _, k := range l.ByNetwork[b] {
		i := &l.Ifaces[k]
		if dev, ok := devices[i.Host]; ok && i.Device == nil && len(i.Addrs) > 0 {
			both[i.Host] = [2]string{dev, i.Name}
		}
	}
	return both
}
