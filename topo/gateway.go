//go:build linux

package topo

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// NATTable is the table of rules made by hand; those of a lab are in vnet_LAB.
const NATTable = "vnet"

// A SettingChange is a sysctl that was changed.
type SettingChange struct {
	Key, Old, New string
	// Why is what needs it, in a few words.
	Why string
}

// String is a sentence: net.ipv4.ip_forward is now 1, was 0: to forward IPv4. A
// key whose link has a dot in its name keeps its slashes, as sysctl(8) reads it.
func (s SettingChange) String() string {
	key := s.Key
	if !strings.Contains(key, ".") {
		key = strings.ReplaceAll(key, "/", ".")
	}
	return fmt.Sprintf("%s is now %s, was %s: %s", key, s.New, s.Old, s.Why)
}

// A NATReport is what [AddNAT] did and found beside the rules.
type NATReport struct {
	Settings []SettingChange
	// Drops are the chains of other tables whose policy is to drop forwarded
	// packets. A rule in them has to accept what the new rules are for.
	Drops []nft.Chain
}

// AddNAT adds rules to a table of the namespace ns (nil is the current one), and
// makes the namespace a router for the families they are of, if it is none.
//
// A router does not listen to other routers, unless it is told to: links that
// have routes from router advertisements go on to accept them. A port that is
// forwarded from 127.0.0.1 too needs route_localnet on the link to its target;
// the table's guard is there before. [nft.ErrNotForgotten] does not stop it.
func AddNAT(ns *os.File, table string, rules ...nft.Rule) (NATReport, error) {
	var report NATReport
	c, err := nft.Dial(ns)
	if err != nil {
		return report, err
	}
	defer c.Close()
	applied := c.Apply(table, nil, rules)
	if applied != nil && !errors.Is(applied, nft.ErrNotForgotten) {
		return report, applied
	}
	route, err := rtnl.Dial(ns)
	if err != nil {
		return report, err
	}
	defer route.Close()
	wanted, err := gatewaySettings(route, rules)
	if err != nil {
		return report, err
	}
	if report.Settings, err = settle(ns, wanted); err != nil {
		return report, err
	}
	report.Drops, err = foreignDrops(c, table)
	return report, errors.Join(applied, err)
}

// foreignDrops are the chains of other tables that drop forwarded packets.
func foreignDrops(c *nft.Conn, table string) ([]nft.Chain, error) {
	drops, err := c.ForwardDrops()
	return slices.DeleteFunc(drops, func(ch nft.Chain) bool { return ch.Family == "inet" && ch.Table == table }), err
}

// settle writes the settings that differ, in order.
func settle(ns *os.File, wanted []SettingChange) (changed []SettingChange, err error) {
	err = inside(ns, func() error {
		for _, s := range wanted {
			old, err := nsfs.Sysctl(s.Key)
			if errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(s.Key, "net/ipv6/") {
				continue // a machine without IPv6
			}
			if err != nil {
				return err
			}
			s.Old = old
			// accept_ra of 0 stays: somebody wants it so.
			if old == s.New || strings.HasSuffix(s.Key, "/accept_ra") && old != "1" {
				continue
			}
			if err := nsfs.SetSysctl(s.Key, s.New); err != nil {
				return err
			}
			changed = append(changed, s)
		}
		return nil
	})
	return changed, err
}

// inside runs fn in a namespace; nil is the current one.
func inside(ns *os.File, fn func() error) error {
	if ns == nil {
		return fn()
	}
	return nsfs.Do(ns, fn)
}

// gatewaySettings are the sysctls that rules need, in the order to be set.
func gatewaySettings(c *rtnl.Conn, rules []nft.Rule) ([]SettingChange, error) {
	var wanted []SettingChange
	want := func(key, value, why string) {
		s := SettingChange{Key: key, New: value, Why: why}
		if !slices.Contains(wanted, s) {
			wanted = append(wanted, s)
		}
	}
	v4, v6 := familiesOf(rules)
	if v4 {
		want("net/ipv4/ip_forward", "1", "to forward IPv4")
	}
	if v6 {
		links, err := advertised(c)
		if err != nil {
			return nil, err
		}
		for _, l := range links {
			want("net/ipv6/conf/"+l+"/accept_ra", "2", "to keep its routes although it forwards")
		}
		want("net/ipv6/conf/all/forwarding", "1", "to forward IPv6")
	}
	for _, r := range rules {
		f, ok := r.(nft.Forward)
		if !ok || !f.To.Is4() || f.In != "" || f.Addr.IsValid() && !f.Addr.IsLoopback() {
			continue
		}
		link, err := linkTo(c, f.To)
		if err != nil {
			return nil, err
		}
		if link != "" && link != "lo" {
			want("net/ipv4/conf/"+link+"/route_localnet", "1", "to forward from 127.0.0.1")
		}
	}
	return wanted, nil
}

// familiesOf says which families rules are of.
func familiesOf(rules []nft.Rule) (v4, v6 bool) {
	for _, r := range rules {
		var a netip.Addr
		switch r := r.(type) {
		case nft.Masquerade:
			a = r.Source.Addr()
		case nft.SourceNAT:
			a = r.To
		case nft.Forward:
			a = r.To
		default:
			continue
		}
		v4 = v4 || !a.IsValid() || a.Is4()
		v6 = v6 || !a.IsValid() || a.Is6()
	}
	return v4, v6
}

// advertised are the links that have routes from router advertisements.
func advertised(c *rtnl.Conn) ([]string, error) {
	routes, err := c.Routes(rtnl.RouteFilter{Family: unix.AF_INET6, AllTables: true, Protocol: unix.RTPROT_RA})
	if err != nil {
		return nil, err
	}
	var links []uint32
	for _, r := range routes {
		if r.Protocol != unix.RTPROT_RA {
			continue
		}
		links = append(links, r.Link) // 0 if there are several hops
		for _, h := range r.Hops {
			links = append(links, h.Link)
		}
	}
	slices.Sort(links)
	var names []string
	for _, i := range slices.Compact(links) {
		if i == 0 {
			continue
		}
		l, err := c.Link(rtnl.LinkID{Index: i})
		if err != nil {
			return nil, err
		}
		names = append(names, l.Name)
	}
	return names, nil
}

// linkTo is the name of the link that leads to an address; "" if none does now.
func linkTo(c *rtnl.Conn, a netip.Addr) (string, error) {
	r, err := c.RouteGet(rtnl.RouteQuery{Dst: a})
	if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) {
		return "", nil
	}
	if err != nil || r.Link == 0 {
		return "", err
	}
	l, err := c.Link(rtnl.LinkID{Index: r.Link})
	return l.Name, err
}
