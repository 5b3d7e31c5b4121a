package nft

import "slices"

// guardRules returns the rules that drop packets from or to 127.0.0.0/8 that arrive on a link. A forward from
// 127.0.0.1 needs route_localnet, and this setting makes the kernel accept such packets.
func guardRules(sets map[string]bool) []rule {
	if !sets["targets4"] {
		return nil
	}
	return []rule{
		{isNot(one(iif), loName), matchIPv4, is(one(daddr4), loopback4), {verb: drop}},
		{isNot(one(iif), loName), matchIPv4, is(one(saddr4), loopback4), {verb: drop}},
	}
}

// spoofRules returns the rules for packets whose source address is not behind the link that they arrive on: packets to
// a gate, and those in frames to broadcast and multicast addresses, which this namespace accepts, too. The set
// gate_link contains the links of the gates. Other packets pass a bridge between its ports. They are not routed, so no
// rule checks their source.
func spoofRules(sets map[string]bool) []rule {
	if !sets["gate"] {
		return nil
	}
	notBehind, toSpoofed := is(one(saddrLink), noLink), &statement{verb: jump, name: "spoofed"}
	rules := []rule{{isEther, inSet("gate", iif, etherDaddr), notBehind, toSpoofed}}
	if sets["gate_link"] {
		rules = append(rules, rule{inSet("gate_link", iif), isNot(one(packetType), toHost), notBehind, toSpoofed})
	}
	return rules
}

// spoofedRules returns the rules for packets whose source address is not behind the link that they arrive on, except:
//   - those of known connections with another network of the lab: a host on two networks may reply on either.
//     Packets of other known connections are no exception, because a host can forge the replies of a foreign server.
//   - those of IPv6 hosts that have no address yet
//
// Packets to a gate are dropped. A bridge may also pass other packets on to its ports. So they get the type of packets
// for other hosts, which this namespace neither accepts nor forwards. Kernels before 6.11 cannot look up routes at the
// input hook instead.
func spoofedRules(sets map[string]bool) (rules []rule) {
	if !sets["gate"] {
		return nil
	}
	back := &statement{verb: ret}
	if sets["own_route"] {
		rules = append(rules, rule{is(one(ctState), knownState), inSet("own_route", saddrRoute), back})
	}
	return append(rules, rule{matchIPv6, is(one(saddr6), unspecified6), back},
		rule{isEther, inSet("gate", iif, etherDaddr), {verb: drop}},
		rule{{verb: setTo, loads: one(packetType), value: toOther}})
}

// spoofInputRules returns the rules that drop packets to this namespace itself. A bridge gives frames to the reserved
// group addresses to the port itself, past all rules for the bridge. No IP packet has a reason to be in such a frame.
func spoofInputRules(sets map[string]bool) []rule {
	if !sets["gate_link"] {
		return nil
	}
	return []rule{
		{is(one(packetType), toOther), {verb: drop}},
		{isEther, is(one(etherDaddr), reservedGroup), {verb: drop}},
	}
}

// filterRules returns the rules for forwarded packets. Those of an [Isolate] are before the rule that accepts packets
// of known connections: a neighbour can forge such packets, or put data into ICMP errors about known connections.
func filterRules(sets map[string]bool) []rule {
	if !sets["closed"] && !sets["isolate"] && !sets["isolate_link"] {
		return nil
	}
	var rules []rule
	if sets["isolate"] {
		rules = append(rules, rule{inSet("isolate", iif, oif), {verb: jump, name: "apart"}})
	}
	if sets["isolate_link"] {
		var apart rule
		if sets["gate"] {
			apart = rule{isEther, inSet("gate", iif, etherDaddr)}
		}
		rules = append(rules, append(apart, inSet("isolate_link", iif, oif), &statement{verb: jump, name: "apart"}))
	}
	rules = append(rules, acceptKnown())
	if sets["closed"] {
		closed := rule{inSet("closed", oif)}
		if sets["own"] {
			closed = append(closed, notInSet("own", iif))
		}
		rules = append(rules, append(closed, &statement{verb: jump, name: "closed"}))
	}
	return rules
}

// acceptKnown returns the rule that accepts the packets of connections whose first packet was accepted.
func acceptKnown() rule { return rule{is(one(ctState), knownState), {verb: accept}} }

