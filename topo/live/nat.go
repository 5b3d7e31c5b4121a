package live

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nft/ruleset"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/convert"
	"github.com/vnet-lab/vnet/topo/live/internal/setting"
)

// NATTable is the nftables table of the rules that `vnet nat` adds. The rules of a lab are in vnet_LAB.
const NATTable = "vnet"

// A SettingChange is a sysctl that was changed.
type SettingChange struct {
	// Key is the sysctl's name with slashes: net/ipv4/ip_forward. Old and New are its values before and after.
	Key, Old, New string
	// Why is the reason, in a few words.
	Why string
}

// String returns a sentence: net.ipv4.ip_forward is now 1, was 0: to forward
// IPv4. If the name of the link contains a dot, the key keeps its slashes, which
// sysctl(8) accepts.
func (s SettingChange) String() string {
	key := s.Key
	if !strings.Contains(key, ".") {
		key = strings.ReplaceAll(key, "/", ".")
	}
	return fmt.Sprintf("%s is now %s, was %s: %s", key, s.New, s.Old, s.Why)
}

// A NATReport lists what [AddNAT], [DeleteNAT] or [FlushNAT] changed and found in addition to the rules.
type NATReport struct {
	// Settings are the sysctls that were changed.
	Settings []SettingChange
	// Conflicts are programs that listen on the ports of new rules, and foreign forwards of these ports.
	Conflicts []Conflict
	// Drops are the foreign chains that drop, or may drop, forwarded packets of the new rules. They need a rule
	// that accepts these.
	Drops []ruleset.Drop
	// Labs are the labs that have rules in the namespace; only [FlushNAT] lists them. It does not delete these rules.
	Labs []string
}

// gatewaySettings returns the sysctls that the rules need, in the order in which to set them.
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
		links, err := setting.LinksWithRARoutes(c)
		if err != nil {
			return nil, err
		}
		for _, l := range links {
			want("net/ipv6/conf/"+l+"/accept_ra", "2", "to accept router advertisements while forwarding")
		}
		want("net/ipv6/conf/all/forwarding", "1", "to forward IPv6")
	}
	for _, r := range rules {
		f, ok := r.(nft.Forward)
		if !ok || !f.To.Is4() || f.In != "" || f.Addr.IsValid() && !f.Addr.IsLoopback() {
			continue
		}
		link, err := linkToward(c, f.To)
		if err != nil {
			return nil, err
		}
		if link != "" && link != "lo" {
			want("net/ipv4/conf/"+link+"/route_localnet", "1", "to forward from 127.0.0.1")
		}
	}
	return wanted, nil
}

// familiesOf reports which address families the NAT rules translate.
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

// packetsOf returns the forwarded packets of NAT rules that pass a chain: those that begin a connection.
func packetsOf(rules []nft.Rule, b ruleset.BaseChain) (all []ruleset.Packet) {
	arriving := b.Hook == ruleset.Prerouting
	if b.Family == "bridge" || !arriving && b.Hook != ruleset.Forwarding && b.Hook != ruleset.Postrouting {
		return nil
	}
	for _, r := range rules {
		source, out := sourceOf(r)
		from := source.Addr()
		if source.Bits() == 0 {
			from = netip.Addr{} // any
		}
		switch f, forward := r.(nft.Forward); {
		case forward && !arriving:
			all = append(all, ruleset.Packet{In: f.In, Target: f.To})
		case forward:
		case arriving:
			all = append(all, ruleset.Packet{Source: from})
		default:
			all = append(all, ruleset.Packet{Source: from, Out: out})
		}
	}
	return all
}

// linkToward returns the name of the link of the route to an address, "" if there is no route.
func linkToward(c *rtnl.Conn, a netip.Addr) (string, error) {
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

// sourceOf returns the source and the output link of a rule that translates sources.
func sourceOf(r nft.Rule) (source netip.Prefix, out string) {
	switch r := r.(type) {
	case nft.Masquerade:
		return r.Source, r.Out
	case nft.SourceNAT:
		return r.Source, r.Out
	}
	return netip.Prefix{}, ""
}

func isReadOnly(err error) bool { return errors.Is(err, unix.EROFS) }

// NATScript returns the scripts of package nft, for [topo.Plan.Commands].
func NATScript() topo.NATScript {
	return topo.NATScript{Rules: rulesScript, Guard: func(ipv6 bool) string {
		return nft.Guard{IPv4: !ipv6, IPv6: ipv6}.Script()
	}}
}

// rulesScript returns what nft(8) has to do to change a table.
func rulesScript(table string, have, want []topo.Object) (string, error) {
	rules := func(objects []topo.Object) (list []nft.Rule, err error) {
		for _, o := range objects {
			r, err := convert.Rule(o)
			if err != nil {
				return nil, err
			}
			list = append(list, r)
		}
		return list, nil
	}
	h, err := rules(have)
	if err != nil {
		return "", err
	}
	w, err := rules(want)
	if err != nil {
		return "", err
	}
	return nft.Script(table, h, w), nil
}
