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
// What the kernel reports is a Route that, added again, makes the same route.
type Route struct {
	// Dst is where to; 0.0.0.0/0 and ::/0 are default routes. It is required, and
	// tells the address family.
	Dst netip.Prefix
	// Src narrows an IPv6 route to packets from there (ip's "from"); zero is all.
	Src netip.Prefix
	// Type is RTN_UNICAST, RTN_BLACKHOLE …; zero is unicast, in [DeleteRoute] any.
	Type uint8
	// Table is where the route is; zero is RT_TABLE_MAIN.
	Table uint32
	// Protocol says who made the route: RTPROT_KERNEL, RTPROT_BOOT …; zero is
	// RTPROT_UNSPEC, in [DeleteRoute] any.
	Protocol uint8
	// Scope is how far the destination is, in IPv4; IPv6 knows only the zero
	// value, RT_SCOPE_UNIVERSE. [Route.NaturalScope] is the one to have; in
	// [DeleteRoute] RT_SCOPE_NOWHERE is any.
	Scope uint8
	// TOS narrows an IPv4 route to packets of that type of service; zero is all.
	TOS uint8
	// Metric ranks routes to one destination, lower first. Zero is best in IPv4,
	// the kernel's default (1024) in IPv6, and any in [DeleteRoute].
	Metric uint32
	// Flags are RTNH_F_ONLINK, RTNH_F_DEAD, RTM_F_CLONED …. Only RTNH_F_ONLINK
	// and RTNH_F_PERVASIVE can be set.
	Flags uint32

	// Gateway is the next hop. It may be of the other family than Dst.
	Gateway netip.Addr
	// Link is the index of the link to send through; zero lets the kernel find
	// the one that reaches Gateway.
	Link uint32
	// Hops are the next hops of a route that has several, instead of Gateway and
	// Link.
	Hops []Hop
	// NextHop is the id of a next hop object to use instead; see ip-nexthop(8).
	NextHop uint32
	// Encap is the tunnel to put packets in; zero is none.
	Encap Encap

	// PrefSrc is the address that packets of this machine get; zero lets the
	// kernel choose.
	PrefSrc netip.Addr
	// Metrics are what TCP and others should assume about the path.
	Metrics Metrics
	// Pref is an IPv6 router's preference: 0 medium, 1 high, 3 low; RFC 4191.
	Pref uint8
	// Realms are the source realm, shifted by 16, and the destination realm of an
	// IPv4 route; zero is none.
	Realms uint32
	// Expires is in seconds; zero is never. IPv6 only.
	Expires uint32

	// What only the answer to [Conn.RouteGet] tells.

	Mark uint32
	// InLink is the index of the link that the packet came in through.
	InLink uint32
	// UID is the user's who sends; nil is unknown.
	UID *uint32
	// Cache is what the kernel remembers about the destination.
	Cache RouteCache
}

// Hop is one of several next hops of a route; struct rtnexthop.
type Hop struct {
	// Gateway is the next hop; zero is the link itself. It may be of the other
	// family than the destination.
	Gateway netip.Addr
	// Link is the index of the link to send through; zero lets the kernel find
	// the one that reaches Gateway.
	Link uint32
	// Weight is this hop's share, 1 to 256; zero is 1.
	Weight int
	// Flags are RTNH_F_ONLINK, RTNH_F_DEAD, RTNH_F_LINKDOWN ….
	Flags uint8
	// Realms are as those of [Route].
	Realms uint32
	// Encap is the tunnel to put packets in; zero is none.
	Encap Encap
}

// Encap is a light-weight tunnel, undecoded.
type Encap struct {
	// Type is LWTUNNEL_ENCAP_MPLS … of <linux/lwtunnel.h>; zero is none.
	Type uint16
	// Data are the attributes inside RTA_ENCAP, as the kernel has them.
	Data string
}

