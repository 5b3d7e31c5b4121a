//go:build linux

package nft_test

import (
	"slices"
	"testing"

	"github.com/vnet-lab/vnet/nft"
)

// specificRules returns rules whose sources contain each other. Each tests another address of the test network.
func specificRules() []nft.Rule {
	return []nft.Rule{
		nft.SourceNAT{Source: prefix("192.168.0.0/16"), To: addr("10.9.0.16")},
		nft.Masquerade{Source: prefix("192.168.15.0/24")},
		nft.SourceNAT{Source: prefix("192.168.15.2/32"), To: addr("10.9.0.32")},
		nft.SourceNAT{Source: prefix("fd00::/16"), To: addr("2001:db8:9::16")},
		nft.Masquerade{Source: prefix("fd00:15::/64"), Out: "eth0"},
		nft.SourceNAT{Source: prefix("fd00:15::2/128"), To: addr("2001:db8:9::128")},
	}
}

// TestMoreSpecificSourceWins checks that the rule with the longest prefix wins, in whatever order the rules are added,
// and that the next one applies after it is deleted.
func TestMoreSpecificSourceWins(t *testing.T) {
	w := newTestNet(t)
	w.sh(w.machine, `for a in 10.9.0.16 10.9.0.32; do ip addr add $a/24 dev eth0; done
		for a in 16 128; do ip addr add 2001:db8:9::$a/64 dev eth0 nodad preferred_lft 0; done`)
	for _, network := range []string{"tcp", "udp"} {
		w.serve(w.outside, "outside", network, ":80")
	}
	check := func(what string, red, blue, red6, blue6 string) {
		t.Helper()
		for _, network := range []string{"tcp", "udp"} {
			w.checkFacts(t, []fact{
				{what + ": red", w.red, network, "10.9.0.2:80", "outside " + red},
				{what + ": blue", w.blue, network, "10.9.0.2:80", "outside " + blue},
				{what + ": red, IPv6", w.red, network, "[2001:db8:9::2]:80", "outside " + red6},
				{what + ": blue, IPv6", w.blue, network, "[2001:db8:9::2]:80", "outside " + blue6},
			})
		}
	}
	rules := specificRules()
	reversed := slices.Clone(rules)
	slices.Reverse(reversed)
	for what, list := range map[string][]nft.Rule{"general first": rules, "specific first": reversed} {
		for _, r := range list {
			w.apply(nil, []nft.Rule{r})
		}
		check(what, "10.9.0.32", "10.9.0.1", "2001:db8:9::128", "2001:db8:9::1")
		for _, r := range list {
			w.apply([]nft.Rule{r}, nil)
		}
	}
	w.apply(nil, rules)
	check("at once", "10.9.0.32", "10.9.0.1", "2001:db8:9::128", "2001:db8:9::1")
	for _, r := range w.counted() { // only blue's connections reach the networks' rules
		if m, ok := r.Rule.(nft.Masquerade); ok && r.Packets != 2 {
			t.Errorf("%s counted %d packets", m, r.Packets)
		}
	}
	w.apply([]nft.Rule{rules[2], rules[5]}, nil)
	check("without the most specific", "10.9.0.1", "10.9.0.1", "2001:db8:9::1", "2001:db8:9::1")
	w.apply([]nft.Rule{rules[1], rules[4]}, nil)
	check("without the others", "10.9.0.16", "10.9.0.16", "2001:db8:9::16", "2001:db8:9::16")
}

// TestMoreSpecificRuleChangesFlows checks that a UDP flow that another rule translated uses a new, more specific rule.
func TestMoreSpecificRuleChangesFlows(t *testing.T) {
	w := newTestNet(t)
	w.sh(w.machine, "ip addr add 10.9.0.32/24 dev eth0")
	w.serve(w.outside, "outside", "udp", ":80")
	w.apply(nil, masquerades())
	flow := w.dialFrom(w.red, "10.9.0.2:80")
	if got := exchange(flow, answerTimeout); got != "outside 10.9.0.1" {
		t.Error(got)
	}
	w.apply(nil, specificRules()[2:3])
	if got := exchange(flow, answerTimeout); got != "outside 10.9.0.32" {
		t.Error(got)
	}
}
