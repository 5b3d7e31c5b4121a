//go:build linux

package ruleset_test

import (
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nft/ruleset"
)

// forwardDrops returns the chains at the forward hook that drop all new connections from a host for certain.
func forwardDrops(t *testing.T, c *nft.Conn) (names []string) {
	t.Helper()
	drops, err := ruleset.Drops(c, func(b ruleset.BaseChain) []ruleset.Packet {
		if b.Hook != ruleset.Forwarding || b.Table == "vnet" {
			return nil
		}
		return []ruleset.Packet{{In: "lan", Source: netip.MustParseAddr("10.1.0.2")},
			{In: "lan", Source: netip.MustParseAddr("fd00::2")}}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range drops {
		if d.Certain {
			names = append(names, d.String())
		}
	}
	slices.Sort(names)
	return names
}

// TestOtherTables checks that Drops lists chains of other tables, and that these tables are never changed.
func TestOtherTables(t *testing.T) {
	needNFT(t)
	c := dial(t)
	foreign := `table ip filter {
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
	}

	chain INPUT {
		type filter hook input priority filter; policy drop;
	}
}
table inet firewall {
	chain forward {
		type filter hook forward priority filter + 10; policy drop;
		ct state established,related accept
	}

	chain accepting {
		type filter hook forward priority filter; policy accept;
	}

	chain accepting_last {
		type filter hook forward priority filter; policy accept;
		accept
		drop
	}

	chain dropping_some {
		type filter hook forward priority filter; policy accept;
		iifname "eth0" drop
		limit rate 10/second reject
		jump returning
		ct state invalid jump rejecting
	}

	chain returning {
		counter packets 0 bytes 0
		return
		drop
	}

	chain rejecting {
		log prefix "no " counter packets 0 bytes 0 reject
	}

	chain rejecting_last {
		type filter hook forward priority filter + 10; policy accept;
		ct state established,related accept
		jump returning
		goto rejecting
	}

	chain dropping_last {
		type filter hook forward priority filter + 10; policy accept;
		ct state established,related accept
		drop
	}
}
`
	runNFT(t, foreign, "-f", "-")
	own := []nft.Rule{nft.Masquerade{Source: netip.MustParsePrefix("10.0.0.0/8")},
		nft.Isolate{In: "v-net-0", Out: "v-net-1"}, nft.Own{Link: "v-net-0"}, nft.Closed{Link: "v-net-0"},
		nft.Gate{Link: "v-net-0", MAC: nft.MAC{2, 0, 0, 0, 0, 1}}, nft.Antispoof{Port: "red-eth0"}}
	if err := c.Apply("vnet", nil, own); err != nil {
		t.Fatal(err)
	}
	got := forwardDrops(t, c)
	want := []string{"chain inet firewall dropping_last", "chain inet firewall forward",
		"chain inet firewall rejecting_last", "chain ip filter FORWARD"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := c.DeleteTable("vnet"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(foreign, runNFT(t, "", "list", "ruleset")); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
	runNFT(t, "flush ruleset\n", "-f", "-")
}

// TestIptablesRejects checks a chain of iptables-nft whose last rule rejects.
func TestIptablesRejects(t *testing.T) {
	needNFT(t)
	if _, err := exec.LookPath("iptables-nft"); err != nil {
		t.Skip("no iptables-nft on this machine")
	}
	c := dial(t)
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("iptables-nft", args...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %s", args, out)
		}
	}
	t.Cleanup(func() { runNFT(t, "flush ruleset\n", "-f", "-") })
	drops := func(want ...string) {
		t.Helper()
		if got := forwardDrops(t, c); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	run("-A", "FORWARD", "-i", "eth0", "-j", "REJECT")
	drops()
	run("-N", "last")
	run("-A", "FORWARD", "-j", "last")
	drops()
	run("-A", "last", "-j", "REJECT")
	drops("chain ip filter FORWARD")
	run("-I", "FORWARD", "-j", "ACCEPT")
	drops()
}

// TestLabLinksAreAccepted checks chains that drop by policy: they do not count if their rules accept all packets from
// the links of labs and all to them.
func TestLabLinksAreAccepted(t *testing.T) {
	needNFT(t)
	c := dial(t)
	for _, tt := range []struct {
		family, rules string
		accepted      bool
	}{
		{"inet", "iifgroup G accept; oifgroup G accept", true},
		{"ip", "oifgroup G counter accept; iifgroup G counter accept", true},
		{"ip6", "counter; tcp dport 80 accept; iifgroup G accept; oifgroup G log accept", true},
		{"inet", "iifgroup G accept", false},
		{"inet", "oifgroup G accept", false},
		{"inet", "iifgroup G drop; oifgroup G accept", false},
		{"inet", "iifgroup G accept; oifgroup G drop", false},
		{"inet", "iifgroup G accept; oifgroup G return", false},
		{"inet", "iifgroup G accept; oifgroup G reject", false},
		{"inet", "iifgroup != G accept; oifgroup != G accept", false},
		{"inet", "iifgroup 7 accept; oifgroup 7 accept", false},
		{"inet", "iifgroup G tcp dport 80 accept; oifgroup G accept", false},
		{"inet", "iifgroup G accept; oifgroup G meta mark 1 accept", false},
		{"inet", "iifgroup G accept; meta mark 1 oifgroup G accept", false},
		{"inet", "iifgroup G accept; oifgroup G ct state new accept", true}, // packets that begin a connection
		{"inet", "meta mark G accept; oifgroup G accept", false},
		{"inet", "iifgroup G limit rate 1/second accept; oifgroup G accept", false},
		{"inet", "iifname red accept", false},
		{"bridge", "iifname red accept", true},
		{"bridge", "iifname { red, blue } counter accept", true},
		{"bridge", "iifname != red accept", false},
		{"bridge", "iifname != { red, blue } accept", false},
		{"bridge", "iifname red drop", false},
		{"bridge", "iifname vmap { red : accept }", true},
		{"bridge", "iifname vmap { blue : accept }", false},
		{"bridge", "oifname red accept", false},
		{"bridge", "iifname red ether type arp accept", false},
	} {
		rules := strings.NewReplacer("G", strconv.Itoa(nft.LinkGroup), "; ", "\n").Replace(tt.rules)
		runNFT(t, "flush ruleset\ntable "+tt.family+" fw { chain f { type filter hook forward priority 0; policy drop\n"+
			rules+"\n}; }\n", "-f", "-")
		drops, err := ruleset.Drops(c, func(b ruleset.BaseChain) []ruleset.Packet {
			if b.Family == "bridge" {
				return []ruleset.Packet{{In: "red"}}
			}
			return []ruleset.Packet{{InGroup: nft.LinkGroup}, {OutGroup: nft.LinkGroup}}
		})
		if err != nil || (len(drops) == 0) != tt.accepted {
			t.Errorf("table %s: %s: %v, %v", tt.family, tt.rules, drops, err)
		}
	}
	runNFT(t, "flush ruleset\n", "-f", "-")
}
