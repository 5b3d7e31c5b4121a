//go:build linux

package member

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo/live/internal/execute"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
	"github.com/vnet-lab/vnet/topo/live/internal/setting"
)

// A maker makes, changes or removes a network. It has the network's lock, and the lock of the machine's settings.
type maker struct {
	Network
	handle   *netns.Handle
	conn     *rtnl.Conn
	settings *setting.Changer
	closers  []func()
}

func (n Network) open(ctx context.Context) (*maker, error) {
	m := &maker{Network: n, settings: execute.Settings(owner(n.Name), &execute.RealCalls)}
	if err := m.lock(ctx); err != nil {
		m.close()
		return nil, err
	}
	table := netns.NewTable(owner(n.Name), nil)
	m.closers = append(m.closers, func() { _ = table.Close() }) // only sockets
	h, err := table.OpenMachine()
	if err != nil {
		m.close()
		return nil, err
	}
	m.handle, m.conn = h, h.Conn
	return m, nil
}

func (m *maker) lock(ctx context.Context) error {
	unlock, err := lockName(ctx, owner(m.Name))
	if err != nil {
		return err
	}
	m.closers = append(m.closers, unlock)
	settings, err := netns.LockSysctls()
	if err == nil {
		m.closers = append(m.closers, func() { settings.Close() })
	} else if !isReadOnly(err) {
		return err
	}
	return nil
}

// lockName takes the lock of a member or a network. If the process may not write to /run/vnet, as in some containers,
// it takes no lock.
func lockName(ctx context.Context, name string) (unlock func(), err error) {
	lock, err := netns.LockName(ctx, name)
	if isReadOnly(err) {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	return func() { lock.Close() }, nil
}

func isReadOnly(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS)
}

func (m *maker) close() {
	slices.Reverse(m.closers)
	for _, c := range m.closers {
		c()
	}
}

// ensure returns the network's bridge, and makes the missing parts of the network. If none is missing, that is one
// request.
func (n Network) ensure(ctx context.Context, c *rtnl.Conn) (*bridge, error) {
	b, err := bridgeOf(c, n.Name)
	if err == nil && b.is(n) || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	return n.make(ctx, false)
}

// make makes the missing parts of a network, or changes it. Unless again is set, it does nothing if another process has
// just done so.
func (n Network) make(ctx context.Context, again bool) (*bridge, error) {
	m, err := n.open(ctx)
	if err != nil {
		return nil, err
	}
	defer m.close()
	b, err := m.bridge()
	if err != nil || !again && b.is(n) {
		return b, err
	}
	if err := m.complete(b); err != nil {
		links, listErr := linksOf(m.conn, n.Name)
		if b.record == "" && listErr == nil && len(links) == 0 { // it was not there before
			err = errors.Join(err, m.remove(b))
		}
		return b, err
	}
	return bridgeOf(m.conn, n.Name)
}

// bridge returns the network's bridge with the network's mark. It makes the bridge if there is none.
func (m *maker) bridge() (b *bridge, err error) {
	b, err = bridgeOf(m.conn, m.Name)
	if err == nil && b.Name != m.Bridge {
		err = fmt.Errorf("the network's bridge is %s, not %s", b.Name, m.Bridge)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	own := false
	l, err := m.conn.Link(rtnl.LinkID{Name: m.Bridge})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		own = true
		if err := m.addBridge(); err != nil {
			return b, err
		}
	case err != nil:
		return b, err
	case l.Kind.Name != "bridge":
		return b, fmt.Errorf("link %s is not a bridge", m.Bridge)
	}
	if err := m.conn.Do(rtnl.AddAltNames(rtnl.LinkID{Name: m.Bridge}, mark.Of(owner(m.Name)))); err != nil {
		if own {
			err = errors.Join(err, m.conn.Do(rtnl.DeleteLink(rtnl.LinkID{Name: m.Bridge})))
		}
		return b, err
	}
	return bridgeOf(m.conn, m.Name)
}

