package lab

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/topo"
)

// exportNAT adds the NAT rules, as nat of a network and ports of a host if
// possible, else as nat and ports of a router.
func (e *exporter) exportNAT() {
	targets := forwardTargets(e.layout)
	masquerades := map[topo.Key]bool{}
	for n := range e.t.Networks {
		e.networkNAT(n)
		for _, s := range e.t.Networks[n].Subnets {
			if e.t.Networks[n].NAT {
				masquerades[topo.Masquerade{NS: topo.NSOf(e.t.GatewayOf(n)), Source: s}.Key()] = true
			}
		}
	}
	for _, o := range e.objects {
		switch o := o.(type) {
		case topo.Masquerade:
			if o.Out == "" && !masquerades[o.Key()] {
				h := e.host(o.NS)
				h.NAT = append(h.NAT, o.Source)
			}
		case topo.Forward:
			e.exportForward(targets, o)
		case topo.Isolation:
			e.exportIsolation(o)
		case topo.Fastpath:
			e.exportFastpath(o)
		case topo.HairpinFilter:
			e.t.BridgeNetfilter = true
		}
	}
	e.exportRouted()
}

// exportRouted sets Routed of the networks that the machine forwards to and that are not closed, and
// RoutedFrom of those that are closed with exceptions.
func (e *exporter) exportRouted() {
	_, v4 := e.state[topo.Sysctl{Name: linux.ForwardingIPv4}.Key()]
	_, v6 := e.state[topo.Sysctl{Name: linux.ForwardingIPv6}.Key()]
	allowed := map[string][]netip.Prefix{}
	for _, o := range e.objects {
		if a, ok := o.(topo.AllowedSource); ok && a.NS == "" {
			allowed[a.Link] = append(allowed[a.Link], a.Source)
		}
	}
	for n := range e.t.Networks {
		net := &e.t.Networks[n]
		if e.t.GatewayOf(n) != topo.Machine || net.NAT || len(net.Subnets) == 0 {
			continue
		}
		// The bridge is the machine's: of the other gateways, the exporter finds none.
		_, isClosed := e.state[topo.ClosedLink{Link: net.Name}.Key()]
		net.RoutedFrom = allowed[net.Name]
		net.Routed = (v4 || v6) && !isClosed || len(net.RoutedFrom) > 0
	}
}

// isProtection reports whether an object only protects the lab. Networks that another program made do not have such
// objects.
func isProtection(o topo.Object) bool {
	switch o.(type) {
	case topo.OwnLink, topo.ClosedLink, topo.SourceGate, topo.HairpinFilter:
		return true
	}
	return false
}

// networkNAT sets NAT of a network if the gateway does masquerade or SNAT for
// every subnet.
func (e *exporter) networkNAT(n int) {
	net := &e.t.Networks[n]
	gw := e.t.GatewayOf(n)
	if gw == NoGateway || len(net.Subnets) == 0 {
		return
	}
	var to []netip.Addr
	for _, s := range net.Subnets {
		snat, isSNAT := e.state[topo.SourceNAT{NS: topo.NSOf(gw), Source: s}.Key()].(topo.SourceNAT)
		_, isMasq := e.state[topo.Masquerade{NS: topo.NSOf(gw), Source: s}.Key()]
		if !isSNAT && !isMasq {
			return
		}
		if isSNAT && !slices.Contains(to, snat.To) {
			to = append(to, snat.To)
		}
	}
	net.NAT, net.NATTo = true, to
}

// forwardTargets returns, for each gateway and address, the first host that has the address on a network of
// the gateway: the gateway can forward ports to this host.
func forwardTargets(l *Layout) map[target]int {
	targets := make(map[target]int, 2*len(l.Topology.Hosts))
	for i := range l.Topology.Hosts {
		for _, v4 := range []bool{true, false} {
			gw, ok := l.defaultGateway(l.Topology.Hosts[i].Name, v4)
			if !ok {
				continue
			}
			to := target{gw.gateway, firstAddrOf(gw.port.Addrs, v4)}
			if _, used := targets[to]; !used {
				targets[to] = i
			}
		}
	}
	return targets
}

// exportForward adds a port forward: to the ports of the target host if the
// target's gateway does it, else to the ports of a router.
func (e *exporter) exportForward(targets map[target]int, f topo.Forward) {
	if f.In != "" {
		return // the file cannot express it; differences lists it
	}
	p := Forward{Listen: f.Addr, First: f.First, Last: f.Last, ToFirst: f.ToPort, Proto: f.Proto}
	if i, ok := targets[target{cmp.Or(f.NS, topo.Machine), f.To}]; ok {
		h := &e.t.Hosts[i]
		if both := e.hasOtherFamily(h, f); both && !f.To.Is4() {
			return // included in the forward for IPv4
		} else if !both && !p.Listen.IsValid() && dualStack(e.layout, h.Name) {
			p.Listen = unspecified(f.To)
		}
		h.Ports = append(h.Ports, p)
		return
	}
	p.To = f.To
	h := e.host(f.NS)
	h.Forwards = append(h.Forwards, p)
}

// hasOtherFamily reports whether the state has the same forward to the same host
// for the other address family.
func (e *exporter) hasOtherFamily(h *Host, f topo.Forward) bool {
	gw, ok := e.layout.defaultGateway(h.Name, !f.To.Is4())
	if !ok || f.Addr.IsValid() || topo.NSOf(gw.gateway) != f.NS {
		return false
	}
	other := f
	other.To = firstAddrOf(gw.port.Addrs, !f.To.Is4())
	return e.state[other.Key()] == topo.Normalize(other)
}

func dualStack(l *Layout, host string) bool {
	_, v4 := l.defaultGateway(host, true)
	_, v6 := l.defaultGateway(host, false)
	return v4 && v6
}

func unspecified(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// exportIsolation sets IsolateFrom if a router isolates two networks in both directions.
func (e *exporter) exportIsolation(i topo.Isolation) {
	_, both := e.state[topo.Isolation{NS: i.NS, In: i.Out, Out: i.In}.Key()]
	a, b := e.networkAt(i.NS, i.In), e.networkAt(i.NS, i.Out)
	if both && a >= 0 && b > a {
		net := &e.t.Networks[a]
		net.IsolateFrom = append(net.IsolateFrom, e.t.Networks[b].Name)
	}
}

// exportFastpath sets Fastpath of a network, or adds an egress link of the machine.
func (e *exporter) exportFastpath(f topo.Fastpath) {
	if n := e.networkAt(f.NS, f.Link); n >= 0 {
		e.t.Networks[n].Fastpath = true
	} else if f.Port {
		return // the fast path of its bridge has set it
	} else if _, made := e.state[topo.LinkKey(f.NS, f.Link)]; f.NS == "" && !made {
		e.t.EgressLinks = append(e.t.EgressLinks, f.Link)
	}
}

// networkAt returns the network whose bridge is the device, or to which the device
// is attached; -1 if there is none.
func (e *exporter) networkAt(ns, dev string) int {
	if n, ok := e.nets[topo.LinkKey(ns, dev)]; ok {
		return n
	}
	e.host(ns)
	if n, ok := e.attached[topo.LinkKey(ns, dev)]; ok {
		return n
	}
	return -1
}
