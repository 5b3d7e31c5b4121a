package verify

import (
	"cmp"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo/lab"
)

// maxHops is how many hosts a path may have. A longer one is a routing loop.
const maxHops = 32

// A walker follows the path that a packet would take, from host to host. In each
// host it asks the kernel what would happen to the packet, and so finds what blocks it.
type walker struct {
	prober *prober
	layout *lab.Layout
	owners map[netip.Addr][]*lab.Iface
	infos  map[string]*hostInfo
}

// A hostInfo holds the links and addresses that a host's kernel reports.
type hostInfo struct {
	*hostSockets
	conn  *rtnl.Conn
	links map[uint32]rtnl.Link
	addrs map[netip.Addr]uint32 // to the index of its link
}

func newWalker(p *prober, t lab.Topology) *walker {
	l, _ := lab.NewLayout(&t)
	return &walker{p, l, l.Owners(), map[string]*hostInfo{}}
}

func (w *walker) info(host string) (*hostInfo, error) {
	if h := w.infos[host]; h != nil {
		return h, nil
	}
	s, err := w.prober.socketsIn(host)
	if err != nil {
		return nil, err
	}
	h := &hostInfo{hostSockets: s, links: map[uint32]rtnl.Link{}, addrs: map[netip.Addr]uint32{}}
	if h.conn, err = s.netlink(); err != nil {
		return nil, err
	}
	w.infos[host] = h
	links, err := h.conn.Links(rtnl.LinkFilter{})
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		h.links[l.Index] = l
	}
	addrs, err := h.conn.Addrs(rtnl.AddrFilter{})
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		h.addrs[a.Prefix.Addr()] = a.Link
	}
	return h, nil
}

// A packetPos says where a packet is.
type packetPos struct {
	host string
	in   uint32 // the index of the link by which it entered the host; 0 means that the host itself sends it
	from string // the host that it came from
	nat  bool   // the packet had an address of this host as its destination, and NAT changed it
}

// walk follows a packet from a host to dst. It returns how far the packet gets, and the problem
// there; no problem means that it arrives. NAT may change the source on the way: sources maps
// hosts to the source address that arrived there. In other hosts, walk does not check the source.
func (w *walker) walk(at packetPos, sources map[string]netip.Addr, dst netip.Addr) (packetPos, string) {
	for range maxHops {
		h, err := w.info(at.host)
		if err != nil {
			return at, err.Error()
		}
		if in, ok := h.addrs[dst]; ok {
			at.in = cmp.Or(at.in, in)
			return at, ""
		}
		if dst.IsLoopback() || !dst.IsValid() {
			return at, ""
		}
		next, problem := w.step(h, at, sources[at.host], dst)
		if problem != "" || next == (packetPos{}) {
			return at, problem
		}
		at = next
	}
	return at, "routing loop"
}

// step goes one hop. An invalid src means that the source is unknown.
func (w *walker) step(h *hostInfo, at packetPos, src, dst netip.Addr) (next packetPos, problem string) {
	if at.in != 0 && !h.forwards(at.in, dst.Is4()) {
		return next, familyName(dst) + " forwarding is off"
	}
	q := rtnl.RouteQuery{Dst: dst}
	if at.in != 0 && src.IsValid() {
		q.Src, q.InLink = src, at.in
	}
	route, err := h.conn.RouteGet(q)
	if err != nil {
		return next, h.noRouteReason(err, at, src, dst) + w.downLinks(h, at.host)
	}
	if route.Type != unix.RTN_UNICAST && route.Type != unix.RTN_LOCAL {
		return next, "packets to " + dst.String() + " are not routed: the route is not a unicast route"
	}
	if problem := h.linkProblem(route.Link); problem != "" {
		return next, problem
	}
	return w.hop(h, at, route, src, cmp.Or(route.Gateway, dst))
}

// downLinks names the links of a host that are down or have no carrier: the kernel removed the
// routes over them.
func (w *walker) downLinks(h *hostInfo, host string) (text string) {
	for _, n := range w.layout.ByHost[host] {
		for index, l := range h.links {
			if problem := h.linkProblem(index); l.Name == w.layout.Ifaces[n].Name && problem != "" {
				text += ": " + problem
			}
		}
	}
	return text
}

// hop crosses the link of a route. nextHop is an address on this link: the gateway or the destination.
func (w *walker) hop(
	h *hostInfo, at packetPos, route rtnl.Route, src, nextHop netip.Addr,
) (next packetPos, problem string) {
	owner := w.owner(at.host, nextHop)
	if owner == nil {
		return next, h.neighProblem(route.Link, nextHop)
	}
	if at.nat && owner.Host == at.from && route.Link == at.in {
		if problem := w.hairpinProblem(h, owner, nextHop.Is4()); problem != "" {
			return next, problem
		}
	}
	far, err := w.info(owner.Host)
	if err != nil {
		return next, owner.Host + ": " + err.Error()
	}
	in, ok := far.addrs[nextHop]
	if !ok {
		return next, owner.Host + " does not have the address " + nextHop.String()
	}
	if p := far.linkProblem(in); p != "" {
		return next, owner.Host + ": " + p
	}
	for _, i := range w.devices(at.host, h.links[route.Link].Name, owner) {
		if p := w.portProblem(i); p != "" {
			return next, p
		}
	}
	if p := h.neighProblem(route.Link, nextHop); p != "" {
		if src := h.neighSource(src, nextHop); src.Is4() && far.rpFilterDrops(src, in) {
			p += fmt.Sprintf(": rp_filter of %s drops packets from %s that arrive on %s", owner.Host, src, far.links[in].Name)
		}
		return next, p
	}
	return packetPos{host: owner.Host, in: in, from: at.host}, ""
}

// devices returns both sides of a hop: the lab's device with this name in a host, if there is one, and the owner.
func (w *walker) devices(host, name string, owner *lab.Iface) []*lab.Iface {
	for _, n := range w.layout.ByHost[host] {
		if i := &w.layout.Ifaces[n]; i.Name == name {
			return []*lab.Iface{i, owner}
		}
	}
	return []*lab.Iface{owner}
}

// owner returns the device of the lab that should have an address: the one nearest to host if
// there are several, nil if there is none.
func (w *walker) owner(host string, a netip.Addr) (best *lab.Iface) {
	least := 0
	for _, i := range w.owners[a] {
		if far := w.layout.Distance(host, i); best == nil || far < least {
			best, least = i, far
		}
	}
	return best
}
