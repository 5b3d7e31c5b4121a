package doctor

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live"
)

// TestFirewalls: a foreign chain that drops is found. It does drop a lab's packets, and after the remedy it does not:
// between networks, and between hosts of one network where rules see bridged packets.
func TestFirewalls(t *testing.T) {
	labtest.NeedIP(t)
	unix.Mkdir("/run/etc-netns", 0o755)
	_, want := upWall(t)
	ping := func(to string) bool {
		return exec.Command("ip", "netns", "exec", "a", "ping", "-c1", "-W1", to).Run() == nil
	}
	reached := func(to string) bool { // a busy machine loses packets
		for range 10 {
			if ping(to) {
				return true
			}
		}
		return false
	}
	for _, tt := range []struct{ make, remove, to string }{
		{"nft 'table ip x { chain f { type filter hook forward priority 0; policy drop; }; }'",
			"nft delete table ip x", "10.2.0.2"},
		{"nft 'table inet x { chain f { type filter hook forward priority 9; ct state invalid accept; reject; }; }'",
			"nft delete table inet x", "fd00:2::2"},
		{"nft 'table bridge x { chain f { type filter hook forward priority 0; policy drop; }; }'",
			"nft delete table bridge x", "10.1.0.3"},
		{"sysctl -qw net.bridge.bridge-nf-call-iptables=1; nft 'table ip x { chain f { " +
			"type filter hook forward priority 0; policy drop; }; }'", "nft delete table ip x", "10.1.0.3"},
		{"nft 'table ip x { chain f { type filter hook prerouting priority 0; ip saddr 10.1.0.2 drop; }; }'",
			"nft delete table ip x", "10.2.0.2"},
		{"nft 'table ip6 x { chain f { type filter hook forward priority 0; ip6 daddr vmap { fd00:2::2 : drop }; }; }'",
			"nft delete table ip6 x", "fd00:2::2"},
		{"nft 'table inet x { chain f { type filter hook postrouting priority 0; oifname { n2, n3 } drop; }; }'",
			"nft delete table inet x", "10.2.0.2"},
		{"nft 'table inet x { chain f { type filter hook input priority 0; policy drop; tcp dport 22 accept; }; }'",
			"nft delete table inet x", "10.1.0.1"},
		{"nft 'table netdev x { chain f { type filter hook ingress device a-eth0 priority 0; policy drop; }; }'",
			"nft delete table netdev x", "10.2.0.2"},
		{"nft 'table bridge x { chain f { type filter hook prerouting priority 0; iifname a-eth0 drop; }; }'",
			"nft delete table bridge x", "10.1.0.3"},
		{"iptables-nft -P FORWARD DROP", "nft delete table ip filter", "10.2.0.2"},
		{"iptables-legacy -P FORWARD DROP", "iptables-legacy -F; iptables-legacy -P FORWARD ACCEPT", "10.2.0.2"},
		{"ip6tables-legacy -A FORWARD -j REJECT", "ip6tables-legacy -F", "fd00:2::2"},
	} {
		t.Run(tt.make, func(t *testing.T) {
			if !reached(tt.to) {
				t.Fatal("not reached before")
			}
			if out, err := exec.Command("sh", "-ec", tt.make).CombinedOutput(); err != nil {
				t.Skipf("not possible here: %s", out)
			}
			defer shell(t, tt.remove)
			if _, err := os.ReadFile("/proc/net/ip_tables_names"); strings.Contains(tt.make, "legacy") && err != nil {
				t.Skip(err) // in a namespace that the kernel made before it knew the ids of its user namespace
			}
			if ping(tt.to) {
				t.Error("reached, so this chain does not drop")
			}
			found := topics(t, Examination{Want: want}, "firewall")
			if len(found) != 1 {
				t.Fatalf("%v", found)
			}
			mend(t, "", found[0])
			if got := topics(t, Examination{Want: want}, "firewall"); len(got) > 0 {
				t.Errorf("after the remedy: %v", got)
			}
			if !reached(tt.to) {
				t.Error("not reached after the remedy")
			}
		})
	}
}

