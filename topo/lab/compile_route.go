package lab

import (
	"net/netip"

	"github.com/vnet-lab/vnet/topo"
)

// hostRoutes makes the routes and neighbours of a host: those of the file, and
// default routes via the gateway of the first network that has one.
func (c *compiler) hostRoutes(h *Host) {
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
	for _, nb := range h.Neighbours {
		dev := nb.Device
		if i := c.l.deviceFor(h.Name, "", nb.Addr); dev == "" && i != nil {
			dev = i.Name
		}
		c.put(topo.Neigh{NS: ns, Link: dev, Addr: nb.Addr, MAC: nb.MAC})
	}
}

// route adds the devices of the next hops to a static route.
func (c *compiler) route(h *Host, r *StaticRoute) topo.Route {
	out := topo.Route{NS: topo.NSOf(h.Name), Dst: r.Dst, Type: r.Type, Src: r.Src, Table: r.Table, Metric: r.Metric, MTU: r.MTU}
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

// linkRoute returns the device of another route of the host that leads to an address without a next
// hop; "" if there is none.
func (h *Host) linkRoute(except *StaticRoute, a netip.Addr) string {
	for i := range h.Routes {
		r := &h.Routes[i]
		if r == except || !r.Dst.Contains(a) || r.Dst.Bits() == 0 {
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

// hasDefault reports whether the file has a default route for the host.
func hasDefault(h *Host, v4 bool) bool {
	for _, r := range h.Routes {
		if r.Dst == defaultRoute(v4) && (r.Table == 0 || r.Table == topo.MainTable) {
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
