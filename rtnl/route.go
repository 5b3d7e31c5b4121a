package rtnl

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Route is an entry of a routing table; struct rtmsg and the RTA_ attributes of
// <linux/rtnetlink.h>, see rtnetlink(7). IPv4 and IPv6 only.
//
//	Route{Dst: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("10.0.0.1")}
//	Route{Dst: netip.MustParsePrefix("10.1.0.0/16"), Link: 7, Scope: unix.RT_SCOPE_LINK}
//
// A Route that the kernel reports can be added again and gives the same route.
type Route struct {
	// Dst is the destination; 0.0.0.0/0 and ::/0 are default routes. It is required,
	// and determines the address family.
	Dst netip.Prefix
	// Src limits an IPv6 route to packets from these addresses ("from" of ip-route(8));
	// zero is all.
	Src netip.Prefix
	// Type is RTN_UNICAST, RTN_BLACKHOLE …; zero is unicast, and any in [DeleteRoute].
	Type uint8
	// Table is the routing table; zero is RT_TABLE_MAIN.
	Table uint32
	// Protocol is the origin of the route: RTPROT_KERNEL, RTPROT_BOOT …; zero is
	// RTPROT_UNSPEC, and any in [DeleteRoute].
	Protocol uint8
	// Scope is the distance of the destination in IPv4; IPv6 has only the zero value,
	// RT_SCOPE_UNIVERSE. See [Route.DefaultScope]. RT_SCOPE_NOWHERE is any in
	// [DeleteRoute].
	Scope uint8
	// TOS limits an IPv4 route to packets of that type of service; zero is all.
	TOS uint8
	// Metric is the priority among routes to the same destination; the lowest is used.
	// Zero is the lowest in IPv4, the kernel's default (1024) in IPv6, and any in
	// [DeleteRoute].
	Metric uint32
	// Flags are RTNH_F_ONLINK, RTNH_F_DEAD, RTM_F_CLONED …. Only RTNH_F_ONLINK
	// and RTNH_F_PERVASIVE can be set.
	Flags uint32

	// Gateway is the address of the next hop. It may be of the other address family
	// than Dst.
	Gateway netip.Addr
	// Link is the index of the output link; zero lets the kernel find the link that
	// reaches Gateway.
	Link uint32
	// Hops are the next hops of a multipath route. They replace Gateway and Link.
	Hops []Hop
	// NextHop is the id of a nexthop object; see ip-nexthop(8). It replaces Gateway,
	// Link and Hops. Zero is none.
	NextHop uint32
	// Encap is the lightweight tunnel that encapsulates packets; zero is none.
	Encap Encap

	// PrefSrc is the preferred source address of packets that this machine sends;
	// zero lets the kernel choose.
	PrefSrc netip.Addr
	// Metrics are the properties of the path for TCP and others, such as its MTU.
	Metrics Metrics
	// Pref is the preference of an IPv6 router: 0 medium, 1 high, 3 low; RFC 4191.
	Pref uint8
	// Realms are the realms of an IPv4 route: source << 16 | destination; zero is
	// none.
	Realms uint32
	// Expires is in seconds; zero is never. IPv6 only.
	Expires uint32

	// Only [Conn.RouteGet] returns the following fields.

	// Mark is the mark of the packet (fwmark).
	Mark uint32
	// InLink is the index of the input link of the packet.
	InLink uint32
	// UID is the user ID of the sender; nil is unknown.
	UID *uint32
	// Cache is the kernel's cached information about the destination.
	Cache RouteCache
}

// Hop is one next hop of a multipath route; struct rtnexthop.
type Hop struct {
	// Gateway is the address of the next hop; zero if the destination is on the link.
	// It may be of the other address family than the destination.
	Gateway netip.Addr
	// Link is the index of the output link; zero lets the kernel find the link that
	// reaches Gateway.
	Link uint32
	// Weight is the share of this hop, 1 to 256; zero is 1.
	Weight int
	// Flags are RTNH_F_ONLINK, RTNH_F_DEAD, RTNH_F_LINKDOWN ….
	Flags uint8
	// Realms are as in [Route].
	Realms uint32
	// Encap is the lightweight tunnel that encapsulates packets; zero is none.
	Encap Encap
}

// Encap is a lightweight tunnel. Its attributes are not decoded.
type Encap struct {
	// Type is LWTUNNEL_ENCAP_MPLS … of <linux/lwtunnel.h>; zero is none.
	Type uint16
	// Data are the attributes inside RTA_ENCAP, as in the message.
	Data string
}

