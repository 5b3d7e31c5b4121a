package live

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// ownsAddress reports whether an address on a link of the lab is the lab's. Other programs add
// addresses there, too: keepalived, FRR, a DHCP client. The lab's have vnet's protocol or a
// record. An address without a mark counts if the file has the same one: vnet need not add it,
// and will not delete it.
func (r *stateBuilder) ownsAddress(v *netnsSnapshot, a rtnl.Addr) bool {
	switch {
	case a.Anycast:
		return false
	case a.Proto == mark.Protocol:
		return true
	case !isConfigured(a):
		return false
	case r.survey:
		return true
	}
	o := topo.Address{NS: v.handle.name, Link: v.names[a.Link], Prefix: a.Prefix}
	if _, wanted := r.want[o.Key()]; wanted {
		return true
	}
	return v.isMarked(r.lab, a)
}

// neighbours adds the neighbour entries of the lab. As for addresses, an entry without vnet's
// protocol counts if the file has the same one.
func (r *stateBuilder) neighbours(v *netnsSnapshot) {
	for _, n := range v.neighs {
		if !v.inLab[n.Link] || !isPermanent(n) {
			continue
		}
		o := topo.Neigh{NS: v.handle.name, Link: v.names[n.Link], Addr: n.Addr, MAC: topo.MAC([]byte(n.LLAddr))}
		if n.Protocol == mark.Protocol || r.survey || r.want[o.Key()] == topo.Object(o) {
			r.put(o)
		}
	}
}

// isPermanent reports whether a program added the entry, with an Ethernet address.
func isPermanent(n rtnl.Neigh) bool {
	return n.State&unix.NUD_PERMANENT != 0 && !n.Proxy() && len(n.LLAddr) == len(topo.MAC{})
}

// hasRecord reports whether a link had a record; of no snapshot, it had none.
func (v *netnsSnapshot) hasRecord(link, record string) bool {
	return v != nil && slices.ContainsFunc(v.links, func(l rtnl.Link) bool {
		return l.Name == link && slices.Contains(l.AltNames, record)
	})
}

// hasRecordedAddr reports whether the link has the address of a record.
func (v *netnsSnapshot) hasRecordedAddr(lab string, l rtnl.Link, record string) bool {
	return slices.ContainsFunc(v.addrs, func(a rtnl.Addr) bool {
		return a.Link == l.Index && mark.Address(lab, a.Prefix.String(), l.Name) == record
	})
}

// isConfigured reports whether a program added the address. The kernel creates link-local
// addresses itself, and others from router advertisements.
func isConfigured(a rtnl.Addr) bool {
	if a.Flags&unix.IFA_F_PERMANENT == 0 || a.Anycast || a.Proto == protoKernelLL {
		return false
	}
	return !a.Prefix.Addr().Is6() || !a.Prefix.Addr().IsLinkLocalUnicast() || a.Flags&unix.IFA_F_NODAD != 0
}

// isKernelLinkLocal reports whether the kernel created the address.
func (t *handleTable) isKernelLinkLocal(a rtnl.Addr) bool {
	if t.addrRecords {
		return a.Prefix.Addr().IsLinkLocalUnicast() && !isConfigured(a)
	}
	return a.Proto == protoKernelLL
}

// protoKernelLL is IFAPROT_KERNEL_LL of <linux/if_addr.h>: a link-local address of the kernel.
const protoKernelLL = 3