// Metrics are by their number, RTAX_MTU … of <linux/rtnetlink.h>; zero is unset.
// That at RTAX_LOCK has a bit 1<<RTAX_X for each that must not change.
type Metrics struct {
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

// Is6 says whether the route is an IPv6 one.
func (r Route) Is6() bool { return r.Dst.Addr().Is6() }

// NaturalScope is the scope that ip-route(8) gives a route when none is named:
// the machine itself, the link, or beyond a gateway.
func (r Route) NaturalScope() uint8 {
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

// NaturalTable is the table that ip-route(8) puts a route in when none is named.
func (r Route) NaturalTable() uint32 {
	switch r.Type {
	case unix.RTN_LOCAL, unix.RTN_BROADCAST, unix.RTN_NAT, unix.RTN_ANYCAST:
		return unix.RT_TABLE_LOCAL
	}
	return unix.RT_TABLE_MAIN
}

// String is the route's destination and next hop as ip-route(8) writes them, for
// errors: default via 10.0.0.1 metric 5.
func (r Route) String() string {
	var b strings.Builder
	switch {
	case !r.Dst.IsValid():
		b.WriteString("to nowhere")
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

// AddRoute makes a route. One to the same destination in the same table with the
// same metric (in IPv4 also the same TOS) is fs.ErrExist.
func AddRoute(r Route) Request {
	return newRoute("add", r, netlink.Create|netlink.Excl)
}

// ReplaceRoute makes a route in place of the first one to the same destination
// with the same metric, or beside the others if there is none.
func ReplaceRoute(r Route) Request {
	return newRoute("replace", r, netlink.Create|netlink.Replace)
}

// ChangeRoute is [ReplaceRoute] of a route that must be there: otherwise it is
// fs.ErrNotExist.
func ChangeRoute(r Route) Request { return newRoute("change", r, netlink.Replace) }

// AppendRoute makes a route behind those to the same destination with the same
// metric. An IPv6 one becomes a further hop of theirs.
func AppendRoute(r Route) Request {
	return newRoute("append", r, netlink.Create|netlink.Append)
}

// PrependRoute makes a route before those to the same destination with the same
// metric.
func PrependRoute(r Route) Request { return newRoute("prepend", r, netlink.Create) }

func newRoute(op string, r Route, flags netlink.HeaderFlags) Request {
	if r.Type == unix.RTN_UNSPEC {
		r.Type = unix.RTN_UNICAST
	}
	return routeRequest(op, r, unix.RTM_NEWROUTE, flags)
}

// DeleteRoute removes the first route that is as r: zero fields, and a Scope of
// RT_SCOPE_NOWHERE, fit any, but Dst, Table and TOS have to be equal. None is
// fs.ErrNotExist.
func DeleteRoute(r Route) Request { return routeRequest("delete", r, unix.RTM_DELROUTE, 0) }

func routeRequest(op string, r Route, typ netlink.HeaderType, flags netlink.HeaderFlags) Request {
	body, err := encodeRoute(r)
	return Request{
		op: op, object: "route " + r.String(), err: err,
		msg: netlink.Message{Header: netlink.Header{Type: typ, Flags: flags}, Data: body},
	}
}

// RouteFilter chooses routes. Zero fields fit all, but for Table.
type RouteFilter struct {
	// Family is unix.AF_INET or unix.AF_INET6; zero is both, IPv4 first.
	Family uint8
	// Table is the one to read; zero is RT_TABLE_MAIN.
	Table uint32
	// AllTables reads them all, whatever Table is.
	AllTables bool
	Protocol  uint8
	Type      uint8
	// Link is the index of the link that the route, or one of its hops, goes
	// through.
	Link uint32
	// Cached reads what the kernel has learnt about destinations, the exceptions
	// to its routes, instead of the routes.
	Cached bool
}

// Routes lists routes in the kernel's order. A table that is not there is
// fs.ErrNotExist; the main one, which comes with the first route, only if it is
// asked for by its number.
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
		err := c.list("routes", unix.RTM_GETROUTE, f.encode(family), func() { routes = routes[:before] }, func(b []byte) error {
			if len(b) > 0 && b[0] != family {
				return nil // a kernel without IPv6 answers with all that it has
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

// RouteQuery asks which way a packet would go. Zero fields are not said.
type RouteQuery struct {
	// Dst is where to; it is required.
	Dst netip.Addr
	// Src is where from. Of a foreign address, InLink has to be said too.
	Src netip.Addr
	// InLink is the index of the link that the packet comes in through; zero asks
	// for one of this machine's own.
	InLink uint32
	// Link is the index of the link it has to go out through; a VRF stands for
	// all of its own.
	Link     uint32
	TOS      uint8
	Mark     uint32
	UID      *uint32
	Protocol uint8 // IPPROTO_TCP …
	SrcPort  uint16
	DstPort  uint16
	// FlowLabel is IPv6's.
	FlowLabel uint32
	// FIBMatch asks for the table's entry that fits, not for what becomes of it.
	FIBMatch bool
	// Notify tells those who watch routes about the answer.
	Notify bool
}

// RouteGet returns the route that a packet would take. No route is an *[Error]
// with ENETUNREACH, EHOSTUNREACH, or the errno that the route's type stands for.
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
