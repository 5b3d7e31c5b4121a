package topo

import (
	"net/netip"
	"slices"
)

// exportNAT says the rules: as a network's nat and a host's ports where they
// are that, and else as those of a router.
func (e *exporter) exportNAT() {
	l, _ := newLayout(&e.t)
	for n := range e.t.Networks {
		e.networkNAT(n)
	}
	for _, o := range e.objects {
		switch o := o.(type) {
		case Masquerade:
			if o.Out == "" && !e.networkMasquerades(o.NS, o.Source) {
				h := e.host(o.NS)
				h.NAT = append(h.NAT, o.Source)
			}
		case Forward:
			e.exportForward(l, o)
		case Isolation:
			e.exportIsolation(o)
		case Fastpath:
			e.exportFastpath(o)
		}
	}
}

// networkNAT is on if the gateway masquerades every subnet, to an address or
// to its own.
func (e *exporter) networkNAT(n int) {
	net := &e.t.Networks[n]
	gw := e.t.gatewayOf(n)
	if gw == NoGateway || len(net.Subnets) == 0 {
		return
	}
	var to []netip.Addr
	for _, s := range net.Subnets {
		snat, isSNAT := e.state[SourceNAT{NS: nsOf(gw), Source: s}.Key()].(SourceNAT)
		_, isMasq := e.state[Masquerade{NS: nsOf(gw), Source: s}.Key()]
		if !isSNAT && !isMasq {
			return
		}
		if isSNAT && !slices.Contains(to, snat.To) {
			to = append(to, snat.To)
		}
	}
	net.NAT, net.NATTo = true, to
}

// networkMasquerades tells whether a network's nat says this already.
func (e *exporter) networkMasquerades(ns string, source netip.Prefix) bool {
	for n := range e.t.Networks {
		if net := &e.t.Networks[n]; net.NAT && nsOf(e.t.gatewayOf(n)) == ns && slices.Contains(net.Subnets, source) {
			return true
		}
	}
	return false
}

// exportForward makes a forwarded port one that the target's gateway
// publishes, if it is the target's gateway that forwards it.
func (e *exporter) exportForward(l *layout, f Forward) {
	if f.In != "" {
		return // rest will tell
	}
	p := PortForward{Listen: f.Addr, First: f.First, Last: f.Last, ToFirst: f.ToPort, Proto: f.Proto}
	for i := range e.t.Hosts {
		h := &e.t.Hosts[i]
		w, ok := l.wayOut(h.Name, f.To.Is4())
		if !ok || nsOf(w.via) != f.NS || firstOf(w.port.addrs, f.To.Is4()) != f.To {
			continue
		}
		if twin := e.twin(l, h, f); twin && !f.To.Is4() {
			return // said with that of IPv4
		} else if !twin && !p.Listen.IsValid() && hasBoth(l, h.Name) {
			p.Listen = unspecified(f.To)
		}
		h.Ports = append(h.Ports, p)
		return
	}
	p.To = f.To
	h := e.host(f.NS)
	h.Forwards = append(h.Forwards, p)
}

// twin tells whether the same port is forwarded for the other family too, to
// the same host.
func (e *exporter) twin(l *layout, h *Host, f Forward) bool {
	w, ok := l.wayOut(h.Name, !f.To.Is4())
	if !ok || f.Addr.IsValid() || nsOf(w.via) != f.NS {
		return false
	}
	other := f
	other.To = firstOf(w.port.addrs, !f.To.Is4())
	return e.state[other.Key()] == other.normal()
}

func hasBoth(l *layout, host string) bool {
	_, v4 := l.wayOut(host, true)
	_, v6 := l.wayOut(host, false)
	return v4 && v6
}

func unspecified(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// exportIsolation keeps networks apart that a router keeps apart both ways.
func (e *exporter) exportIsolation(i Isolation) {
	_, both := e.state[Isolation{NS: i.NS, In: i.Out, Out: i.In}.Key()]
	a, b := e.networkAt(i.NS, i.In), e.networkAt(i.NS, i.Out)
	if both && a >= 0 && b > a {
		net := &e.t.Networks[a]
		net.IsolateFrom = append(net.IsolateFrom, e.t.Networks[b].Name)
	}
}

// exportFastpath gives the network its fast paths, or the machine its way out.
func (e *exporter) exportFastpath(f Fastpath) {
	if n := e.networkAt(f.NS, f.Link); n >= 0 {
		e.t.Networks[n].Fastpath = true
	} else if f.Port {
		return // its switch has said it
	} else if _, cable := e.state[Key{OfLink, f.NS, f.Link}]; f.NS == "" && !cable {
		e.t.WayOut = append(e.t.WayOut, f.Link)
	}
}

// networkAt returns the network that a device of the namespace leads to, or
// is the switch of; -1 if none.
func (e *exporter) networkAt(ns, dev string) int {
	if n, ok := e.nets[Key{OfLink, ns, dev}]; ok {
		return n
	}
	for _, a := range e.host(ns).Networks {
		if a.Device == dev {
			return slices.IndexFunc(e.t.Networks, func(n Network) bool { return n.Name == a.Network })
		}
	}
	return -1
}
