//go:build linux

package ruleset_test

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nft/ruleset"
)

// takingTests are foreign rules, each with a forward. The rules take its packets if the line says so.
var takingTests = []struct {
	rules   string // of a chain at prerouting, in a table of the family; further lines are sets and chains
	family  string
	forward string // -p PROTO [-d ADDRESS] [-i LINK] PORT
	taken   bool
}{
	{"tcp dport 80 dnat to 10.99.0.1", "ip", "tcp 80", true},
	{"tcp dport 80 dnat to 10.99.0.1", "ip", "tcp 81", false},
	{"tcp dport 80 dnat to 10.99.0.1", "ip", "udp 80", false},
	{"tcp dport 80 dnat to 10.99.0.1", "ip", "tcp6 80", false},
	{"tcp dport 80 dnat to [fd00:99::1]:80", "ip6", "tcp6 80", true},
	{"tcp dport 80 dnat ip6 to [fd00:99::1]:80", "inet", "tcp6 80", true},
	{"tcp dport 80 dnat ip6 to [fd00:99::1]:80", "inet", "tcp 80", false},
	{"tcp dport 80 counter meta mark set 7 ct state new dnat to 10.99.0.1", "ip", "tcp 80", true},
	{"tcp dport 80 counter name hits dnat to 10.99.0.1\ncounter hits { }", "ip", "tcp 80", true},
	{"tcp dport { 80, 443 } dnat to 10.99.0.1", "ip", "tcp 443", true},
	{"tcp dport { 80, 443 } dnat to 10.99.0.1", "ip", "tcp 81-442", false},
	{"tcp dport { 80, 8000-8999 } dnat to 10.99.0.1", "ip", "tcp 8500", true},
	{"tcp dport { 80, 8000-8999 } dnat to 10.99.0.1", "ip", "tcp 9000", false},
	{"tcp dport { 80, 60000-65535 } dnat to 10.99.0.1", "ip", "tcp 65535", true},
	{"tcp dport @web dnat to 10.99.0.1\nset web { type inet_service; flags interval; elements = { 80-90 }; }",
		"ip", "tcp 70-85", true},
	{"tcp dport @web dnat to 10.99.0.1\nset web { type inet_service; }", "ip", "tcp 80", false},
	{"dnat to tcp dport map { 80 : 10.99.0.1 }", "ip", "tcp 80", true},
	{"dnat to tcp dport map { 80 : 10.99.0.1 }", "ip", "tcp 90", false},
	{"tcp dport 80 redirect to :3128", "ip", "tcp 80", true},
	{"meta l4proto { tcp, udp } th dport 53 redirect to :5353", "inet", "udp 53", true},
	{"meta l4proto { tcp, udp } th dport 53 redirect to :5353", "inet", "sctp 53", false},
	{"tcp dport != 22 redirect", "ip", "tcp 80", true},
	{"tcp dport != 22 redirect", "ip", "tcp 22", false},
	{"tcp dport != { 22, 80 } redirect", "ip", "tcp 443", true},
	{"tcp dport > 1023 redirect", "ip", "tcp 1023", false},
	{"tcp dport > 1023 redirect", "ip", "tcp 1024", true},
	{"tcp dport < 1024 redirect", "ip", "tcp 1024", false},
	{"tcp dport 1000-1999 redirect", "ip", "tcp 1500-2500", true},
	{"tcp dport 1000-1999 redirect", "ip", "tcp 2000", false},
	{"redirect", "ip", "tcp 80", true},
	// Other conditions may hold; those on addresses of the namespace are known.
	{"iifname eth7 tcp dport 80 redirect", "ip", "tcp 80", true},
	{"iifname eth7 tcp dport 80 redirect", "ip", "tcp -i eth8 80", false},
	{"ip saddr 10.0.0.0/8 tcp dport 80 redirect", "ip", "tcp 80", true},
	{"ip daddr 198.51.100.1 tcp dport 80 redirect", "ip", "tcp 80", true},
	{"ip daddr 198.51.100.0/24 tcp dport 80 redirect", "ip", "tcp 80", true},
	{"ip daddr 198.51.100.0/27 tcp dport 80 redirect", "ip", "tcp 80", true},
	{"ip daddr 198.51.100.64/27 tcp dport 80 redirect", "ip", "tcp 80", false},
	{"ip daddr 10.96.0.1 tcp dport 443 dnat to 10.99.0.1", "ip", "tcp 443", false},
	{"ip daddr 10.96.0.1 tcp dport 443 dnat to 10.99.0.1", "ip", "tcp -d 10.96.0.1 443", true},
	{"ip daddr != 127.0.0.0/8 tcp dport 80 redirect", "ip", "tcp 80", true},
	{"fib daddr type local tcp dport 80 redirect", "ip", "tcp 80", true},
	{"fib daddr type != local tcp dport 80 redirect", "ip", "tcp 80", false},
	{"ip6 daddr 2001:db8::/32 tcp dport 80 redirect", "inet", "tcp6 80", true},
	{"ip6 daddr 2001:db9::/32 tcp dport 80 redirect", "inet", "tcp6 80", false},
	{"ip6 daddr 2001:db8::/32 tcp dport 80 redirect", "inet", "tcp 80", false},
	// Verdict maps and jumps, as kube-proxy has them.
	{"ip daddr . meta l4proto . th dport vmap { 198.51.100.1 . tcp . 80 : goto svc }\nchain svc { dnat to 10.99.0.1; }",
		"ip", "tcp 80", true},
	{"ip daddr . meta l4proto . th dport vmap { 198.51.100.9 . tcp . 80 : goto svc }\nchain svc { dnat to 10.99.0.1; }",
		"ip", "tcp 80", false},
	{"ip daddr . meta l4proto . th dport vmap { 198.51.100.1 . tcp . 80 : goto svc }\n" +
		"chain end { dnat to 10.99.0.1; }\nchain svc { numgen random mod 2 vmap { 0 : goto end, 1 : goto end }; }",
		"ip", "tcp 80", true},
	{"ip daddr . tcp dport vmap @ports\nchain svc { dnat to 10.99.0.1; }\n" +
		"map ports { type ipv4_addr . inet_service : verdict; flags interval\n" +
		"elements = { 198.51.100.0/24 . 80-90 : goto svc }; }",
		"ip", "tcp 85", true},
	{"ip daddr . tcp dport vmap @ports\nchain svc { dnat to 10.99.0.1; }\n" +
		"map ports { type ipv4_addr . inet_service : verdict; flags interval\n" +
		"elements = { 198.51.100.0/24 . 80-90 : goto svc }; }",
		"ip", "udp 85", false},
	{"jump one\nchain two { tcp dport 80 redirect; }\nchain one { ct state new jump two; }", "ip", "tcp 80", true},
	// What an earlier rule accepts, or takes out of the chain, does not get to a later one.
	{"accept; redirect", "ip", "tcp 80", false},
	{"tcp dport 22 accept; redirect", "ip", "tcp 22", false},
	{"tcp dport 22 accept; redirect", "ip", "tcp 80", true},
	{"tcp dport 22 accept; redirect", "ip", "tcp 22-23", true},
	{"jump one; redirect\nchain one { tcp dport 22 return; accept; }", "ip", "tcp 22", true},
	{"jump one; redirect\nchain one { tcp dport 22 return; accept; }", "ip", "tcp 80", false},
	{"tcp dport vmap { 22 : accept }; redirect", "ip", "tcp 22", false},
	{"tcp dport vmap { 22 : accept }; redirect", "ip", "tcp 80", true},
	{"tcp dport vmap { 22 : accept, 80-90 : jump one }; redirect\nchain one { return; }", "ip", "tcp 80", true},
	{"tcp dport vmap { 80 : return, * : accept }; redirect", "ip", "tcp 80", false},
	{"goto one; redirect\nchain one { tcp dport 22 accept; }", "ip", "tcp 80", false},
	{"jump one; redirect\nchain one { tcp dport 22 accept; }", "ip", "tcp 80", true},
	{"tcp dport 80 goto one; redirect\nchain one { counter; }", "ip", "tcp 80", false},
	{"tcp dport 80 goto one; redirect\nchain one { counter; }", "ip", "tcp 81", true},
	{"tcp dport 80 reject; redirect", "ip", "tcp 80", false},
	{"meta l4proto tcp accept; redirect", "ip", "tcp 80", false},
	{"meta l4proto tcp accept; redirect", "ip", "udp 80", true},
	{"iifname eth7 accept; redirect", "ip", "tcp -i eth7 80", false},
	{"iifname eth7 accept; redirect", "ip", "tcp 80", true},
	{"iifname \"eth*\" accept; redirect", "ip", "tcp -i wlan0 80", true},
	{"iifname != eth7 tcp dport 80 redirect", "ip", "tcp -i eth7 80", false},
	{"iifname != \"eth*\" tcp dport 80 redirect", "ip", "tcp -i eth7 80", true}, // it does not look inside a wildcard
	{"ip saddr 10.0.0.0/8 accept; redirect", "ip", "tcp 80", true},
	{"meta mark 1 accept; redirect", "ip", "tcp 80", true},
	{"ip daddr 198.51.100.1 accept; redirect", "ip", "tcp 80", true}, // to 127.0.0.1
	{"ip daddr 198.51.100.1 accept; redirect", "ip", "tcp -d 198.51.100.1 80", false},
	{"ip daddr 198.51.100.0/24 accept; ip daddr 127.0.0.0/8 accept; redirect", "ip", "tcp -d 198.51.100.1 80", false},
	{"ip daddr != 198.51.100.1 redirect", "ip", "tcp -d 198.51.100.1 80", false},
	{"fib daddr type local accept; redirect", "ip", "tcp 80", false},
	{"fib saddr type local accept; redirect", "ip", "tcp 80", true},
	{"fib daddr . iif type local accept; redirect", "ip", "tcp 80", true}, // another link may have the address
	{"tcp sport 80 accept; redirect", "ip", "tcp 80", true},
	{"tcp dport 80 accept; redirect", "ip", "tcp 80-81", true},
	{"tcp dport != 80 accept; redirect", "ip", "tcp 80", true},
	{"tcp dport != 80 accept; redirect", "ip", "tcp 81", false},
	{"tcp dport != 80 accept; redirect", "ip", "tcp 80-81", true},
	{"tcp dport != 80-90 accept; redirect", "ip", "tcp 85-95", true},
	{"tcp dport != 80-90 accept; redirect", "ip", "tcp 91-95", false},
	{"iifname != eth7 accept; redirect", "ip", "tcp -i eth7 80", true},
	{"iifname != eth7 accept; redirect", "ip", "tcp -i eth8 80", false},
	{"iifname != eth7 accept; redirect", "ip", "tcp 80", true},
	{"tcp dport >= 80 tcp dport != 90 accept; redirect", "ip", "tcp 90", true},
	{"tcp dport >= 80 tcp dport != 90 accept; redirect", "ip", "tcp 89", false},
	// Addresses and protocols of headers in a table for both families.
	{"ip daddr 198.51.100.1 redirect", "inet", "tcp 80", true},
	{"ip daddr 198.51.100.1 redirect", "inet", "tcp6 80", false},
	{"ip daddr 198.51.100.2 redirect", "inet", "tcp 80", false},
	{"ip daddr 198.0.0.0/8 redirect", "inet", "tcp 80", true},
	{"ip daddr 10.0.0.0/8 redirect", "inet", "tcp 80", false},
	{"ip daddr 10.0.0.0/8 redirect", "ip", "tcp 80", false},
	{"ip6 daddr 2001:db8::1 redirect", "inet", "tcp6 80", true},
	{"ip6 daddr 2001:db8::2 redirect", "inet", "tcp6 80", false},
	{"ip6 daddr 2001:db8::1 redirect", "ip6", "tcp6 80", true},
	{"ip6 daddr 2001:db9::/32 redirect", "ip6", "tcp6 80", false},
	{"ip6 daddr 2001:db8::/33 redirect", "ip6", "tcp6 80", true},
	{"ip protocol udp redirect", "inet", "tcp 80", false},
	{"ip protocol tcp redirect", "inet", "tcp 80", true},
	{"ip6 nexthdr udp redirect", "inet", "tcp6 80", false},
	{"ip6 nexthdr tcp redirect", "inet", "tcp6 80", true},
	// Sets of several fields.
	{"ip daddr . tcp dport { 198.51.100.1 . 80, 10.0.0.1 . 81 } redirect", "ip", "tcp 80", true},
	{"ip daddr . tcp dport { 198.51.100.1 . 80, 10.0.0.1 . 81 } redirect", "ip", "tcp 81", false},
	{"ip daddr . tcp dport vmap { 198.51.100.1 . 80 : accept }; redirect", "ip", "tcp -d 198.51.100.1 80", false},
	{"ip saddr . tcp dport vmap { 198.51.100.1 . 80 : accept }; redirect", "ip", "tcp 80", true},
	{"ip saddr . tcp dport vmap { 198.51.100.1 . 80 : jump one }\nchain one { redirect; }", "ip", "tcp 81", false},
	{"ip6 daddr . tcp dport { 2001:db8::1 . 80 } redirect", "ip6", "tcp6 80", true},
	{"ip6 daddr . tcp dport { 2001:db8::1 . 80 } redirect", "ip6", "tcp6 81", false},
	{"iifname . tcp dport { eth7 . 80 } redirect", "ip", "tcp -i eth7 80", true},
	{"iifname . tcp dport { eth7 . 80 } redirect", "ip", "tcp -i eth8 80", false},
	{"iifname . tcp dport { eth7 . 80 } redirect", "ip", "tcp -i eth7 81", false},
}

