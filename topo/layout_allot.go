package topo

import (
	"net/netip"
	"slices"
)

// allot gives every port its addresses: the gateway the first of each subnet,
// the others in their order the next that nobody asked for. It returns the
// ports for which there was none left.
func (l *layout) allot() (without []*iface) {
	for n := range l.t.Networks {
		net := &l.t.Networks[n]
		taken := make(map[netip.Addr]bool, len(l.on[n]))
		l.allotGateway(n, taken)
		for _, i := range l.on[n] {
			if att := l.ifaces[i].att; att != nil {
				for _, a := range att.Addresses {
					taken[a] = true
				}
				for _, p := range att.Own {
					taken[p.Addr()] = true
				}
			}
		}
		for _, s := range net.Subnets {
			without = append(without, l.allotSubnet(n, s, taken)...)
		}
	}
	return without
}

// allotGateway reserves the gateway's addresses, and gives them to the switch
// if its holder is the gateway. A gateway that is another host takes them in
// its turn.
func (l *layout) allotGateway(n int, taken map[netip.Addr]bool) {
	net, sw := &l.t.Networks[n], &l.ifaces[l.on[n][0]]
	own := l.attachmentOf(sw.host, net.Name)
	switch {
	case l.t.gatewayOf(n) == sw.host:
		for _, s := range net.Subnets {
			a := l.gatewayAddr(n, s)
			taken[a] = true
			sw.addrs = append(sw.addrs, netip.PrefixFrom(a, s.Bits()))
		}
	case own != nil: // on its own switch, as one among the hosts
		sw.addrs = append(slices.Clone(own.Own), within(own.Addresses, net.Subnets)...)
		for _, a := range sw.addrs {
			taken[a.Addr()] = true
		}
	}
	if g := l.t.gatewayOf(n); g != sw.host && g != NoGateway {
		for _, s := range net.Subnets {
			taken[l.gatewayAddr(n, s)] = true
		}
	}
}

// allotSubnet gives the ports of network n that have no address in subnet s
// the next free ones.
func (l *layout) allotSubnet(n int, s netip.Prefix, taken map[netip.Addr]bool) (without []*iface) {
	next, last := firstAddr(s), lastAddr(s)
	for _, k := range l.on[n] {
		i := &l.ifaces[k]
		if i.att == nil || i.att.NoAddress {
			continue
		}
		if own := within(i.att.Addresses, []netip.Prefix{s}); len(own) > 0 {
			i.addrs = append(i.addrs, own...)
			continue
		}
		if slices.ContainsFunc(i.att.Own, func(p netip.Prefix) bool { return s.Contains(p.Addr()) }) {
			continue
		}
		if i.host == l.t.gatewayOf(n) {
			i.addrs = append(i.addrs, netip.PrefixFrom(l.gatewayAddr(n, s), s.Bits()))
			continue
		}
		for next.IsValid() && next.Compare(last) <= 0 && taken[next] {
			next = next.Next()
		}
		if !next.IsValid() || next.Compare(last) > 0 {
			without = append(without, i)
			continue
		}
		i.addrs = append(i.addrs, netip.PrefixFrom(next, s.Bits()))
		next = next.Next()
	}
	return without
}

// gatewayAddr is the gateway's address in subnet s of network n.
func (l *layout) gatewayAddr(n int, s netip.Prefix) netip.Addr {
	net := &l.t.Networks[n]
	for _, a := range net.GatewayAddr {
		if s.Contains(a) {
			return a
		}
	}
	if att := l.attachmentOf(l.t.gatewayOf(n), net.Name); att != nil {
		for _, a := range att.Addresses {
			if s.Contains(a) {
				return a
			}
		}
	}
	return firstAddr(s)
}

// attachmentOf returns how the host is on the network, nil if it is not.
func (l *layout) attachmentOf(host, network string) *Attachment {
	h, ok := l.hosts[host]
	if !ok {
		return nil
	}
	for k := range l.t.Hosts[h].Networks {
		if a := &l.t.Hosts[h].Networks[k]; a.Network == network {
			return a
		}
	}
	return nil
}

// firstAddr is the first address of s that a host can have: not the subnet's
// own, unless s is a point-to-point one.
func firstAddr(s netip.Prefix) netip.Addr {
	if hostBits(s) <= 1 {
		return s.Addr()
	}
	return s.Addr().Next()
}

// lastAddr is the last address of s that a host can have: not the broadcast
// address.
func lastAddr(s netip.Prefix) netip.Addr {
	b := s.Addr().AsSlice()
	for i := s.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	if s.Addr().Is4() && hostBits(s) > 1 {
		return a.Prev()
	}
	return a
}

func hostBits(s netip.Prefix) int { return s.Addr().BitLen() - s.Bits() }

// within returns those of addrs that are in one of the subnets, with its
// prefix length.
func within(addrs []netip.Addr, subnets []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range addrs {
		if p := prefixOf(a, subnets); p.IsValid() {
			out = append(out, netip.PrefixFrom(a, p.Bits()))
		}
	}
	return out
}
