//go:build linux

package topo

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
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

func (w *walker) close() {
	for _, v := range w.views {
		v.conn.Close()
	}
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
	if v.conn, err = rtnl.Dial(s.ns); err != nil {
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

// A spot is where a packet is on its way: at a host that it came into by a link;
// link 0 is one of the host's own.
type spot struct {
	host string
	in   uint32
}

// walk goes from a host to dst. A src that is not valid is the one that the host
// would choose. It returns where it got, and what stands in the
// way there; nothing, if it arrives.
func (w *walker) walk(at spot, src, dst netip.Addr) (spot, string) {
	for range mostSteps {
		v, err := w.view(at.host)
		if err != nil {
			return at, err.Error()
		}
		if r, err := v.conn.RouteGet(rtnl.RouteQuery{Dst: dst}); !src.IsValid() && err == nil {
			src = r.PrefSrc
		}
		if in, ok := v.addrs[dst]; ok {
			return spot{at.host, or(at.in, in)}, ""
		}
		if dst.IsLoopback() {
			return at, ""
		}
		next, problem := w.step(v, at, src, dst)
		if problem != "" || next == (spot{}) {
			return at, problem
		}
		at = next
	}
	return at, "the way goes round in circles"
}

// step goes one hop.
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
		return next, v.whyNoRoute(err, at, src, dst)
	}
	if route.Type != unix.RTN_UNICAST && route.Type != unix.RTN_LOCAL {
		return next, "a route to " + dst.String() + " says no"
	}
	if problem := v.linkProblem(route.Link); problem != "" {
		return next, problem
	}
	hop := or(route.Gateway, dst)
	problem = v.neighProblem(route.Link, hop)
	owner := w.owner(at.host, hop)
	if owner == nil {
		return next, problem
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
	return spot{owner.host, in}, problem
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

func familyName(a netip.Addr) string {
	if a.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

// forwards tells whether packets of a family that come in by a link are sent on.
func (v *hostView) forwards(in uint32, v4 bool) bool {
	key := "net/ipv6/conf/all/forwarding"
	if v4 {
		key = "net/ipv4/conf/" + v.links[in].Name + "/forwarding"
	}
	on := ""
	err := nsfs.Do(v.ns, func() (err error) {
		on, err = nsfs.Sysctl(key)
		return err
	})
	return err != nil || on != "0" // who cannot tell accuses nobody
}

func (v *hostView) whyNoRoute(err error, at spot, src, dst netip.Addr) string {
	_, own := v.conn.RouteGet(rtnl.RouteQuery{Dst: dst})
	switch {
	case errors.Is(err, unix.ENETUNREACH):
		return "no route to " + dst.String()
	case at.in != 0 && own == nil: // good enough for the host's own packets
		return fmt.Sprintf("rp_filter discards packets from %s that come in by %s", src, v.links[at.in].Name)
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EACCES), errors.Is(err, unix.EINVAL):
		return "a route to " + dst.String() + " says no: " + localWords(errnoIn(err))
	}
	return err.Error()
}

func errnoIn(err error) unix.Errno {
	var errno unix.Errno
	errors.As(err, &errno)
	return errno
}

// linkProblem says why nothing goes over a link.
func (v *hostView) linkProblem(index uint32) string {
	l, ok := v.links[index]
	switch {
	case !ok:
		return ""
	case !l.Up():
		return "link " + l.Name + " is down"
	case l.Flags&unix.IFF_LOWER_UP == 0:
		return "link " + l.Name + " has no carrier: its other end is down"
	}
	if m, ok := v.links[l.Master]; ok && !m.Up() {
		return "link " + m.Name + " is down"
	}
	return ""
}

// neighProblem says that a neighbour on a link was asked for and does not
// answer.
func (v *hostView) neighProblem(link uint32, hop netip.Addr) string {
	l := v.links[link]
	if l.Flags&(unix.IFF_LOOPBACK|unix.IFF_NOARP) != 0 {
		return ""
	}
	n, err := v.conn.Neigh(link, hop, false)
	if err != nil || n.State&(unix.NUD_INCOMPLETE|unix.NUD_FAILED) == 0 {
		return ""
	}
	return fmt.Sprintf("neighbour %s on %s does not answer (%s)", hop, l.Name, neighProtocol(hop))
}

func neighProtocol(a netip.Addr) string {
	if a.Is4() {
		return "ARP"
	}
	return "neighbour discovery"
}
