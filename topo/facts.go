package topo

import "net/netip"

// A Fact is an Expectation worked out: one address, and who answers there.
type Fact struct {
	Expectation
	Target netip.Addr // the address to send to; invalid for ProbeDNS
	// Server is who has the socket that answers in the end: the host that
	// Target belongs to, or that a forwarded port of its leads to. "" means
	// nobody of the lab.
	Server     string
	ServerAddr netip.Addr // its address there
	ServerPort uint16     // and port, for tcp and udp
}

// Facts works out what t expects: a fact for each family that both sides have,
// at the address that From would speak of To by.
//
// Where nothing listens on the port that is to answer, Verify listens there
// for the time of the probe, so that a lab needs no servers to be proved.
func Facts(t Topology) []Fact {
	l, _ := newLayout(&t)
	owners, published := l.owners(), l.publicationsByGateway()
	var facts []Fact
	for _, x := range t.Expect {
		for _, target := range l.targets(x) {
			f := Fact{Expectation: x, Target: target}
			if x.Probe != ProbeDNS {
				f.Server, f.ServerAddr, f.ServerPort = l.answers(x, target, owners), target, x.Port
				f.follow(published)
			}
			facts = append(facts, f)
		}
	}
	return facts
}

// targets returns the addresses that an expectation is about, one a family.
func (l *layout) targets(x Expectation) []netip.Addr {
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
		if a.IsValid() && (x.From == Machine || l.takenIn(x.From) || has[n]) {
			out = append(out, a)
		}
	}
	return out
}

// familiesOf tells whether the host has IPv4 and IPv6 addresses.
func (l *layout) familiesOf(host string) (has [2]bool) {
	for _, n := range l.of[host] {
		has[0] = has[0] || firstOf(l.ifaces[n].addrs, true).IsValid()
		has[1] = has[1] || firstOf(l.ifaces[n].addrs, false).IsValid()
	}
	return has
}

// takenIn tells whether the host is an existing namespace, which may have more
// than the lab says.
func (l *layout) takenIn(host string) bool {
	h, ok := l.hosts[host]
	return host == Machine || ok && l.t.Hosts[h].Namespace != ""
}

// owners maps the lab's addresses to the devices that have them.
func (l *layout) owners() map[netip.Addr][]*iface {
	m := make(map[netip.Addr][]*iface, len(l.ifaces))
	for n := range l.ifaces {
		for _, p := range l.ifaces[n].addrs {
			m[p.Addr()] = append(m[p.Addr()], &l.ifaces[n])
		}
	}
	return m
}

// answers returns who has the target address; the one on From's own link where
// several have it, as behind NAT they may.
func (l *layout) answers(x Expectation, target netip.Addr, owners map[netip.Addr][]*iface) string {
	if x.To != "" {
		return x.To
	}
	if target.IsLoopback() {
		return x.From
	}
	host, least := "", 5
	for _, i := range owners[target] {
		if far := l.distance(x.From, i); far < least || i.host == x.From {
			host, least = i.host, far
		}
	}
	return host
}

func (l *layout) publicationsByGateway() map[string][]publication {
	m := map[string][]publication{}
	for _, p := range l.publications() {
		m[p.gateway] = append(m[p.gateway], p)
	}
	return m
}

// mostHops bounds how many forwarded ports lead to one another.
const mostHops = 8

// follow goes from forwarded port to forwarded port to the one that answers.
func (f *Fact) follow(published map[string][]publication) {
	for range mostHops {
		next, ok := f.redirect(published[f.Server])
		if !ok {
			return
		}
		*f = next
	}
}

func (f Fact) redirect(list []publication) (Fact, bool) {
	for _, p := range list {
		if p.p.Proto != f.Probe || p.to.Is4() != f.ServerAddr.Is4() || f.ServerPort < p.p.First || f.ServerPort > p.p.Last {
			continue
		}
		if l := p.p.Listen; l.IsValid() && !l.IsUnspecified() && l != f.ServerAddr {
			continue
		}
		f.ServerPort += p.p.ToFirst - p.p.First
		f.Server, f.ServerAddr = p.host, p.to
		return f, true
	}
	return f, false
}
