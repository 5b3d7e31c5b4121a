package setting

import (
	"strings"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
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
func (u use) needsGuard(lab string) bool {
	former := u.others
	if u.record != "" {
		former = strings.TrimPrefix(u.record, mark.Sysctl(lab, u.name))
	}
	return isForwarding(u.name) && !u.handle.Own && former == "0"
}

// guardForwarding adds the family of a forwarding sysctl to the guard. Links that forwarded before
// continue to forward: records says which.
func (c *Changer) guardForwarding(h *netns.Handle, name string, records []string) error {
	conn, err := h.NFT()
	if err != nil {
		return err
	}
	return c.calls.UpdateGuard(conn, func(g nft.Guard) nft.Guard {
		on, from := &g.IPv4, &g.From4
		if name == linux.ForwardingIPv6 {
			on, from = &g.IPv6, &g.From6
		}
		*on, *from = true, nil
		for _, record := range records {
			if _, link, ok := strings.Cut(record, forwardsKey(name)); ok {
				if link = mark.Unescaper.Replace(link); link != "default" {
					*from = append(*from, link)
				}
			}
		}
		return g
	})
}

// unguardForwarding removes the family of a forwarding sysctl, which is off, from the guard.
func (c *Changer) unguardForwarding(h *netns.Handle, name string) error {
	conn, err := h.NFT()
	if err != nil {
		return err
	}
	return c.calls.UpdateGuard(conn, func(g nft.Guard) nft.Guard {
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
func isGuarded(h *netns.Handle, name string) (bool, error) {
	conn, err := h.NFT()
	if err != nil {
		return false, err
	}
	g, err := conn.ReadGuard()
	if name == linux.ForwardingIPv6 {
		return g.IPv6, err
	}
	return g.IPv4, err
}

// WithGuard returns the value of a sysctl that a lab has set, and appends a text if it turns forwarding on and the
// guard is missing. lo has the records.
func WithGuard(h *netns.Handle, lo rtnl.Link, lab, name, value string) (string, error) {
	u := use{handle: h, lo: lo, name: name}
	u.record, _ = mark.Find(lo.AltNames, mark.Sysctl(lab, name))
	if value != "1" || !u.needsGuard(lab) {
		return value, nil
	}
	guarded, err := isGuarded(h, name)
	if err == nil && !guarded {
		value += unguarded
	}
	return value, err
}
