package topo

import "net/netip"

// A publication is a published port where it takes effect, for one family.
type publication struct {
	gateway string // whose packets are redirected
	p       *PortForward
	host    string     // whom they reach; "" for an address outside the lab
	to      netip.Addr // the host's address
}

// publications returns all of them, in the order of the hosts.
func (l *layout) publications() (all []publication) {
	for i := range l.t.Hosts {
		h := &l.t.Hosts[i]
		for n := range h.Ports {
			all = append(all, l.publicationsOf(h, &h.Ports[n])...)
		}
		for n := range h.Forwards {
			all = append(all, l.forwardsOf(h, &h.Forwards[n])...)
		}
	}
	return all
}

// publicationsOf returns where a host's published port takes effect: at its
// gateway, for each family it has there.
func (l *layout) publicationsOf(h *Host, p *PortForward) (out []publication) {
	for _, v4 := range []bool{true, false} {
		w, ok := l.wayOut(h.Name, v4)
		if !ok || p.Listen.IsValid() && p.Listen.Is4() != v4 {
			continue
		}
		out = append(out, publication{w.via, p, h.Name, firstOf(w.port.addrs, v4)})
	}
	return out
}

// forwardsOf returns where a router's forwarded port takes effect: with
// itself, for each family that its target has.
func (l *layout) forwardsOf(h *Host, p *PortForward) (out []publication) {
	for _, v4 := range []bool{true, false} {
		to := p.To
		if p.Host != "" {
			to = l.addrTo(h.Name, p.Host, v4)
		}
		if !to.IsValid() || to.Is4() != v4 || p.Listen.IsValid() && p.Listen.Is4() != v4 {
			continue
		}
		out = append(out, publication{h.Name, p, p.Host, to})
	}
	return out
}

// firstOf is the first address of a family by which others may speak of who has it: a
// link-local one of IPv6 says nothing without a link.
func firstOf(addrs []netip.Prefix, v4 bool) netip.Addr {
	for _, p := range addrs {
		if p.IsValid() && p.Addr().Is4() == v4 && (v4 || !p.Addr().IsLinkLocalUnicast()) {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// addrTo returns the address of the family by which one host speaks of
// another: the one on a link they share, or else on the other's way out, or
// else any; of several the one of the first device by name.
func (l *layout) addrTo(from, to string, v4 bool) (best netip.Addr) {
	least, dev := 5, ""
	for _, n := range l.of[to] {
		i := &l.ifaces[n]
		a := firstOf(i.addrs, v4)
		if !a.IsValid() {
			continue
		}
		far := l.distance(from, i)
		if far < least || far == least && compareNames(i.dev, dev) < 0 {
			best, least, dev = a, far, i.dev
		}
	}
	return best
}

// distance orders the devices of a host by how likely another one reaches it
// there.
func (l *layout) distance(from string, i *iface) int {
	switch {
	case l.onLink(from, i):
		return 0
	case i.att != nil:
		return 1
	case i.cable != nil:
		return 2
	case i.isSwitch():
		return 3
	}
	return 4
}

// onLink tells whether the host is on the same link as the device i.
func (l *layout) onLink(host string, i *iface) bool {
	if i.cable != nil {
		return i.cable.Ends[1-i.end].Host == host
	}
	if i.net < 0 {
		return false
	}
	for _, n := range l.of[host] {
		if l.ifaces[n].net == i.net && len(l.ifaces[n].addrs) > 0 {
			return true
		}
	}
	return false
}
