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

// RouteStyle is how to print routes.
type RouteStyle struct {
	Style
	// Link names the link of an index.
	Link func(index uint32) string
	// What the selection has told already is left out, as ip(8) does.
	HideTOS, HideGateway, HideDev, HideTable, HideProtocol, HideScope bool
	HideSrc, HideMetric, HideRealms, HideInLink                       bool
}

// Routes prints a list of routes.
func Routes(w io.Writer, routes []rtnl.Route, s RouteStyle) error {
	all := make([]members, len(routes))
	for i, r := range routes {
		all[i] = s.route(r)
	}
	if s.JSON {
		return JSON(w, all, s.Pretty)
	}
	for _, m := range all {
		if _, err := io.WriteString(w, m.text()+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// route tells all about a route, in the order of iproute.c's print_route.
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
	// The kernel tells an IPv6 route's metric in any case.
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

// addPath tells the way: encapsulation, type of service, next hop, link.
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

// addOrigin tells where the route is and who made it.
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

// addLookup tells what belongs to the answer to a question rather than to the
// table.
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

// lineBreak is what ip(8) puts between the lines of one object.
func (s Style) lineBreak() string {
	if s.Oneline {
		return "\\"
	}
	return "\n"
}

// name is the name of a number, unless numbers are wanted.
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

// addrText is inet_ntop(3)'s text, which writes the IPv4 address in one that is
// compatible with it (RFC 4291, 2.5.5.1): ::10.0.0.1.
func addrText(a netip.Addr) string {
	if b := a.As16(); a.Is6() && !a.Is4In6() && [12]byte(b[:12]) == [12]byte{} && (b[12] != 0 || b[13] != 0) {
		return "::" + netip.AddrFrom4([4]byte(b[12:])).String()
	}
	return a.WithZone("").String()
}

// addrColor tells the families apart.
func addrColor(a netip.Addr) color {
	if a.Is4() {
		return colorInet
	}
	return colorInet6
}

// prefixColor leaves default routes plain.
func prefixColor(p netip.Prefix) color {
	if p.Bits() == 0 && p.Addr().IsUnspecified() {
		return 0
	}
	return addrColor(p.Addr())
}

// A through is a next hop of another family than the route's.
type through struct {
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
		m.put("via", through{"inet6", addr}, "via inet6 "+text)
	default:
		m.put("via", through{"inet", addr}, "via inet "+text)
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

// addHops tells the next hops of a route that has several, a line each.
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
