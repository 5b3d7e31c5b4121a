//go:build linux

package nft_test

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
)

// A fact is what a client is answered.
type fact struct {
	what             string
	from             *os.File
	network, address string
	want             string
}

func (w *world) prove(t *testing.T, facts []fact) {
	t.Helper()
	for _, f := range facts {
		t.Run(f.what, func(t *testing.T) {
			wait := patience
			if f.want == "silence" {
				wait = 300 * time.Millisecond
			}
			if got := w.hears(f.from, f.network, f.address, wait); got != f.want {
				t.Errorf("%s %s: heard %q, want %q", f.network, f.address, got, f.want)
			}
		})
	}
}

// inside are the sources of the world's switch.
func inside() []nft.Rule {
	return []nft.Rule{
		nft.Masquerade{Source: prefix("192.168.15.0/24")},
		nft.Masquerade{Source: prefix("fd00:15::/64")},
	}
}

func TestMasquerade(t *testing.T) {
	w := newWorld(t)
	for _, network := range []string{"tcp", "udp"} {
		w.serve(w.outside, "outside", network, ":80")
		w.serve(w.blue, "blue", network, ":80")
		w.serve(w.machine, "machine", network, ":80")
	}
	if got := w.hears(w.red, "udp", "10.9.0.2:80", 100*time.Millisecond); got != "silence" {
		t.Errorf("outside answers %q to an address it has no route to", got)
	}
	w.apply(nil, inside())
	w.prove(t, []fact{
		{"tcp leaves with the machine's address", w.red, "tcp", "10.9.0.2:80", "outside 10.9.0.1"},
		{"udp leaves with the machine's address", w.red, "udp", "10.9.0.2:80", "outside 10.9.0.1"},
		{"tcp over IPv6", w.red, "tcp", "[2001:db8:9::2]:80", "outside 2001:db8:9::1"},
		{"udp over IPv6", w.red, "udp", "[2001:db8:9::2]:80", "outside 2001:db8:9::1"},
		{"neighbours see each other", w.red, "tcp", "192.168.15.3:80", "blue 192.168.15.2"},
		{"neighbours over IPv6", w.red, "tcp", "[fd00:15::3]:80", "blue fd00:15::2"},
		{"the machine sees who asks", w.red, "tcp", "192.168.15.1:80", "machine 192.168.15.2"},
		{"the machine's other address too", w.red, "tcp", "10.9.0.1:80", "machine 192.168.15.2"},
	})
	if _, err := exec.LookPath("ping"); err != nil {
		t.Skip("no ping on this machine")
	}
	for _, a := range []string{"10.9.0.2", "2001:db8:9::2"} {
		if !w.pings(w.red, a) {
			t.Errorf("no echo from %s", a)
		}
	}
}

// TestInsideStaysInside: between two masqueraded networks nothing is translated.
func TestInsideStaysInside(t *testing.T) {
	w := newWorld(t)
	w.sh(w.machine, "ip addr add 192.168.16.1/24 dev v-net-0")
	w.sh(w.blue, "ip addr flush dev eth0; ip addr add 192.168.16.3/24 dev eth0; ip route add default via 192.168.16.1")
	w.serve(w.blue, "blue", "tcp", ":80")
	w.apply(nil, append(inside(), nft.Masquerade{Source: prefix("192.168.16.0/24")}))
	w.prove(t, []fact{{"red", w.red, "tcp", "192.168.16.3:80", "blue 192.168.15.2"}})
}

func TestMasqueradeByDevice(t *testing.T) {
	for _, rule := range []nft.Masquerade{
		{Out: "eth0"},
		{Source: prefix("192.168.15.0/24"), Out: "eth0"},
		{Source: prefix("0.0.0.0/0"), Out: "eth0"},
		{Source: prefix("0.0.0.0/0")},
	} {
		t.Run(rule.String(), func(t *testing.T) {
			w := newWorld(t)
			w.serve(w.outside, "outside", "tcp", ":80")
			w.serve(w.machine, "machine", "tcp", ":81")
			w.serve(w.red, "red", "tcp", ":80")
			w.apply(nil, []nft.Rule{rule,
				nft.Forward{Proto: nft.TCP, Ports: nft.Port(8080), To: addr("192.168.15.2"), ToPort: 80}})
			w.prove(t, []fact{
				{"leaves", w.red, "tcp", "10.9.0.2:80", "outside 10.9.0.1"},
				{"comes in", w.outside, "tcp", "10.9.0.1:8080", "red 10.9.0.2"},
				{"the machine to itself", w.machine, "tcp", "10.9.0.1:81", "machine 10.9.0.1"},
			})
		})
	}
}

