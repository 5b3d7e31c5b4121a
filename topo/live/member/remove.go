//go:build linux

package member

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/rtnl"
)

// ErrMembers means that a network still has members.
var ErrMembers = errors.New("it still has members")

// Remove removes a network without members: the bridge if vnet made it, the rules, and settings that nobody else needs.
// If there is no such network, it returns no error.
func Remove(ctx context.Context, network string) error {
	if err := checkName(network); err != nil {
		return err
	}
	m, err := Network{Name: network}.open(ctx)
	if err != nil {
		return err
	}
	defer m.close()
	b, err := bridgeOf(m.conn, network)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	m.Network = b.network(network)
	// Without the record, an Attach that has not finished starts again. The link of one that has finished is there now.
	if err := m.whole(b, false); err != nil {
		return err
	}
	links, err := linksOf(m.conn, network)
	if err == nil && len(links) > 0 {
		err = fmt.Errorf("network %s: %w", network, ErrMembers)
	}
	if err != nil {
		return errors.Join(err, m.whole(b, true))
	}
	return m.remove(b)
}

// whole adds or deletes the record that says that the network is whole.
func (m *maker) whole(b *bridge, on bool) error {
	if b.record == "" {
		return nil
	}
	change := rtnl.DeleteAltNames
	if on {
		change = rtnl.AddAltNames
	}
	return m.conn.Do(change(rtnl.LinkID{Index: b.Index}, mark.Of(owner(m.Name))+":network="+b.record))
}

// remove removes the settings, the rules and the bridge, in this order: the rules protect while forwarding is on.
func (m *maker) remove(b *bridge) error {
	lo, err := m.conn.Link(rtnl.LinkID{Name: "lo"})
	if err != nil {
		return err
	}
	for _, record := range lo.AltNames {
		name, ok := strings.CutPrefix(record, mark.Of(owner(m.Name))+":")
		if name, _, _ = strings.Cut(name, "="); !ok || !strings.HasPrefix(name, "net.") {
			continue
		}
		if err := m.settings.Release(m.handle, mark.Unescaper.Replace(name)); err != nil && !isReadOnly(err) {
			return err
		}
	}
	c, err := m.handle.NFT()
	if err != nil {
		return err
	}
	if err := ignoreStale(c.DeleteTable(tableOf(m.Name))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if b.Index == 0 {
		return nil
	}
	if strings.HasPrefix(b.Alias, mark.Of(owner(""))) && !b.isShared(m.Name) { // made by vnet, for any network
		return m.conn.Do(rtnl.DeleteLink(rtnl.LinkID{Index: b.Index}))
	}
	return m.leaveBridge(b)
}

// isShared reports whether another network has the same bridge.
func (b *bridge) isShared(network string) bool {
	return slices.ContainsFunc(b.AltNames, func(n string) bool {
		return strings.HasPrefix(n, mark.Of(owner(""))) && n != mark.Of(owner(network)) &&
			!strings.HasPrefix(n, mark.Of(owner(network))+":")
	})
}

// leaveBridge removes the network's marks and addresses from a bridge that others made, or that other networks have.
// The group and the link-local address stay for these networks.
func (m *maker) leaveBridge(b *bridge) error {
	id, group, shared := rtnl.LinkID{Index: b.Index}, uint32(0), b.isShared(m.Name)
	own := m.addresses(b)
	var requests []rtnl.Request
	addrs, err := m.conn.Addrs(rtnl.AddrFilter{Link: b.Index})
	if err != nil {
		return err
	}
	for _, a := range addrs {
		stays := shared && (!slices.Contains(own, a.Prefix) || a.Prefix.Addr().IsLinkLocalUnicast())
		if a.Proto == mark.Protocol && !stays {
			requests = append(requests, rtnl.DeleteAddr(a))
		}
	}
	l, err := m.conn.Link(id) // the record of the network is deleted already
	if err != nil {
		return err
	}
	for _, name := range l.AltNames {
		if name == mark.Of(owner(m.Name)) || strings.HasPrefix(name, mark.Of(owner(m.Name))+":") {
			requests = append(requests, rtnl.DeleteAltNames(id, name))
		}
	}
	if b.Group == nft.LinkGroup && !shared {
		requests = append(requests, rtnl.SetLink(id, rtnl.LinkConfig{Group: &group}))
	}
	return m.conn.Do(requests...)
}
