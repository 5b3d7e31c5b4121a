//go:build linux

package member

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/parallel"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// Members returns the members of a network, in the order in which they were attached. The MAC address and the MTU of
// their links in the namespaces, and their routes, are not known. If there is no such network, the error is
// fs.ErrNotExist.
func Members(_ context.Context, network string) ([]Attached, error) {
	c, n, err := dial()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer n.Close()
	b, err := bridgeOf(c, network)
	if err != nil {
		return nil, err
	}
	forwards, err := forwardsIn(n, network)
	if err != nil {
		return nil, err
	}
	links, err := linksOf(c, network)
	var members []Attached
	for _, l := range links {
		if _, _, whole, _ := parseAlias(l.Alias); whole {
			members = append(members, describe(b, network, l, forwards))
		}
	}
	return members, err
}

// dial opens the sockets of the machine.
func dial() (*rtnl.Conn, *nft.Conn, error) {
	c, err := rtnl.Dial(nil)
	if err != nil {
		return nil, nil, err
	}
	n, err := nft.Dial(nil)
	if err != nil {
		c.Close()
	}
	return c, n, err
}

// linksOf returns the links of a network's members, also those that are not whole. If Attach was killed before the link
// had an alias, only its name and its bridge show what it is.
func linksOf(c *rtnl.Conn, network string) ([]rtnl.Link, error) {
	b, err := bridgeOf(c, network)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	links, err := c.Links(rtnl.LinkFilter{Kind: "veth", NoStats: true})
	return slices.DeleteFunc(links, func(l rtnl.Link) bool {
		of, id, _, ok := parseAlias(l.Alias)
		unmarked := l.Alias == "" && isHostName(l.Name) && b.Index != 0 && l.Master == b.Index
		return !unmarked && (!ok || of != network || l.Name != hostName(network, id))
	}), err
}

// forwardsIn returns the forwards of a network's table.
func forwardsIn(n *nft.Conn, network string) (forwards []nft.Forward, err error) {
	rules, _, err := n.Rules(tableOf(network))
	for _, r := range rules {
		if f, ok := r.Rule.(nft.Forward); ok {
			forwards = append(forwards, f)
		}
	}
	return forwards, err
}

// describe returns what the machine's side shows of a member.
func describe(b *bridge, network string, l rtnl.Link, forwards []nft.Forward) Attached {
	_, id, _, _ := parseAlias(l.Alias)
	n := b.network(network)
	a := Attached{Network: network, ID: id.Container, Bridge: interfaceOf(b.Link), Host: interfaceOf(l),
		Link: Interface{Name: id.Link}}
	for _, addr := range claimedBy(l.AltNames, network) {
		s, _ := n.subnetOf(addr)
		address := Address{Prefix: netip.PrefixFrom(addr, max(s.Prefix.Bits(), 0))}
		if n.Gateway {
			address.Gateway = s.gateway()
		}
		a.Addresses = append(a.Addresses, address)
	}
	var own []nft.Forward
	for _, f := range forwards {
		if slices.ContainsFunc(a.Addresses, func(p Address) bool { return p.Prefix.Addr() == f.To }) {
			own = append(own, f)
		}
	}
	a.Ports = portsOf(own)
	return a
}

// describe returns the member that is attached already.
func (a *attachment) describe(l rtnl.Link) (Attached, error) {
	b, err := bridgeOf(a.conn, a.Name)
	if err != nil {
		return Attached{}, err
	}
	forwards, err := forwardsIn(a.nft, a.Name)
	there := describe(b, a.Name, l, forwards)
	there.NS = a.m.NS
	return there, err
}

// portsOf returns the published ports of forwards. One that is published for both families has two forwards.
func portsOf(forwards []nft.Forward) (ports []Port) {
	for _, f := range forwards {
		p := Port{Proto: f.Proto, Host: f.Addr, HostPort: f.Ports.First, Port: f.ToPort}
		if !slices.Contains(ports, p) {
			ports = append(ports, p)
		}
	}
	return ports
}

