//go:build linux

package ruleset_test

import (
	"net/netip"
	"os/exec"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nft/ruleset"
)

// TestOtherTables checks that ForwardDrops lists chains of other tables, and that these tables are never changed.
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
	drops, err := ruleset.ForwardDrops(c)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range drops {
		got = append(got, d.String())
	}
	slices.Sort(got)
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
	drops := func(want ...ruleset.Chain) {
		t.Helper()
		if got, err := ruleset.ForwardDrops(c); err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v", got, err)
		}
	}
	run("-A", "FORWARD", "-i", "eth0", "-j", "REJECT")
	drops()
	run("-N", "last")
	run("-A", "FORWARD", "-j", "last")
	drops()
	run("-A", "last", "-j", "REJECT")
	drops(ruleset.Chain{Family: "ip", Table: "filter", Name: "FORWARD"})
	run("-I", "FORWARD", "-j", "ACCEPT")
	drops()
}
