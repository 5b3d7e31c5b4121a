package show

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/names"
	"github.com/vnet-lab/vnet/rtnl"
)

// RouteStyle selects how to print routes.
type RouteStyle struct {
	Style
	// Link returns the name of a link by its index.
	Link func(index uint32) string
	// These leave out columns. ip(8) does not print a column if the selection already gives its value.
	HideTOS, HideGateway, HideDev, HideTable, HideProtocol, HideScope bool
	HideSrc, HideMetric, HideRealms, HideInLink                       bool
}

// Routes prints a list of routes.
func Routes(w io.Writer, routes []rtnl.Route, s RouteStyle) error {
	all := make([]members, len(routes))
	for i, r := range routes {
		all[i] = s.route(r)
	}
	return s.list(w, all)
}

// route returns a route in the order of print_route in iproute2's iproute.c.
func (s RouteStyle) route(r rtnl.Route) members {
	var m members
	if r.Type != unix.RTN_UNICAST || s.Details > 0 {
		m.add("type", s.routeType(r.Type), "%s ")
	}
	dst := routePrefix(r.Dst)
	m.put("dst", dst, s.paint(prefixColor(r.Dst), dst+" "))
	if r.Src.IsValid() {
		src := routePrefix(r.Src)
		m.put("from", src, s.paint(addrColor(r.Src.Addr()), "from "+src+" "))
	}
	if r.NextHop != 0 {
		m.add("nhid", r.NextHop, "nhid %d ")
	}
	s.addPath(&m, r)
	s.addOrigin(&m, r)
	if r.PrefSrc.IsValid() && !s.HideSrc {
		src := addrText(r.PrefSrc)
		m.put("prefsrc", src, "src "+s.paint(addrColor(r.PrefSrc), src+" "))
	}
	// The kernel always reports the metric of an IPv6 route.
	if (r.Metric != 0 || r.Is6()) && !s.HideMetric {
		m.add("metric", r.Metric, "metric %d ")
	}
	addRouteFlags(&m, r.Flags)
	s.addLookup(&m, r)
	addRouteMetrics(&m, r.Metrics)
	if r.InLink != 0 && !s.HideInLink {
		s.addLink(&m, "iif", r.InLink)
	}
	if r.Is6() {
		addRoutePref(&m, r.Pref)
	}
	s.addHops(&m, r)
	return m
}

// addPath adds encapsulation, type of service, gateway and link.
func (s RouteStyle) addPath(m *members, r rtnl.Route) {
	addEncap(m, r.Encap)
	if r.TOS != 0 && !s.HideTOS {
		m.add("tos", s.dsField(r.TOS), "tos %s ")
	}
	if !s.HideGateway || r.Gateway.Is6() != r.Is6() {
		s.addGateway(m, r.Gateway, r.Is6())
	}
	if r.Link != 0 && !s.HideDev {
		s.addLink(m, "dev", r.Link)
	}
}

func (s RouteStyle) addLink(m *members, name string, index uint32) {
	link := s.Link(index)
	m.put(name, link, name+" "+s.paint(colorName, link+" "))
}

// addOrigin adds table, protocol and scope.
func (s RouteStyle) addOrigin(m *members, r rtnl.Route) {
	if r.Table != 0 && (r.Table != unix.RT_TABLE_MAIN || s.Details > 0) && !s.HideTable {
		m.add("table", s.name(names.RouteTables, r.Table), "table %s ")
	}
	if r.Flags&unix.RTM_F_CLONED != 0 {
		return
	}
	if (r.Protocol != unix.RTPROT_BOOT || s.Details > 0) && !s.HideProtocol {
		m.add("protocol", s.name(names.RouteProtocols, uint32(r.Protocol)), "proto %s ")
	}
	if (r.Scope != unix.RT_SCOPE_UNIVERSE || s.Details > 0) && !s.HideScope {
		m.add("scope", s.name(names.Scopes, uint32(r.Scope)), "scope %s ")
	}
}

