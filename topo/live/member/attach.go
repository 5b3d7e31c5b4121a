//go:build linux

package member

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// Attach attaches a member to a network, and first makes what is missing of the network. It does all or nothing. Its
// cost does not depend on how many members the network has.
//
// If the member is attached already, the error is fs.ErrExist, and Attach returns what is there. What an Attach that
// was killed has left of the member is removed first. If all addresses are taken, Attach waits up to a second for one;
// then the error is [ErrExhausted]. If a wanted address or port is taken, it is a [TakenError].
func Attach(ctx context.Context, n Network, m Member) (Attached, error) {
	if err := n.check(); err != nil {
		return Attached{}, err
	}
	if err := m.check(n); err != nil {
		return Attached{}, err
	}
	a := &attachment{Network: n, Member: m, host: hostName(n.Name, m.id())}
	unlock, err := lockName(ctx, a.host)
	if err != nil {
		return Attached{}, err
	}
	defer unlock()
	if err := a.open(); err != nil {
		return Attached{}, err
	}
	defer a.close()
	if there, err := a.clear(); err != nil {
		return there, err
	}
	for try := 1; ; try++ {
		done, err := a.make(ctx)
		if err == nil {
			return done, nil
		}
		err = errors.Join(err, a.undo())
		if !errors.Is(err, errNetworkGone) || try == maxRetries {
			return Attached{}, fmt.Errorf("attach %s to network %s: %w", m.ID, n.Name, err)
		}
	}
}

// maxRetries limits how often Attach makes the network again after another process has removed it.
const maxRetries = 5

// errNetworkGone means that the network was removed while a member was attached.
var errNetworkGone = errors.New("the network was removed at the same time")

func (m Member) id() ID { return ID{m.ID, m.Link} }

// check returns an error if the member cannot be attached to the network.
func (m Member) check(n Network) error {
	if err := m.id().check(); err != nil {
		return err
	}
	used := map[netip.Prefix]netip.Addr{}
	for _, a := range m.Addresses {
		s, ok := n.subnetOf(a)
		switch {
		case !ok:
			return fmt.Errorf("address %s is in no subnet of network %s", a, n.Name)
		case a == s.gateway():
			return fmt.Errorf("address %s is the gateway's of network %s", a, n.Name)
		case a == s.Prefix.Addr() || a.Is4() && a == lastOf(s.Prefix):
			return fmt.Errorf("address %s is the network's or the broadcast address of %s", a, s.Prefix)
		case used[s.Prefix].IsValid() && used[s.Prefix] != a:
			return fmt.Errorf("addresses %s and %s are both in subnet %s", used[s.Prefix], a, s.Prefix)
		}
		used[s.Prefix] = a
	}
	if len(m.Ports) > 0 && !n.Gateway {
		return fmt.Errorf("network %s has no gateway that could publish ports", n.Name)
	}
	return nil
}

// maxID is the maximum length of an ID: it is part of the alias of a link.
const maxID = 128

func (id ID) check() error {
	if id.Container == "" || len(id.Container) > maxID || strings.ContainsAny(id.Container, " \t\n\x00") {
		return fmt.Errorf("id %q: expected 1 to %d characters without blanks", id.Container, maxID)
	}
	if err := rtnl.CheckLinkName(id.Link); err != nil {
		return fmt.Errorf("link %q: %w", id.Link, err)
	}
	return nil
}

func (n Network) subnetOf(a netip.Addr) (Subnet, bool) {
	for _, s := range n.Subnets {
		if s.Prefix.Contains(a) {
			return s, true
		}
	}
	return Subnet{}, false
}

// An attachment is a member while it is attached.
type attachment struct {
	Network
	Member
	host   string // the name of the link on the machine's side
	file   *os.File
	conn   *rtnl.Conn // on the machine
	inside *rtnl.Conn // in the namespace
	nft    *nft.Conn

	linked    bool // the link was made
	addrs     []Address
	published []nft.Forward
	notes     []nft.Rule // for the next owners of the addresses; nil if they are there
}

// open opens the member's namespace, and sockets there and here.
func (a *attachment) open() (err error) {
	if a.file, err = nsfs.OpenFrom(a.NS, a.NS); err != nil {
		return fmt.Errorf("namespace %s: %w", a.NS, err)
	}
	if a.conn, err = rtnl.Dial(nil); err == nil {
		a.nft, err = nft.Dial(nil)
	}
	if err != nil {
		a.close()
		return err
	}
	here, err := nsfs.Current()
	if err != nil {
		a.close()
		return err
	}
	defer here.Close()
	own, err := nsfs.Identity(here)
	there, thereErr := nsfs.Identity(a.file)
	if err := errors.Join(err, thereErr); err != nil || own == there {
		a.close()
		return cmp.Or(err, ErrOwnNamespace)
	}
	return nil
}

