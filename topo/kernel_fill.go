//go:build linux

package topo

import (
	"errors"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// FillFromMachine sets what the lab leaves to the machine. It looks at the links of the
// machine's default routes, except routes of labs. Networks with `mtu: auto` get the
// smallest MTU of these links, or 1500 if there are none. EgressLinks becomes the list of these
// links if a network has `fastpath: true`. Without such networks it reads nothing.
func (t *Topology) FillFromMachine() error {
	if !slices.ContainsFunc(t.Networks, func(n Network) bool { return n.MTUAuto || n.Fastpath }) {
		return nil
	}
	ns, err := nsfs.Current()
	if err != nil {
		return err
	}
	defer ns.Close()
	conn, err := rtnl.Dial(ns)
	if err != nil {
		return err
	}
	defer conn.Close()
	links, err := defaultRouteLinks(conn)
	if err != nil {
		return err
	}
	t.fillFromLinks(links)
	return nil
}

func (t *Topology) fillFromLinks(links []rtnl.Link) {
	var names []string
	mtu := uint32(0)
	for _, l := range links {
		names = append(names, l.Name)
		mtu = min(or(mtu, l.MTU), l.MTU)
	}
	for i := range t.Networks {
		n := &t.Networks[i]
		if n.MTUAuto {
			n.MTU = int(or(mtu, defaultMTU))
		}
		if n.Fastpath {
			t.EgressLinks = names
		}
	}
}

// defaultRouteLinks returns the links of the default routes.
func defaultRouteLinks(conn *rtnl.Conn) (links []rtnl.Link, err error) {
	routes, err := conn.Routes(rtnl.RouteFilter{})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, r := range routes {
		if r.Dst.IsValid() && r.Dst.Bits() > 0 || r.Protocol == RouteProtocol {
			continue
		}
		for _, link := range append([]uint32{r.Link}, nextHopLinks(r)...) {
			if link == 0 {
				continue // no link, or a route such as blackhole
			}
			l, err := conn.Link(rtnl.LinkID{Index: link})
			if err != nil {
				return nil, err
			}
			known := slices.ContainsFunc(links, func(o rtnl.Link) bool { return o.Index == l.Index })
			if l.Flags&unix.IFF_LOOPBACK == 0 && !known {
				links = append(links, l)
			}
		}
	}
	return links, nil
}

func nextHopLinks(r rtnl.Route) (links []uint32) {
	for _, h := range r.Hops {
		links = append(links, h.Link)
	}
	return links
}
