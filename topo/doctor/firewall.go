package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nft/ruleset"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live"
)

// A traffic is the packets of labs that pass the machine, as far as they are known.
type traffic struct {
	e        Examination
	from, to []ruleset.Packet // routed packets from the hosts, and to them
	bridged  []ruleset.Packet // packets between hosts that a bridge gives to the rules for routed packets
	ports    []string         // of bridges
}

// firewall finds foreign chains that drop packets of labs.
func firewall(e Examination) (list []Finding, err error) {
	t, err := e.traffic()
	if err != nil {
		return nil, err
	}
	conn, err := nft.Dial(nil)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	drops, err := live.Drops(conn, t.packets)
	for _, d := range drops {
		list = append(list, Finding{"firewall", t.text(d), t.remedy(d)})
	}
	return list, err
}

// traffic returns the packets of the lab; those of any lab if none is given.
func (e Examination) traffic() (t traffic, err error) {
	t.e = e
	if e.Want == nil {
		t.from = []ruleset.Packet{{InGroup: nft.LinkGroup}}
		t.to = []ruleset.Packet{{OutGroup: nft.LinkGroup}}
		t.ports, err = live.BridgePorts()
		return t, err
	}
	var bridges []string
	for _, o := range e.Want.Objects() {
		switch o := o.(type) {
		case topo.Bridge:
			if o.NS == "" {
				bridges = append(bridges, o.Name)
			}
		case topo.Veth:
			for _, end := range o.Ends {
				if end.NS == "" && end.Master != "" {
					t.ports = append(t.ports, end.Name)
				}
			}
		case topo.Address:
			if o.NS == "" {
				t.addNeighbours(o)
			}
		}
	}
	for _, name := range bridges {
		t.addBridged(name)
	}
	return t, nil
}

// addBridged adds packets from each host in the subnets of a bridge to another one. Without an address on the machine,
// a bridge has no known subnets.
func (t *traffic) addBridged(bridge string) {
	all := ruleset.Packet{In: bridge, Out: bridge, InGroup: nft.LinkGroup, OutGroup: nft.LinkGroup}
	known := false
	for i, p := range t.from {
		if p.In != bridge {
			continue
		}
		known = true
		for j, q := range t.from {
			if j != i && q.In == bridge && q.Source.Is4() == p.Source.Is4() {
				one := all
				one.Source, one.Target = p.Source, q.Source
				t.bridged = append(t.bridged, one)
				break
			}
		}
	}
	if !known {
		t.bridged = append(t.bridged, all)
	}
}

// addNeighbours adds the packets of the hosts in the subnet of an address of the machine.
func (t *traffic) addNeighbours(machine topo.Address) {
	for _, o := range t.e.Want.Objects() {
		host, ok := o.(topo.Address)
		if ok && host.NS != "" && machine.Prefix.Contains(host.Prefix.Addr()) {
			a := host.Prefix.Addr()
			t.from = append(t.from, ruleset.Packet{In: machine.Link, InGroup: nft.LinkGroup, Source: a})
			t.to = append(t.to, ruleset.Packet{Out: machine.Link, OutGroup: nft.LinkGroup, Target: a})
		}
	}
}

// packets returns the packets that pass a chain. Without a lab, it is not known whether hosts speak with the machine
// itself: many machines drop such packets on purpose.
func (t traffic) packets(b ruleset.BaseChain) (all []ruleset.Packet) {
	switch {
	case t.e.Want == nil && b.Family != "bridge" && (b.Hook == ruleset.Input || b.Hook == ruleset.Output):
		return nil
	case b.Hook == ruleset.Ingress, b.Hook == ruleset.Egress:
		for _, link := range b.Links {
			if !slices.Contains(t.ports, link) && !slices.Contains(t.e.machineLinks(), link) {
				continue
			}
			p := ruleset.Packet{In: link}
			if b.Hook == ruleset.Egress {
				p = ruleset.Packet{Out: link}
			}
			all = append(all, p)
		}
		return all
	case b.Family == "bridge":
		for _, port := range t.ports {
			p := ruleset.Packet{In: port}
			if leaving(b.Hook) {
				p = ruleset.Packet{Out: port}
			}
			all = append(all, p)
		}
		return all
	}
	if !leaving(b.Hook) {
		all = append(all, t.from...)
	}
	if leaving(b.Hook) || b.Hook == ruleset.Forwarding {
		all = append(all, t.to...)
	}
	if b.Hook == ruleset.Forwarding {
		all = slices.DeleteFunc(all, func(p ruleset.Packet) bool { return !t.e.forwards(p) })
		for _, p := range t.bridged {
			if t.e.bridgeCall(b, p.Source) != "" {
				all = append(all, p)
			}
		}
	}
	return all
}

// leaving reports whether packets at a hook have an output link and no input link.
func leaving(h ruleset.Hook) bool {
	return h == ruleset.Output || h == ruleset.Postrouting || h == ruleset.Egress
}