// ErrOwnNamespace means that the namespace of a member is the one of the calling process.
var ErrOwnNamespace = errors.New("the namespace is the one that this process is in")

func (a *attachment) close() {
	if a.file != nil {
		a.file.Close()
	}
	if a.inside != nil {
		a.inside.Close()
	}
	if a.conn != nil {
		a.conn.Close()
	}
	if a.nft != nil {
		a.nft.Close()
	}
}

// clear removes what is half of the member. If it is whole, the error is fs.ErrExist.
func (a *attachment) clear() (Attached, error) {
	l, err := a.conn.Link(rtnl.LinkID{Name: a.host})
	if errors.Is(err, fs.ErrNotExist) {
		return Attached{}, nil
	}
	if err != nil {
		return Attached{}, err
	}
	network, id, whole, ok := parseAlias(l.Alias)
	if !ok && l.Alias != "" || ok && (network != a.Network.Name || id != a.id()) {
		return Attached{}, fmt.Errorf("link %s: not made for %s of %s", a.host, a.Member.Link, a.ID)
	}
	if !whole {
		return Attached{}, removeMember(a.conn, a.nft, a.Network.Name, l)
	}
	there, err := a.describe(l)
	if err == nil {
		err = attachedError{a.Network.Name, a.id()}
	}
	return there, err
}

// An attachedError names a member that is attached already.
type attachedError struct {
	network string
	id      ID
}

func (e attachedError) Error() string {
	return fmt.Sprintf("%s of %s is already attached to network %s", e.id.Link, e.id.Container, e.network)
}

func (e attachedError) Is(target error) bool { return target == fs.ErrExist }

// make makes the member. After an error, undo removes what it has made.
func (a *attachment) make(ctx context.Context) (Attached, error) {
	b, err := a.ensure(ctx, a.conn)
	if err != nil {
		return Attached{}, err
	}
	if err := a.addLink(b); err != nil {
		return Attached{}, err
	}
	if err := a.claimAddresses(ctx); err != nil {
		return Attached{}, err
	}
	if err := a.forgetFormer(ctx); err != nil {
		return Attached{}, err
	}
	if err := a.configure(); err != nil {
		return Attached{}, err
	}
	if err := a.publish(ctx); err != nil {
		return Attached{}, err
	}
	if b, err = a.finish(); err != nil {
		return Attached{}, err
	}
	host, link, err := a.run(ctx, b)
	if err != nil {
		return Attached{}, err
	}
	return Attached{Network: a.Network.Name, ID: a.ID, Bridge: interfaceOf(b.Link), Host: interfaceOf(host),
		Link: interfaceOf(link), NS: a.NS, Addresses: a.addrs, Routes: a.routes(), Ports: portsOf(a.published)}, nil
}

func interfaceOf(l rtnl.Link) Interface {
	i := Interface{Name: l.Name, MTU: l.MTU}
	copy(i.MAC[:], l.Address)
	return i
}

// singleQueue gives a veth end one queue from the start. Otherwise the kernel makes one for each processor, and waits
// for a grace period to remove the others.
var singleQueue = rtnl.Limits{TxQueues: 1, RxQueues: 1}

