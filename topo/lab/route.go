package lab

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/internal/spell"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/subnet"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// A StaticRoute is a route with the fields of ip-route(8). Routes that the
// kernel adds for the subnets of a device are not listed.
type StaticRoute struct {
	Type  string       // unicast, blackhole, unreachable, prohibit
	Dst   netip.Prefix // 0.0.0.0/0 and ::/0 are the default route
	Hops  []topo.Hop   // empty for types without a next hop; several for multipath
	Src   netip.Addr   // preferred source; invalid means the kernel's choice
	Table uint32       // 0 means main
	// Metric selects between routes to the same destination: the lowest is used.
	// 0 means the kernel's default: 0 for IPv4, 1024 for IPv6.
	Metric uint32
	MTU    int // bytes; 0 means the device's

	at syntax.Pos
}

var routesKey = hostKey{
	read: func(_ *syntax.Decoder, f *fileHost, h *Host) {
		for _, r := range f.Routes {
			h.Routes = append(h.Routes, r.StaticRoute)
		}
	},
	check:   (*checker).routes,
	compile: (*compiler).routes,
	export: func(e *exporter, o topo.Object) {
		if r, ok := o.(topo.Route); ok {
			e.route(r)
		}
	},
	format: func(h *Host, m *syntax.Mapping) { m.List("routes", display.Texts(h.Routes, StaticRoute.String)) },
}

// routes checks the routes of a host, and that there are no duplicates.
func (k *checker) routes(h *Host) {
	seen := map[topo.Key]bool{}
	k.defaultRoutes(h)
	kernel := k.layout.kernelRoutes(h.Name)
	for i := range h.Routes {
		r := &h.Routes[i]
		k.route(h, r)
		k.routeSource(h, r)
		key := topo.Route{Dst: r.Dst, Type: r.Type, Table: r.Table, Metric: r.Metric}.Key()
		if dev := kernel[key]; dev != "" {
			k.mistakef(r.at, r.Dst.String(), "remove it, or give it another metric",
				"route %s: the kernel itself makes this route, for the addresses of %s of %s", r.Dst, dev, displayName(h.Name))
		}
		if seen[key] {
			k.mistakef(r.at, r.Dst.String(), "write one route with several nexthops, or different metrics",
				"%s has two routes to %s", h.Name, r.Dst)
		}
		seen[key] = true
	}
}

// route checks the type of a route, and that each next hop is on a link of h and is an address of another host.
func (k *checker) route(h *Host, r *StaticRoute) {
	if r.Type != "unicast" && !slices.Contains(routeTypes, r.Type) {
		k.mistakef(r.at, r.Type, spell.DidYouMean(r.Type, routeTypes), "unknown route type %q", r.Type)
	}
	for _, hop := range r.Hops {
		if hop.Device != "" && !k.hasDevice(r.at, h, hop.Device, "route "+r.Dst.String()) {
			continue
		}
		switch kind := subnet.Kind(hop.Via); {
		case !hop.Via.IsValid():
		case kind != "":
			k.mistakef(r.at, hop.Via.String(), "use an address of a router",
				"route %s: the next hop %s is a %s address", r.Dst, hop.Via, kind)
		case hop.Via.Is6() && hop.Device == loopback:
			k.mistakef(r.at, loopback, "use another device", "route %s: lo leads to no next hop", r.Dst)
		case hop.Onlink:
			k.onlinkHop(h, r, hop)
		default:
			k.hop(h, r, hop)
		}
	}
}

// defaultRoutes reports a gateway that a host does not reach, because the file gives its address another prefix length.
func (k *checker) defaultRoutes(h *Host) {
	for _, v4 := range []bool{true, false} {
		gw, ok := k.layout.defaultGateway(h.Name, v4)
		if !ok || k.incomplete || h.Name == topo.Machine || k.isAdopted(h.Name) || hasDefault(h, v4) ||
			h.linkRoute(nil, gw.addr) != "" || k.deviceFor(h.Name, gw.port.Name, gw.addr) != nil {
			continue
		}
		own := firstAddrOf(gw.port.Addrs, v4)
		k.mistakef(gw.port.at, own.String(), "remove the prefix length, or write a route to "+gw.addr.String(),
			"address %s of %s does not reach its gateway %s", own, h.Name, gw.addr)
	}
}