// TestTaking checks which foreign rules take a port, whatever their form.
func TestTaking(t *testing.T) {
	needNFT(t)
	c := dial(t)
	for _, tt := range takingTests {
		rule, more, _ := strings.Cut(tt.rules, "\n")
		runNFT(t, "flush ruleset\ntable "+tt.family+" other {\n"+more+
			"\nchain pre { type nat hook prerouting priority -100\n"+
			strings.ReplaceAll(rule, "; ", "\n")+"\n}\n}\n", "-f", "-")
		if got := taking(t, c, tt.forward); (got != "") != tt.taken {
			t.Errorf("table %s: %s: forward %s: %q", tt.family, tt.rules, tt.forward, got)
		}
	}
	runNFT(t, "flush ruleset\n", "-f", "-")
}

// taking returns the rule that takes a forward's packets. The namespace has the addresses 127.0.0.1, ::1,
// 198.51.100.1 and 2001:db8::1.
func taking(t *testing.T, c *nft.Conn, forward string) string {
	t.Helper()
	words := strings.Fields(forward)
	f := nft.Forward{To: netip.MustParseAddr("10.1.0.2"), ToPort: 1}
	if strings.HasSuffix(words[0], "6") {
		f.To = netip.MustParseAddr("fd00:1::2")
	}
	var err error
	if f.Proto, err = nft.ParseProto(strings.TrimSuffix(words[0], "6")); err != nil {
		t.Fatal(err)
	}
	if len(words) > 2 && words[1] == "-d" {
		f.Addr = netip.MustParseAddr(words[2])
	} else if len(words) > 2 {
		f.In = words[2]
	}
	if n, err := fmt.Sscanf(words[len(words)-1], "%d-%d", &f.Ports.First, &f.Ports.Last); n == 1 {
		f.Ports.Last = f.Ports.First
	} else if n == 0 {
		t.Fatal(err)
	}
	d, err := ruleset.ReadDestinationNAT(c, func(string) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	var local []netip.Addr
	for _, a := range []string{"127.0.0.1", "::1", "198.51.100.1", "2001:db8::1"} {
		local = append(local, netip.MustParseAddr(a))
	}
	taken, err := d.Taking(f, local)
	if err != nil {
		t.Fatal(err)
	}
	return taken
}

// TestTakingNamesTheRule checks the name of a rule, and that of a rule in a chain that another one jumps to.
func TestTakingNamesTheRule(t *testing.T) {
	needNFT(t)
	c := dial(t)
	runNFT(t, `table ip other {
		chain one { counter; udp dport 53 redirect to :5353; }
		chain out { type nat hook output priority -100; jump one; }
	}`, "-f", "-")
	_, handle, _ := strings.Cut(runNFT(t, "", "-a", "list", "chain", "ip", "other", "one"), "5353 # handle ")
	handle, _, _ = strings.Cut(handle, "\n") // kernels number rules differently
	if got, want := taking(t, c, "udp 53"), "the rule with handle "+handle+" of chain ip other one"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	d, err := ruleset.ReadDestinationNAT(c, func(table string) bool { return table == "other" })
	if err != nil {
		t.Fatal(err)
	}
	f := nft.Forward{Proto: nft.UDP, Ports: nft.Port(53), To: netip.MustParseAddr("10.1.0.2"), ToPort: 53}
	if taken, err := d.Taking(f, nil); taken != "" || err != nil {
		t.Errorf("of a skipped table: %q, %v", taken, err)
	}
	runNFT(t, "flush ruleset\n", "-f", "-")
}

// TestTakingIptables checks rules of iptables in both forms: iptables-nft and iptables-legacy.
func TestTakingIptables(t *testing.T) {
	needNFT(t)
	for _, tool := range []string{"iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy"} {
		t.Run(tool, func(t *testing.T) {
			enterNew(t)
			c := dial(t)
			to, local, six := "10.99.0.1", "198.51.100.0/24", ""
			if strings.HasPrefix(tool, "ip6") {
				to, local, six = "fd00:99::1", "2001:db8::/64", "6"
			}
			for _, tt := range []struct {
				rule, forward string
				taken         bool
			}{
				{"-p tcp --dport 80 -j DNAT --to TO", "tcp 80", true},
				{"-p tcp --dport 80 -j DNAT --to TO", "tcp 81", false},
				{"-p tcp --dport 80 -j DNAT --to TO", "udp 80", false},
				{"-p udp --dport 50:59 -j DNAT --to TO", "udp 53", true},
				{"-p udp --dport 50:59 -j DNAT --to TO", "udp 60", false},
				{"-p tcp -m multiport --dports 80,90:99 -j REDIRECT --to-ports 3128", "tcp 95", true},
				{"-p tcp -m multiport --dports 80,90:99 -j REDIRECT --to-ports 3128", "tcp 85", false},
				{"! -i docker0 -m comment --comment x -p tcp --dport 80 -j DNAT --to TO", "tcp 80", true},
				{"-i eth7 -p tcp --dport 80 -j DNAT --to TO", "tcp -i eth8 80", false},
				{"-i eth+ -p tcp --dport 80 -j DNAT --to TO", "tcp -i eth8 80", true},
				{"-d LOCAL -p tcp --dport 80 -j DNAT --to TO", "tcp 80", true},
				{"! -d LOCAL -p tcp --dport 80 -j DNAT --to TO", "tcp 80", true}, // to 127.0.0.1
				{"-d TO -p tcp --dport 80 -j DNAT --to TO", "tcp 80", false},
				{"-p tcp --dport 80 -j ACCEPT", "tcp 80", false},
				{"-p udp --sport 7 -j DNAT --to TO", "udp 53", true},
				{"-p tcp -m multiport ! --dports 80,90 -j DNAT --to TO", "tcp 80", false},
				{"-p tcp -m multiport --sports 80,90 -j DNAT --to TO", "tcp 70", true},
			} {
				rule := strings.NewReplacer("TO", to, "LOCAL", local).Replace(tt.rule)
				sh := tool + " -t nat -N OTHER && " + tool + " -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j OTHER && " +
					tool + " -t nat -A OTHER " + rule
				if out, err := exec.Command("sh", "-c", sh).CombinedOutput(); err != nil {
					t.Skipf("no NAT of %s here: %s", tool, out)
				}
				words := strings.SplitN(tt.forward, " ", 2)
				got := taking(t, c, words[0]+six+" "+words[1])
				if (got != "") != tt.taken || tt.taken && !strings.Contains(got, "OTHER") {
					t.Errorf("%s: forward %s: %q", rule, tt.forward, got)
				}
				if out, err := exec.Command("sh", "-c", tool+" -t nat -F; "+tool+" -t nat -X").CombinedOutput(); err != nil {
					t.Fatal(string(out))
				}
			}
		})
	}
}

// TestLegacyDrops checks chains of iptables-legacy that drop by policy or by their last rule. To read them makes
// no table.
func TestLegacyDrops(t *testing.T) {
	enterNew(t)
	c := dial(t)
	drops := func() string { return strings.Join(forwardDrops(t, c), ", ") }
	if got := drops(); got != "" {
		t.Errorf("in a new namespace: %s", got)
	}
	for _, tt := range []struct{ command, want string }{
		{"iptables-legacy -P FORWARD DROP", "chain ip filter FORWARD (iptables-legacy)"},
		{"iptables-legacy -P FORWARD ACCEPT", ""},
		{"iptables-legacy -A FORWARD -i eth0 -j DROP", ""},
		{"iptables-legacy -N last; iptables-legacy -A FORWARD -j last", ""},
		{"iptables-legacy -A last -m conntrack --ctstate NEW -j REJECT", ""},
		{"iptables-legacy -A last -j REJECT", "chain ip filter FORWARD (iptables-legacy)"},
		{"iptables-legacy -I FORWARD -j ACCEPT", ""},
		{"iptables-legacy -t mangle -P FORWARD DROP", "chain ip mangle FORWARD (iptables-legacy)"},
		{"iptables-legacy -t mangle -P FORWARD ACCEPT; ip6tables-legacy -P FORWARD DROP",
			"chain ip6 filter FORWARD (iptables-legacy)"},
		{"ip6tables-legacy -P FORWARD ACCEPT; iptables-legacy -F; iptables-legacy -X", ""},
	} {
		if out, err := exec.Command("sh", "-c", tt.command).CombinedOutput(); err != nil {
			t.Skipf("no iptables-legacy here: %s", out)
		}
		if got := drops(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.command, got, tt.want)
		}
	}
}
