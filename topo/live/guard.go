package live

import (
	"strings"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// Forwarding is one setting for all networks of a machine. A lab that turns it on must not connect
// networks that are not its own: the guard of package nft drops their packets. vnet adds the guard
// before it turns forwarding on, and removes the guard after it turns forwarding off. If forwarding
// was on before the lab, vnet adds no guard.
//
//	up:    record ─▶ guard ─▶ net.ipv4.ip_forward=1        down:  =0 ─▶ no guard ─▶ no record

// unguarded is the text that a snapshot appends to the value of a forwarding sysctl whose guard is
// missing. The value then differs from the file's: this is drift, and up adds the guard again.
const unguarded = " (without a guard)"

// needsGuard reports whether forwarding in the namespace is on for labs only.
func (u settingUse) needsGuard(lab string) bool {
	former := u.others
	if u.record != "" {
		former = strings.TrimPrefix(u.record, mark.Sysctl(lab, u.name))
	}
	return isForwarding(u.name) && !u.handle.own && former == "0"
}

// guardForwarding adds the family of a forwarding sysctl to the guard. Links that forwarded before
// continue to forward.
func (x *executor) guardForwarding(h *netnsHandle, name string) error {
	conn, err := h.nft()
	if err != nil {
		return err
	}
	lo, err := h.conn.Link(rtnl.LinkID{Name: "lo"})
	if err != nil {
		return err
	}
	return x.calls.updateGuard(conn, func(g nft.Guard) nft.Guard {
		on, from := &g.IPv4, &g.From4
		if name == linux.ForwardingIPv6 {
			on, from = &g.IPv6, &g.From6
		}
		*on, *from = true, nil
		for _, alt := range lo.AltNames {
			if _, link, ok := strings.Cut(alt, forwarders(name)); ok {
				if link = mark.Unescaper.Replace(link); link != "default" {
					*from = append(*from, link)
				}
			}
		}
		return g
	})
}

// unguardForwarding removes the family of a forwarding sysctl, which is off, from the guard.
func (x *executor) unguardForwarding(h *netnsHandle, name string) error {
	conn, err := h.nft()
	if err != nil {
		return err
	}
	return x.calls.updateGuard(conn, func(g nft.Guard) nft.Guard {
		if name == linux.ForwardingIPv6 {
			g.IPv6, g.From6 = false, nil
		} else {
			g.IPv4, g.From4 = false, nil
		}
		if !g.IPv4 && !g.IPv6 {
			return nft.Guard{}
		}
		return g
	})
}

// isGuarded reports whether the guard has the family of a forwarding sysctl.
func (h *netnsHandle) isGuarded(name string) (bool, error) {
	conn, err := h.nft()
	if err != nil {
		return false, err
	}
	g, err := conn.ReadGuard()
	if name == linux.ForwardingIPv6 {
		return g.IPv6, err
	}
	return g.IPv4, err
}

// linkGroup returns the link group by which the guard recognizes a link of the lab. It returns nil in
// namespaces that the lab created, because they have no guard, and for bridge ports, because packets
// are forwarded from the bridge and not from its ports.
func (h *netnsHandle) linkGroup(l topo.Link) *uint32 {
	if h.own || l.Master != "" {
		return nil
	}
	group := uint32(nft.LinkGroup)
	return &group
}
