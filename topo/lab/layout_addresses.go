package lab

import (
	"net/netip"
	"slices"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/subnet"
)

// assignAddresses sets the addresses of the devices on networks. The gateway gets
// the first address of each subnet. The others get the next free ones in order,
// except those that the file gives to a host. It returns the devices for which no
// address was left.
func (l *Layout) assignAddresses() (unassigned []*Iface) {
	for n := range l.Topology.Networks {
		net := &l.Topology.Networks[n]
		used := make(map[netip.Addr]bool, len(l.ByNetwork[n]))
		l.assignGateway(n, used)
		for _, i := range l.ByNetwork[n] {
			if att := l.Ifaces[i].Attachment; att != nil {
				for _, a := range att.Addresses {
					used[a] = true
				}
				for _, p := range att.Prefixes {
					used[p.Addr()] = true
				}
			}
		}
		for _, s := range net.Subnets {
			unassigned = append(unassigned, l.assignSubnet(n, s, used)...)
		}
	}
	return unassigned
}

// assignGateway reserves the gateway's addresses. If the host with the bridge is
// the gateway, the bridge gets them. Another gateway gets them in assignSubnet.
func (l *Layout) assignGateway(n int, used map[netip.Addr]bool) {
	net, br := &l.Topology.Networks[n], &l.Ifaces[l.ByNetwork[n][0]]
	own := l.bridgeAttachment[n]
	switch {
	case l.Topology.GatewayOf(n) == br.Host:
		for _, s := range net.Subnets {
			a := l.gatewayAddr(n, s)
			used[a] = true
			br.Addrs = append(br.Addrs, netip.PrefixFrom(a, s.Bits()))
		}
	case own != nil: // the bridge has the addresses of an ordinary host
		br.Addrs = append(slices.Clone(own.Prefixes), subnet.Within(own.Addresses, net.Subnets)...)
		for _, a := range br.Addrs {
			used[a.Addr()] = true
		}
	}
	if g := l.Topology.GatewayOf(n); g != br.Host && g != NoGateway {
		for _, s := range net.Subnets {
			used[l.gatewayAddr(n, s)] = true
		}
	}
}

// assignSubnet gives the devices on network n that have no address in subnet s
// the next free ones.
func (l *Layout) assignSubnet(n int, s netip.Prefix, used map[netip.Addr]bool) (unassigned []*Iface) {
	next, last := subnet.First(s), subnet.Last(s)
	for _, k := range l.ByNetwork[n] {
		i := &l.Ifaces[k]
		if i.Attachment == nil || i.Attachment.NoAddress {
			continue
		}
		if own := subnet.Within(i.Attachment.Addresses, []netip.Prefix{s}); len(own) > 0 {
			i.Addrs = append(i.Addrs, own...)
			continue
		}
		if slices.ContainsFunc(i.Attachment.Prefixes, func(p netip.Prefix) bool { return s.Contains(p.Addr()) }) {
			continue
		}
		if i.Host == l.Topology.GatewayOf(n) {
			i.Addrs = append(i.Addrs, netip.PrefixFrom(l.gatewayAddr(n, s), s.Bits()))
			continue
		}
		for next.IsValid() && next.Compare(last) <= 0 && used[next] {
			next = next.Next()
		}
		if !next.IsValid() || next.Compare(last) > 0 {
			unassigned = append(unassigned, i)
			continue
		}
		i.Addrs = append(i.Addrs, netip.PrefixFrom(next, s.Bits()))
		next = next.Next()
	}
	return unassigned
}

// gatewayAddr returns the gateway's address in subnet s of network n.
func (l *Layout) gatewayAddr(n int, s netip.Prefix) netip.Addr {
	net := &l.Topology.Networks[n]
	for _, a := range net.GatewayAddr {
		if s.Contains(a) {
			return a
		}
	}
	if att := l.gatewayAttachment[n]; att != nil {
		for _, a := range att.Addresses {
			if s.Contains(a) {
				return a
			}
		}
	}
	return subnet.First(s)
}

// deviceFor returns the device of the host with the smallest subnet that contains
// a; nil if there is none. If dev is not "", only that device counts; lo counts only then.
func (l *Layout) deviceFor(host, dev string, a netip.Addr) *Iface {
	var best *Iface
	bits := -1
	for _, n := range l.ByHost[host] {
		i := &l.Ifaces[n]
		if dev != "" && i.Name != dev || dev == "" && i.IsLoopback() {
			continue
		}
		for _, p := range i.Addrs {
			if p.IsValid() && p.Bits() > bits && p.Contains(a) && (!p.IsSingleIP() || p.Addr() == a) {
				best, bits = i, p.Bits()
			}
		}
	}
	return best
}

// devicesBySubnet returns the first device of the host in each subnet.
func (l *Layout) devicesBySubnet(host string) map[netip.Prefix]*Iface {
	m := map[netip.Prefix]*Iface{}
	for _, n := range l.ByHost[host] {
		i := &l.Ifaces[n]
		for _, p := range i.Addrs {
			if s := p.Masked(); p.IsValid() && m[s] == nil {
				m[s] = i
			}
		}
	}
	return m
}

// kernelRoutes returns the routes that the kernel makes for the addresses of a host, and the device of each.
func (l *Layout) kernelRoutes(host string) map[topo.Key]string {
	const metric6 = 256 // IP6_RT_PRIO_ADDRCONF
	all := map[topo.Key]string{}
	for _, n := range l.ByHost[host] {
		i := &l.Ifaces[n]
		add := func(dst netip.Prefix, table, metric uint32) {
			all[topo.Route{Dst: dst.Masked(), Table: table, Metric: metric}.Key()] = i.Name
		}
		for _, p := range i.Addrs {
			switch {
			case !p.IsValid():
			case p.Addr().Is6():
				add(p, linux.MainTable, metric6)
				if !i.IsLoopback() { // it also has a link-local address
					add(netip.MustParsePrefix("fe80::/64"), linux.MainTable, metric6)
				}
			default:
				add(netip.PrefixFrom(p.Addr(), 32), linux.LocalTable, 0)
				if !i.IsLoopback() && !p.IsSingleIP() {
					add(p, linux.MainTable, 0)
				}
			}
		}
	}
	return all
}
