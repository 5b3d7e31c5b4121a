package nft

import "fmt"

// prioBridgeFilter is NF_BR_PRI_FILTER_BRIDGED of <linux/netfilter_bridge.h>, which nft calls filter. It is before
// br_netfilter.
const prioBridgeFilter = -200

// Hairpin drops frames that a bridge would send back to the port they came in by, except packets whose destination NAT
// translated in the bridge. The port needs hairpin mode for these: with net.bridge.bridge-nf-call-iptables, a host that
// connects to its own forwarded port gets its packets back from the bridge.
type Hairpin struct{ Port string }

// String returns the rule in nft's syntax: iifname "red-eth0" oifname "red-eth0" meta pkttype != host drop.
func (h Hairpin) String() string {
	return fmt.Sprintf("iifname %q oifname %q meta pkttype != host drop", h.Port, h.Port)
}

// Check returns an error if the rule is invalid.
func (h Hairpin) Check() error { return invalid(h, checkLink(h.Port)) }

func (h Hairpin) elements() []element {
	return []element{{set: "same_port", key: encodeName(h.Port) + encodeName(h.Port)}}
}

func decodeHairpin(e element, _ set) (Rule, error) { return Hairpin{decodeName(e.key)}, nil }

// bridgeSets returns the sets of tables of the family bridge.
func bridgeSets() []set {
	sets := append([]set{
		{name: "same_port", key: []*field{ifname, ifname}, counter: true, decode: decodeHairpin},
	}, antispoofSets()...)
	for i := range sets {
		sets[i].bridge = true
	}
	return sets
}

// bridgeChains returns the chains of tables of the family bridge.
func bridgeChains(sets map[string]bool) []chain {
	return []chain{
		{name: "gateway_port", rules: gatewayPortRules(sets)},
		{name: "router_port", rules: routerPortRules(sets)},
		{name: "host_port", rules: hostPortRules(sets)},
		{name: "antispoof", kind: "filter", hook: "prerouting", priority: prioBridgeFilter, priorityText: "filter",
			rules: antispoofRules(sets)},
		{name: "antispoof_input", kind: "filter", hook: "input", priority: prioBridgeFilter, priorityText: "filter",
			rules: antispoofRules(sets, is(one(etherDaddr), reservedGroup))},
		{name: "same_port", kind: "filter", hook: "forward", priority: prioBridgeFilter, priorityText: "filter",
			rules: samePortRules(sets)},
	}
}

// samePortRules returns the rule of [Hairpin]. A host sends the packets that NAT translates to the MAC address of the
// bridge. For the kernel, they are for this namespace (PACKET_HOST). The bridge passes no other such packets on.
func samePortRules(sets map[string]bool) []rule {
	if !sets["same_port"] {
		return nil
	}
	return []rule{{isNot(one(packetType), toHost), inSet("same_port", iif, oif), {verb: drop}}}
}
