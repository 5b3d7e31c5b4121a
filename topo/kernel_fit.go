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

// FitMTU gives the networks whose MTU is auto that of the machine's way out: the least
// one of the links that its default routes lead over, or 1500 if it has none. Routes
// that a lab made do not count. Without such networks it asks nobody.
func (t *Topology) FitMTU() error {
	if !slices.ContainsFunc(t.Networks, func(n Network) bool { return n.MTUAuto }) {
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
	mtu, err := wayOutMTU(conn)
	if err != nil {
		return err
	}
	for i := range t.Networks {
		if t.Networks[i].MTUAuto {
			t.Networks[i].MTU = mtu
		}
	}
	return nil
}

func wayOutMTU(conn *rtnl.Conn) (int, error) {
	routes, err := conn.Routes(rtnl.RouteFilter{})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	least := uint32(0)
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
				return 0, err
			}
			if l.Flags&unix.IFF_LOOPBACK == 0 {
				least = min(or(least, l.MTU), l.MTU)
			}
		}
	}
	return int(or(least, defaultMTU)), nil
}

func hopLinks(r rtnl.Route) (links []uint32) {
	for _, h := range r.Hops {
		links = append(links, h.Link)
	}
	return links
}
