//go:build linux

package ruleset_test

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/nft/ruleset"
)

// Packets of a lab behind the link lan: forwarded to another network, and sent by an outsider.
var (
	fromLab = ruleset.Packet{In: "lan", Out: "up", InGroup: 7, OutGroup: 9,
		Source: netip.MustParseAddr("10.1.0.2"), Target: netip.MustParseAddr("10.2.0.9")}
	fromLab6 = ruleset.Packet{In: "lan", Out: "up", InGroup: 7, OutGroup: 9,
		Source: netip.MustParseAddr("fd00::2"), Target: netip.MustParseAddr("fd01::9")}
	toAnywhere = ruleset.Packet{In: "lan"}
)

// reportOf returns one line for each chain that drops one of the packets.
func reportOf(t *testing.T, packets ...ruleset.Packet) string {
	t.Helper()
	drops, err := ruleset.Drops(dial(t), func(b ruleset.BaseChain) []ruleset.Packet {
		if b.Name == "skipped" {
			return nil
		}
		return packets
	})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, d := range drops {
		line := fmt.Sprintf("%s at %s%s: %d rules", d, d.Hook, strings.Join(d.Links, ","), d.Rules)
		if d.Certain {
			line += ", certain"
		}
		if d.Rest {
			line += ", rest"
		}
		for i, p := range packets {
			if p == d.Packet {
				line += fmt.Sprintf(", packet %d", i)
			}
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// TestDropsReport checks what Drops says of a chain.
func TestDropsReport(t *testing.T) {
	needNFT(t)
	filter := func(policy string, rules ...string) string {
		return "table inet fw { chain f { type filter hook forward priority 0; policy " + policy + ";\n" +
			strings.Join(rules, "\n") + "\n}; }"
	}
	const chain = "chain inet fw f at forward: "
	for _, tt := range []struct {
		ruleset string
		want    string
	}{
		{filter("drop"), chain + "0 rules, certain, rest, packet 0"},
		{filter("drop", "tcp dport 80 accept", "iifname up accept"), chain + "2 rules, rest, packet 0"},
		{filter("accept", "iifname up accept", "counter drop"), chain + "1 rules, certain, rest, packet 0"},
		{filter("accept", "iifname lan drop", "iifname up accept"), chain + "2 rules, certain, packet 0"},
		{filter("accept", "iifname up drop", "accept"), ""},
		// The first packet that it drops for certain; otherwise the first that it may drop.
		{filter("accept", "ip daddr 10.2.0.9 tcp dport 80 drop", "ip6 daddr fd01::9 drop"),
			chain + "2 rules, certain, packet 1"},
		{filter("accept", "ip6 daddr fd01::9 tcp dport 80 drop"), chain + "1 rules, packet 1"},
		{filter("accept", "meta nfproto ipv4 drop", "meta nfproto ipv6 drop"), chain + "2 rules, certain, packet 0"},
		{filter("accept", "ip6 daddr fd01::9 drop"), chain + "1 rules, certain, packet 1"},
		// A program decides about packets in a queue.
		{filter("accept", "queue"), ""},
		{filter("accept", "queue", "drop"), chain + "2 rules, packet 0"},
		// Links, groups and addresses at the output.
		{filter("accept", "oifname up drop"), chain + "1 rules, certain, packet 0"},
		{filter("accept", "oifname down drop"), ""},
		{filter("accept", "oifgroup 9 drop"), chain + "1 rules, certain, packet 0"},
		{filter("accept", "oifgroup 7 drop"), ""},
		{filter("accept", "ip daddr 10.2.0.0/24 drop"), chain + "1 rules, certain, packet 0"},
		{filter("accept", "ip daddr 10.2.0.0/28 drop"), chain + "1 rules, certain, packet 0"},
		{filter("accept", "ip daddr 10.2.0.16/28 drop"), ""},
		{filter("accept", "ip6 daddr fd01::/64 drop"), chain + "1 rules, certain, packet 1"},
		{filter("accept", "ip6 saddr fd00::/63 drop"), chain + "1 rules, certain, packet 1"},
		{filter("accept", "ip saddr 10.2.0.9 drop", "ip daddr 10.1.0.2 drop"), ""},
		{filter("accept", "fib saddr . iif oif missing drop"), ""},
		{filter("accept", "fib daddr type local drop"), chain + "1 rules, packet 0"},
		// Keys of several fields; those of names and addresses are padded.
		{filter("accept", "iifname . ip saddr { lan . 10.1.0.2 } drop"), chain + "1 rules, certain, packet 0"},
		{filter("accept", "iifname . ip saddr { lan . 10.1.0.3, up . 10.1.0.2 } drop"), ""},
		{filter("accept", "iifname . oifname vmap { lan . up : drop }"), chain + "1 rules, certain, packet 0"},
		{filter("accept", "ip saddr . ip daddr != { 10.1.0.2 . 10.2.0.9 } drop"), ""},
		{filter("accept", "ip saddr . ct mark { 10.1.0.2 . 1 } drop"), chain + "1 rules, packet 0"},
		{filter("accept", "ip saddr . ct mark { 10.1.0.3 . 1 } drop"), ""},
		{filter("accept", "ip saddr vmap { 10.1.0.0/24 : drop, 10.1.1.0-10.1.1.9 : accept }"),
			chain + "1 rules, certain, packet 0"},
		{filter("accept", "ip saddr vmap { 10.0.0.0/16 : drop, 10.1.0.3-10.1.1.9 : drop }"), ""},
		// Other families, hooks and tables.
		{"table ip fw { chain f { type filter hook input priority 0; policy drop; }; }",
			"chain ip fw f at input: 0 rules, certain, rest, packet 0"},
		{"table ip6 fw { chain f { type filter hook output priority 0; policy drop; }; }",
			"chain ip6 fw f at output: 0 rules, certain, rest, packet 1"},
		{"table bridge fw { chain f { type filter hook postrouting priority 0; policy drop; }; }",
			"chain bridge fw f at postrouting: 0 rules, certain, rest, packet 0"},
		{"table netdev fw { chain f { type filter hook ingress device lo priority 0; policy drop; }; }",
			"chain netdev fw f at ingresslo: 0 rules, certain, rest, packet 0"},
		{"table inet fw { chain f { type filter hook ingress device lo priority 0; policy drop; }; }",
			"chain inet fw f at ingresslo: 0 rules, certain, rest, packet 0"},
		{"table arp fw { chain f { type filter hook input priority 0; policy drop; }; }", ""},
		{"table inet fw { chain skipped { type filter hook forward priority 0; policy drop; }; chain none { drop; }; }", ""},
	} {
		if strings.Contains(tt.ruleset, "queue") && !hasQueue(t) {
			continue
		}
		runNFT(t, "flush ruleset\n"+tt.ruleset+"\n", "-f", "-")
		if diff := cmp.Diff(tt.want, reportOf(t, fromLab, fromLab6)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.ruleset, diff)
		}
	}
	// Of packets with unknown addresses, a family's chain sees some.
	runNFT(t, "flush ruleset\ntable ip fw { chain f { type filter hook forward priority 0; ip saddr 10.1.0.2 drop; }; }\n",
		"-f", "-")
	if got, want := reportOf(t, toAnywhere), "chain ip fw f at forward: 1 rules, packet 0"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	runNFT(t, "flush ruleset\n", "-f", "-")
}

// hasQueue reports whether the kernel has the verdict queue; it is optional.
func hasQueue(t *testing.T) bool {
	t.Helper()
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader("flush ruleset\ntable inet fw { chain f { queue; }; }\n")
	return cmd.Run() == nil
}

// TestDropsIptables checks the matches that iptables-nft and iptables-legacy have in a form of their own.
func TestDropsIptables(t *testing.T) {
	for _, tool := range []string{"iptables-nft", "iptables-legacy"} {
		t.Run(tool, func(t *testing.T) {
			enterNew(t)
			for _, tt := range []struct {
				rule string
				want string // after the number of rules
			}{
				{"-i lan -j DROP", "certain, packet 0"},
				{"-i up -j DROP", ""},
				{"-i la+ -o up -j DROP", "certain, packet 0"},
				{"! -i lan -j DROP", ""},
				{"-s 10.1.0.0/24 -d 10.2.0.9 -j REJECT", "certain, packet 0"},
				{"-s 10.1.1.0/24 -j DROP", ""},
				{"! -d 10.2.0.0/16 -j DROP", ""},
				{"-p tcp --dport 80 -j DROP", "packet 0"},
				{"-p udp --dport 53 -j DROP", "packet 0"},
				{"-m comment --comment x -j DROP", "certain, rest, packet 0"},
				{"-m devgroup --src-group 7 -j DROP", "certain, packet 0"},
				{"-m devgroup --src-group 9 -j DROP", ""},
				{"-m devgroup --dst-group 9 -j DROP", "certain, packet 0"},
				{"-m devgroup --dst-group 7 -j DROP", ""},
				{"-m devgroup ! --dst-group 9 -j DROP", "packet 0"}, // it does not look inside a negation
				{"-m conntrack --ctstate NEW -j DROP", "packet 0"},
				{"-j LOG", ""},
				{"-j ACCEPT", ""},
				{"-j RETURN", ""},
			} {
				sh := tool + " -F && " + tool + " -A FORWARD " + tt.rule
				if out, err := exec.Command("sh", "-c", sh).CombinedOutput(); err != nil {
					t.Skipf("no %s here: %s", tool, out)
				}
				_, got, _ := strings.Cut(reportOf(t, fromLab, fromLab6), "rules")
				if got = strings.TrimPrefix(got, ", "); got != tt.want {
					t.Errorf("%s: %q, want %q", tt.rule, got, tt.want)
				}
			}
			// The kernel has two tables of legacy chains; the policy is the last rule.
			if out, err := exec.Command("sh", "-c", tool+" -F; "+tool+" -P FORWARD DROP").CombinedOutput(); err != nil {
				t.Fatal(string(out))
			}
			want := "chain ip filter FORWARD at forward: 0 rules, certain, rest, packet 0"
			if tool == "iptables-legacy" {
				want = strings.Replace(want, " at", " (iptables-legacy) at", 1)
			}
			if got := reportOf(t, fromLab, fromLab6); got != want {
				t.Errorf("policy: %q, want %q", got, want)
			}
		})
	}
}
