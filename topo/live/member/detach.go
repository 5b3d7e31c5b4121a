//go:build linux

package member

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/rtnl"
)

// Detach removes a member from a network: its link at both ends, and its ports. The connections of its addresses are
// forgotten before these are given again. It needs no namespace. If there is no such member, or no such network, it
// returns no error. The network stays; see [Remove].
//
// If the member's namespace has ended already, nothing shows which ports the member had. Detach then removes those of
// ports that nobody has any more; the next owner of a port, or of an address, removes the others.
func Detach(ctx context.Context, network string, id ID, ports ...Port) error {
	if err := checkName(network); err != nil {
		return err
	}
	unlock, err := lockName(ctx, hostName(network, id))
	if err != nil {
		return err
	}
	defer unlock()
	c, err := rtnl.Dial(nil)
	if err != nil {
		return err
	}
	defer c.Close()
	l, err := c.Link(rtnl.LinkID{Name: hostName(network, id)})
	gone := errors.Is(err, fs.ErrNotExist)
	if gone && len(ports) == 0 {
		return nil
	}
	if err == nil {
		_, err = isOurs(l, network, id)
	}
	if err != nil && !gone {
		return err
	}
	n, err := nft.Dial(nil)
	if err != nil {
		return err
	}
	defer n.Close()
	if gone {
		return sweepPorts(ctx, c, n, network, ports)
	}
	return removeMember(c, n, network, l)
}

// sweepPorts removes the forwards of ports whose owner is gone.
func sweepPorts(ctx context.Context, c *rtnl.Conn, n *nft.Conn, network string, ports []Port) error {
	var at []nft.Forward
	for _, p := range ports {
		for _, to := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
			if f, ok := p.forward(to); ok {
				at = append(at, f)
			}
		}
	}
	forwards, err := n.ForwardsAt(tableOf(network), at...)
	if err != nil || len(forwards) == 0 {
		return err
	}
	return sweepDead(ctx, c, n, network, false, func() ([]nft.Forward, error) { return forwards, nil })
}

// removeMember removes a member by its link on the machine's side. The link goes last: as long as it has the addresses,
// nobody else has forwards to them.
func removeMember(c *rtnl.Conn, n *nft.Conn, network string, l rtnl.Link) error {
	addrs := claimedBy(l.AltNames, network)
	if forwards := forwardsOf(l.AltNames, addrs); len(forwards) > 0 {
		if err := ignoreStale(n.DeleteForwards(tableOf(network), forwards, addrs...)); err != nil {
			return err
		}
	}
	err := c.Do(rtnl.DeleteLink(rtnl.LinkID{Index: l.Index}))
	if errors.Is(err, fs.ErrNotExist) { // the namespace has ended
		return nil
	}
	return err
}

// forwardsOf returns the forwards of a link with these alternative names. Their target ports are not known.
func forwardsOf(names []string, addrs []netip.Addr) (forwards []nft.Forward) {
	for _, name := range names {
		if f, ok := parsePortClaim(name, addrs); ok {
			forwards = append(forwards, f)
		}
	}
	return forwards
}
