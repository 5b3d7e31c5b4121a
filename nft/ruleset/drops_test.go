//go:build linux

package ruleset_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/nft/ruleset"
)

// TestDrops: what chains do to packets from 10.1.0.2 and fd00::2 on the link lan, which begin a connection. The rules
// may use the other chains.
func TestDrops(t *testing.T) {
	needNFT(t)
	c := dial(t)
	const others = `chain drops { drop; }; chain accepts { accept; }; chain comes_back { return; drop; };
		chain perhaps { tcp dport 80 drop; }; chain goes { goto comes_back; };`
	for _, tt := range []struct{ family, policy, rules, v4, v6 string }{
		{"inet", "accept", "", "", ""},
		{"inet", "accept", "jump drops", "drops", "drops"},
		{"inet", "accept", "jump comes_back", "", ""},
		{"inet", "drop", "goto comes_back; accept", "drops", "drops"},
		{"inet", "drop", "jump goes; accept", "", ""},
		{"inet", "drop", "jump accepts", "", ""},
		{"inet", "accept", "jump perhaps", "may drop", "may drop"},
		{"inet", "accept", "return; drop", "", ""},
		{"inet", "drop", "return; accept", "drops", "drops"},
		{"inet", "accept", "ip saddr vmap { 10.1.0.2 : accept, * : drop }", "", ""},
		{"inet", "accept", "ip saddr vmap { 10.1.0.3 : accept, * : drop }", "drops", ""},
		{"inet", "accept", "iifname vmap { lan : jump drops, wan : accept }", "drops", "drops"},
		{"inet", "accept", "iifname vmap { la* : goto perhaps }; drop", "may drop", "may drop"},
		{"inet", "accept", "iifname != lan drop", "", ""},
		{"inet", "accept", `iifname "la*" drop`, "drops", "drops"},
		{"inet", "accept", "iifname != { wan, lan } drop", "", ""},
		{"inet", "accept", "ip saddr != 10.1.0.0/24 drop", "", ""},
		{"inet", "accept", "ip saddr != 10.2.0.0/24 drop", "drops", ""},
		{"inet", "accept", "ip saddr 10.1.0.1-10.1.0.2 drop", "drops", ""},
		{"inet", "accept", "ip saddr > 10.1.0.2 drop", "", ""},
		{"inet", "accept", "ip6 saddr fd00::/64 drop", "", "drops"},
		{"inet", "accept", "ip6 saddr { fd00::1-fd00::3 } drop", "", "drops"},
		{"inet", "accept", "meta nfproto ipv6 counter log reject", "", "drops"},
		{"inet", "accept", "meta protocol ip drop", "drops", ""},
		{"inet", "accept", "ct state new,related drop", "drops", "drops"},
		{"inet", "accept", "ct state != new drop", "", ""},
		{"inet", "accept", "ct state { established, untracked } drop", "", ""},
		{"inet", "accept", "ct mark 1 drop", "may drop", "may drop"},
		{"inet", "accept", "meta mark set 1; ct mark set 1", "", ""},
		{"inet", "accept", "ip saddr . tcp dport { 10.1.0.2 . 80 } drop", "may drop", ""},
		{"inet", "accept", "ip saddr . tcp dport { 10.1.0.3 . 80 } drop", "", ""},
		{"inet", "accept", "oifname wan drop", "may drop", "may drop"},
		{"inet", "accept", "iifgroup 7 drop", "drops", "drops"},
		{"ip", "drop", "", "drops", ""},
		{"ip6", "drop", "", "", "drops"},
		{"bridge", "drop", "ip saddr 10.1.0.2 accept", "", "drops"},
		{"bridge", "accept", "ip6 saddr fd00::2 drop", "", "drops"},
	} {
		runNFT(t, "flush ruleset\ntable "+tt.family+" fw { "+others+
			"chain f { type filter hook prerouting priority 0; policy "+tt.policy+"\n"+
			strings.ReplaceAll(tt.rules, "; ", "\n")+"\n}; }\n", "-f", "-")
		for source, want := range map[string]string{"10.1.0.2": tt.v4, "fd00::2": tt.v6} {
			drops, err := ruleset.Drops(c, func(b ruleset.BaseChain) []ruleset.Packet {
				if b.Hook != ruleset.Prerouting {
					t.Errorf("hook %q of %s", b.Hook, b)
				}
				return []ruleset.Packet{{In: "lan", InGroup: 7, Source: netip.MustParseAddr(source)}}
			})
			got := ""
			switch {
			case len(drops) == 1 && drops[0].Certain:
				got = "drops"
			case len(drops) == 1:
				got = "may drop"
			}
			if got != want || err != nil {
				t.Errorf("table %s: policy %s; %s: from %s: %q, want %q, %v", tt.family, tt.policy, tt.rules, source,
					got, want, err)
			}
		}
	}
	runNFT(t, "flush ruleset\n", "-f", "-")
}
