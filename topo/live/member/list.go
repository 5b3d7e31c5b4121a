//go:build linux

package member

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"slices"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/rtnl"
)

// Members returns the members of a network, in the order in which they were attached. The MAC address and the MTU of
// their links in the namespaces, and their routes, are not known. If there is no such network, the error is
// fs.ErrNotExist.
func Members(_ context.Context, network string) ([]Attached, error) {
	if err := checkName(network); err != nil {
		return nil, err
	}
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
	return forwardsAmong(rules), err
}

func forwardsAmong(rules []nft.CountedRule) (forwards []nft.Forward) {
	for _, r := range rules {
		if f, ok := r.Rule.(nft.Forward); ok {
			forwards = append(forwards, f)
		}
	}
	return forwards
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
