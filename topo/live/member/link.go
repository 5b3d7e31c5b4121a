//go:build linux

package member

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo/live/internal/announce"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// singleQueue gives a veth end one queue from the start. Otherwise the kernel makes one for each processor, and waits
// for a grace period to remove the others.
var singleQueue = rtnl.Limits{TxQueues: 1, RxQueues: 1}

// addLink makes the veth pair: one end is a port of the bridge, the other is in the namespace from the start.
func (a *attachment) addLink(b *bridge) error {
	alias, none := aliasOf(a.Name, a.m.id())+making, rtnl.AddrGenNone
	// A bridge accepts frames to the MAC address of any port. All have the bridge's, so that one gate is enough.
	peer := rtnl.LinkConfig{Name: a.m.Link, NS: a.file, MTU: a.MTU, Limits: singleQueue}
	add := rtnl.LinkConfig{Name: a.host, Address: b.Address, Master: &b.Index, MTU: a.MTU, Limits: singleQueue,
		Kind: rtnl.Kind{Name: "veth", Peer: &peer}}
	set := a.portConfig()
	set.Alias = &alias
	if a.hasIPv6() {
		set.AddrGenMode = &none
	}
	if err := a.conn.Do(rtnl.AddLink(add)); err != nil {
		if _, gone := a.conn.Link(rtnl.LinkID{Index: b.Index}); errors.Is(gone, fs.ErrNotExist) {
			return errNetworkGone
		}
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("the namespace already has a link %s (%w)", a.m.Link, fs.ErrExist)
		}
		return err
	}
	a.linked = true
	return a.conn.Do(rtnl.SetLink(rtnl.LinkID{Name: a.host}, set))
}

func number(on bool) uint64 {
	if on {
		return 1
	}
	return 0
}

// hasIPv6 reports whether the links of the network's members have IPv6 settings.
func (n Network) hasIPv6() bool { return (n.MTU == 0 || n.MTU >= minIPv6MTU) && netns.HasIPv6() }

// isIPv4Only reports whether the member has addresses, and none of them is an IPv6 address.
func (a *attachment) isIPv4Only() bool {
	return len(a.addrs) > 0 &&
		!slices.ContainsFunc(a.addrs, func(p Address) bool { return p.Prefix.Addr().Is6() })
}

// ipv6Settings returns the IPv6 settings of the link in the namespace. Its addresses and routes come from here alone:
// without accept_ra=0, any other member could give it a default route. It has no link-local address if all its
// addresses are IPv4; otherwise nobody has to wait for that address.
func (a *attachment) ipv6Settings() []string {
	switch {
	case len(a.addrs) == 0:
		return nil
	case a.isIPv4Only():
		return []string{"accept_ra=0"}
	}
	return []string{"disable_ipv6=0", "accept_dad=0", "accept_ra=0"}
}

// writeIPv6 writes IPv6 settings of a link, unless /proc/sys is read-only.
func writeIPv6(t nsfs.Thread, link string, settings ...string) error {
	if err := t.SetSysctls("net/ipv6/conf/"+link, settings...); !isReadOnly(err) {
		return err
	}
	return nil
}

// configure makes what is inside the namespace: addresses, routes, link up.
func (a *attachment) configure() (err error) {
	err = nsfs.WithThread(func(t nsfs.Thread) error {
		// Packets that arrive at a port belong to the bridge. The kernel has no routes and groups for it then.
		if err := writeIPv6(t, a.host, "disable_ipv6=1"); err != nil {
			return err
		}
		if err := t.Enter(a.file); err != nil {
			return err
		}
		if err := writeIPv6(t, a.m.Link, a.ipv6Settings()...); err != nil {
			return err
		}
		a.inside, err = rtnl.Dial(nil)
		return err
	})
	if err != nil {
		return err
	}
	l, err := a.inside.Link(rtnl.LinkID{Name: a.m.Link})
	if err != nil {
		return err
	}
	mac := a.m.MAC
	if mac == ([6]byte{}) && len(a.addrs) > 0 {
		mac = macOf(a.Name, a.addrs[0].Prefix.Addr())
	}
	id, set := rtnl.LinkID{Index: l.Index}, rtnl.LinkConfig{}
	if mac != ([6]byte{}) {
		set.Address = rtnl.LLAddr(mac[:])
	}
	set.SetUp(true)
	requests := []rtnl.Request{rtnl.SetLink(id, set)}
	if none := rtnl.AddrGenNone; a.isIPv4Only() && a.hasIPv6() {
		// A message that also sets the link up would set it up first.
		requests = slices.Insert(requests, 0, rtnl.SetLink(id, rtnl.LinkConfig{AddrGenMode: &none}))
	}
	for _, p := range a.addrs {
		requests = append(requests, rtnl.AddAddr(rtnl.Addr{Link: l.Index, Prefix: p.Prefix,
			Broadcast: broadcastOf(p.Prefix.Masked()), Flags: unix.IFA_F_NODAD}))
	}
	if err := a.inside.Do(requests...); err != nil {
		return err
	}
	return a.addRoutes(l.Index)
}

