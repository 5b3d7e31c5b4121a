package nft

import (
	"fmt"
	"net/netip"
	"slices"
	"sort"
)

// GuardTable is the name of the table of a namespace's [Guard].
const GuardTable = "vnet-guard"

var guardTable = table{protoInet, GuardTable}

// LinkGroup is the group of the links that vnet makes in a namespace that it did not make. A [Guard] lets their packets
// pass. The number is "vn" in ASCII: group numbers have no registry, and small ones are in use.
const LinkGroup = 0x766e

// A Guard drops forwarded packets of a namespace in which vnet turned forwarding on: without it, all networks of the
// machine could reach each other. It accepts:
//   - packets that arrive on a link of the group [LinkGroup], or leave through one,
//   - packets to forwarded ports of any table,
//   - packets from Sources that arrive on the link that a route to their source uses,
//   - packets that leave through a link in Out,
//   - IPv4 packets that arrive on a link in From4, and IPv6 packets between links in From6,
//   - packets that a bridge passes between its ports,
//   - replies to these packets. Between links of others, their source must be behind the link on which they arrive.
//
// A conntrack entry alone is not enough: the connection may have begun when one of the links belonged to a lab.
type Guard struct {
	IPv4, IPv6 bool           // the families in which packets are dropped
	Sources    []netip.Prefix // sources of NAT rules that belong to no lab
	Out        []string       // output links of such rules that have no source
	// From4 lists the links that forwarded IPv4 before vnet turned forwarding on: net.ipv4.conf.LINK.forwarding was 1,
	// and net.ipv4.ip_forward was 0.
	From4 []string
	// From6 lists the links that forwarded IPv6 before, to one another: net.ipv6.conf.LINK.force_forwarding was 1, and
	// net.ipv6.conf.all.forwarding was 0.
	From6 []string
}

// Check returns an error if the guard has an invalid source or link.
func (g Guard) Check() error {
	for _, s := range g.Sources {
		err := checkSource(s)
		if !s.IsValid() {
			err = fmt.Errorf("expected a source")
		}
		if err != nil {
			return &Error{Op: "check", Object: "table inet " + GuardTable, Err: err}
		}
	}
	for _, link := range slices.Concat(g.Out, g.From4, g.From6) {
		if err := checkLink(link); err != nil {
			return &Error{Op: "check", Object: "table inet " + GuardTable, Err: err}
		}
	}
	return nil
}

// Script returns an nft script that makes the same table as [Conn.Guard], whatever the table was before.
func (g Guard) Script() string {
	declare := "table " + guardTable.String() + "\n"
	return declare + "delete " + declare + textOf(guardTable, g.elements())
}

// elements returns the elements of the table; none for the zero Guard.
func (g Guard) elements() map[element]bool {
	all := make(map[element]bool)
	if g.IPv4 {
		all[element{set: "guarded", key: encodeFamily(netip.IPv4Unspecified())}] = true
	}
	if g.IPv6 {
		all[element{set: "guarded", key: encodeFamily(netip.IPv6Unspecified())}] = true
	}
	for _, s := range outermost(g.Sources) {
		e := egressElement(s, "")
		e.set = "hand" + e.set
		all[e] = true
	}
	for _, link := range g.From4 {
		all[element{set: "from4", key: encodeName(link)}] = true
	}
	for _, link := range g.From6 {
		all[element{set: "from6", key: encodeName(link)}] = true
	}
	for _, link := range g.Out {
		all[element{set: "hand_out", key: encodeName(link)}] = true
	}
	return all
}

// guard returns the Guard with these elements. It ignores elements that do not come from a Guard.
func (c content) guard() Guard {
	var g Guard
	for e := range c.elements {
		switch {
		case e.key == "": // catch-all element
		case e.set == "guarded":
			g.IPv4 = g.IPv4 || e.key[0] == protoIPv4
			g.IPv6 = g.IPv6 || e.key[0] == protoIPv6
		case e.set == "hand4", e.set == "hand6":
			if p, err := prefixBetween(e.key, e.end); err == nil && checkSource(p) == nil {
				g.Sources = append(g.Sources, p)
			}
		case e.set == "hand_out", e.set == "from4", e.set == "from6":
			list := map[string]*[]string{"hand_out": &g.Out, "from4": &g.From4, "from6": &g.From6}[e.set]
			if name := decodeName(e.key); checkLink(name) == nil {
				*list = append(*list, name)
			}
		}
	}
	sort.Slice(g.Sources, func(i, j int) bool { return g.Sources[i].Addr().Less(g.Sources[j].Addr()) })
	slices.Sort(g.Out)
	slices.Sort(g.From4)
	slices.Sort(g.From6)
	return g
}