// closedRules returns the rules for packets to a closed link. The set closed_link contains each closed link paired with
// itself, for packets that a bridge passes between its ports; see guardTableRules.
func closedRules(sets map[string]bool) []rule {
	if !sets["closed"] {
		return nil
	}
	back := &statement{verb: ret}
	rules := []rule{{is(one(ctStatus), statusDNAT), back}, {inSet("closed_link", iif, oif), back}}
	for _, bits := range lengthsOf(sets, "allow4") {
		rules = append(rules, rule{matchIPv4, inSet(withLength("allow4", bits), saddr4, oif), back})
	}
	for _, bits := range lengthsOf(sets, "allow6") {
		rules = append(rules, rule{matchIPv6, inSet(withLength("allow6", bits), saddr6, oif), back})
	}
	return append(rules, rule{{verb: drop}})
}

// apartRules returns the rules for packets between links of an Isolate. If only one direction is forbidden, replies to
// connections of the other direction pass.
func apartRules(sets map[string]bool) []rule {
	if !sets["isolate"] && !sets["isolate_link"] {
		return nil
	}
	back := &statement{verb: ret}
	rules := []rule{{is(one(ctStatus), statusDNAT), back}}
	if sets["isolate"] {
		reply := rule{is(one(ctState), knownState), is(one(ctDirection), inReply), notInSet("isolate", oif, iif)}
		if sets["isolate_link"] {
			reply = append(reply, notInSet("isolate_link", oif, iif))
		}
		rules = append(rules, append(reply, back))
	}
	return append(rules, rule{{verb: drop}})
}

// leakRules returns the rules for packets that NAT should have translated, but that leave with the source address of
// a private network. NAT does not see packets that connection tracking does not recognize, for example a TCP reset
// without a connection, or a packet with a wrong checksum. The chain runs after NAT.
func leakRules(sets map[string]bool) []rule {
	var rules []rule
	toPrivate := &statement{verb: jump, name: "private"}
	add := func(name string, r ...*statement) {
		if sets[name] {
			rules = append(rules, append(r, toPrivate))
		}
	}
	for _, ipv6 := range []bool{false, true} {
		n, first, saddr, daddr := "4", matchIPv4, saddr4, daddr4
		if ipv6 {
			n, first, saddr, daddr = "6", matchIPv6, saddr6, daddr6
		}
		add("private"+n+"_out", first, inSet("private"+n+"_out", saddr, oif))
		add("inside"+n, first, inSet("inside"+n, saddr), notInSet("inside"+n, daddr))
	}
	add("private_out", inSet("private_out", oif), isNot(one(saddrType), localType))
	if sets["private_all"] { // forwarded connections are not translated; an untracked packet has no ct status
		rules = append(rules, rule{is(one(ctStatus), statusDNAT), {verb: ret}})
	}
	add("private_all", inSet("private_all", family), isNot(one(oif), loName), isNot(one(saddrType), localType))
	if len(rules) == 0 {
		return nil
	}
	return append([]rule{{is(one(ctStatus), statusSNAT), {verb: ret}}}, rules...)
}

// privateRules returns the rules that drop packets with a private source address. They do not drop:
//   - replies to connections from outside
//   - packets whose source is an address of the output link: a translation would change nothing
//   - packets that a bridge passes between its ports
//   - packets that NAT excludes; see stayRules
func privateRules(sets map[string]bool) []rule {
	if len(leakRules(sets)) == 0 {
		return nil
	}
	back := &statement{verb: ret}
	return []rule{
		{is(one(ctDirection), inReply), back},
		{is(one(saddrTypeOnOut), localType), back},
		append(slices.Clone(bridged), back),
		{matchIPv4, is(one(daddr4), multicast4), back},
		{matchIPv4, is(one(daddr4), broadcast4), back},
		{matchIPv6, is(one(daddr6), multicast6), back},
		{{verb: drop}},
	}
}

// bridged matches packets at the postrouting hook that a bridge passes between its ports. Rules see them if
// net.bridge.bridge-nf-call-iptables is on. They have no input link, but a header of the link.
var bridged = rule{is(one(iifIndex), noLink), isNot(one(etherHeader), noHeader)}

// isEther excludes links without Ethernet addresses.
var isEther = &statement{verb: equal, loads: []load{iifType}, value: etherType, implicit: true}