// Metrics are the metrics of a route.
type Metrics struct {
	// Values are indexed by RTAX_MTU … of <linux/rtnetlink.h>; zero is unset. The
	// value at RTAX_LOCK has a bit 1<<RTAX_X for each locked metric.
	Values [unix.RTAX_MAX + 1]uint32
	// Congestion is TCP's congestion control algorithm, RTAX_CC_ALGO; "" is unset.
	Congestion string
}

// RouteCache is struct rta_cacheinfo of <linux/rtnetlink.h>. Times are in
// hundredths of a second.
type RouteCache struct {
	References uint32
	LastUse    uint32
	Expires    int32 // zero is never
	Error      uint32
	Used       uint32
	ID         uint32
	TS, TSAge  uint32
}

// Is6 reports whether the route is an IPv6 route.
func (r Route) Is6() bool { return r.Dst.Addr().Is6() }

// DefaultScope returns the scope that ip-route(8) uses if the user gives none: host,
// link or universe.
func (r Route) DefaultScope() uint8 {
	if r.Is6() {
		return unix.RT_SCOPE_UNIVERSE
	}
	switch r.Type {
	case unix.RTN_LOCAL, unix.RTN_NAT:
		return unix.RT_SCOPE_HOST
	case unix.RTN_BROADCAST, unix.RTN_MULTICAST, unix.RTN_ANYCAST:
		return unix.RT_SCOPE_LINK
	case unix.RTN_UNSPEC, unix.RTN_UNICAST:
		if !r.Gateway.IsValid() && len(r.Hops) == 0 && r.NextHop == 0 {
			return unix.RT_SCOPE_LINK
		}
	}
	return unix.RT_SCOPE_UNIVERSE
}

// DefaultTable returns the table that ip-route(8) uses if the user gives none.
func (r Route) DefaultTable() uint32 {
	switch r.Type {
	case unix.RTN_LOCAL, unix.RTN_BROADCAST, unix.RTN_NAT, unix.RTN_ANYCAST:
		return unix.RT_TABLE_LOCAL
	}
	return unix.RT_TABLE_MAIN
}

// String returns the destination and the next hop as ip-route(8) writes them, for
// errors: default via 10.0.0.1 metric 5.
func (r Route) String() string {
	var b strings.Builder
	switch {
	case !r.Dst.IsValid():
		b.WriteString("without destination")
	case r.Dst.Bits() == 0:
		b.WriteString("default")
	case r.Dst.IsSingleIP():
		b.WriteString(r.Dst.Addr().String())
	default:
		b.WriteString(r.Dst.String())
	}
	if r.Src.IsValid() {
		fmt.Fprintf(&b, " from %v", r.Src)
	}
	if r.Gateway.IsValid() {
		fmt.Fprintf(&b, " via %v", r.Gateway)
	}
	for _, h := range r.Hops {
		b.WriteString(" nexthop")
		if h.Gateway.IsValid() {
			fmt.Fprintf(&b, " via %v", h.Gateway)
		}
	}
	if r.Table != 0 && r.Table != unix.RT_TABLE_MAIN {
		fmt.Fprintf(&b, " table %d", r.Table)
	}
	if r.Metric != 0 {
		fmt.Fprintf(&b, " metric %d", r.Metric)
	}
	return b.String()
}

// AddRoute adds a route. If the table has a route with the same destination and metric
// (in IPv4 also the same TOS), the error is fs.ErrExist.
func AddRoute(r Route) Request {
	return newRoute("add", r, netlink.Create|netlink.Excl)
}

// ReplaceRoute replaces the first route with the same destination and metric. If there
// is none, it adds the route.
func ReplaceRoute(r Route) Request {
	return newRoute("replace", r, netlink.Create|netlink.Replace)
}

// ChangeRoute is [ReplaceRoute] for an existing route. If there is none, the error is
// fs.ErrNotExist.
func ChangeRoute(r Route) Request { return newRoute("change", r, netlink.Replace) }

// AppendRoute adds a route after those with the same destination and metric. In IPv6 it
// becomes another next hop of the existing route.
func AppendRoute(r Route) Request {
	return newRoute("append", r, netlink.Create|netlink.Append)
}

// PrependRoute adds a route before those with the same destination and metric.
func PrependRoute(r Route) Request { return newRoute("prepend", r, netlink.Create) }

