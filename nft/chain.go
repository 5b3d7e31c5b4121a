package nft

import (
	"slices"
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

// Priorities of <linux/netfilter_ipv4.h>.
const (
	prioRaw      = -300
	prioMangle   = -150
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
		{name: "spoofed", rules: spoofedRules(sets)},
		{name: "spoof", kind: "filter", hook: "prerouting", priority: prioMangle, priorityText: "mangle",
			rules: spoofRules(sets)},
		{name: "spoof_input", kind: "filter", hook: "input", priority: prioFilter, priorityText: "filter",
			rules: spoofInputRules(sets)},
		{name: "closed", rules: closedRules(sets)},
		{name: "apart", rules: apartRules(sets)},
		{name: "reply", rules: replyRules(sets)},
		{name: "forward", kind: "filter", hook: "forward", priority: prioFilter, priorityText: "filter",
			rules: append(filterRules(sets), guardTableRules(sets)...)},
		{name: "same_bridge", rules: sameBridgeRules(sets)},
		{name: "routed", kind: "filter", hook: "postrouting", priority: prioFilter, priorityText: "filter",
			rules: routedRules(sets)},
		{name: "fastpath", kind: "filter", hook: "forward", priority: prioFastpath, priorityText: "filter + 10",
			rules: fastpathRules(sets)},
		hairpin,
		{name: "prerouting", kind: "nat", hook: "prerouting", priority: prioDstNAT, priorityText: "dstnat",
			rules: preroutingRules(sets)},
		{name: "output", kind: "nat", hook: "output", priority: prioDstNAT, priorityText: "-100",
			rules: outputRules(sets)},
		{name: "postrouting", kind: "nat", hook: "postrouting", priority: prioSrcNAT, priorityText: "srcnat",
			rules: postroutingRules(sets)},
		{name: "private", rules: privateRules(sets)},
		{name: "leak", kind: "filter", hook: "postrouting", priority: prioSrcNAT + 1, priorityText: "srcnat + 1",
			rules: leakRules(sets)},
	}
	candidates = append(candidates, bridgeChains(sets)...)
	var chains []chain
	for _, c := range candidates {
		if len(c.rules) > 0 {
			chains = append(chains, c)
		}
	}
	return chains
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
	for _, s := range setsNamed(sets) {
		if !strings.HasPrefix(s.name, "dnat") {
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
		rules = append(rules, append(r, &statement{verb: dnat, loads: forwardLoads(s), name: s.name, ipv6: ipv6}))
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
	rules := append(targetRules(sets), stayRules(sets)...)
	add := func(name string, r ...*statement) {
		if sets[name] {
			rules = append(rules, r)
		}
	}
	for _, ipv6 := range []bool{false, true} {
		n, first, saddr, daddr := "4", matchIPv4, saddr4, daddr4
		if ipv6 {
			n, first, saddr, daddr = "6", matchIPv6, saddr6, daddr6
		}
		translate := func(name string, loads ...load) *statement {
			return &statement{verb: snat, loads: loads, name: name, ipv6: ipv6}
		}
		inside := "inside" + n
		for _, bits := range lengthsOf(sets, "snat"+n, "masquerade"+n, "random"+n) {
			name := withLength("snat"+n+"_out", bits)
			add(name, first, translate(name, saddr, oif))
			for _, m := range masquerades {
				name = withLength(m.setKind()+n+"_out", bits)
				add(name, first, inSet(name, saddr, oif), m.statement())
			}
			if sets[withLength("snat"+n, bits)] || sets[withLength("masquerade"+n, bits)] || sets[withLength("random"+n, bits)] {
				add(inside, first, inSet(inside, saddr), inSet(inside, daddr), &statement{verb: ret})
				inside = "" // only once
			}
			name = withLength("snat"+n, bits)
			add(name, first, translate(name, saddr))
			for _, m := range masquerades {
				name = withLength(m.setKind()+n, bits)
				add(name, first, inSet(name, saddr), m.statement())
			}
		}
	}
	for _, m := range masquerades {
		add(m.setKind()+"_out", inSet(m.setKind()+"_out", oif), m.statement())
	}
	for _, m := range masquerades {
		add(m.setKind()+"_all", inSet(m.setKind()+"_all", family), isNot(one(oif), loName),
			isNot(one(ctStatus), statusDNAT), m.statement())
	}
	return rules
}

// targetRules returns the rules for connections that this table has forwarded to a target.
func targetRules(sets map[string]bool) []rule {
	var rules []rule
	forwarded, toHairpin := is(one(ctStatus), statusDNAT), &statement{verb: jump, name: "hairpin"}
	if sets["targets4"] {
		rules = append(rules, rule{forwarded, matchIPv4, inSet("targets4", daddr4), toHairpin})
	}
	if sets["targets6"] {
		rules = append(rules, rule{forwarded, matchIPv6, inSet("targets6", daddr6), toHairpin})
	}
	return rules
}

// stayRules returns the rules that exclude from NAT the packets that stay on their link: link-local multicast and
// broadcast, because IGMP, mDNS and DHCP depend on the original source address, and packets that a bridge passes
// between its ports, because this namespace does not route them.
func stayRules(sets map[string]bool) []rule {
	all := sets["masquerade_out"] || sets["masquerade_all"] || sets["random_out"] || sets["random_all"]
	ipv4 := all || len(lengthsOf(sets, "snat4", "masquerade4", "random4")) > 0
	ipv6 := all || len(lengthsOf(sets, "snat6", "masquerade6", "random6")) > 0
	back := &statement{verb: ret}
	var rules []rule
	if ipv4 || ipv6 {
		rules = append(rules, append(slices.Clone(bridged), back))
	}
	if ipv4 {
		rules = append(rules, rule{matchIPv4, is(one(daddr4), multicast4), back},
			rule{matchIPv4, is(one(daddr4), broadcast4), back})
	}
	if ipv6 {
		rules = append(rules, rule{matchIPv6, is(one(daddr6), multicast6), back})
	}
	return rules
}