// addLink makes the veth pair: one end is a port of the bridge, the other is in the namespace from the start.
func (a *attachment) addLink(b bridge) error {
	alias, none := aliasOf(a.Network.Name, a.id())+making, rtnl.AddrGenNone
	// A bridge accepts frames to the MAC address of any port. All have the bridge's, so that one gate is enough.
	peer := rtnl.LinkConfig{Name: a.Member.Link, NS: a.file, MTU: a.MTU, Limits: singleQueue}
	add := rtnl.LinkConfig{Name: a.host, Address: b.Address, Master: &b.Index, MTU: a.MTU, Limits: singleQueue,
		Kind: rtnl.Kind{Name: "veth", Peer: &peer}}
	set := rtnl.LinkConfig{Alias: &alias, PortKind: "bridge_slave",
		Port: rtnl.Options{"isolated": number(a.Isolate), "hairpin": number(a.Hairpin)}}
	if netns.HasIPv6() {
		set.AddrGenMode = &none
	}
	if err := a.conn.Do(rtnl.AddLink(add)); err != nil {
		if _, gone := a.conn.Link(rtnl.LinkID{Index: b.Index}); errors.Is(gone, fs.ErrNotExist) {
			return errNetworkGone
		}
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("link %s of the namespace: %w", a.Member.Link, fs.ErrExist)
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

// claimAddresses takes an address of each subnet.
func (a *attachment) claimAddresses(ctx context.Context) error {
	for _, s := range a.Subnets {
		i := slices.IndexFunc(a.Member.Addresses, s.Prefix.Contains)
		var want netip.Addr
		if i >= 0 {
			want = a.Member.Addresses[i]
		}
		got, err := a.claimOne(ctx, s, want)
		if err != nil {
			return err
		}
		address := Address{Prefix: netip.PrefixFrom(got, s.Prefix.Bits())}
		if a.Gateway {
			address.Gateway = s.gateway()
		}
		a.addrs = append(a.addrs, address)
	}
	return nil
}

// waitTime is longer than the kernel needs to delete the links of a namespace that has ended, or to handle a change of
// carrier.
const waitTime = time.Second

// claimOne takes an address. If all are taken, it tries again when a link was deleted.
func (a *attachment) claimOne(ctx context.Context, s Subnet, want netip.Addr) (netip.Addr, error) {
	start := hash(a.ID, a.Member.Link, s.Prefix.String())
	got, err := claim(a.conn, a.host, a.Network.Name, s, want, start)
	var taken *TakenError
	if !errors.Is(err, ErrExhausted) && !errors.As(err, &taken) {
		return got, err
	}
	w, watchErr := rtnl.Watch(nil, rtnl.GroupLink)
	if watchErr != nil {
		return got, watchErr
	}
	defer w.Close()
	limited, cancel := context.WithTimeout(ctx, waitTime)
	defer cancel()
	for {
		got, err = claim(a.conn, a.host, a.Network.Name, s, want, start)
		if !errors.Is(err, ErrExhausted) && !errors.As(err, &taken) {
			return got, err
		}
		for {
			e, waitErr := w.Next(limited)
			if waitErr != nil {
				return got, cmp.Or(ctx.Err(), err)
			}
			if e.Deleted || e.Lost {
				break
			}
		}
	}
}

// forgetFormer removes what is left of the former owners of the member's addresses: forwards and connections. Addresses
// that nobody had need no more than one question.
func (a *attachment) forgetFormer(ctx context.Context) error {
	var addrs []netip.Addr
	for _, p := range a.addrs {
		addrs = append(addrs, p.Prefix.Addr())
	}
	found, err := a.nft.Tenancies(tableOf(a.Network.Name), addrs...)
	if err != nil {
		return err
	}
	if len(found) > 0 && !found[0].Exists { // somebody else deleted the network's rules
		if _, err := a.Network.make(ctx); err != nil {
			return err
		}
	}
	var former []netip.Prefix
	for i, f := range found {
		if len(f.Forwards) > 0 {
			if err := ignoreStale(a.nft.DeleteForwards(tableOf(a.Network.Name), f.Forwards...)); err != nil {
				return err
			}
		}
		if f.Former {
			former = append(former, netip.PrefixFrom(addrs[i], addrs[i].BitLen()))
		} else {
			a.notes = append(a.notes, nft.Tenant{Addr: addrs[i]})
		}
	}
	return a.nft.ForgetFlows(former...)
}

// configure makes what is inside the namespace: addresses, routes, link up.
func (a *attachment) configure() (err error) {
	err = nsfs.WithThread(func(t nsfs.Thread) error {
		if err := t.Enter(a.file); err != nil {
			return err
		}
		if slices.ContainsFunc(a.addrs, func(p Address) bool { return p.Prefix.Addr().Is6() }) {
			// Addresses and routes come from here alone, and nobody has to wait for the link-local address.
			err := t.SetSysctls("net/ipv6/conf/"+a.Member.Link, "disable_ipv6=0", "accept_dad=0", "accept_ra=0")
			if err != nil && !isReadOnly(err) {
				return err
			}
		}
		a.inside, err = rtnl.Dial(nil)
		return err
	})
	if err != nil {
		return err
	}
	l, err := a.inside.Link(rtnl.LinkID{Name: a.Member.Link})
	if err != nil {
		return err
	}
	mac := a.MAC
	if mac == ([6]byte{}) && len(a.addrs) > 0 {
		mac = macOf(a.Network.Name, a.addrs[0].Prefix.Addr())
	}
	set := rtnl.LinkConfig{}
	if mac != ([6]byte{}) {
		set.Address = rtnl.LLAddr(mac[:])
	}
	set.SetUp(true)
	requests := []rtnl.Request{rtnl.SetLink(rtnl.LinkID{Index: l.Index}, set)}
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

// addRoutes adds the member's routes. If the namespace has a default route by another network, the new one has a greater
// metric: it is used when the other is gone.
func (a *attachment) addRoutes(link uint32) error {
	for _, r := range a.routes() {
		route := r.in(link)
		err := a.inside.Do(rtnl.AddRoute(route))
		if errors.Is(err, fs.ErrExist) && r.To.Bits() == 0 && r.Metric == 0 {
			route.Metric = laterMetric + link
			err = a.inside.Do(rtnl.AddRoute(route))
		}
		if err != nil {
			return err
		}
	}
	return nil
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
		for _, to := range []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)} {
			if via := gateways[to.Addr().Is4()]; via.IsValid() {
				routes = append(routes, Route{To: to, Via: via})
			}
		}
	}
	for _, r := range a.Member.Routes {
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

// publish makes the member's ports reachable. A port that another link of the same container has is left out: an engine
// names the same ports for each network of a container.
func (a *attachment) publish(ctx context.Context) error {
	for _, f := range a.forwards() {
		if err := f.Check(); err != nil {
			return err
		}
		port := fmt.Sprintf("port %s %s", f.Proto, f.Ports)
		if f.Addr.IsValid() {
			port += " of " + f.Addr.String()
		}
		err := claimName(a.conn, a.host, portClaim(f), port)
		var taken *TakenError
		if errors.As(err, &taken) && taken.Owner.Container == a.ID {
			continue
		}
		if err != nil {
			return err
		}
		a.published = append(a.published, f)
	}
	rules := a.notes
	for _, f := range a.published {
		rules = append(rules, f)
	}
	if len(rules) > 0 {
		if err := ignoreStale(a.nft.AddElements(tableOf(a.Network.Name), rules...)); err != nil {
			return err
		}
	}
	return a.forwardLocal(ctx)
}

// forwards returns the forwards of the member's ports.
func (a *attachment) forwards() (forwards []nft.Forward) {
	for _, p := range a.Ports {
		for _, to := range a.addrs {
			if p.Host.IsValid() && p.Host.Is4() != to.Prefix.Addr().Is4() {
				continue
			}
			f := nft.Forward{Proto: p.Proto, Addr: p.Host, Ports: nft.Port(p.HostPort), To: to.Prefix.Addr(), ToPort: p.Port}
			if p.Host.IsValid() && p.Host.IsUnspecified() {
				f.Addr = netip.Addr{}
			}
			forwards = append(forwards, f)
		}
	}
	return forwards
}

// forwardLocal lets the machine reach published ports at 127.0.0.1. The rules of the forwards protect its other ports.
func (a *attachment) forwardLocal(ctx context.Context) error {
	needed := slices.ContainsFunc(a.published, func(f nft.Forward) bool {
		return f.To.Is4() && (!f.Addr.IsValid() || f.Addr.IsLoopback())
	})
	if !needed {
		return nil
	}
	value, err := nsfs.Sysctl("net/ipv4/conf/" + a.Bridge + "/route_localnet")
	if err == nil && value == "1" {
		return nil
	}
	m, err := a.Network.open(ctx)
	if err != nil {
		return err
	}
	defer m.close()
	return m.acquire(linux.LinkSysctl("ipv4", a.Bridge, "route_localnet"))
}

// finish says that the member is whole.
func (a *attachment) finish() (b bridge, err error) {
	alias := aliasOf(a.Network.Name, a.id())
	set := rtnl.LinkConfig{Alias: &alias}
	set.SetUp(true)
	if err := a.conn.Do(rtnl.SetLink(rtnl.LinkID{Name: a.host}, set)); err != nil {
		return b, err
	}
	// Another process may have removed the network. It first removes the record, and then looks for members.
	b, err = bridgeOf(a.conn, a.Network.Name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && b.record == "" {
		return b, errNetworkGone
	}
	return b, err
}

// run waits until links carry packets, and returns the member's. Since Linux 6.8, asking for a link makes the kernel
// handle a change of its carrier; before, it did so up to a second later.
func (a *attachment) run(ctx context.Context, b bridge) (host, inside rtnl.Link, err error) {
	if inside, err = running(ctx, a.inside, a.file, rtnl.LinkID{Name: a.Member.Link}); err != nil {
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

// undo removes what make has made. It does not stop when the caller's context is done.
func (a *attachment) undo() error {
	if !a.linked {
		return nil
	}
	l, err := a.conn.Link(rtnl.LinkID{Name: a.host})
	if err == nil {
		err = removeMember(a.conn, a.nft, a.Network.Name, l)
	}
	a.linked, a.addrs, a.published, a.notes = false, nil, nil, nil
	if a.inside != nil {
		a.inside.Close()
		a.inside = nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
