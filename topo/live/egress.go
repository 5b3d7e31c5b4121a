package live

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// DefaultRouteLinks returns the links of the machine's default routes: their names, and the
// smallest of their MTUs, 0 if there are none. It ignores routes of labs. Pass the results to
// [lab.Topology.FillEgress].
func DefaultRouteLinks() (names []string, mtu int, err error) {
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

// defaultRouteLinks returns the links of the default routes.
func defaultRouteLinks(conn *rtnl.Conn) (links []rtnl.Link, err error) {
	routes, err := conn.Routes(rtnl.RouteFilter{})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, r := range routes {
		if r.Dst.IsValid() && r.Dst.Bits() > 0 || r.Protocol == mark.RouteProtocol {
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

// conflictsOnUse returns the conflicts of an object whose name is free: the lab changes how a foreign
// link is used, or a foreign chain drops the lab's packets.
func conflictsOnUse(h *netnsHandle, o topo.Object) ([]Conflict, error) {
	switch o := o.(type) {
	case topo.Port:
		return portUses(h, o)
	case topo.Sysctl:
		if isForwarding(o.Name) {
			return forwardDrops(h, o)
		}
	}
	return nil, nil
}

// portUses returns how a link was used before it becomes a port of the lab's bridge: conflicts with o.
func portUses(h *netnsHandle, o topo.Port) (uses []Conflict, err error) {
	name := o.Link
	l, err := h.conn.Link(rtnl.LinkID{Name: name})
	if err != nil {
		return nil, nil // up reports it
	}
	if l.Master != 0 {
		if master, err := h.conn.Link(rtnl.LinkID{Index: l.Master}); err == nil {
			uses = append(uses, Conflict{o, name + " is a port of " + master.Name + ", and is removed from it"})
		}
	}
	addrs, err := h.conn.Addrs(rtnl.AddrFilter{Link: l.Index})
	for _, a := range addrs {
		if !a.Prefix.Addr().IsLinkLocalUnicast() {
			uses = append(uses, Conflict{o, name + " has the address " + a.Prefix.String() +
				", which does not work while the link is a port"})
		}
	}
	return uses, err
}

// forwardDrops returns the foreign chains that drop forwarded packets of the address family that the
// sysctl o is for.
func forwardDrops(h *netnsHandle, o topo.Sysctl) (found []Conflict, err error) {
	conn, err := h.nft()
	if err != nil {
		return nil, err
	}
	chains, err := conn.ForwardDrops()
	other := map[string]string{linux.ForwardingIPv4: "ip6", linux.ForwardingIPv6: "ip"}[o.Name]
	for _, ch := range chains {
		if ch.Family != other && ch.Table != nft.GuardTable && !strings.HasPrefix(ch.Table, mark.Table("")) {
			found = append(found, Conflict{o, ch.String() + " drops forwarded packets; it has to accept those of the lab"})
		}
	}
	return found, err
}

// ownName returns the name of the link with an alternative name; "" if the name is its own, or if
// there is no such link.
func ownName(h *netnsHandle, name string) string {
	if l, err := h.conn.Link(rtnl.LinkID{Name: name}); err == nil && l.Name != name {
		return l.Name
	}
	return ""
}
