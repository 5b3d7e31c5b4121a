package nft

import (
	"fmt"
	"strings"
)

// A chain is a chain of the table. A chain without a hook is reached by jumps only.
type chain struct {
	name         string
	kind         string // nft's chain type: nat or filter
	hook         string
	priority     int32  // see netfilter_hooks(9) and nft(8)
	priorityText string // the priority as nft prints it
	rules        []rule
}

// A rule is a list of statements. The kernel runs them from left to right, until one does not match.
type rule []statement

// A statement is one step of a rule. Only the fields that its verb needs are set.
type statement struct {
	verb  verb
	loads []load // compared, or used as the key of a lookup
	value value  // compared with loads[0]
	name  string // of the set or map of a lookup, or of the target chain of a jump
	ipv6  bool   // address family of dnat and snat
	// implicit statements are not printed: nft adds them by itself before statements that depend on them.
	implicit bool
}

type verb int

const (
	equal      verb = iota // continue if loads[0] is value
	notEqual               // continue if loads[0] is not value
	lookup                 // continue if loads are in the set
	add                    // add loads to the set
	dnat                   // translate the destination to the map's data for loads
	snat                   // translate the source to the map's data for loads
	masquerade             // translate the source to an address of the output link
	drop
	ret     // return
	offload // add the connection to the flowtable
	jump
)

// A load is a property of a packet that the kernel loads into registers.
type load int

const (
	iif load = iota
	oif
	iifIndex
	family
	saddr4
	daddr4
	saddr6
	daddr6
	l4proto
	dport
	ctStatus // status bits of the connection, such as "dnat"
	saddrType
	daddrType
)

// loadText contains nft's keyword for each load.
var loadText = map[load]string{
	iif: "iifname", oif: "oifname", iifIndex: "iif", family: "meta nfproto",
	saddr4: "ip saddr", daddr4: "ip daddr", saddr6: "ip6 saddr", daddr6: "ip6 daddr",
	l4proto: "meta l4proto", dport: "th dport", ctStatus: "ct status",
	saddrType: "fib saddr type", daddrType: "fib daddr type",
}

// A value is a constant that a load is compared with.
type value struct {
	text  string
	bytes string // for a prefix, only its first bytes
}

var (
	loName     = value{`"lo"`, "lo\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"}
	noLink     = value{"0", "\x00\x00\x00\x00"}
	isIPv4     = value{"ipv4", "\x02"}
	isIPv6     = value{"ipv6", "\x0a"}
	loopback4  = value{"127.0.0.0/8", "\x7f"}
	loopback6  = value{"::1", strings.Repeat("\x00", 15) + "\x01"}
	multicast4 = value{"224.0.0.0/24", "\xe0\x00\x00"}
	broadcast4 = value{"255.255.255.255", "\xff\xff\xff\xff"}
	multicast6 = value{"ff02::/16", "\xff\x02"}
	localType  = value{text: "local"} // RTN_LOCAL, in host byte order
	statusDNAT = value{text: "dnat"}  // IPS_DST_NAT, in host byte order
)

// Priorities of <linux/netfilter_ipv4.h>.
const (
	prioRaw      = -300
	prioDstNAT   = -100
	prioFilter   = 0
	prioFastpath = 10
	prioSrcNAT   = 100
)

// chainsFor returns the chains of a table with the given sets. Chains depend on nothing else, so adding and deleting
// elements does not change them.
func chainsFor(sets map[string]bool) []chain {
	hairpin := chain{name: "hairpin", rules: hairpinRules(sets)}
	candidates := []chain{
		{name: "guard", kind: "filter", hook: "prerouting", priority: prioRaw, priorityText: "raw",
			rules: guardRules(sets)},
		{name: "forward", kind: "filter", hook: "forward", priority: prioFilter, priorityText: "filter",
			rules: isolateRules(sets)},
		{name: "fastpath", kind: "filter", hook: "forward", priority: prioFastpath, priorityText: "filter + 10",
			rules: fastpathRules(sets)},
		hairpin,
		{name: "prerouting", kind: "nat", hook: "prerouting", priority: prioDstNAT, priorityText: "dstnat",
			rules: preroutingRules(sets)},
		{name: "output", kind: "nat", hook: "output", priority: prioDstNAT, priorityText: "-100",
			rules: outputRules(sets)},
		{name: "postrouting", kind: "nat", hook: "postrouting", priority: prioSrcNAT, priorityText: "srcnat",
			rules: postroutingRules(sets)},
	}
	var chains []chain
	for _, c := range candidates {
		if len(c.rules) > 0 {
			chains = append(chains, c)
		}
	}
	return chains
}