// forwards reports whether the lab makes the machine forward a packet.
func (e Examination) forwards(p ruleset.Packet) bool {
	key := linux.ForwardingIPv6
	if p.Source.Is4() || p.Target.Is4() {
		key = linux.ForwardingIPv4
	}
	return e.Want == nil || e.Want[topo.Sysctl{Name: key}.Key()] != nil
}

// bridgeCall returns the setting that makes a chain for routed packets see those between the ports of a bridge from an
// address, or from any; "" if there is none.
func (e Examination) bridgeCall(b ruleset.BaseChain, from netip.Addr) string {
	for _, key := range []string{"net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables"} {
		v6 := strings.HasSuffix(key, "ip6tables")
		if b.Family == "ip" && v6 || b.Family == "ip6" && !v6 || b.Family == "bridge" || from.IsValid() && from.Is6() != v6 {
			continue
		}
		if n, ok := e.sysctl(key); ok && n == 1 {
			return key
		}
	}
	return ""
}

// text says what a chain drops.
func (t traffic) text(d ruleset.Drop) string {
	of := "labs"
	if t.e.Lab != "" {
		of = "lab " + t.e.Lab
	}
	what := map[ruleset.Hook]string{
		ruleset.Prerouting:  "packets from hosts of " + of,
		ruleset.Input:       "packets from hosts of " + of + " to the machine itself",
		ruleset.Forwarding:  "forwarded packets of " + of,
		ruleset.Output:      "packets from the machine itself to hosts of " + of,
		ruleset.Postrouting: "packets to hosts of " + of,
		ruleset.Ingress:     "packets from links of " + of,
		ruleset.Egress:      "packets to links of " + of,
	}[d.Hook]
	if d.Family == "bridge" {
		what = "packets in networks of " + of
	}
	switch p := d.Packet; {
	case p.Source.IsValid():
		what += ", such as those from " + p.Source.String()
	case p.Target.IsValid():
		what += ", such as those to " + p.Target.String()
	}
	if key := t.e.bridgeCall(d.BaseChain, d.Packet.Source); key != "" && d.Hook == ruleset.Forwarding {
		what += ", also those between hosts of one network, because " + key + " is 1"
	}
	rules := fmt.Sprintf("its %d rules do", d.Rules)
	if d.Rules == 1 {
		rules = "its 1 rule does"
	}
	switch {
	case d.Certain:
		return d.String() + " drops " + what
	case d.Rest:
		return d.String() + " drops everything that " + rules + " not accept; this may be " + what
	}
	return d.String() + " may drop " + what
}

// remedy returns the commands that let the packets of labs pass a chain. vnet's links on the machine have a group, but
// ports of bridges do not.
func (t traffic) remedy(d ruleset.Drop) (commands []string) {
	names := t.ports
	switch {
	case d.Hook == ruleset.Ingress, d.Hook == ruleset.Egress:
		names = nil
		for _, p := range t.packets(d.BaseChain) {
			names = append(names, p.In+p.Out)
		}
		fallthrough
	case d.Family == "bridge":
		match := "iifname"
		if leaving(d.Hook) {
			match = "oifname"
		}
		return []string{insertRule(d.Chain, fmt.Sprintf(`%s '{ "%s" }'`, match, strings.Join(names, `", "`)))}
	}
	for _, out := range []bool{false, true} {
		if out && !leaving(d.Hook) && d.Hook != ruleset.Forwarding || !out && leaving(d.Hook) {
			continue
		}
		commands = append(commands, acceptGroup(d.Chain, out))
	}
	return commands
}

// acceptGroup returns the command that lets packets from the links of labs pass a chain, or those to them.
func acceptGroup(c ruleset.Chain, out bool) string {
	link, direction := "iifgroup", "src"
	if out {
		link, direction = "oifgroup", "dst"
	}
	if !ofIptables(c) {
		return insertRule(c, fmt.Sprintf("%s %#x", link, nft.LinkGroup))
	}
	tool := "iptables"
	if c.Family == "ip6" {
		tool = "ip6tables"
	}
	if c.Legacy {
		tool += "-legacy"
	} else {
		tool += "-nft"
	}
	if c.Table != "filter" {
		tool += " -t " + c.Table
	}
	return fmt.Sprintf("%s -I %s -m devgroup --%s-group %#x -j ACCEPT", tool, c.Name, direction, nft.LinkGroup)
}

// ofIptables reports whether a chain is one of iptables. After a rule of nft in it, iptables could no longer show it.
func ofIptables(c ruleset.Chain) bool {
	return c.Legacy || (c.Family == "ip" || c.Family == "ip6") &&
		slices.Contains([]string{"filter", "mangle", "nat", "raw", "security"}, c.Table) &&
		slices.Contains([]string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}, c.Name)
}

// insertRule returns the command that puts a rule in front of the others: it accepts packets that match.
func insertRule(c ruleset.Chain, match string) string {
	return fmt.Sprintf("nft insert rule %s %s %s %s accept", c.Family, quoted(c.Table), quoted(c.Name), match)
}
