package live

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// A Machine reads what labs need to know about the machine: the namespace of the calling thread; see
// [lab.Topology.Fill].
type Machine struct{}

// DefaultRouteLinks returns the links of the machine's default routes: their names, and the
// smallest of their MTUs in bytes, 0 if there are none. It ignores routes of labs.
func (Machine) DefaultRouteLinks() (names []string, mtu int, err error) {
	ns, err := nsfs.Current()
	if err != nil {
		return nil, 0, err
	}
	defer ns.Close()
	conn, err := rtnl.Dial(ns)
	if err != nil {
		return nil, 0, err
	}
	defer conn.Close()
	links, err := defaultRouteLinks(conn)
	for _, l := range links {
		names = append(names, l.Name)
		mtu = min(cmp.Or(mtu, int(l.MTU)), int(l.MTU))
	}
	return names, mtu, err
}

// OutsideMACs returns the MAC addresses of links that a lab does not create, for
// [lab.Topology.OutsideMACs]: the permanent one of the hardware if there is one. It leaves out links and
// namespaces that do not exist or that the caller may not open. namespaceOf returns the namespace of a
// host.
func (Machine) OutsideMACs(links []topo.Key, namespaceOf func(host string) topo.Namespace) (
	map[topo.Key]topo.MAC, error) {
	macs := map[topo.Key]topo.MAC{}
	for _, key := range links {
		l, err := linkIn(key, namespaceOf)
		switch address := cmp.Or(l.Permanent, l.Address); {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		case err != nil:
			return nil, err
		case len(address) == len(topo.MAC{}):
			macs[key] = topo.MAC([]byte(address))
		}
	}
	return macs, nil
}

// linkIn reads a link of the machine or of an adopted namespace.
func linkIn(key topo.Key, namespaceOf func(host string) topo.Namespace) (l rtnl.Link, err error) {
	var ns *os.File
	if key.NS == "" {
		ns, err = nsfs.Current()
	} else {
		n := namespaceOf(key.NS)
		ns, err = nsfs.OpenFrom(n.Name, n.From)
	}
	if err != nil {
		return l, err
	}
	defer ns.Close()
	conn, err := rtnl.Dial(ns)
	if err != nil {
		return l, err
	}
	defer conn.Close()
	return conn.Link(rtnl.LinkID{Name: key.Name})
}

// defaultRouteLinks returns the links of the default routes.
func defaultRouteLinks(conn *rtnl.Conn) (links []rtnl.Link, err error) {
	routes, err := conn.Routes(rtnl.RouteFilter{})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, r := range routes {
		if r.Dst.IsValid() && r.Dst.Bits() > 0 || r.Protocol == mark.Protocol {
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
