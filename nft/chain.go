package nft

import (
	"fmt"
	"strings"
)

// A chain is a chain of the table. Without a hook it is only jumped to.
type chain struct {
	name     string
	kind     string // nft's chain type: nat or filter
	hook     string
	priority int32  // see netfilter_hooks(9) and nft(8)
	prioText string // nft's word for the priority at that hook
	rules    []rule
}

// A rule is statements carried out from left to right until one does not hold.
type rule []statement

// A statement is one step of a rule. Only the fields its verb needs are set.
type statement struct {
	verb  verb
	loads []load // what is looked at, or looked up
	value value  // what it is compared with
	name  string // of the set or map looked up in, or of the chain jumped to
	ipv6  bool   // which family is translated
	// silent statements are not printed: nft adds them by itself where the next
	// one needs them.
	silent bool
}

type verb int

const (
	equal      verb = iota // go on if loads[0] is value
	differ                 // go on if it is not
	isIn                   // go on if loads are in the set
	add                    // put loads into the set
	dnat                   // translate the destination to what the map has for loads
	snat                   // translate the source so
	masquerade             // translate the source to the address of the link
	drop
	back    // return
	offload // make the connection one of the flowtable
	jump
)

// A load is something of a packet that can be looked at.
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
	transport
	dport
	natStatus // which ways the connection is translated
	saddrKind
	daddrKind
)

// loadText has nft's words for the loads.
var loadText = map[load]string{
	iif: "iifname", oif: "oifname", iifIndex: "iif", family: "meta nfproto",
	saddr4: "ip saddr", daddr4: "ip daddr", saddr6: "ip6 saddr", daddr6: "ip6 daddr",
	transport: "meta l4proto", dport: "th dport", natStatus: "ct status",
	saddrKind: "fib saddr type", daddrKind: "fib daddr type",
}

// A value is what a load is compared with.
type value struct {
	text  string
	bytes string // all, or the first, of what is loaded
}

var (
	loName     = value{`"lo"`, "lo\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"}
	noLink     = value{"0", "\x00\x00\x00\x00"}
	isIPv4     = value{"ipv4", "\x02"}
	isIPv6     = value{"ipv6", "\x0a"}
	loopback4  = value{"127.0.0.0/8", "\x7f"}
	loopback6  = value{"::1", strings.Repeat("\x00", 15) + "\x01"}
	onLink4    = value{"224.0.0.0/24", "\xe0\x00\x00"}
	everybody4 = value{"255.255.255.255", "\xff\xff\xff\xff"}
	onLink6    = value{"ff02::/16", "\xff\x02"}
	localKind  = value{text: "local"} // RTN_LOCAL, in the machine's byte order
	statusDNAT = value{text: "dnat"}  // IPS_DST_NAT, likewise
)

// Priorities of <linux/netfilter_ipv4.h>.
const (
	prioRaw    = -300
	prioDstNAT = -100
	prioFilter = 0
	prioFast   = 10
	prioSrcNAT = 100
)

// chainsOf are the chains of a table that has these sets. They depend on nothing
// else, so that elements can come and go without them.
func chainsOf(has map[string]bool) []chain {
	hairpin := chain{name: "hairpin", rules: hairpinRules(has)}
	candidates := []chain{
		{name: "guard", kind: "filter", hook: "prerouting", priority: prioRaw, prioText: "raw", rules: guardRules(has)},
		{name: "forward", kind: "filter", hook: "forward", priority: prioFilter, prioText: "filter", rules: isolateRules(has)},
		{name: "fastpath", kind: "filter", hook: "forward", priority: prioFast, prioText: "filter + 10", rules: fastRules(has)},
		hairpin,
		{name: "prerouting", kind: "nat", hook: "prerouting", priority: prioDstNAT, prioText: "dstnat", rules: inboundRules(has)},
		{name: "output", kind: "nat", hook: "output", priority: prioDstNAT, prioText: "-100", rules: outputRules(has)},
		{name: "postrouting", kind: "nat", hook: "postrouting", priority: prioSrcNAT, prioText: "srcnat", rules: outboundRules(has)},
	}
	var chains []chain
	for _, c := range candidates {
		if len(c.rules) > 0 {
			chains = append(chains, c)
		}
	}
	return chains
}

// guardRules keep 127.0.0.0/8 from the wire: with route_localnet, which a forward
// from 127.0.0.1 needs, the kernel does not do so any more.
func guardRules(has map[string]bool) []rule {
	if !has["targets4"] {
		return nil
	}
	return []rule{
		{isNot(oneOf(iif), loName), only4, is(oneOf(daddr4), loopback4), {verb: drop}},
		{isNot(oneOf(iif), loName), only4, is(oneOf(saddr4), loopback4), {verb: drop}},
	}
}

func isolateRules(has map[string]bool) []rule {
	if !has["isolate"] {
		return nil
	}
	return []rule{{in("isolate", iif, oif), {verb: drop}}}
}

// hairpinRules are for connections that we forwarded, and that the target would
// otherwise answer past us: to a neighbour directly, to 127.0.0.1 not at all.
// Packets cannot be asked whether they leave by the link they came in by; so the
// set same_link collects each link beside itself. Where the machine filters what
// its switches pass on (net.bridge.bridge-nf-call-iptables), such packets never
// leave the switch, and come to us without a link they came in by.
func hairpinRules(has map[string]bool) []rule {
	if !has["same_link"] {
		return nil
	}
	return []rule{
		{isNot(oneOf(oif), loName), is(oneOf(saddrKind), localKind), {verb: masquerade}},
		{in("same_link", iif, oif), {verb: masquerade}},
		{is(oneOf(iifIndex), noLink), isNot(oneOf(oif), loName), {verb: masquerade}},
	}
}