// routeSource checks the preferred source of a route. The machine and an adopted namespace may have addresses that are
// not in the file, and programs may add some.
func (k *checker) routeSource(h *Host, r *StaticRoute) {
	switch kind := subnet.Kind(r.Src); {
	case !r.Src.IsValid():
	case kind != "" && kind != "loopback":
		k.mistakef(r.at, r.Src.String(), "write an address of "+displayName(h.Name),
			"route %s: no host has the %s address %s", r.Dst, kind, r.Src)
	case k.incomplete || k.isAdopted(h.Name) || h.Name == topo.Machine || len(h.Run) > 0 || k.maybeLocal(h, r):
	default:
		k.mistakef(r.at, r.Src.String(), "write an address of the host, or remove src",
			"route %s: %s does not have the address %s", r.Dst, h.Name, r.Src)
	}
}

// maybeLocal reports whether the kernel may accept the preferred source of a route. A route without a next hop can have
// any IPv4 source. All addresses of the IPv4 subnets of lo are the host's. Link-local addresses come from the kernel.
func (k *checker) maybeLocal(h *Host, r *StaticRoute) bool {
	if k.hostHas(h.Name, r.Src) || r.Src.IsLinkLocalUnicast() && r.Src.Is6() {
		return true
	}
	if r.Src.Is6() {
		return r.Src.IsLoopback() && (r.Type != "unicast" || r.Hops[0].Device == loopback)
	}
	return r.Src.IsLoopback() || r.Type != "unicast" || k.deviceFor(h.Name, loopback, r.Src) != nil
}

// onlinkHop reports a next hop that is an address of the host, or a broadcast address of the device.
func (k *checker) onlinkHop(h *Host, r *StaticRoute, hop topo.Hop) {
	i := k.deviceFor(h.Name, hop.Device, hop.Via)
	if k.hostHas(h.Name, hop.Via) {
		k.ownHop(h, r, hop.Via)
	} else if i != nil && hop.Via.Is4() {
		for _, p := range i.Addrs {
			if last := subnet.Last(p); subnet.HostBits(p) > 1 && p.Contains(hop.Via) && hop.Via.Compare(last) > 0 {
				k.mistakef(r.at, hop.Via.String(), "use an address of a router",
					"route %s: the next hop %s is the broadcast address of %s", r.Dst, hop.Via, p.Masked())
			}
		}
	}
}

func (k *checker) ownHop(h *Host, r *StaticRoute, via netip.Addr) {
	k.mistakef(r.at, via.String(), "use an address of a router",
		"route %s: next hop %s is an address of %s itself", r.Dst, via, displayName(h.Name))
}

func (k *checker) hop(h *Host, r *StaticRoute, hop topo.Hop) {
	if hop.Via.IsLinkLocalUnicast() {
		if hop.Device == "" {
			k.mistakef(r.at, hop.Via.String(), "add dev",
				"route %s: the link-local address %s needs a device", r.Dst, hop.Via)
		}
		return
	}
	i := k.deviceFor(h.Name, hop.Device, hop.Via)
	switch {
	case k.incomplete || i == nil && (k.isAdopted(h.Name) || h.linkRoute(r, hop.Via) != ""):
	case i == nil:
		k.mistakef(r.at, hop.Via.String(), "use a next hop in one of the subnets, or write onlink",
			"route %s: next hop %s is in no subnet of %s%s", r.Dst, hop.Via, displayName(h.Name), onDevice(hop.Device))
	case i.HasAddr(hop.Via):
		k.ownHop(h, r, hop.Via)
	case !k.hasOwner(i, hop.Via):
		k.mistakef(r.at, hop.Via.String(), k.addressesOnLink(i, hop.Via),
			"route %s: no host has the address of the next hop %s", r.Dst, hop.Via)
	default:
		if owner := k.nonForwarding(i, r, hop.Via); owner != "" {
			k.mistakef(r.at, hop.Via.String(), "write router: true for "+owner,
				"route %s: the next hop %s is %s, which does not forward packets", r.Dst, hop.Via, owner)
		}
	}
}

