package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nft/ruleset"
	"github.com/vnet-lab/vnet/topo/live"
)

// A traffic is the packets of labs that pass the machine, as far as they are known.
type traffic struct {
	live.LabPackets
	e Examination
}

// firewall finds foreign chains that drop packets of labs.
func firewall(e Examination) (list []Finding, err error) {
	t := traffic{e: e}
	if e.Want == nil {
		t.LabPackets, err = live.AnyLabPackets(e.sysctl)
	} else {
		t.LabPackets = live.LabPacketsOf(e.Want.Objects(), "", nft.LinkGroup, e.sysctl)
	}
	if err != nil {
		return nil, err
	}
	conn, err := nft.Dial(nil)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	drops, err := live.Drops(conn, t.Packets)
	for _, d := range drops {
		list = append(list, Finding{"firewall", t.text(d), t.remedy(d)})
	}
	return list, err
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
	if key := t.BridgeCall(d.BaseChain, d.Packet.Source); key != "" && d.Hook == ruleset.Forwarding {
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
	names := t.Ports
	switch {
	case d.Hook == ruleset.Ingress, d.Hook == ruleset.Egress:
		names = nil
		for _, p := range t.Packets(d.BaseChain) {
			names = append(names, p.In+p.Out)
		}
		fallthrough
	case d.Family == "bridge":
		match := "iifname"
		if d.Hook.Leaving() {
			match = "oifname"
		}
		return []string{insertRule(d.Chain, fmt.Sprintf(`%s '{ "%s" }'`, match, strings.Join(names, `", "`)))}
	}
	for _, out := range []bool{false, true} {
		if out && !d.Hook.Leaving() && d.Hook != ruleset.Forwarding || !out && d.Hook.Leaving() {
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
