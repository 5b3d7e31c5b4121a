//go:build linux

package member

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"time"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// claimAddresses takes an address of each subnet.
func (a *attachment) claimAddresses(ctx context.Context) error {
	for _, s := range a.Subnets {
		i := slices.IndexFunc(a.m.Addresses, s.Prefix.Contains)
		var want netip.Addr
		if i >= 0 {
			want = a.m.Addresses[i]
		}
		var got netip.Addr
		err := patiently(ctx, func() (err error) {
			got, err = claim(a.conn, a.host, a.Name, s, want, hash(a.m.ID, a.m.Link, s.Prefix.String()))
			return err
		})
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

// patiently calls take until what it takes is free, but no longer than a second. It calls take again when a link was
// deleted: a namespace that has ended keeps its addresses and ports for a moment.
func patiently(ctx context.Context, take func() error) error {
	err := take()
	if !isTaken(err) {
		return err
	}
	w, watchErr := rtnl.Watch(nil, rtnl.GroupLink)
	if watchErr != nil {
		return watchErr
	}
	defer w.Close()
	limited, cancel := context.WithTimeout(ctx, waitTime)
	defer cancel()
	for deleted := true; ; {
		if deleted {
			if err = take(); !isTaken(err) {
				return err
			}
		}
		e, waitErr := w.Next(limited)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if waitErr != nil { // Sweep may have had the address for a moment; no link is deleted at its end
			return take()
		}
		deleted = e.Deleted || e.Lost
	}
}

func isTaken(err error) bool {
	var taken *TakenError
	return errors.Is(err, ErrExhausted) || errors.As(err, &taken)
}

// forgetFormer removes what is left of the former owners of the member's addresses: forwards and connections. For
// addresses that nobody had before, one query is enough.
func (a *attachment) forgetFormer(ctx context.Context) error {
	var addrs []netip.Addr
	for _, p := range a.addrs {
		addrs = append(addrs, p.Prefix.Addr())
	}
	found, err := a.nft.Tenancies(tableOf(a.Name), addrs...)
	if err != nil {
		return err
	}
	if len(found) > 0 && !found[0].Exists { // somebody else deleted the network's rules
		if _, err := a.Network.make(ctx, true); err != nil {
			return err
		}
	}
	for i, f := range found {
		if f.Target {
			if err := ignoreStale(a.nft.DeleteForwards(tableOf(a.Name), f.Forwards, addrs[i])); err != nil {
				return err
			}
		}
		if f.Former {
			a.former = append(a.former, netip.PrefixFrom(addrs[i], addrs[i].BitLen()))
		} else {
			a.notes = append(a.notes, nft.Tenant{Addr: addrs[i]})
		}
	}
	return a.nft.ForgetFlows(a.former...)
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
		own := false // another link of the container has the port
		err := patiently(ctx, func() error {
			err := a.claimPort(f, port)
			var taken *TakenError
			if own = errors.As(err, &taken) && taken.Owner.Container == a.m.ID; own {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
		if !own {
			a.published = append(a.published, f)
		}
	}
	rules := a.notes
	for _, f := range a.published {
		rules = append(rules, f)
	}
	if len(rules) > 0 {
		if err := ignoreStale(a.nft.AddElements(tableOf(a.Name), rules...)); err != nil {
			return err
		}
	}
	return a.forwardLocal(ctx)
}

// claimPort takes a port of the machine. At one address it is also taken if another link has it at each address.
func (a *attachment) claimPort(f nft.Forward, what string) error {
	if err := claimName(a.conn, a.host, portClaim(f), what); err != nil || !f.Addr.IsValid() {
		return err
	}
	each := f
	each.Addr = netip.Addr{}
	l, err := a.conn.Link(rtnl.LinkID{Name: portClaim(each)})
	if errors.Is(err, fs.ErrNotExist) || err == nil && l.Name == a.host {
		return nil
	}
	taken := &TakenError{What: what}
	taken.Network, taken.Owner, _, _ = parseAlias(l.Alias)
	release := a.conn.Do(rtnl.DeleteAltNames(rtnl.LinkID{Name: a.host}, portClaim(f)))
	return cmp.Or(err, release, error(taken))
}

// forwards returns the forwards of the member's ports.
func (a *attachment) forwards() (forwards []nft.Forward) {
	for _, p := range a.m.Ports {
		for _, to := range a.addrs {
			if f, ok := p.forward(to.Prefix.Addr()); ok {
				forwards = append(forwards, f)
			}
		}
	}
	return forwards
}

// forward returns the forward of a port to an address; false if the port is of the other family.
func (p Port) forward(to netip.Addr) (nft.Forward, bool) {
	f := nft.Forward{Proto: p.Proto, Addr: p.Host, Ports: nft.Port(p.HostPort), To: to, ToPort: p.Port}
	if p.Host.IsValid() && p.Host.IsUnspecified() {
		f.Addr = netip.Addr{}
	}
	return f, !p.Host.IsValid() || p.Host.Is4() == to.Is4()
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
