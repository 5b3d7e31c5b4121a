//go:build linux

package member

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"slices"

	"github.com/vnet-lab/vnet/internal/parallel"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/rtnl"
)

// Sweep removes what is left of the members of a network that are dead: links that an Attach that was killed has left,
// and forwards to addresses that nobody has. If valid is not nil, it also removes the members that valid does not list.
// It continues after errors and returns them all. If there is no such network, it returns no error.
func Sweep(ctx context.Context, network string, valid []ID) error {
	if err := checkName(network); err != nil {
		return err
	}
	c, n, err := dial()
	if err != nil {
		return err
	}
	defer c.Close()
	defer n.Close()
	links, err := linksOf(c, network)
	all := make([]error, len(links))
	parallel.Each(sweepWorkers, len(links), func(i int) {
		_, id, whole, _ := parseAlias(links[i].Alias)
		if !whole {
			all[i] = sweepHalf(ctx, c, n, network, links[i].Name)
		} else if valid != nil && !slices.Contains(valid, id) {
			all[i] = Detach(ctx, network, id)
		}
	})
	swept := sweepDead(ctx, c, n, network, true, func() ([]nft.Forward, error) { return forwardsIn(n, network) })
	return errors.Join(append(all, err, swept)...)
}

// sweepWorkers is how many members are removed at once: for each, the kernel waits for a grace period.
const sweepWorkers = 32

// sweepHalf removes a link that is not whole when nobody works on it any more.
func sweepHalf(ctx context.Context, c *rtnl.Conn, n *nft.Conn, network, host string) error {
	unlock, err := lockName(ctx, host)
	if err != nil {
		return err
	}
	defer unlock()
	l, err := c.Link(rtnl.LinkID{Name: host})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, _, whole, _ := parseAlias(l.Alias); whole {
		return nil
	}
	return removeMember(c, n, network, l)
}

// sweepDead removes those of the forwards whose addresses nobody has. While it does so, the bridge has the address, so
// that nobody else gets it. forwards is called under the network's lock; all says that it returns all forwards.
func sweepDead(
	ctx context.Context, c *rtnl.Conn, n *nft.Conn, network string, all bool, forwards func() ([]nft.Forward, error),
) error {
	unlock, err := lockName(ctx, owner(network))
	if err != nil {
		return err
	}
	defer unlock()
	b, err := bridgeOf(c, network)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, a := range claimedBy(b.AltNames, network) { // a Sweep was killed
		if err := release(c, b, network, a); err != nil {
			return err
		}
	}
	list, err := forwards()
	if err != nil {
		return err
	}
	byTarget := map[netip.Addr][]nft.Forward{}
	for _, f := range list {
		byTarget[f.To] = append(byTarget[f.To], f)
	}
	for to, dead := range byTarget {
		err := claimName(c, b.Name, claimOf(network, to), "")
		var taken *TakenError
		if errors.As(err, &taken) {
			continue
		}
		if err == nil {
			var freed []netip.Addr
			if all {
				freed = append(freed, to)
			}
			err = ignoreStale(n.DeleteForwards(tableOf(network), dead, freed...))
			err = errors.Join(err, release(c, b, network, to))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func release(c *rtnl.Conn, b *bridge, network string, a netip.Addr) error {
	return c.Do(rtnl.DeleteAltNames(rtnl.LinkID{Index: b.Index}, claimOf(network, a)))
}