// addLookup adds the values that only an answer to route get has.
func (s RouteStyle) addLookup(m *members, r rtnl.Route) {
	switch {
	case r.Mark >= 16:
		m.put("mark", r.Mark, fmt.Sprintf("mark %#x ", r.Mark))
	case r.Mark != 0:
		m.add("mark", r.Mark, "mark %d ")
	}
	if !s.HideRealms {
		s.addRealms(m, r.Realms)
	}
	if r.UID != nil {
		m.add("uid", *r.UID, "uid %d ")
	}
	if r.Flags&unix.RTM_F_CLONED != 0 && !r.Is6() {
		addCacheFlags(m, r.Flags, s.lineBreak())
	}
	addCache(m, r.Cache, s.Stats > 0)
}

// lineBreak returns the separator between the lines of one object.
func (s Style) lineBreak() string {
	if s.Oneline {
		return "\\"
	}
	return "\n"
}

// name returns the name of a number, or the number itself with -Numeric or without a name.
func (s Style) name(t *names.Table, n uint32) string {
	if name, ok := t.Name(n); ok && !s.Numeric {
		return name
	}
	return strconv.FormatUint(uint64(n), 10)
}

func (s Style) dsField(tos uint8) string {
	if name, ok := names.DSFields.Name(uint32(tos)); ok && !s.Numeric {
		return name
	}
	return fmt.Sprintf("0x%02x", tos)
}

func routePrefix(p netip.Prefix) string {
	switch {
	case p.Bits() == 0 && p.Addr().IsUnspecified():
		return "default"
	case p.IsSingleIP():
		return addrText(p.Addr())
	}
	return addrText(p.Addr()) + "/" + strconv.Itoa(p.Bits())
}

// addrText formats an address as inet_ntop(3) does: an IPv4-compatible address (RFC 4291, 2.5.5.1) is ::10.0.0.1.
func addrText(a netip.Addr) string {
	if b := a.As16(); a.Is6() && !a.Is4In6() && [12]byte(b[:12]) == [12]byte{} && (b[12] != 0 || b[13] != 0) {
		return "::" + netip.AddrFrom4([4]byte(b[12:])).String()
	}
	return a.WithZone("").String()
}

// addrColor returns the colour of the address's family.
func addrColor(a netip.Addr) color {
	if a.Is4() {
		return colorInet
	}
	return colorInet6
}

// prefixColor is addrColor, but default routes have no colour.
func prefixColor(p netip.Prefix) color {
	if p.Bits() == 0 && p.Addr().IsUnspecified() {
		return 0
	}
	return addrColor(p.Addr())
}

// A viaGateway is a gateway of a different family than the route.
type viaGateway struct {
	Family string `json:"family"`
	Host   string `json:"host"`
}

func (s RouteStyle) addGateway(m *members, gateway netip.Addr, is6 bool) {
	if !gateway.IsValid() {
		return
	}
	addr := addrText(gateway)
	text := s.paint(addrColor(gateway), addr+" ")
	switch {
	case gateway.Is6() == is6:
		m.put("gateway", addr, "via "+text)
	case gateway.Is6():
		m.put("via", viaGateway{"inet6", addr}, "via inet6 "+text)
	default:
		m.put("via", viaGateway{"inet", addr}, "via inet "+text)
	}
}

func (s RouteStyle) addRealms(m *members, realms uint32) {
	if realms == 0 {
		return
	}
	from, to := realms>>16, s.name(names.Realms, realms&0xffff)
	if from == 0 {
		m.put("flow", members{{name: "to", value: to}}, "realm "+to+" ")
		return
	}
	name := s.name(names.Realms, from)
	m.put("flow", members{{name: "from", value: name}, {name: "to", value: to}}, "realms "+name+"/"+to+" ")
}

// addHops adds the next hops of a multipath route, one line each.
func (s RouteStyle) addHops(m *members, r rtnl.Route) {
	if len(r.Hops) == 0 {
		return
	}
	all, text := make([]members, len(r.Hops)), ""
	for i, h := range r.Hops {
		hop := &all[i]
		addEncap(hop, h.Encap)
		s.addGateway(hop, h.Gateway, r.Is6())
		s.addRealms(hop, h.Realms)
		hop.add("dev", s.Link(h.Link), "dev %s ")
		hop.add("weight", max(h.Weight, 1), "weight %d ")
		addRouteFlags(hop, uint32(h.Flags))
		text += s.lineBreak() + "\tnexthop " + hop.text()
	}
	m.put("nexthops", all, text)
}
