package netns

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/rtnl"
)

// A Snapshot is what was read of the links of a namespace, their addresses and neighbours.
type Snapshot struct {
	Links  []rtnl.Link
	Names  map[uint32]string // of links by index
	Addrs  []rtnl.Addr
	Neighs []rtnl.Neigh
}

// Lo returns the namespace's loopback link, which has the records.
func (v *Snapshot) Lo() rtnl.Link {
	for _, l := range v.Links {
		if l.Name == "lo" {
			return l
		}
	}
	return rtnl.Link{}
}

// HasRecord reports whether a link had a record. Without a snapshot (nil), it had none.
func (v *Snapshot) HasRecord(link, record string) bool {
	return v != nil && slices.ContainsFunc(v.Links, func(l rtnl.Link) bool {
		return l.Name == link && slices.Contains(l.AltNames, record)
	})
}

// IsMarked reports whether an address has the mark of the lab. On lo, the protocol does not say of which lab.
func (v *Snapshot) IsMarked(lab string, a rtnl.Addr) bool {
	name := v.Names[a.Link]
	return a.Proto == mark.Protocol && name != "lo" || v.HasRecord(name, mark.Address(lab, a.Prefix.String(), name))
}

// IsConfigured reports whether a program added the address. The kernel creates link-local
// addresses itself, and others from router advertisements.
func IsConfigured(a rtnl.Addr) bool {
	if a.Flags&unix.IFA_F_PERMANENT == 0 || a.Anycast || a.Proto == protoKernelLL {
		return false
	}
	return !a.Prefix.Addr().Is6() || !a.Prefix.Addr().IsLinkLocalUnicast() || a.Flags&unix.IFA_F_NODAD != 0
}

// IsKernelLinkLocal reports whether the kernel created the address.
func (t *Table) IsKernelLinkLocal(a rtnl.Addr) bool {
	if t.AddrRecords {
		return a.Prefix.Addr().IsLinkLocalUnicast() && !IsConfigured(a)
	}
	return a.Proto == protoKernelLL
}

// protoKernelLL is IFAPROT_KERNEL_LL of <linux/if_addr.h>: a link-local address of the kernel.
const protoKernelLL = 3