// laterMetric is more than the metric of IPv6 routes that have none, IP6_RT_PRIO_USER of <net/ip6_route.h>.
const laterMetric = 1024

// addRoutes adds the member's routes. If the namespace has a default route by another network, the new one has a
// greater metric: it is used when the other is gone.
func (a *attachment) addRoutes(link uint32) error {
	for _, r := range a.routes() {
		route := r.in(link)
		err := a.inside.Do(rtnl.AddRoute(route))
		if errors.Is(err, fs.ErrExist) && r.To.Bits() == 0 && r.Metric == 0 {
			route.Metric = laterMetric + link
			err = a.inside.Do(rtnl.AddRoute(route))
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// announce sends the member's MAC address to neighbours that may know another one for the same IP address: if the
// member asked for a MAC address, or if somebody had the IP address before.
func (a *attachment) announce(l rtnl.Link) error {
	if a.m.MAC == ([6]byte{}) && len(a.former) == 0 {
		return nil
	}
	return nsfs.Do(a.file, func() error {
		fd, err := announce.Socket()
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for _, p := range a.addrs {
			if err := announce.Send(fd, l.Index, p.Prefix.Addr(), interfaceOf(l).MAC, false); err != nil {
				return err
			}
		}
		return nil
	})
}

// routes returns the member's routes, with their gateways.
func (a *attachment) routes() (routes []Route) {
	gateways := map[bool]netip.Addr{} // by whether it is IPv4
	for _, p := range a.addrs {
		if p.Gateway.IsValid() && !gateways[p.Prefix.Addr().Is4()].IsValid() {
			gateways[p.Prefix.Addr().Is4()] = p.Gateway
		}
	}
	if a.DefaultRoute {
		for _, any := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
			if via := gateways[any.Is4()]; via.IsValid() {
				routes = append(routes, Route{To: netip.PrefixFrom(any, 0), Via: via})
			}
		}
	}
	for _, r := range a.m.Routes {
		if !r.Via.IsValid() && r.Scope == unix.RT_SCOPE_UNIVERSE {
			r.Via = gateways[r.To.Addr().Is4()]
		}
		routes = append(routes, r)
	}
	return routes
}

// in returns a route as a route of a link.
func (r Route) in(link uint32) rtnl.Route {
	out := rtnl.Route{Dst: r.To, Gateway: r.Via, Link: link, Table: r.Table, Metric: r.Metric, Scope: r.Scope,
		Protocol: unix.RTPROT_BOOT}
	if !r.Via.IsValid() && r.To.Addr().Is4() {
		out.Scope = unix.RT_SCOPE_LINK
	}
	out.Metrics.Values[unix.RTAX_MTU], out.Metrics.Values[unix.RTAX_ADVMSS] = r.MTU, r.AdvMSS
	return out
}

// finish says that the member is whole.
func (a *attachment) finish() (b *bridge, err error) {
	alias := aliasOf(a.Name, a.m.id())
	set := rtnl.LinkConfig{Alias: &alias}
	set.SetUp(true)
	if err := a.conn.Do(rtnl.SetLink(rtnl.LinkID{Name: a.host}, set)); err != nil {
		return b, err
	}
	// Another process may have removed the network. It first removes the record, and then looks for members.
	b, err = bridgeOf(a.conn, a.Name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && b.record == "" {
		return b, errNetworkGone
	}
	return b, err
}

// run waits until links carry packets, and returns the member's. Since Linux 6.8, asking for a link makes the kernel
// handle a change of its carrier; before, it did so up to a second later.
func (a *attachment) run(ctx context.Context, b *bridge) (host, inside rtnl.Link, err error) {
	if inside, err = running(ctx, a.inside, a.file, rtnl.LinkID{Name: a.m.Link}); err != nil {
		return host, inside, err
	}
	if host, err = running(ctx, a.conn, nil, rtnl.LinkID{Name: a.host}); err != nil || !a.Gateway {
		return host, inside, err
	}
	_, err = running(ctx, a.conn, nil, rtnl.LinkID{Index: b.Index})
	return host, inside, err
}

// running returns a link when it carries packets, but waits no longer than a second: somebody may have set the other
// end down.
func running(ctx context.Context, c *rtnl.Conn, ns *os.File, id rtnl.LinkID) (l rtnl.Link, err error) {
	if l, err = c.Link(id); err != nil || l.Flags&unix.IFF_RUNNING != 0 {
		return l, err
	}
	w, err := rtnl.Watch(ns, rtnl.GroupLink)
	if err != nil {
		return l, err
	}
	defer w.Close()
	limited, cancel := context.WithTimeout(ctx, waitTime)
	defer cancel()
	for {
		if l, err = c.Link(id); err != nil || l.Flags&unix.IFF_RUNNING != 0 {
			return l, err
		}
		if _, err := w.Next(limited); err != nil {
			return l, ctx.Err()
		}
	}
}
