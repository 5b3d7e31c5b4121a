package live

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// ownsAddress reports whether an address on a link of the lab, or on lo, is the lab's. Other programs add
// addresses there, too: keepalived, FRR, a DHCP client. The lab's addresses have vnet's protocol or a
// record. An address without a mark counts as the lab's if the file has the same one: vnet need not add
// it, and will not delete it.
func (r *stateBuilder) ownsAddress(v *netnsSnapshot, a rtnl.Addr) bool {
	switch {
	case a.Anycast:
		return false
	case a.Proto == mark.Protocol && v.Names[a.Link] != "lo":
		return true
	case !netns.IsConfigured(a):
		return false
	case v.Names[a.Link] == "lo" && v.isOthersOnLo(r, a):
		return false
	case r.survey:
		return true
	}
	o := topo.Address{NS: v.handle.Name, Link: v.Names[a.Link], Prefix: a.Prefix}
	if _, wanted := r.want[o.Key()]; wanted {
		return true
	}
	return v.IsMarked(r.lab, a)
}

// isOthersOnLo reports whether an address of lo certainly is not the lab's: it belongs to the kernel, to another lab,
// or, in a survey, to the machine.
func (v *netnsSnapshot) isOthersOnLo(r *stateBuilder, a rtnl.Addr) bool {
	owner := mark.Owner(v.Lo().AltNames, mark.Address("", a.Prefix.String(), "lo"))
	return a.Prefix.Addr().IsLoopback() || owner != "" && owner != r.lab && !r.survey || r.survey && v.handle.Name == ""
}

// neighbours adds the neighbour entries of the lab. As for addresses, an entry without vnet's
// protocol counts if the file has the same one.
func (r *stateBuilder) neighbours(v *netnsSnapshot) {
	for _, n := range v.Neighs {
		if n.Proxy() {
			r.proxy(v, n)
		}
		if !v.inLab[n.Link] || !isPermanent(n) {
			continue
		}
		o := topo.Neigh{NS: v.handle.Name, Link: v.Names[n.Link], Addr: n.Addr, MAC: topo.MAC([]byte(n.LLAddr))}
		if n.Protocol == mark.Protocol || r.survey || r.want[o.Key()] == topo.Object(o) {
			r.put(o)
		}
	}
}

// proxy adds a proxy entry of the lab: one with its record, or one that the file asks for and that no lab made.
func (r *stateBuilder) proxy(v *netnsSnapshot, n rtnl.Neigh) {
	o := topo.Neigh{NS: v.handle.Name, Link: v.Names[n.Link], Addr: n.Addr, Proxy: true}
	owner := mark.Owner(v.Lo().AltNames, mark.Proxy("", n.Addr.String(), o.Link))
	if owner == r.lab && owner != "" || owner == "" && r.want[o.Key()] == topo.Object(o) || r.survey && v.inLab[n.Link] {
		r.put(o)
	}
}

// isPermanent reports whether a program added the entry, with an Ethernet address.
func isPermanent(n rtnl.Neigh) bool {
	return n.State&unix.NUD_PERMANENT != 0 && !n.Proxy() && len(n.LLAddr) == len(topo.MAC{})
}

// hasRecordedAddr reports whether the link has the address of a record.
func (v *netnsSnapshot) hasRecordedAddr(lab string, l rtnl.Link, record string) bool {
	return slices.ContainsFunc(v.Addrs, func(a rtnl.Addr) bool {
		return a.Link == l.Index && mark.Address(lab, a.Prefix.String(), l.Name) == record
	})
}
