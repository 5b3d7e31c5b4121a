//go:build linux

package topo

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
)

// mostSteps bounds the hosts on a way: more is a loop.
const mostSteps = 32

// A walker goes the way that a packet would go, from host to host, asking each
// kernel what it would do, and finds what stands in the way.
type walker struct {
	prober *prober
	layout *layout
	owners map[netip.Addr][]*iface
	views  map[string]*hostView
}

// A hostView is what a host's kernel knows.
type hostView struct {
	*station
	conn  *rtnl.Conn
	links map[uint32]rtnl.Link
	addrs map[netip.Addr]uint32 // the index of the link that has it
}

func newWalker(p *prober, t Topology) *walker {
	l, _ := newLayout(&t)
	return &walker{p, l, l.owners(), map[string]*hostView{}}
}

func (w *walker) view(host string) (*hostView, error) {
	if v := w.views[host]; v != nil {
		return v, nil
	}
	s, err := w.prober.station(host)
	if err != nil {
		return nil, err
	}
	v := &hostView{station: s, links: map[uint32]rtnl.Link{}, addrs: map[netip.Addr]uint32{}}
	if v.conn, err = s.netlink(); err != nil {
		return nil, err
	}
	w.views[host] = v
	links, err := v.conn.Links(rtnl.LinkFilter{})
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		v.links[l.Index] = l
	}
	addrs, err := v.conn.Addrs(rtnl.AddrFilter{})
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		v.addrs[a.Prefix.Addr()] = a.Link
	}
	return v, nil
}

// A spot is where a packet is on its way: at a host that it came into by a link,
// from another host; link 0 is one of the host's own.
type spot struct {
	host string
	in   uint32
	from string
	nat  bool // it was for the host, which sends it on to somebody else
}

// walk goes from a host to dst. Where the packets were seen to come in, sources
// says from whom; what a host thinks of sources is asked only there, as NAT may
// have changed them. It returns where it got, and what stands in the way there;
// nothing, if it arrives.
func (w *walker) walk(at spot, sources map[string]netip.Addr, dst netip.Addr) (spot, string) {
	for range mostSteps {
		v, err := w.view(at.host)
		if err != nil {
			return at, err.Error()
		}
		if in, ok := v.addrs[dst]; ok {
			at.in = or(at.in, in)
			return at, ""
		}
		if dst.IsLoopback() || !dst.IsValid() {
			return at, ""
		}
		next, problem := w.step(v, at, sources[at.host], dst)
		if problem != "" || next == (spot{}) {
			return at, problem
		}
		at = next
	}
	return at, "the way goes round in circles"
}

// step goes one hop. A src that is not valid is not known.
func (w *walker) step(v *hostView, at spot, src, dst netip.Addr) (next spot, problem string) {
	if at.in != 0 && !v.forwards(at.in, dst.Is4()) {
		return next, "forwarding of " + familyName(dst) + " is off"
	}
	q := rtnl.RouteQuery{Dst: dst}
	if at.in != 0 && src.IsValid() {
		q.Src, q.InLink = src, at.in
	}
	route, err := v.conn.RouteGet(q)
	if err != nil {
		return next, v.whyNoRoute(err, at, src, dst) + w.asleep(v, at.host)
	}
	if route.Type != unix.RTN_UNICAST && route.Type != unix.RTN_LOCAL {
		return next, "a route to " + dst.String() + " says no"
	}
	if problem := v.linkProblem(route.Link); problem != "" {
		return next, problem
	}
	return w.hop(v, at, route, src, or(route.Gateway, dst))
}

// asleep names the links of a host that nothing goes over: routes over them are gone.
func (w *walker) asleep(v *hostView, host string) (text string) {
	for _, n := range w.layout.of[host] {
		for index, l := range v.links {
			if problem := v.linkProblem(index); l.Name == w.layout.ifaces[n].dev && problem != "" {
				text += ": " + problem
			}
		}
	}
	return text
}

// hop crosses the link that a route leads over.
func (w *walker) hop(v *hostView, at spot, route rtnl.Route, src, hop netip.Addr) (next spot, problem string) {
	owner := w.owner(at.host, hop)
	if owner == nil {
		return next, v.neighProblem(route.Link, hop)
	}
	if at.nat && owner.host == at.from && route.Link == at.in {
		if problem := w.hairpinProblem(v, owner, hop.Is4()); problem != "" {
			return next, problem
		}
	}
	far, err := w.view(owner.host)
	if err != nil {
		return next, owner.host + ": " + err.Error()
	}
	in, ok := far.addrs[hop]
	if !ok {
		return next, owner.host + " does not have the address " + hop.String()
	}
	if p := far.linkProblem(in); p != "" {
		return next, owner.host + ": " + p
	}
	if p := v.neighProblem(route.Link, hop); p != "" {
		if asks := v.asksFrom(src, hop); asks.Is4() && far.filters(asks, in) {
			p += fmt.Sprintf(": rp_filter of %s discards packets from %s that come in by %s", owner.host, asks, far.links[in].Name)
		}
		return next, p
	}
	return spot{host: owner.host, in: in, from: at.host}, ""
}

// owner is the device of the lab that should have an address, the nearest one to
// host if several should; nil if none should.
func (w *walker) owner(host string, a netip.Addr) (best *iface) {
	least := 0
	for _, i := range w.owners[a] {
		if far := w.layout.distance(host, i); best == nil || far < least {
			best, least = i, far
		}
	}
	return best
}