// guardSets returns the sets of the guard's table. Tables of rules have other sets. hand4, hand6 and hand_out contain
// the Sources and Out of the [Guard]: those of rules by hand (vnet nat).
func guardSets() []set {
	return []set{
		{name: "guarded", key: []*field{nfProto}},
		{name: "bridged", key: []*field{ifname, ifname}, dynamic: true},
		{name: "hand4", key: []*field{ipv4Addr}, interval: true},
		{name: "hand6", key: []*field{ipv6Addr}, interval: true},
		{name: "hand_out", key: []*field{ifname}},
		{name: "from4", key: []*field{ifname}},
		{name: "from6", key: []*field{ifname}},
	}
}

// guardTableRules returns the rules of the guard's table for forwarded packets. If bridge-nf-call-iptables is on,
// packets that a bridge passes between its ports reach them, too. Here these look like packets that the namespace
// routes back to the bridge on which they arrived. So both pass, and sameBridgeRules separates them. The set bridged
// contains each bridge paired with itself, because nftables cannot compare a packet's input link with its output link.
func guardTableRules(sets map[string]bool) []rule {
	if !sets["guarded"] {
		return nil
	}
	rules := append(fromLinkRules(sets), rule{isNot(one(iifGroup), labLinks), isNot(one(oifGroup), labLinks),
		is(one(ctDirection), inReply), {verb: jump, name: "reply"}})
	rules = append(rules, passRules(sets)...)
	if sets["hand4"] {
		rules = append(rules, rule{matchIPv4, inSet("hand4", saddr4), isNot(one(saddrLink), noLink), letPass})
	}
	if sets["hand6"] {
		rules = append(rules, rule{matchIPv6, inSet("hand6", saddr6), isNot(one(saddrLink), noLink), letPass})
	}
	rules = append(rules, passBridged()...)
	return append(rules, rule{inSet("guarded", family), {verb: drop}})
}

var letPass = &statement{verb: ret}

// fromLinkRules returns the rules that let packets pass from links that forwarded before.
func fromLinkRules(sets map[string]bool) []rule {
	var rules []rule
	if sets["from4"] {
		rules = append(rules, rule{matchFamily(false, false), inSet("from4", iif), letPass})
	}
	if sets["from6"] {
		rules = append(rules, rule{matchFamily(true, false), inSet("from6", iif), inSet("from6", oif), letPass})
	}
	return rules
}

// passRules returns the rules that let other packets pass, whatever route leads to their source.
func passRules(sets map[string]bool) []rule {
	rules := []rule{
		{is(one(iifGroup), labLinks), letPass},
		{is(one(oifGroup), labLinks), letPass},
		{is(one(ctStatus), statusDNAT), letPass},
	}
	if sets["hand_out"] {
		rules = append(rules, rule{inSet("hand_out", oif), letPass})
	}
	return rules
}

// passBridged returns the rules that let packets pass that leave by the bridge on which they arrived.
func passBridged() []rule {
	return []rule{
		{is(one(iifKind), bridgeKind), {verb: add, loads: []load{iif, iif}, name: "bridged"}},
		{inSet("bridged", iif, oif), letPass},
	}
}

// replyRules returns the rules for replies between foreign links. A connection to a forwarded port may begin on a
// foreign link; without these rules, another foreign network could send replies with the target's address. Replies pass
// if the first packet of the connection would pass.
func replyRules(sets map[string]bool) []rule {
	if !sets["guarded"] {
		return nil
	}
	rules := append(passBridged(), rule{inSet("guarded", family), is(one(saddrLink), noLink), {verb: drop}})
	add := func(name string, r ...*statement) {
		if sets[name] {
			rules = append(rules, append(r, &statement{verb: accept}))
		}
	}
	add("from4", matchFamily(false, false), inSet("from4", oif))
	add("hand_out", inSet("hand_out", iif))
	add("hand4", matchIPv4, inSet("hand4", daddr4))
	add("hand6", matchIPv6, inSet("hand6", daddr6))
	return rules
}

// sameBridgeRules returns the rules for packets that leave by the bridge on which they arrived. They drop what the
// guard does not let pass: the ports of a bridge can be isolated from each other. The chain is at the postrouting
// hook, where packets that a bridge passes between its ports have no input link. No rule can look up the route to a
// source there.
func sameBridgeRules(sets map[string]bool) []rule {
	if !sets["guarded"] {
		return nil
	}
	rules := append(append(fromLinkRules(sets), acceptKnown()), passRules(sets)...)
	if sets["hand4"] {
		rules = append(rules, rule{matchIPv4, inSet("hand4", saddr4), letPass})
	}
	if sets["hand6"] {
		rules = append(rules, rule{matchIPv6, inSet("hand6", saddr6), letPass})
	}
	return append(rules, rule{inSet("guarded", family), {verb: drop}})
}

// routedRules returns the rule for the packets of sameBridgeRules. The namespace's own packets of neighbour discovery
// have an input link, too, but no header of the link.
func routedRules(sets map[string]bool) []rule {
	if !sets["guarded"] {
		return nil
	}
	return []rule{{inSet("bridged", iif, oif), isNot(one(etherHeader), noHeader), {verb: jump, name: "same_bridge"}}}
}
