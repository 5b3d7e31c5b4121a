package lab

import (
	"net/netip"

	"github.com/vnet-lab/vnet/internal/naming"
)

// A resolvedForward is a port forward of one address family, with its gateway and target.
type resolvedForward struct {
	gateway string // the host or machine that does the DNAT
	spec    *Forward
	host    string     // the target; "" for an address outside the lab
	to      netip.Addr // the target's address
}

// portForwards returns all port forwards, in the order of the hosts.
func (l *Layout) portForwards() (all []resolvedForward) {
	for i := range l.Topology.Hosts {
		h := &l.Topology.Hosts[i]
		for n := range h.Ports {
			all = append(all, l.forwardsToHost(h, &h.Ports[n])...)
		}
		for n := range h.Forwards {
			all = append(all, l.forwardsOfRouter(h, &h.Forwards[n])...)
		}
	}
	return all
}

// forwardsToHost resolves a port forward to h, for each family in which h has a
// gateway.
func (l *Layout) forwardsToHost(h *Host, p *Forward) (out []resolvedForward) {
	for _, v4 := range []bool{true, false} {
		gw, ok := l.defaultGateway(h.Name, v4)
		if !ok || p.Listen.IsValid() && p.Listen.Is4() != v4 {
			continue
		}
		out = append(out, resolvedForward{gw.gateway, p, h.Name, firstAddrOf(gw.port.Addrs, v4)})
	}
	return out
}

// forwardsOfRouter resolves a port forward of the router h, for each family
// that the target has.
func (l *Layout) forwardsOfRouter(h *Host, p *Forward) (out []resolvedForward) {
	for _, v4 := range []bool{true, false} {
		to := p.To
		if p.Host != "" {
			to = l.addrTo(h.Name, p.Host, v4)
		}
		if !to.IsValid() || to.Is4() != v4 || p.Listen.IsValid() && p.Listen.Is4() != v4 {
			continue
		}
		out = append(out, resolvedForward{h.Name, p, p.Host, to})
	}
	return out
}

// firstAddrOf returns the first address of a family that other hosts can use. It skips
// link-local IPv6 addresses, which are not unique without a link.
func firstAddrOf(addrs []netip.Prefix, v4 bool) netip.Addr {
	for _, p := range addrs {
		if p.IsValid() && p.Addr().Is4() == v4 && (v4 || !p.Addr().IsLinkLocalUnicast()) {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// addrTo returns the address at which host `from` reaches host `to`. It prefers
// an address on a link that both share, then one on a network, then one on a
// link, then one of a bridge; if several are equal, that of the first device
// by name.
func (l *Layout) addrTo(from, to string, v4 bool) (best netip.Addr) {
	least, dev := 5, ""
	for _, n := range l.ByHost[to] {
		i := &l.Ifaces[n]
		a := firstAddrOf(i.Addrs, v4)
		if !a.IsValid() {
			continue
		}
		rank := l.Distance(from, i)
		if rank < least || rank == least && naming.Compare(i.Name, dev) < 0 {
			best, least, dev = a, rank, i.Name
		}
	}
	return best
}

// Distance ranks a device of a host for addrTo: 0 is the best.
func (l *Layout) Distance(from string, i *Iface) int {
	switch {
	case l.onLink(from, i):
		return 0
	case i.Attachment != nil:
		return 1
	case i.Link != nil:
		return 2
	case i.IsBridge():
		return 3
	}
	return 4
}

// onLink reports whether the host is on the same link or network as the device i.
func (l *Layout) onLink(host string, i *Iface) bool {
	if i.Link != nil {
		return i.Link.Ends[1-i.End].Host == host
	}
	if i.Network < 0 {
		return false
	}
	for _, n := range l.ByHost[host] {
		if l.Ifaces[n].Network == i.Network && len(l.Ifaces[n].Addrs) > 0 {
			return true
		}
	}
	return false
}
