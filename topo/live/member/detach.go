//go:build linux

package member

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"strings"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/rtnl"
)

// Detach removes a member from a network: its link at both ends, and its ports. The connections of its addresses are
// forgotten before these are given again. It needs no namespace. If there is no such member, or no such network, it
// returns no error. The network stays; see [Remove].
func Detach(ctx context.Context, network string, id ID) error {
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
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := isOurs(l, network, id); err != nil {
		return err
	}
	n, err := nft.Dial(nil)
	if err != nil {
		return err
	}
	defer n.Close()
	return removeMember(c, n, network, l)
}

// removeMember removes a member by its link on the machine's side. The link goes last: as long as it has the addresses,
// nobody else has forwards to them.
func removeMember(c *rtnl.Conn, n *nft.Conn, network string, l rtnl.Link) error {
	addrs := claimedBy(l.AltNames, network)
	if forwards := forwardsOf(l.AltNames, addrs); len(forwards) > 0 {
		if err := ignoreStale(n.DeleteForwards(tableOf(network), forwards...)); err != nil {
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
		if f, ok := parsePortClaim(name, addrs); ok && strings.HasPrefix(name, "p") {
			forwards = append(forwards, f)
		}
	}
	return forwards
}
