package live

import (
	"fmt"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// unmarkedConflict describes an address or neighbour entry of another program on a link of the
// lab that prevents the new one; "" if there is none. On a deleted link there is no conflict.
func (c conflictFinder) unmarkedConflict(o topo.Object, deleted map[topo.Key]bool) string {
	h, err := c.table.Handle(o.Key().NS)
	if err != nil || h.Snapshot == nil {
		return ""
	}
	switch o := o.(type) {
	case topo.Address:
		if !deleted[topo.LinkKey(o.NS, o.Link)] {
			return addrConflict(h.Snapshot, c.table.Lab, o)
		}
	case topo.Neigh:
		if !deleted[topo.LinkKey(o.NS, o.Link)] {
			return neighConflict(h.Snapshot, c.table.Lab, o)
		}
	}
	return ""
}

// addrConflict finds the same IPv6 address with another prefix length: the kernel allows an IPv6
// address only once on a link. On lo, it finds the same address of another lab.
func addrConflict(v *netns.Snapshot, lab string, o topo.Address) string {
	owner := mark.Owner(v.Lo().AltNames, mark.Address("", o.Prefix.String(), "lo"))
	if o.Link == "lo" && owner != "" && owner != lab {
		return fmt.Sprintf("link lo already has %s, which belongs to lab %s", o.Prefix, owner)
	}
	for _, a := range v.Addrs {
		same := v.Names[a.Link] == o.Link && a.Prefix.Addr() == o.Prefix.Addr() && a.Prefix != o.Prefix
		if same && a.Is6() && !v.IsMarked(lab, a) {
			return fmt.Sprintf("link %s already has %s, which another program added", o.Link, a.Prefix)
		}
	}
	return ""
}

// neighConflict finds a permanent entry for the same address, or the same proxy entry of another lab.
func neighConflict(v *netns.Snapshot, lab string, o topo.Neigh) string {
	if o.Proxy {
		owner := mark.Owner(v.Lo().AltNames, mark.Proxy("", o.Addr.String(), o.Link))
		if owner == "" || owner == lab {
			return ""
		}
		return "it already exists and belongs to lab " + owner
	}
	for _, n := range v.Neighs {
		if v.Names[n.Link] == o.Link && n.Addr == o.Addr && isPermanent(n) && n.Protocol != mark.Protocol {
			return fmt.Sprintf("another program already added it with lladdr %s", n.LLAddr)
		}
	}
	return ""
}