// guardRules returns the rules that drop packets from or to 127.0.0.0/8 that come in by a link. A forward from
// 127.0.0.1 needs route_localnet, with which the kernel accepts them.
func guardRules(sets map[string]bool) []rule {
	if !sets["targets4"] {
		return nil
	}
	return []rule{
		{isNot(one(iif), loName), matchIPv4, is(one(daddr4), loopback4), {verb: drop}},
		{isNot(one(iif), loName), matchIPv4, is(one(saddr4), loopback4), {verb: drop}},
	}
}

func isolateRules(sets map[string]bool) []rule {
	if !sets["isolate"] {
		return nil
	}
	return []rule{{inSet("isolate", iif, oif), {verb: drop}}}
}

// hairpinRules returns the rules that masquerade forwarded connections whose replies would otherwise not pass this
// namespace: the target would reply to a neighbour directly, and to 127.0.0.1 not at all. nftables cannot compare a
// packet's input link with its output link. So the set same_link contains each link paired with itself. With
// net.bridge.bridge-nf-call-iptables, such packets stay in the bridge and have no input link (iif 0).
func hairpinRules(sets map[string]bool) []rule {
	if !sets["same_link"] {
		return nil
	}
	return []rule{
		{isNot(one(oif), loName), is(one(saddrType), localType), {verb: masquerade}},
		{inSet("same_link", iif, oif), {verb: masquerade}},
		{is(one(iifIndex), noLink), isNot(one(oif), loName), {verb: masquerade}},
	}
}

func preroutingRules(sets map[string]bool) []rule {
	if !sets["same_link"] {
		return nil
	}
	rules := []rule{{{verb: add, loads: []load{iif, iif}, name: "same_link"}}}
	return append(rules, forwardRules(sets, iif)...)
}

// outputRules returns the rules that forward connections of the namespace itself. Those from ::1 stay: the kernel
// cannot route replies back to ::1.
func outputRules(sets map[string]bool) []rule { return forwardRules(sets, oif) }

// forwardRules returns the rules that look up the maps of forwards, the most specific first. Packets at the output hook
// have no input link.
func forwardRules(sets map[string]bool, hook load) []rule {
	var rules []rule
	for _, s := range allSets() {
		if !sets[s.name] || !strings.HasPrefix(s.name, "dnat") {
			continue
		}
		byDevice, byAddr := strings.Contains(s.name, "_dev"), strings.Contains(s.name, "_addr")
		if byDevice && hook == oif {
			continue
		}
		ipv6 := s.data[0] == ipv6Addr
		var r rule
		switch {
		case byAddr:
			r = rule{matchFamily(ipv6, true)}
		case ipv6 && hook == oif:
			r = rule{matchIPv6, isNot(one(daddr6), loopback6), is(one(daddrType), localType)}
		default:
			r = rule{matchFamily(ipv6, false), is(one(daddrType), localType)}
		}
		rules = append(rules, append(r, statement{verb: dnat, loads: forwardLoads(s), name: s.name, ipv6: ipv6}))
	}
	return rules
}

// forwardLoads returns the loads that form the key of a map of forwards.
func forwardLoads(s set) []load {
	loadOf := map[*field]load{ifname: iif, ipv4Addr: daddr4, ipv6Addr: daddr6, inetProto: l4proto, inetService: dport}
	loads := make([]load, len(s.key))
	for i, f := range s.key {
		loads[i] = loadOf[f]
	}
	return loads
}