func TestSourceNAT(t *testing.T) {
	w := newWorld(t)
	w.sh(w.machine, "ip addr add 10.9.0.7/24 dev eth0; ip addr add 2001:db8:9::7/64 dev eth0 nodad")
	w.serve(w.outside, "outside", "tcp", ":80")
	w.apply(nil, append(inside(), // red's own address goes before its network's
		nft.SourceNAT{Source: prefix("192.168.15.2/32"), To: addr("10.9.0.7")},
		nft.SourceNAT{Source: prefix("fd00:15::2/128"), Out: "eth0", To: addr("2001:db8:9::7")}))
	w.prove(t, []fact{
		{"red", w.red, "tcp", "10.9.0.2:80", "outside 10.9.0.7"},
		{"red over IPv6", w.red, "tcp", "[2001:db8:9::2]:80", "outside 2001:db8:9::7"},
		{"blue", w.blue, "tcp", "10.9.0.2:80", "outside 10.9.0.1"},
	})
}

// TestForward: from outside, from the machine and from a neighbour, over both
// families; the client's address stays unless the answer would get lost.
func TestForward(t *testing.T) {
	for _, filtered := range []string{"0", "1"} {
		t.Run("bridge-nf-call="+filtered, func(t *testing.T) { forwardFacts(t, filtered) })
	}
}

func forwardFacts(t *testing.T, filtered string) {
	w := newWorld(t)
	w.filterSwitches(filtered)
	for _, network := range []string{"tcp", "udp"} {
		w.serve(w.red, "red", network, ":80")
		w.serve(w.outside, "outside", network, ":8080")
	}
	var rules []nft.Rule
	for _, proto := range []nft.Proto{nft.TCP, nft.UDP} {
		for _, to := range []string{"192.168.15.2", "fd00:15::2"} {
			rules = append(rules, nft.Forward{Proto: proto, Ports: nft.Port(8080), To: addr(to), ToPort: 80})
		}
	}
	w.apply(nil, rules)
	for _, network := range []string{"tcp", "udp"} {
		w.prove(t, []fact{
			{network + " from outside", w.outside, network, "10.9.0.1:8080", "red 10.9.0.2"},
			{network + " from outside over IPv6", w.outside, network, "[2001:db8:9::1]:8080", "red 2001:db8:9::2"},
			{network + " from the machine, 127.0.0.1", w.machine, network, "127.0.0.1:8080", "red 192.168.15.1"},
			{network + " from the machine, its address", w.machine, network, "10.9.0.1:8080", "red 192.168.15.1"},
			{network + " from the machine over IPv6", w.machine, network, "[2001:db8:9::1]:8080", "red fd00:15::1"},
			{network + " from a neighbour", w.blue, network, "192.168.15.1:8080", "red 192.168.15.1"},
			{network + " from a neighbour to outside's address", w.blue, network, "10.9.0.1:8080", "red 192.168.15.1"},
			{network + " from a neighbour over IPv6", w.blue, network, "[fd00:15::1]:8080", "red fd00:15::1"},
			{network + " from red itself", w.red, network, "192.168.15.1:8080", "red 192.168.15.1"},
		})
	}
	w.apply(nil, inside())
	w.prove(t, []fact{
		{"what passes through is not taken", w.red, "tcp", "10.9.0.2:8080", "outside 10.9.0.1"},
		{"nor over IPv6", w.red, "tcp", "[2001:db8:9::2]:8080", "outside 2001:db8:9::1"},
		{"::1 stays with the machine", w.machine, "tcp", "[::1]:8080", "silence"},
		{"from outside, masqueraded or not", w.outside, "tcp", "10.9.0.1:8080", "red 10.9.0.2"},
	})
}

