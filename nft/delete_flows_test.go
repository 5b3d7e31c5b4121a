//go:build linux

package nft_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
)

// TestForwardDeletesUDPFlows checks a client that never closes its socket. Without deletion, its conntrack entry would
// stay, and with it the old target.
func TestForwardDeletesUDPFlows(t *testing.T) {
	w := newTestNet(t)
	w.serve(w.red, "red", "udp", ":5300")
	w.serve(w.blue, "blue", "udp", ":5301")
	toRed := nft.Forward{Proto: nft.UDP, Ports: nft.Port(53), To: addr("192.168.15.2"), ToPort: 5300}
	toBlue := nft.Forward{Proto: nft.UDP, Ports: nft.Port(53), To: addr("192.168.15.3"), ToPort: 5301}
	unrelated := nft.Forward{Proto: nft.UDP, Ports: nft.Port(54), To: addr("192.168.15.2"), ToPort: 5300}
	short := 200 * time.Millisecond

	w.apply(nil, []nft.Rule{unrelated})
	client := w.dialFrom(w.outside, "10.9.0.1:53")
	expect := func(want string) {
		t.Helper()
		wait := answerTimeout
		if want == "no answer" {
			wait = short
		}
		if got := exchange(client, wait); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := exchange(client, short); got != "no answer" {
		t.Errorf("got %q before the forward exists", got)
	}
	w.apply(nil, []nft.Rule{toRed})
	exchange(client, short) // reads the ICMP error of the first attempt
	expect("red 10.9.0.2")
	w.apply([]nft.Rule{toRed}, []nft.Rule{toBlue})
	expect("blue 10.9.0.2")
	w.apply([]nft.Rule{toBlue}, nil)
	expect("no answer")
}

// TestForwardDeletesTCPFlows checks that a flow stays if other rules change or its rule is added again, and that it is
// deleted with its rule.
func TestForwardDeletesTCPFlows(t *testing.T) {
	w := newTestNet(t)
	rule := nft.Forward{Proto: nft.TCP, Ports: nft.Port(8080), To: addr("192.168.15.2"), ToPort: 80}
	other := nft.Forward{Proto: nft.TCP, Ports: nft.Port(8081), To: addr("192.168.15.2"), ToPort: 80}
	w.serve(w.red, "red", "tcp", ":80")
	w.apply(nil, []nft.Rule{rule})
	count := func() int { return len(w.flows("192.168.15.2")) }
	w.checkFacts(t, []fact{{"connect", w.outside, "tcp", "10.9.0.1:8080", "red 10.9.0.2"}})
	if count() != 1 {
		t.Fatalf("%d flows, want 1", count())
	}
	w.apply(nil, []nft.Rule{rule, other})
	w.apply([]nft.Rule{other}, nil)
	if count() != 1 {
		t.Errorf("%d flows after an unrelated change, want 1", count())
	}
	w.apply([]nft.Rule{rule}, nil)
	if count() != 0 {
		t.Errorf("%d flows after deleting their rule", count())
	}
}

// TestForeignFlowsStay checks flows that another table masquerades. They stay if an unrelated rule is deleted, and TCP
// flows stay in any case.
func TestForeignFlowsStay(t *testing.T) {
	needNFT(t)
	w := newTestNet(t)
	for _, network := range []string{"tcp", "udp"} {
		w.serve(w.outside, "outside", network, ":80")
	}
	w.sh(w.machine, `ip link add other0 type bridge; ip addr add 198.51.100.1/24 dev other0; ip link set other0 up
		nft 'table inet docker { chain post { type nat hook postrouting priority srcnat; oifname eth0 masquerade; }; }'`)
	count := func(what string, want int) {
		t.Helper()
		if got := w.flows("192.168.15.2"); len(got) != want {
			t.Errorf("%s: %d flows, want %d: %q", what, len(got), want, got)
		}
	}
	w.checkFacts(t, []fact{
		{"tcp", w.red, "tcp", "10.9.0.2:80", "outside 10.9.0.1"},
		{"udp", w.red, "udp", "10.9.0.2:80", "outside 10.9.0.1"},
	})
	for _, rule := range []nft.Rule{
		nft.Masquerade{Out: "absent0"},
		nft.Masquerade{Out: "other0"},
		nft.Masquerade{Source: prefix("192.168.0.0/16"), Out: "other0"},
		nft.SourceNAT{Source: prefix("192.168.15.0/24"), To: addr("198.51.100.7")},
		nft.Forward{Proto: nft.UDP, Ports: nft.Port(80), To: addr("192.168.15.3"), ToPort: 80},
	} {
		w.apply(nil, []nft.Rule{rule})
		w.apply([]nft.Rule{rule}, nil)
		count(rule.String(), 2)
	}
	rule := nft.Masquerade{Source: prefix("192.168.0.0/16"), Out: "eth0"} // could have translated the flow
	w.apply(nil, []nft.Rule{rule})
	w.apply([]nft.Rule{rule}, nil)
	count(rule.String(), 1)
}

// TestMasqueradeDeletesFlows checks that masqueraded UDP flows are deleted with their rule, over IPv4 and IPv6.
func TestMasqueradeDeletesFlows(t *testing.T) {
	w := newTestNet(t)
	w.serve(w.outside, "outside", "udp", ":80")
	for source, target := range map[string]string{"192.168.15.0/24": "10.9.0.2:80",
		"fd00:15::/64": "[2001:db8:9::2]:80"} {
		for _, rule := range []nft.Rule{nft.Masquerade{Source: prefix(source)}, nft.Masquerade{Out: "eth0"}} {
			w.apply(nil, []nft.Rule{rule})
			client := w.dialFrom(w.red, target)
			if got := exchange(client, answerTimeout); !strings.HasPrefix(got, "outside ") {
				t.Errorf("%s: got %q", rule, got)
			}
			w.apply([]nft.Rule{rule}, nil)
			if got := exchange(client, 200*time.Millisecond); got != "no answer" {
				t.Errorf("without %s: got %q", rule, got)
			}
		}
	}
}

// TestStaleConntrackError checks that a change stays if conntrack entries cannot be deleted, and that the error is
// ErrStaleConntrack.
func TestStaleConntrackError(t *testing.T) {
	w := newTestNet(t)
	w.serve(w.outside, "outside", "udp", ":80")
	rules := []nft.Rule{nft.Masquerade{Source: prefix("192.168.15.0/24")}, nft.Masquerade{Out: "eth0"}}
	w.apply(nil, rules)
	w.checkFacts(t, []fact{{"udp", w.red, "udp", "10.9.0.2:80", "outside 10.9.0.1"}})
	for what, change := range map[string]func() error{
		"Apply":       func() error { return w.nft.Apply("vnet", rules[:1], nil) },
		"DeleteTable": func() error { return w.nft.DeleteTable("vnet") },
	} {
		w.apply(nil, rules)
		err := withoutFreeFDs(t, change)
		if !errors.Is(err, nft.ErrStaleConntrack) || !errors.Is(err, unix.EMFILE) {
			t.Errorf("%s: %v", what, err)
		}
		for _, r := range w.rules() {
			if r == rules[0] {
				t.Errorf("%s: %s still exists", what, r)
			}
		}
		if n := len(w.flows("192.168.15.2")); n != 1 {
			t.Errorf("%s: %d flows, want 1", what, n)
		}
	}
}

// withoutFreeFDs calls fn while the process cannot open files.
func withoutFreeFDs(t *testing.T, fn func() error) error {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	return fn()
}

// rules returns the rules of the test network's table.
func (w *testNet) rules() []nft.Rule {
	w.t.Helper()
	counted, err := w.nft.Read("vnet")
	if err != nil {
		w.t.Fatal(err)
	}
	rules := make([]nft.Rule, len(counted))
	for i, r := range counted {
		rules[i] = r.Rule
	}
	return rules
}

// flows returns the lines of conntrack -L with a source address.
func (w *testNet) flows(source string) []string { return w.conntrackLines("src=" + source + " ") }

// conntrackLines returns the lines of conntrack -L that contain text.
func (w *testNet) conntrackLines(text string) []string {
	w.t.Helper()
	var with []string
	for _, line := range strings.Split(w.sh(w.machine,
		"cat /proc/thread-self/net/nf_conntrack 2>/dev/null || conntrack -L 2>/dev/null"), "\n") {
		if strings.Contains(line, text) {
			with = append(with, line)
		}
	}
	return with
}