func postroutingRules(sets map[string]bool) []rule {
	var rules []rule
	add := func(name string, r ...statement) {
		if sets[name] {
			rules = append(rules, r)
		}
	}
	forwarded := is(one(ctStatus), statusDNAT)
	for _, ipv6 := range []bool{false, true} {
		n, first, saddr, daddr := "4", matchIPv4, saddr4, daddr4
		if ipv6 {
			n, first, saddr, daddr = "6", matchIPv6, saddr6, daddr6
		}
		translate := func(name string, loads ...load) statement {
			return statement{verb: snat, loads: loads, name: name, ipv6: ipv6}
		}
		rules = append(rules, linkScopeRules(sets, ipv6)...)
		add("targets"+n, forwarded, first, inSet("targets"+n, daddr), statement{verb: jump, name: "hairpin"})
		add("snat"+n+"_out", first, translate("snat"+n+"_out", saddr, oif))
		add("masquerade"+n+"_out", first, inSet("masquerade"+n+"_out", saddr, oif), statement{verb: masquerade})
		add("inside"+n, first, inSet("inside"+n, saddr), inSet("inside"+n, daddr), statement{verb: ret})
		add("snat"+n, first, translate("snat"+n, saddr))
		add("masquerade"+n, first, inSet("masquerade"+n, saddr), statement{verb: masquerade})
	}
	add("masquerade_out", inSet("masquerade_out", oif), statement{verb: masquerade})
	add("masquerade_all", inSet("masquerade_all", family), isNot(one(oif), loName),
		isNot(one(ctStatus), statusDNAT), statement{verb: masquerade})
	return rules
}

// linkScopeRules returns the rules that exclude link-local multicast and broadcast from NAT: IGMP, mDNS and DHCP depend
// on the original source address.
func linkScopeRules(sets map[string]bool, ipv6 bool) []rule {
	n := map[bool]string{false: "4", true: "6"}[ipv6]
	egress := sets["masquerade_out"] || sets["masquerade_all"]
	for _, name := range []string{"snat", "masquerade"} {
		egress = egress || sets[name+n] || sets[name+n+"_out"]
	}
	switch {
	case !egress:
		return nil
	case ipv6:
		return []rule{{matchIPv6, is(one(daddr6), multicast6), {verb: ret}}}
	}
	return []rule{
		{matchIPv4, is(one(daddr4), multicast4), {verb: ret}},
		{matchIPv4, is(one(daddr4), broadcast4), {verb: ret}},
	}
}

var (
	matchIPv4 = statement{verb: equal, loads: []load{family}, value: isIPv4, implicit: true}
	matchIPv6 = statement{verb: equal, loads: []load{family}, value: isIPv6, implicit: true}
)

func matchFamily(ipv6, implicit bool) statement {
	s := matchIPv4
	if ipv6 {
		s = matchIPv6
	}
	s.implicit = implicit
	return s
}

func one(l load) []load { return []load{l} }

func is(l []load, v value) statement    { return statement{verb: equal, loads: l, value: v} }
func isNot(l []load, v value) statement { return statement{verb: notEqual, loads: l, value: v} }
func inSet(set string, l ...load) statement {
	return statement{verb: lookup, loads: l, name: set}
}

// String prints the rule as nft does.
func (r rule) String() string {
	var parts []string
	for _, s := range r {
		if !s.implicit {
			parts = append(parts, s.String())
		}
	}
	return strings.Join(parts, " ")
}

// String prints the statement as nft does.
func (s statement) String() string {
	parts := make([]string, len(s.loads))
	for i, l := range s.loads {
		parts[i] = loadText[l]
	}
	loads, ip := strings.Join(parts, " . "), "ip"
	if s.ipv6 {
		ip = "ip6"
	}
	switch s.verb {
	case equal:
		return loads + " " + s.value.text
	case notEqual:
		if s.value == statusDNAT { // the bit is not set
			return loads + " ! " + s.value.text
		}
		return loads + " != " + s.value.text
	case lookup:
		return loads + " @" + s.name
	case add:
		return fmt.Sprintf("add @%s { %s }", s.name, loads)
	case dnat:
		return fmt.Sprintf("dnat %s to %s map @%s", ip, loads, s.name)
	case snat:
		return fmt.Sprintf("snat %s to %s map @%s", ip, loads, s.name)
	case masquerade:
		return "masquerade"
	case drop:
		return "drop"
	case ret:
		return "return"
	case offload:
		return "flow add @" + s.name
	}
	return "jump " + s.name
}