// Check returns an error that says what differs if a member is not attached as Attach has attached it. Other programs
// may have changed its MAC address and its MTU, and may have added addresses and routes.
func Check(_ context.Context, n Network, m Member) error {
	if err := n.check(); err != nil {
		return err
	}
	c, nc, err := dial()
	if err != nil {
		return err
	}
	defer c.Close()
	defer nc.Close()
	b, err := bridgeOf(c, n.Name)
	if err == nil && (b.record == "" || !b.Up()) {
		err = fmt.Errorf("network %s: its bridge is down, or not complete", n.Name)
	}
	if err != nil {
		return err
	}
	l, err := c.Link(rtnl.LinkID{Name: hostName(n.Name, m.id())})
	if err != nil {
		return fmt.Errorf("%s of %s: %w", m.Link, m.ID, err)
	}
	if _, _, whole, _ := parseAlias(l.Alias); !whole || !l.Up() || l.Master != b.Index {
		return fmt.Errorf("link %s: it is down, or not a port of %s", l.Name, b.Name)
	}
	_, state, err := nc.Rules(tableOf(n.Name))
	if err == nil && (!state.Exists || state.Damaged) {
		err = fmt.Errorf("table inet %s: somebody else has deleted rules", tableOf(n.Name))
	}
	if err != nil {
		return err
	}
	forwards, err := forwardsIn(nc, n.Name)
	if err != nil {
		return err
	}
	there := describe(b, n.Name, l, forwards)
	for _, a := range m.Addresses {
		if !slices.ContainsFunc(there.Addresses, func(p Address) bool { return p.Prefix.Addr() == a }) {
			return fmt.Errorf("link %s: it does not have the address %s", l.Name, a)
		}
	}
	for _, p := range m.Ports {
		if p.Host.IsValid() && p.Host.IsUnspecified() {
			p.Host = netip.Addr{}
		}
		if !slices.Contains(there.Ports, p) {
			return fmt.Errorf("port %s %d of the machine does not lead to %s", p.Proto, p.HostPort, m.ID)
		}
	}
	return m.checkInside(there)
}

// checkInside checks the member's namespace.
func (m Member) checkInside(there Attached) error {
	ns, err := nsfs.OpenFrom(m.NS, m.NS)
	if err != nil {
		return fmt.Errorf("namespace %s: %w", m.NS, err)
	}
	defer ns.Close()
	c, err := rtnl.Dial(ns)
	if err != nil {
		return err
	}
	defer c.Close()
	l, err := c.Link(rtnl.LinkID{Name: m.Link})
	if err == nil && !l.Up() {
		err = fmt.Errorf("link %s of %s is down", m.Link, m.ID)
	}
	if err != nil {
		return err
	}
	addrs, err := c.Addrs(rtnl.AddrFilter{Link: l.Index})
	if err != nil {
		return err
	}
	for _, want := range there.Addresses {
		if !slices.ContainsFunc(addrs, func(a rtnl.Addr) bool { return a.Prefix == want.Prefix }) {
			return fmt.Errorf("link %s of %s does not have the address %s", m.Link, m.ID, want.Prefix)
		}
	}
	routes, err := c.Routes(rtnl.RouteFilter{Link: l.Index, AllTables: true})
	if err != nil {
		return err
	}
	for _, want := range m.Routes {
		if !slices.ContainsFunc(routes, func(r rtnl.Route) bool { return r.Dst == want.To && r.Type == unix.RTN_UNICAST }) {
			return fmt.Errorf("link %s of %s does not have the route to %s", m.Link, m.ID, want.To)
		}
	}
	return nil
}

// Sweep removes what is left of the members of a network that are dead: links that an Attach that was killed has left,
// and forwards to addresses that nobody has. If valid is not nil, it also removes the members that valid does not list.
// It continues after errors and returns them all. If there is no such network, it returns no error.
func Sweep(ctx context.Context, network string, valid []ID) error {
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