// A firewallCase is a table with a chain, what doctor says about it (nothing if it accepts the packets), for a lab or
// for any lab.
var firewallCases = []struct{ family, hook, policy, rules, lab, any string }{
	{"inet", "forward", "drop", "", "drops forwarded packets of lab wall, such as those from 10.1.0.2",
		"drops forwarded packets of labs"},
	{"inet", "forward", "drop", "ct state established accept", "drops forwarded", "drops forwarded"},
	{"inet", "forward", "drop", "ct state vmap { new : accept, invalid : drop }", "", ""},
	{"inet", "forward", "drop", "iifname { n1, n2 } accept; oifname { n1, n2 } accept", "",
		"drops everything that its 2 rules do not accept; this may be forwarded packets of labs"},
	{"inet", "forward", "drop", "ip saddr 10.0.0.0/8 accept; ip daddr 10.0.0.0/8 accept; ip6 saddr fd00::/16 accept; " +
		"ip6 daddr fd00::/16 accept", "", "its 4 rules do not accept"},
	{"inet", "forward", "drop", "ip saddr 10.1.0.0/24 accept; ip daddr 10.0.0.0/8 accept; meta nfproto ipv6 accept",
		"such as those from 10.2.0.2", "its 3 rules do not accept"},
	{"inet", "forward", "drop", "tcp dport 80 accept", "drops everything that its 1 rule does not accept",
		"drops everything that its 1 rule does not accept"},
	{"inet", "forward", "accept", "iifname eth7 accept; reject", "drops forwarded packets", "its 1 rule"},
	{"inet", "forward", "accept", "iifname eth7 drop", "may drop", "may drop forwarded packets of labs"},
	{"inet", "forward", "accept", "ip saddr 10.2.0.2 drop",
		"drops forwarded packets of lab wall, such as those from 10.2.0.2", "may drop"},
	{"inet", "forward", "accept", "ip saddr 192.0.2.0/24 ip daddr 192.0.2.0/24 drop", "", "may drop"},
	{"ip", "forward", "accept", "ip saddr { 10.2.0.0/24, 10.9.0.0/16 } drop", "such as those from 10.2.0.2", "may drop"},
	{"ip", "forward", "accept", "iifname . ip saddr { n1 . 10.1.0.3, n2 . 10.1.0.2 } drop", "such as those from 10.1.0.3",
		"may drop"},
	{"ip", "forward", "accept", "ip daddr vmap { 10.2.0.2 : drop }", "such as those to 10.2.0.2", "may drop"},
	{"ip6", "forward", "accept", "ip6 daddr vmap { fd00:2::/64 : drop, fd00:1::/64 : accept }",
		"such as those to fd00:2::2", "may drop"},
	{"inet", "forward", "accept", "tcp dport 25 drop", "may drop", "may drop"},
	{"inet", "forward", "accept", "ct state invalid drop", "", ""},
	{"inet", "forward", "accept", "limit rate over 10/second drop", "may drop", "may drop"},
	{"inet", "prerouting", "accept", "ip saddr 10.1.0.3 drop",
		"drops packets from hosts of lab wall, such as those from 10.1.0.3",
		"may drop packets from hosts of labs"},
	{"inet", "prerouting", "accept", "fib saddr . iif oif missing drop", "", ""},
	{"inet", "input", "drop", "", "drops packets from hosts of lab wall to the machine itself", ""},
	{"inet", "output", "drop", "", "drops packets from the machine itself to hosts", ""},
	{"inet", "postrouting", "accept", "oifname n1 drop", "drops packets to hosts of lab wall, such as those to 10.1.0.2",
		"may drop"},
	{"netdev", "ingress device a-eth0", "drop", "", "drops packets from links of lab wall",
		"drops packets from links of labs"},
	{"netdev", "ingress device a-eth0", "accept", "ip saddr 10.1.0.2 drop", "may drop", "may drop"},
	{"netdev", "ingress device lo", "drop", "", "", ""},
	{"bridge", "prerouting", "accept", "iifname a-eth0 drop", "drops packets in networks of lab wall", "drops packets in"},
	{"bridge", "forward", "accept", "oifname c-eth0 drop", "may drop packets in networks", "may drop packets in networks"},
	{"bridge", "output", "drop", "oifname != a-eth0 accept", "drops packets in networks", "drops packets in networks"},
}