// filterSwitches decides whether the machine's rules apply to what its switches
// pass on: they do as soon as anybody has loaded br_netfilter.
func (w *world) filterSwitches(on string) {
	w.t.Helper()
	if _, err := os.Stat("/proc/sys/net/bridge"); err != nil {
		if on == "1" {
			w.t.Skip("br_netfilter is not loaded")
		}
		return
	}
	w.sh(w.machine, "for f in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do echo "+on+" > $f; done")
	if on == "1" { // what red sends to itself goes back through its own port
		w.sh(w.machine, "ip link set veth-red type bridge_slave hairpin on")
	}
}

// TestForwardMatches: by address, by device, by range; the closest wins.
func TestForwardMatches(t *testing.T) {
	w := newWorld(t)
	w.sh(w.machine, "ip addr add 10.9.0.7/24 dev eth0")
	for _, port := range []string{":80", ":81", ":82", ":83", ":20005", ":40005"} {
		w.serve(w.red, "red"+port, "tcp", port)
	}
	w.serve(w.blue, "blue", "tcp", ":9000")
	red := addr("192.168.15.2")
	forward := func(a netip.Addr, in string, p nft.Ports, to uint16) nft.Rule {
		return nft.Forward{Proto: nft.TCP, Addr: a, In: in, Ports: p, To: red, ToPort: to}
	}
	w.apply(nil, []nft.Rule{
		forward(netip.Addr{}, "", nft.Port(8080), 80),
		forward(netip.Addr{}, "v-net-0", nft.Port(8080), 81),
		forward(addr("10.9.0.7"), "", nft.Port(8080), 82),
		forward(addr("10.9.0.7"), "v-net-0", nft.Port(8080), 83),
		forward(netip.Addr{}, "", nft.Ports{First: 20000, Last: 29999}, 20000),
		forward(netip.Addr{}, "", nft.Ports{First: 30000, Last: 30010}, 40000),
		nft.Forward{Proto: nft.TCP, Ports: nft.Port(20006), To: addr("192.168.15.3"), ToPort: 9000},
		forward(addr("203.0.113.9"), "", nft.Port(80), 80), // nobody's address
	})
	w.sh(w.outside, "ip route add 203.0.113.9 via 10.9.0.1")
	w.prove(t, []fact{
		{"any", w.outside, "tcp", "10.9.0.1:8080", "red:80 10.9.0.2"},
		{"by address", w.outside, "tcp", "10.9.0.7:8080", "red:82 10.9.0.2"},
		{"by device", w.blue, "tcp", "10.9.0.1:8080", "red:81 192.168.15.1"},
		{"by both", w.blue, "tcp", "10.9.0.7:8080", "red:83 192.168.15.1"},
		{"the machine comes in by no device", w.machine, "tcp", "10.9.0.7:8080", "red:82 192.168.15.1"},
		{"a range keeps its ports", w.outside, "tcp", "10.9.0.1:20005", "red:20005 10.9.0.2"},
		{"a range that moves keeps their order", w.outside, "tcp", "10.9.0.1:30005", "red:40005 10.9.0.2"},
		{"a port goes before a range", w.outside, "tcp", "10.9.0.1:20006", "blue 10.9.0.2"},
		{"an address of nobody's", w.outside, "tcp", "203.0.113.9:80", "red:80 10.9.0.2"},
	})
}

// TestGuard: with route_localnet the kernel would take 127.0.0.1 from the wire.
func TestGuard(t *testing.T) {
	w := newWorld(t)
	w.serve(w.machine, "machine", "tcp", "127.0.0.1:9999")
	w.sh(w.machine, "echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet")
	w.sh(w.outside, `ip addr del 127.0.0.1/8 dev lo
		echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet
		ip route add 127.0.0.1 via 10.9.0.1 src 10.9.0.2`)
	w.prove(t, []fact{{"unguarded", w.outside, "tcp", "127.0.0.1:9999", "machine 10.9.0.2"}})
	w.apply(nil, []nft.Rule{nft.Forward{Proto: nft.TCP, Ports: nft.Port(8080), To: addr("192.168.15.2"), ToPort: 80}})
	w.prove(t, []fact{
		{"guarded", w.outside, "tcp", "127.0.0.1:9999", "silence"},
		{"the machine itself", w.machine, "tcp", "127.0.0.1:9999", "machine 127.0.0.1"},
	})
}

