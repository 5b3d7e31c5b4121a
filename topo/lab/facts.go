package lab

import (
	"net/netip"

	"github.com/vnet-lab/vnet/topo"
)

// A Fact is an Expectation for one address, with the host that answers there.
type Fact struct {
	Expectation
	Target netip.Addr // the address to send to; invalid for ProbeDNS
	// Server is the host whose socket answers: the owner of Target, or the host
	// to which a port forward of the owner leads. "" means no host of the lab.
	Server     string
	ServerAddr netip.Addr // the address on which Server answers
	ServerPort uint16     // the port on which Server answers, for tcp and udp
}

// Facts returns the facts of t: one for each expectation and each address family
// that both sides have, for the address of To that From uses.
//
// If no program listens on the port, package verify listens there during the probe. So
// a lab needs no servers for verification.
func Facts(t Topology) []Fact {
	l, _ := NewLayout(&t)
	owners, forwards := l.Owners(), l.forwardsByGateway()
	var facts []Fact
	for _, x := range t.Expect {
		for _, target := range l.targets(x) {
			f := Fact{Expectation: x, Target: target}
			if x.Probe != ProbeDNS {
				f.Server, f.ServerAddr, f.ServerPort = l.serverOf(x, target, owners), target, x.Port
				f.follow(forwards)
			}
			facts = append(facts, f)
		}
	}
	return facts
}

// targets returns the addresses to send to for an expectation, one per family.
func (l *Layout) targets(x Expectation) []netip.Addr {
	switch {
	case x.Probe == ProbeDNS:
		return []netip.Addr{{}}
	case x.Addr.IsValid():
		return []netip.Addr{x.Addr}
	}
	var out []netip.Addr
	has := l.familiesOf(x.From)
	for n, v4 := range []bool{true, false} {
		if x.Family == 4 && !v4 || x.Family == 6 && v4 || x.Seen.IsValid() && x.Seen.Is4() != v4 {
			continue
		}
		a := l.addrTo(x.From, x.To, v4)
		if a.IsValid() && (x.From == topo.Machine || l.isAdopted(x.From) || has[n]) {
			out = append(out, a)
		}
	}
	return out
}

// familiesOf reports whether the host has IPv4 addresses and whether it has IPv6 addresses.
func (l *Layout) familiesOf(host string) (has [2]bool) {
	for _, n := range l.ByHost[host] {
		has[0] = has[0] || firstAddrOf(l.Ifaces[n].Addrs, true).IsValid()
		has[1] = has[1] || firstAddrOf(l.Ifaces[n].Addrs, false).IsValid()
	}
	return has
}

// isAdopted reports whether the host is an adopted namespace or the machine:
// these can have devices and addresses that are not in the file.
func (l *Layout) isAdopted(host string) bool {
	h, ok := l.Hosts[host]
	return host == topo.Machine || ok && l.Topology.Hosts[h].Namespace != ""
}

// Owners maps the lab's addresses to the devices that have them.
func (l *Layout) Owners() map[netip.Addr][]*Iface {
	m := make(map[netip.Addr][]*Iface, len(l.Ifaces))
	for n := range l.Ifaces {
		for _, p := range l.Ifaces[n].Addrs {
			m[p.Addr()] = append(m[p.Addr()], &l.Ifaces[n])
		}
	}
	return m
}

// serverOf returns the host that has the target address. If several have it, for
// example behind NAT, it returns the one nearest to From.
func (l *Layout) serverOf(x Expectation, target netip.Addr, owners map[netip.Addr][]*Iface) string {
	if x.To != "" {
		return x.To
	}
	if target.IsLoopback() {
		return x.From
	}
	host, least := "", 5
	for _, i := range owners[target] {
		if rank := l.Distance(x.From, i); rank < least || i.Host == x.From {
			host, least = i.Host, rank
		}
	}
	return host
}

func (l *Layout) forwardsByGateway() map[string][]resolvedForward {
	m := map[string][]resolvedForward{}
	for _, p := range l.forwards {
		m[p.gateway] = append(m[p.gateway], p)
	}
	return m
}

// maxForwardHops limits the number of port forwards on the way to a server.
const maxForwardHops = 8

// follow follows port forwards to the host and port that answer.
func (f *Fact) follow(forwards map[string][]resolvedForward) {
	for range maxForwardHops {
		next, ok := f.redirect(forwards[f.Server])
		if !ok {
			return
		}
		*f = next
	}
}

func (f Fact) redirect(list []resolvedForward) (Fact, bool) {
	for _, p := range list {
		if p.spec.Proto != f.Probe || p.to.Is4() != f.ServerAddr.Is4() ||
			f.ServerPort < p.spec.First || f.ServerPort > p.spec.Last {
			continue
		}
		if l := p.spec.Listen; l.IsValid() && !l.IsUnspecified() && l != f.ServerAddr {
			continue
		}
		f.ServerPort += p.spec.ToFirst - p.spec.First
		f.Server, f.ServerAddr = p.host, p.to
		return f, true
	}
	return f, false
}