// TestFirewallRules: doctor says what chains with rules do to a lab, and to any lab, and its remedies work.
func TestFirewallRules(t *testing.T) {
	labtest.NeedIP(t)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("no nft on this machine to make rules with")
	}
	unix.Mkdir("/run/etc-netns", 0o755)
	name, want := upWall(t)
	for _, tt := range firewallCases {
		t.Run(tt.family+" "+tt.hook+" "+tt.policy+" "+tt.rules, func(t *testing.T) {
			for e, says := range map[*Examination]string{{Lab: name, Want: want}: tt.lab, {}: tt.any} {
				chain := "nft 'table " + tt.family + " fw { chain c { type filter hook " +
					tt.hook + " priority 5; policy " + tt.policy + "; " + strings.ReplaceAll(tt.rules, "; ", "\n") + "\n }; }'"
				if out, err := exec.Command("sh", "-c", chain).CombinedOutput(); err != nil {
					t.Skipf("not possible here: %s", out)
				}
				found := topics(t, *e, "firewall")
				switch {
				case says == "" && len(found) > 0, says != "" && len(found) != 1:
					t.Errorf("lab %q: %v", e.Lab, found)
				case says != "" && !strings.Contains(found[0].Text, says):
					t.Errorf("lab %q: %s\nwant %s", e.Lab, found[0].Text, says)
				case says != "":
					mend(t, "", found[0])
					if got := topics(t, *e, "firewall"); len(got) > 0 {
						t.Errorf("lab %q: after the remedy: %v", e.Lab, got)
					}
				}
				shell(t, "nft delete table "+tt.family+" fw")
			}
		})
	}
}

// upWall makes a lab with two networks that the machine connects.
func upWall(t *testing.T) (name string, want topo.State) {
	t.Helper()
	name, want = labtest.Compiled(t, `
name: wall
networks:
  n1: {subnets: [10.1.0.0/24, "fd00:1::/64"], nat: true}
  n2: {subnets: [10.2.0.0/24, "fd00:2::/64"], nat: true}
hosts: {a: {networks: [n1]}, b: {networks: [n2]}, c: {networks: [n1]}}`)
	k, err := live.OpenKernel(t.Context(), name, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		k.Down(context.Background(), nil)
		k.Close()
	})
	return name, want
}

// TestIptablesHooks: chains of iptables at other hooks are found, and mended with iptables.
func TestIptablesHooks(t *testing.T) {
	labtest.NeedIP(t)
	unix.Mkdir("/run/etc-netns", 0o755)
	name, want := upWall(t)
	e := Examination{Lab: name, Want: want}
	for _, tt := range []struct{ make, remedy, flush string }{
		{"iptables-nft -P INPUT DROP", "iptables-nft -I INPUT -m devgroup --src-group 0x766e -j ACCEPT", "nft flush ruleset"},
		{"iptables-nft -t raw -A PREROUTING -s 10.0.0.0/8 -j DROP", "iptables-nft -t raw -I PREROUTING ",
			"nft flush ruleset"},
		{"ip6tables-nft -t mangle -A POSTROUTING -j DROP", "ip6tables-nft -t mangle -I POSTROUTING ", "nft flush ruleset"},
		{"iptables-legacy -A OUTPUT -d 10.0.0.0/8 -j DROP", "iptables-legacy -I OUTPUT -m devgroup --dst-group ",
			"iptables-legacy -F"},
	} {
		if out, err := exec.Command("sh", "-ec", tt.make).CombinedOutput(); err != nil {
			t.Logf("not possible here: %s: %s", tt.make, out)
			continue
		}
		if _, err := os.ReadFile("/proc/net/ip_tables_names"); strings.Contains(tt.make, "legacy") && err != nil {
			t.Log(err)
			continue
		}
		found := topics(t, e, "firewall")
		if len(found) != 1 || !strings.HasPrefix(found[0].Remedy[0], tt.remedy) {
			t.Errorf("%s: %v", tt.make, found)
		} else {
			mend(t, "", found[0])
			if got := topics(t, e, "firewall"); len(got) > 0 {
				t.Errorf("%s: after the remedy: %v", tt.make, got)
			}
		}
		shell(t, tt.flush)
	}
}