func newRoute(op string, r Route, flags netlink.HeaderFlags) Request {
	if r.Type == unix.RTN_UNSPEC {
		r.Type = unix.RTN_UNICAST
	}
	return routeRequest(op, r, unix.RTM_NEWROUTE, flags)
}

// DeleteRoute deletes the first route that matches r. Dst, Table and TOS must be equal;
// other fields match any route if they are zero, or RT_SCOPE_NOWHERE for Scope. If no
// route matches, the error is fs.ErrNotExist.
func DeleteRoute(r Route) Request { return routeRequest("delete", r, unix.RTM_DELROUTE, 0) }

func routeRequest(op string, r Route, typ netlink.HeaderType, flags netlink.HeaderFlags) Request {
	body, err := encodeRoute(r)
	return Request{
		op: op, object: "route " + r.String(), err: err,
		msg: netlink.Message{Header: netlink.Header{Type: typ, Flags: flags}, Data: body},
	}
}

// RouteFilter selects routes. Zero fields match all, except for Table.
type RouteFilter struct {
	// Family is unix.AF_INET or unix.AF_INET6; zero is both, IPv4 first.
	Family uint8
	// Table is the table to read; zero is RT_TABLE_MAIN.
	Table uint32
	// AllTables reads all tables and ignores Table.
	AllTables bool
	Protocol  uint8
	Type      uint8
	// Link is the index of the output link of the route or of one of its hops.
	Link uint32
	// Cached reads the route cache instead of the routes: exceptions that the kernel
	// learnt for single destinations.
	Cached bool
}

// Routes returns routes in the kernel's order. If the table does not exist, the error is
// fs.ErrNotExist. The kernel creates the main table with its first route; before that,
// Routes returns no routes if Table is zero, and fs.ErrNotExist if it is RT_TABLE_MAIN.
func (c *Conn) Routes(f RouteFilter) ([]Route, error) {
	families := []uint8{unix.AF_INET, unix.AF_INET6}
	if f.Family != 0 {
		families = []uint8{f.Family}
	}
	main := f.Table == 0 && !f.AllTables
	if main {
		f.Table = unix.RT_TABLE_MAIN
	}
	var routes []Route
	for _, family := range families {
		before := len(routes)
		reset := func() { routes = routes[:before] }
		err := c.list("routes", unix.RTM_GETROUTE, f.encode(family), reset, func(b []byte) error {
			if len(b) > 0 && b[0] != family {
				return nil // a kernel without IPv6 returns all its routes
			}
			one, err := decodeRoute(b)
			routes = append(routes, one)
			return err
		})
		if errors.Is(err, fs.ErrNotExist) && main {
			continue
		}
		if err != nil {
			return nil, err
		}
	}
	return routes, nil
}

// RouteQuery describes a packet for [Conn.RouteGet]. Zero fields are unknown.
type RouteQuery struct {
	// Dst is the destination address. It is required.
	Dst netip.Addr
	// Src is the source address. If it is not an address of this machine, InLink is
	// required.
	Src netip.Addr
	// InLink is the index of the input link; zero if this machine sends the packet.
	InLink uint32
	// Link is the index of the required output link; a VRF stands for all its ports.
	Link     uint32
	TOS      uint8
	Mark     uint32  // fwmark
	UID      *uint32 // the user ID of the sender
	Protocol uint8   // IPPROTO_TCP …
	SrcPort  uint16
	DstPort  uint16
	// FlowLabel is the IPv6 flow label.
	FlowLabel uint32
	// FIBMatch requests the matching entry of the table instead of the resolved route.
	FIBMatch bool
	// Notify makes the kernel also send the answer to the watchers of routes.
	Notify bool
}

// RouteGet returns the route that a packet would take. If there is none, the error is an
// *[Error] with ENETUNREACH, EHOSTUNREACH, or the errno of the type of the route.
func (c *Conn) RouteGet(q RouteQuery) (Route, error) {
	object := "route to " + q.Dst.String()
	body, err := q.encode()
	if err != nil {
		return Route{}, &Error{Op: "get", Object: object, Err: err}
	}
	answer, err := c.get("get", object, unix.RTM_GETROUTE, body)
	if err != nil {
		return Route{}, err
	}
	r, err := decodeRoute(answer)
	if err != nil {
		return Route{}, &Error{Op: "get", Object: object, Err: err}
	}
	return r, nil
}
