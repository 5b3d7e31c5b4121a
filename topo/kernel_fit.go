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

// Fit fits what the lab leaves to the machine's way out, the links that its default routes
// lead over: networks whose MTU is auto get the least one of theirs, or 1500 if there are
// none, and WayOut is them if a network has fast paths. Routes that a lab made do not
// count. Without such networks it asks nobody.
func (t *Topology) Fit() error {
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
	links, err := wayOut(conn)
	if err != nil {
		return err
	}
	t.fit(links)
	return nil
}

func (t *Topology) fit(links []rtnl.Link) {
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
			t.WayOut = names
		}
	}
}

// wayOut are the links that default routes lead over.
func wayOut(conn *rtnl.Conn) (links []rtnl.Link, err error) {
	routes, err := conn.Routes(rtnl.RouteFilter{})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, r := range routes {
		if r.Dst.IsValid() && r.Dst.Bits() > 0 || r.Protocol == RouteProtocol {
			continue
		}
		for _, link := range append([]uint32{r.Link}, hopLinks(r)...) {
			if link == 0 {
				continue // none, or a route that leads nowhere
			}
			l, err := conn.Link(rtnl.LinkID{Index: link})
			if err != nil {
				return nil, err
			}
			if l.Flags&unix.IFF_LOOPBACK == 0 && !slices.ContainsFunc(links, func(o rtnl.Link) bool { return o.Index == l.Index }) {
				links = append(links, l)
			}
		}
	}
	return links, nil
}

func hopLinks(r rtnl.Route) (links []uint32) {
	for _, h := range r.Hops {
		links = append(links, h.Link)
	}
	return links
}