func onDevice(dev string) string {
	if dev == "" {
		return ""
	}
	return " on " + dev
}

// hasOwner reports whether another host on i's link has the address, or
// something outside the lab may have it.
func (k *checker) hasOwner(i *Iface, a netip.Addr) bool {
	switch {
	case i.Link != nil:
		other := i.Link.Ends[1-i.End]
		return len(other.Addresses) == 0 ||
			slices.ContainsFunc(other.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
	case i.Device != nil || i.Network < 0 || k.t.Networks[i.Network].Uplink != "":
		return true
	}
	for _, n := range k.layout.ByNetwork[i.Network] {
		other := &k.layout.Ifaces[n]
		if other.Device != nil || k.hostHas(other.Host, a) {
			return true
		}
	}
	return false
}

// hostHas reports whether any device of the host has the address, for example a
// VLAN device on top of the one that is on the link.
func (k *checker) hostHas(host string, a netip.Addr) bool {
	for _, n := range k.layout.ByHost[host] {
		if k.layout.Ifaces[n].HasAddr(a) {
			return true
		}
	}
	return false
}

// addressesOnLink lists up to four addresses of a's family that other hosts have on i's link.
func (k *checker) addressesOnLink(i *Iface, a netip.Addr) string {
	var have []string
	add := func(host string, addrs []netip.Prefix) {
		for _, p := range addrs {
			if p.Addr().Is4() == a.Is4() && len(have) < 4 && host != i.Host {
				have = append(have, displayName(host)+" has "+p.Addr().String())
			}
		}
	}
	if i.Link != nil {
		add(i.Link.Ends[1-i.End].Host, i.Link.Ends[1-i.End].Addresses)
	} else {
		for _, n := range k.layout.ByNetwork[i.Network] {
			add(k.layout.Ifaces[n].Host, k.layout.Ifaces[n].Addrs)
		}
	}
	return strings.Join(have, ", ")
}

// routes makes the routes of a host: those of the file, and default routes via the gateway of the
// first network that has one.
func (c *compiler) routes(h *Host) {
	ns := topo.NSOf(h.Name)
	for i := range h.Routes {
		c.put(c.route(h, &h.Routes[i]))
	}
	for _, v4 := range []bool{true, false} {
		gw, ok := c.l.defaultGateway(h.Name, v4)
		if !ok || h.Name == topo.Machine || hasDefault(h, v4) {
			continue
		}
		hop := topo.Hop{Via: gw.addr, Device: gw.port.Name}
		c.put(topo.Route{NS: ns, Dst: defaultRoute(v4), Hops: topo.NewHops(hop)})
	}
}

// route adds the devices of the next hops to a static route.
func (c *compiler) route(h *Host, r *StaticRoute) topo.Route {
	out := topo.Route{
		NS: topo.NSOf(h.Name), Dst: r.Dst, Type: r.Type, Src: r.Src, Table: r.Table, Metric: r.Metric, MTU: r.MTU,
	}
	hops := make([]topo.Hop, len(r.Hops))
	for i, hop := range r.Hops {
		if hop.Device == "" {
			if dev := c.l.deviceFor(h.Name, "", hop.Via); dev != nil {
				hop.Device = dev.Name
			} else {
				hop.Device = h.linkRoute(r, hop.Via)
			}
		}
		hops[i] = hop
	}
	out.Hops = topo.NewHops(hops...)
	return out
}

// linkRoute returns the device of another route of the host to an address, if that route has no next hop
// address; "" if there is none.
func (h *Host) linkRoute(except *StaticRoute, a netip.Addr) string {
	for i := range h.Routes {
		r := &h.Routes[i]
		if r == except || !r.Dst.Contains(a) || r.Dst.Bits() == 0 || !sees(except, r) {
			continue
		}
		for _, hop := range r.Hops {
			if !hop.Via.IsValid() {
				return hop.Device
			}
		}
	}
	return ""
}

// sees reports whether the kernel looks for the next hop of route r in the table of the route link. vnet makes rules
// after the routes, so they do not help.
func sees(r, link *StaticRoute) bool {
	table := cmp.Or(link.Table, linux.MainTable)
	return table == linux.MainTable || r != nil && table == r.Table
}

// hasDefault reports whether the file has a default route for the host.
func hasDefault(h *Host, v4 bool) bool {
	for _, r := range h.Routes {
		if r.Dst == defaultRoute(v4) && (r.Table == 0 || r.Table == linux.MainTable) {
			return true
		}
	}
	return false
}

func defaultRoute(v4 bool) netip.Prefix {
	if v4 {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}

// route adds a route to its host, unless it is a default route that follows from the gateway.
func (e *exporter) route(r topo.Route) {
	gw, ok := e.layout.defaultGateway(cmp.Or(r.NS, topo.Machine), r.Dst.Addr().Is4())
	implied := topo.Route{NS: r.NS, Dst: defaultRoute(r.Dst.Addr().Is4())}
	if ok {
		implied.Hops = topo.NewHops(topo.Hop{Via: gw.addr, Device: gw.port.Name})
	}
	if ok && r == implied {
		return
	}
	h := e.host(r.NS)
	h.Routes = append(h.Routes, StaticRoute{
		Type: cmp.Or(r.Type, "unicast"), Dst: r.Dst, Hops: r.Hops.List(), Src: r.Src,
		Table: r.Table, Metric: r.Metric, MTU: r.MTU,
	})
}

// nonForwarding returns the host that has the address of a next hop and certainly does not forward the packets of the
// route; "" if there is none.
func (k *checker) nonForwarding(i *Iface, r *StaticRoute, hop netip.Addr) string {
	name := k.ownerOf(i, hop)
	n, ok := k.layout.Hosts[name]
	if !ok || name == topo.Machine || k.isAdopted(name) {
		return ""
	}
	h := &k.t.Hosts[n]
	if k.layout.Forwards(h) || len(h.Run) > 0 { // a routing daemon turns forwarding on
		return ""
	}
	links := slices.DeleteFunc(slices.Clone(k.layout.ByHost[name]),
		func(n int) bool { return k.layout.Ifaces[n].IsLoopback() })
	if r.Dst.Bits() > 0 && len(links) > 1 {
		return "" // the user of a host with several links may turn forwarding on later
	}
	if h.setsForwarding() {
		return "" // 0 is deliberate, too
	}
	for _, n := range k.layout.ByHost[name] {
		own := func(p netip.Prefix) bool { return r.Dst.Bits() > 0 && r.Dst.Contains(p.Addr()) }
		if slices.ContainsFunc(k.layout.Ifaces[n].Addrs, own) {
			return "" // at least these packets arrive
		}
	}
	return name
}

// setsForwarding reports whether the host has a sysctl for forwarding.
func (h *Host) setsForwarding() bool {
	return slices.ContainsFunc(h.Sysctls, func(s Setting) bool {
		key := strings.ReplaceAll(s.Key, "/", ".")
		return key == linux.ForwardingIPv4 || strings.HasSuffix(key, "forwarding")
	})
}

// ownerOf returns the host of the lab on i's link that has an address; "" if there is none.
func (k *checker) ownerOf(i *Iface, a netip.Addr) string {
	if i.Link != nil {
		if other := i.Link.Ends[1-i.End].Host; k.hostHas(other, a) {
			return other
		}
		return ""
	}
	if i.Network < 0 {
		return ""
	}
	for _, n := range k.layout.ByNetwork[i.Network] {
		if other := k.layout.Ifaces[n].Host; k.hostHas(other, a) {
			return other
		}
	}
	return ""
}
