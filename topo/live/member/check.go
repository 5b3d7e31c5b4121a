//go:build linux

package member

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

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
	rules, state, err := nc.Rules(tableOf(n.Name))
	if err == nil && (!state.Exists || state.Damaged) {
		err = fmt.Errorf("table inet %s: somebody else has deleted rules", tableOf(n.Name))
	}
	if err != nil {
		return err
	}
	there := describe(b, n.Name, l, forwardsAmong(rules))
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
		return err
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