func TestIsolate(t *testing.T) {
	w := newWorld(t)
	w.serve(w.outside, "outside", "tcp", ":80")
	w.sh(w.outside, "ip route add default via 10.9.0.1")
	w.prove(t, []fact{{"routed", w.red, "tcp", "10.9.0.2:80", "outside 192.168.15.2"}})
	rule := nft.Isolate{In: "v-net-0", Out: "eth0"}
	w.apply(nil, []nft.Rule{rule})
	w.prove(t, []fact{{"isolated", w.red, "tcp", "10.9.0.2:80", "silence"}})
	w.apply([]nft.Rule{rule}, nil)
	w.prove(t, []fact{{"routed again", w.red, "tcp", "10.9.0.2:80", "outside 192.168.15.2"}})
}

// TestForgetsOldAnswers: a client that never closes its socket keeps its entry in
// connection tracking, and would be answered by it for ever.
func TestForgetsOldAnswers(t *testing.T) {
	w := newWorld(t)
	w.serve(w.red, "red", "udp", ":5300")
	w.serve(w.blue, "blue", "udp", ":5301")
	toRed := nft.Forward{Proto: nft.UDP, Ports: nft.Port(53), To: addr("192.168.15.2"), ToPort: 5300}
	toBlue := nft.Forward{Proto: nft.UDP, Ports: nft.Port(53), To: addr("192.168.15.3"), ToPort: 5301}
	unrelated := nft.Forward{Proto: nft.UDP, Ports: nft.Port(54), To: addr("192.168.15.2"), ToPort: 5300}
	short := 200 * time.Millisecond

	w.apply(nil, []nft.Rule{unrelated})
	client := w.dialFrom(w.outside, "10.9.0.1:53")
	hears := func(want string) {
		t.Helper()
		wait := patience
		if want == "silence" {
			wait = short
		}
		if got := say(client, wait); got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
	if got := say(client, short); got != "silence" {
		t.Errorf("heard %q before there is a forward", got)
	}
	w.apply(nil, []nft.Rule{toRed})
	say(client, short) // takes the refusal of the first attempt, which came by ICMP
	hears("red 10.9.0.2")
	w.apply([]nft.Rule{toRed}, []nft.Rule{toBlue})
	hears("blue 10.9.0.2")
	w.apply([]nft.Rule{toBlue}, nil)
	hears("silence")
}

// TestForgetsTCP: a change of other rules, and adding what is there, leave
// a connection alone; taking its own rule away ends it.
func TestForgetsTCP(t *testing.T) {
	w := newWorld(t)
	rule := nft.Forward{Proto: nft.TCP, Ports: nft.Port(8080), To: addr("192.168.15.2"), ToPort: 80}
	other := nft.Forward{Proto: nft.TCP, Ports: nft.Port(8081), To: addr("192.168.15.2"), ToPort: 80}
	w.serve(w.red, "red", "tcp", ":80")
	w.apply(nil, []nft.Rule{rule})
	count := func() int { return len(w.flows("192.168.15.2")) }
	w.prove(t, []fact{{"connect", w.outside, "tcp", "10.9.0.1:8080", "red 10.9.0.2"}})
	if count() != 1 {
		t.Fatalf("%d connections are tracked, want 1", count())
	}
	w.apply(nil, []nft.Rule{rule, other})
	w.apply([]nft.Rule{other}, nil)
	if count() != 1 {
		t.Errorf("%d connections are tracked after an unrelated change, want 1", count())
	}
	w.apply([]nft.Rule{rule}, nil)
	if count() != 0 {
		t.Errorf("%d connections are tracked without their rule", count())
	}
}

// TestForgetsNobodyElses: connections that another table masquerades go on when a
// rule of ours that had no part in them is taken away, and those over TCP whatever
// rule it is.
func TestForgetsNobodyElses(t *testing.T) {
	needNFT(t)
	w := newWorld(t)
	for _, network := range []string{"tcp", "udp"} {
		w.serve(w.outside, "outside", network, ":80")
	}
	w.sh(w.machine, `ip link add other0 type bridge; ip addr add 198.51.100.1/24 dev other0; ip link set other0 up
		nft 'table inet docker { chain post { type nat hook postrouting priority srcnat; oifname eth0 masquerade; }; }'`)
	count := func(what string, want int) {
		t.Helper()
		if got := w.flows("192.168.15.2"); len(got) != want {
			t.Errorf("%s: %d connections are tracked, want %d: %q", what, len(got), want, got)
		}
	}
	w.prove(t, []fact{
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
	rule := nft.Masquerade{Source: prefix("192.168.0.0/16"), Out: "eth0"} // may have been it
	w.apply(nil, []nft.Rule{rule})
	w.apply([]nft.Rule{rule}, nil)
	count(rule.String(), 1)
}

// TestNotByLo: what is refused would cut the machine off from itself.
func TestNotByLo(t *testing.T) {
	w := newWorld(t)
	w.serve(w.machine, "machine", "tcp", "127.0.0.1:80")
	rule := nft.Masquerade{Out: "lo"}
	if err := w.nft.Apply("vnet", nil, []nft.Rule{rule}); err == nil {
		t.Errorf("%s is taken", rule)
	}
	w.prove(t, []fact{{"the machine itself", w.machine, "tcp", "127.0.0.1:80", "machine 127.0.0.1"}})
}

// TestForgetsEgress: what was masqueraded over IPv4 and IPv6 is not for ever.
func TestForgetsEgress(t *testing.T) {
	w := newWorld(t)
	w.serve(w.outside, "outside", "udp", ":80")
	for source, target := range map[string]string{"192.168.15.0/24": "10.9.0.2:80", "fd00:15::/64": "[2001:db8:9::2]:80"} {
		for _, rule := range []nft.Rule{nft.Masquerade{Source: prefix(source)}, nft.Masquerade{Out: "eth0"}} {
			w.apply(nil, []nft.Rule{rule})
			client := w.dialFrom(w.red, target)
			if got := say(client, patience); !strings.HasPrefix(got, "outside ") {
				t.Errorf("%s: heard %q", rule, got)
			}
			w.apply([]nft.Rule{rule}, nil)
			if got := say(client, 200*time.Millisecond); got != "silence" {
				t.Errorf("without %s: heard %q", rule, got)
			}
		}
	}
}

// TestNotForgotten: rules that are changed are, whatever becomes of the connections,
// and the error says so.
func TestNotForgotten(t *testing.T) {
	w := newWorld(t)
	w.serve(w.outside, "outside", "udp", ":80")
	rules := []nft.Rule{nft.Masquerade{Source: prefix("192.168.15.0/24")}, nft.Masquerade{Out: "eth0"}}
	w.apply(nil, rules)
	w.prove(t, []fact{{"udp", w.red, "udp", "10.9.0.2:80", "outside 10.9.0.1"}})
	for what, change := range map[string]func() error{
		"Apply":       func() error { return w.nft.Apply("vnet", rules[:1], nil) },
		"DeleteTable": func() error { return w.nft.DeleteTable("vnet") },
	} {
		w.apply(nil, rules)
		err := withoutFiles(t, change)
		if !errors.Is(err, nft.ErrNotForgotten) || !errors.Is(err, unix.EMFILE) {
			t.Errorf("%s: %v", what, err)
		}
		for _, r := range w.rules() {
			if r == rules[0] {
				t.Errorf("%s: %s is still there", what, r)
			}
		}
		if n := len(w.flows("192.168.15.2")); n != 1 {
			t.Errorf("%s: %d connections are tracked, want 1", what, n)
		}
	}
}

// withoutFiles calls fn while the process can open no more files.
func withoutFiles(t *testing.T, fn func() error) error {
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

// rules are those of the world's table.
func (w *world) rules() []nft.Rule {
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

// flows are the lines of conntrack -L with an address as a source.
func (w *world) flows(source string) []string { return w.tracked("src=" + source + " ") }

// tracked are the lines of conntrack -L that hold a text.
func (w *world) tracked(text string) []string {
	w.t.Helper()
	var with []string
	for _, line := range strings.Split(w.sh(w.machine, "cat /proc/thread-self/net/nf_conntrack 2>/dev/null || conntrack -L 2>/dev/null"), "\n") {
		if strings.Contains(line, text) {
			with = append(with, line)
		}
	}
	return with
}