// addBridge makes the bridge. Its alias shows that vnet made it. It has no IPv6 address but those of the network:
// members of a network without a gateway would reach the machine at its link-local address.
func (m *maker) addBridge() error {
	mac, alias, group := m.mac(), mark.Of(owner(m.Name)), uint32(nft.LinkGroup)
	set := rtnl.LinkConfig{Address: mac, Alias: &alias, Group: &group, MTU: m.MTU}
	if set.MTU == 0 {
		set.MTU = linux.DefaultMTU // else the bridge takes it from its ports
	}
	if none := rtnl.AddrGenNone; m.hasIPv6() {
		set.AddrGenMode = &none
	}
	return m.conn.Do(
		rtnl.AddLink(rtnl.LinkConfig{Name: m.Bridge, Address: mac, Kind: rtnl.Kind{Name: "bridge"}}),
		rtnl.SetLink(rtnl.LinkID{Name: m.Bridge}, set))
}

// mac is the MAC address of a bridge that vnet makes.
func (m *maker) mac() rtnl.LLAddr {
	if len(m.Subnets) > 0 {
		mac := macOf(m.Name, m.Subnets[0].gateway())
		return rtnl.LLAddr(mac[:])
	}
	mac := macOf(m.Name, netip.IPv6Unspecified())
	return rtnl.LLAddr(mac[:])
}