func inboundRules(has map[string]bool) []rule {
	if !has["same_link"] {
		return nil
	}
	rules := []rule{{{verb: add, loads: []load{iif, iif}, name: "same_link"}}}
	return append(rules, forwardRules(has, iif)...)
}

// outputRules are for the machine itself. The kernel has no way back for what was
// sent from ::1.
func outputRules(has map[string]bool) []rule { return forwardRules(has, oif) }

// forwardRules ask the maps of forwards, the closest first. At the hook output
// there is no link that packets come in by.
func forwardRules(has map[string]bool, hook load) []rule {
	var rules []rule
	for _, s := range allSets() {
		if !has[s.name] || !strings.HasPrefix(s.name, "dnat") {
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
			r = rule{onlyFamily(ipv6, true)}
		case ipv6 && hook == oif:
			r = rule{only6, isNot(oneOf(daddr6), loopback6), is(oneOf(daddrKind), localKind)}
		default:
			r = rule{onlyFamily(ipv6, false), is(oneOf(daddrKind), localKind)}
		}
		rules = append(rules, append(r, statement{verb: dnat, loads: forwardLoads(s), name: s.name, ipv6: ipv6}))
	}
	return rules
}

// forwardLoads are what the key of a map of forwards is made of.
func forwardLoads(s set) []load {
	loadOf := map[*field]load{ifname: iif, ipv4Addr: daddr4, ipv6Addr: daddr6, inetProto: transport, inetService: dport}
	loads := make([]load, len(s.key))
	for i, f := range s.key {
		loads[i] = loadOf[f]
	}
	return loads
}

func outboundRules(has map[string]bool) []rule {
	var rules []rule
	add := func(name string, r ...statement) {
		if has[name] {
			rules = append(rules, r)
		}
	}
	forwarded := is(oneOf(natStatus), statusDNAT)
	for _, ipv6 := range []bool{false, true} {
		n, first, saddr, daddr := "4", only4, saddr4, daddr4
		if ipv6 {
			n, first, saddr, daddr = "6", only6, saddr6, daddr6
		}
		translate := func(name string, loads ...load) statement {
			return statement{verb: snat, loads: loads, name: name, ipv6: ipv6}
		}
		rules = append(rules, onLinkRules(has, ipv6)...)
		add("targets"+n, forwarded, first, in("targets"+n, daddr), statement{verb: jump, name: "hairpin"})
		add("snat"+n+"_out", first, translate("snat"+n+"_out", saddr, oif))
		add("masquerade"+n+"_out", first, in("masquerade"+n+"_out", saddr, oif), statement{verb: masquerade})
		add("inside"+n, first, in("inside"+n, saddr), in("inside"+n, daddr), statement{verb: back})
		add("snat"+n, first, translate("snat"+n, saddr))
		add("masquerade"+n, first, in("masquerade"+n, saddr), statement{verb: masquerade})
	}
	add("masquerade_out", in("masquerade_out", oif), statement{verb: masquerade})
	add("masquerade_all", in("masquerade_all", family), isNot(oneOf(oif), loName),
		isNot(oneOf(natStatus), statusDNAT), statement{verb: masquerade})
	return rules
}

// onLinkRules leave alone what goes no further than the next link: IGMP, mDNS and
// DHCP speak there of the address they come from.
func onLinkRules(has map[string]bool, ipv6 bool) []rule {
	n := map[bool]string{false: "4", true: "6"}[ipv6]
	egress := has["masquerade_out"] || has["masquerade_all"]
	for _, name := range []string{"snat", "masquerade"} {
		egress = egress || has[name+n] || has[name+n+"_out"]
	}
	switch {
	case !egress:
		return nil
	case ipv6:
		return []rule{{only6, is(oneOf(daddr6), onLink6), {verb: back}}}
	}
	return []rule{
		{only4, is(oneOf(daddr4), onLink4), {verb: back}},
		{only4, is(oneOf(daddr4), everybody4), {verb: back}},
	}
}

var (
	only4 = statement{verb: equal, loads: []load{family}, value: isIPv4, silent: true}
	only6 = statement{verb: equal, loads: []load{family}, value: isIPv6, silent: true}
)

func onlyFamily(ipv6, silent bool) statement {
	s := only4
	if ipv6 {
		s = only6
	}
	s.silent = silent
	return s
}

func oneOf(l load) []load { return []load{l} }

func is(l []load, v value) statement    { return statement{verb: equal, loads: l, value: v} }
func isNot(l []load, v value) statement { return statement{verb: differ, loads: l, value: v} }
func in(set string, l ...load) statement {
	return statement{verb: isIn, loads: l, name: set}
}

// String prints the rule as nft does.
func (r rule) String() string {
	var words []string
	for _, s := range r {
		if !s.silent {
			words = append(words, s.String())
		}
	}
	return strings.Join(words, " ")
}

// String prints the statement as nft does.
func (s statement) String() string {
	words := make([]string, len(s.loads))
	for i, l := range s.loads {
		words[i] = loadText[l]
	}
	loads, ip := strings.Join(words, " . "), "ip"
	if s.ipv6 {
		ip = "ip6"
	}
	switch s.verb {
	case equal:
		return loads + " " + s.value.text
	case differ:
		if s.value == statusDNAT { // a bit that is not set
			return loads + " ! " + s.value.text
		}
		return loads + " != " + s.value.text
	case isIn:
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
	case back:
		return "return"
	case offload:
		return "flow add @" + s.name
	}
	return "jump " + s.name
}