// complete makes all but the bridge. The record comes last: it says that the network is whole.
func (m *maker) complete(b *bridge) error {
	if err := m.ignoreAdvertisements(b); err != nil {
		return err
	}
	id := rtnl.LinkID{Index: b.Index}
	up := rtnl.LinkConfig{Address: b.Address} // an address that was set does not change with the ports
	up.SetUp(true)
	if b.Group == 0 {
		group := uint32(nft.LinkGroup)
		up.Group = &group
	}
	if err := m.conn.Do(rtnl.SetLink(id, up)); err != nil {
		return err
	}
	for _, p := range m.addresses(b) {
		a := rtnl.Addr{Link: b.Index, Prefix: p, Broadcast: broadcastOf(p.Masked()), Flags: unix.IFA_F_NODAD,
			Proto: mark.Protocol}
		if err := m.conn.Do(rtnl.AddAddr(a)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if err := m.rules(b); err != nil {
		return err
	}
	if err := m.forward(); err != nil {
		return err
	}
	if b.record != "" {
		if err := m.changePorts(); err != nil {
			return err
		}
	}
	return m.writeRecord(b)
}

// ignoreAdvertisements keeps members from giving the machine addresses and a default route by router advertisements.
// What a bridge that others made accepts is their decision.
func (m *maker) ignoreAdvertisements(b *bridge) error {
	if b.Alias != mark.Of(owner(m.Name)) {
		return nil
	}
	err := nsfs.SetSysctl("net/ipv6/conf/"+b.Name+"/accept_ra", "0")
	if errors.Is(err, fs.ErrNotExist) || isReadOnly(err) { // no IPv6, or a container that may not set it
		return nil
	}
	return err
}

// changePorts gives the links of all members the options of the network.
func (m *maker) changePorts() error {
	links, err := linksOf(m.conn, m.Name)
	if err != nil {
		return err
	}
	var requests []rtnl.Request
	for _, l := range links {
		requests = append(requests, rtnl.SetLink(rtnl.LinkID{Index: l.Index}, m.portConfig()))
	}
	if err := m.conn.Do(requests...); err != nil && !errors.Is(err, fs.ErrNotExist) { // one may have ended
		return err
	}
	return nil
}

// portConfig is what a network changes of the links of its members at the bridge.
func (n Network) portConfig() rtnl.LinkConfig {
	return rtnl.LinkConfig{PortKind: "bridge_slave",
		Port: rtnl.Options{"isolated": number(n.Isolate), "hairpin": number(n.Hairpin)}}
}

// addresses returns the addresses of the bridge. The kernel gives it the link-local address only when a port has
// carrier, and without one it cannot ask for the neighbours of forwarded IPv6 packets.
func (m *maker) addresses(b *bridge) (addrs []netip.Prefix) {
	for _, s := range m.Subnets {
		if m.Gateway {
			addrs = append(addrs, netip.PrefixFrom(s.gateway(), s.Prefix.Bits()))
		}
	}
	if slices.ContainsFunc(addrs, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		mac := []byte(b.Address)
		local := [16]byte{0: 0xfe, 1: 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3],
			14: mac[4], 15: mac[5]}
		addrs = append(addrs, netip.PrefixFrom(netip.AddrFrom16(local), 64))
	}
	return addrs
}

func broadcastOf(p netip.Prefix) netip.Addr {
	if p.Addr().Is4() {
		return rtnl.BroadcastOf(p)
	}
	return netip.Addr{}
}

// rules makes the network's table have the rules of the network, besides those of members' ports.
func (m *maker) rules(b *bridge) error {
	c, err := m.handle.NFT()
	if err != nil {
		return err
	}
	have, state, err := c.Rules(tableOf(m.Name))
	if err != nil {
		return err
	}
	want := m.wantedRules(b)
	var del []nft.Rule
	for _, r := range have {
		switch r.Rule.(type) {
		case nft.Forward, nft.Tenant, nft.Foreign:
			continue
		}
		if !slices.Contains(want, r.Rule) {
			del = append(del, r.Rule)
		}
	}
	if err := ignoreStale(c.Apply(tableOf(m.Name), del, want)); err != nil || state.Exists {
		return err
	}
	var subnets []netip.Prefix // who had their addresses was noted in the table
	for _, s := range m.Subnets {
		subnets = append(subnets, s.Prefix)
	}
	return c.ForgetFlows(subnets...)
}

// ignoreStale returns nil if only old connections continue: they end by themselves.
func ignoreStale(err error) error {
	if errors.Is(err, nft.ErrStaleConntrack) {
		return nil
	}
	return err
}

// wantedRules returns the rules of a network. Behind a bridge without a gateway address there is
// no source, so the gate drops all packets that members send to it.
func (m *maker) wantedRules(b *bridge) []nft.Rule {
	rules := []nft.Rule{nft.Gate{Link: b.Name, MAC: nft.MAC([]byte(b.Address))}, nft.Own{Link: b.Name}}
	if !m.Routed {
		rules = append(rules, nft.Closed{Link: b.Name})
	}
	if m.Isolate {
		rules = append(rules, nft.Isolate{In: b.Name, Out: b.Name})
	}
	for _, s := range m.Subnets {
		rules = append(rules, nft.Tenant{Addr: s.gateway()}) // so that the set is there
		if m.Masquerade {
			rules = append(rules, nft.Masquerade{Source: s.Prefix})
		}
	}
	return rules
}

// forward turns on forwarding for the families of the network's gateways.
func (m *maker) forward() error {
	for _, s := range m.Subnets {
		name := linux.ForwardingIPv6
		if s.Prefix.Addr().Is4() {
			name = linux.ForwardingIPv4
		}
		if !m.Gateway {
			continue
		}
		if err := m.acquire(name); err != nil {
			return err
		}
	}
	return nil
}

// acquire sets a sysctl to 1, and records that the network needs it.
func (m *maker) acquire(name string) error {
	old, err := setting.Read(m.handle, name)
	if err != nil {
		return err
	}
	return m.settings.Acquire(m.handle, name, old, "1")
}

// writeRecord writes what the network is to its bridge.
func (m *maker) writeRecord(b *bridge) error {
	prefix, id := mark.Of(owner(m.Name)), rtnl.LinkID{Index: b.Index}
	options, subnets := m.record()
	if b.Alias == prefix {
		options = made + options
	}
	want := []string{}
	for _, s := range subnets {
		want = append(want, prefix+":subnet="+s)
	}
	want = append(want, prefix+":network="+options)
	have := b.records(m.Name)
	for _, name := range have {
		if !slices.Contains(want, name) {
			if err := m.conn.Do(rtnl.DeleteAltNames(id, name)); err != nil {
				return err
			}
		}
	}
	for _, name := range want {
		if !slices.Contains(have, name) {
			if err := m.conn.Do(rtnl.AddAltNames(id, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// records returns the alternative names of the bridge that are the network's records.
func (b *bridge) records(network string) []string {
	return slices.DeleteFunc(slices.Clone(b.AltNames), func(n string) bool {
		return !strings.HasPrefix(n, mark.Of(owner(network))+":")
	})
}
