//go:build linux

package nft_test

import (
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/nft"
)

// A fact is the expected answer of a server to a client.
type fact struct {
	what             string
	from             *os.File
	network, address string
	want             string
}

func (w *testNet) checkFacts(t *testing.T, facts []fact) {
	t.Helper()
	for _, f := range facts {
		t.Run(f.what, func(t *testing.T) {
			wait := answerTimeout
			if f.want == "no answer" {
				wait = 300 * time.Millisecond
			}
			if got := w.connect(f.from, f.network, f.address, wait); got != f.want {
				t.Errorf("%s %s: got %q, want %q", f.network, f.address, got, f.want)
			}
		})
	}
}

// masquerades returns rules for the networks of the test network's bridge.
func masquerades() []nft.Rule {
	return []nft.Rule{
		nft.Masquerade{Source: prefix("192.168.15.0/24")},
		nft.Masquerade{Source: prefix("fd00:15::/64")},
	}
}

func TestMasquerade(t *testing.T) {
	w := newTestNet(t)
	for _, network := range []string{"tcp", "udp"} {
		w.serve(w.outside, "outside", network, ":80")
		w.serve(w.blue, "blue", network, ":80")
		w.serve(w.machine, "machine", network, ":80")
	}
	if got := w.connect(w.red, "udp", "10.9.0.2:80", 100*time.Millisecond); got != "no answer" {
		t.Errorf("outside answers %q without a route back", got)
	}
	w.apply(nil, masquerades())
	w.checkFacts(t, []fact{
		{"tcp is masqueraded", w.red, "tcp", "10.9.0.2:80", "outside 10.9.0.1"},
		{"udp is masqueraded", w.red, "udp", "10.9.0.2:80", "outside 10.9.0.1"},
		{"tcp over IPv6", w.red, "tcp", "[2001:db8:9::2]:80", "outside 2001:db8:9::1"},
		{"udp over IPv6", w.red, "udp", "[2001:db8:9::2]:80", "outside 2001:db8:9::1"},
		{"neighbours keep their address", w.red, "tcp", "192.168.15.3:80", "blue 192.168.15.2"},
		{"neighbours over IPv6", w.red, "tcp", "[fd00:15::3]:80", "blue fd00:15::2"},
		{"to the machine", w.red, "tcp", "192.168.15.1:80", "machine 192.168.15.2"},
		{"to the machine's other address", w.red, "tcp", "10.9.0.1:80", "machine 192.168.15.2"},
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

// TestNoNATBetweenSources checks that nothing is translated between two masqueraded networks.
func TestNoNATBetweenSources(t *testing.T) {
	w := newTestNet(t)
	w.sh(w.machine, "ip addr add 192.168.16.1/24 dev v-net-0")
	w.sh(w.blue, "ip addr flush dev eth0; ip addr add 192.168.16.3/24 dev eth0; ip route add default via 192.168.16.1")
	w.serve(w.blue, "blue", "tcp", ":80")
	w.apply(nil, append(masquerades(), nft.Masquerade{Source: prefix("192.168.16.0/24")}))
	w.checkFacts(t, []fact{{"red", w.red, "tcp", "192.168.16.3:80", "blue 192.168.15.2"}})
}

func TestMasqueradeByDevice(t *testing.T) {
	for _, rule := range []nft.Masquerade{
		{Out: "eth0"},
		{Source: prefix("192.168.15.0/24"), Out: "eth0"},
		{Source: prefix("0.0.0.0/0"), Out: "eth0"},
		{Source: prefix("0.0.0.0/0")},
	} {
		t.Run(rule.String(), func(t *testing.T) {
			w := newTestNet(t)
			w.serve(w.outside, "outside", "tcp", ":80")
			w.serve(w.machine, "machine", "tcp", ":81")
			w.serve(w.red, "red", "tcp", ":80")
			w.apply(nil, []nft.Rule{rule,
				nft.Forward{Proto: nft.TCP, Ports: nft.Port(8080), To: addr("192.168.15.2"), ToPort: 80}})
			w.checkFacts(t, []fact{
				{"masqueraded", w.red, "tcp", "10.9.0.2:80", "outside 10.9.0.1"},
				{"forwarded", w.outside, "tcp", "10.9.0.1:8080", "red 10.9.0.2"},
				{"the machine to itself", w.machine, "tcp", "10.9.0.1:81", "machine 10.9.0.1"},
			})
		})
	}
}

func TestSourceNAT(t *testing.T) {
	w := newTestNet(t)
	w.sh(w.machine, "ip addr add 10.9.0.7/24 dev eth0; ip addr add 2001:db8:9::7/64 dev eth0 nodad")
	w.serve(w.outside, "outside", "tcp", ":80")
	w.apply(nil, append(masquerades(), // red's address has precedence over its network
		nft.SourceNAT{Source: prefix("192.168.15.2/32"), To: addr("10.9.0.7")},
		nft.SourceNAT{Source: prefix("fd00:15::2/128"), Out: "eth0", To: addr("2001:db8:9::7")}))
	w.checkFacts(t, []fact{
		{"red", w.red, "tcp", "10.9.0.2:80", "outside 10.9.0.7"},
		{"red over IPv6", w.red, "tcp", "[2001:db8:9::2]:80", "outside 2001:db8:9::7"},
		{"blue", w.blue, "tcp", "10.9.0.2:80", "outside 10.9.0.1"},
	})
}

// TestForward checks forwards from outside, from the machine and from a neighbour, over both families. The client's
// address stays, except where replies would not come back.
func TestForward(t *testing.T) {
	for _, filtered := range []string{"0", "1"} {
		t.Run("bridge-nf-call="+filtered, func(t *testing.T) { checkForward(t, filtered) })
	}
}

func checkForward(t *testing.T, filtered string) {
	w := newTestNet(t)
	w.setBridgeNF(filtered)
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
		w.checkFacts(t, []fact{
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
	w.apply(nil, masquerades())
	w.checkFacts(t, []fact{
		{"forward does not match packets that pass through", w.red, "tcp", "10.9.0.2:8080", "outside 10.9.0.1"},
		{"the same over IPv6", w.red, "tcp", "[2001:db8:9::2]:8080", "outside 2001:db8:9::1"},
		{"::1 is not forwarded", w.machine, "tcp", "[::1]:8080", "no answer"},
		{"from outside, with masquerade", w.outside, "tcp", "10.9.0.1:8080", "red 10.9.0.2"},
	})
}

// setBridgeNF sets bridge-nf-call-iptables and bridge-nf-call-ip6tables of the machine. They exist only while
// br_netfilter is loaded, and are on by default.
func (w *testNet) setBridgeNF(on string) {
	w.t.Helper()
	if _, err := os.Stat("/proc/sys/net/bridge"); err != nil {
		if on == "1" {
			w.t.Skip("br_netfilter is not loaded")
		}
		return
	}
	w.sh(w.machine, "for f in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do echo "+on+" > $f; done")
	if on == "1" { // packets of red to itself leave through the port they arrived on
		w.sh(w.machine, "ip link set veth-red type bridge_slave hairpin on")
	}
}

// TestForwardMatches checks forwards by address, device and range. The most specific one is used.
func TestForwardMatches(t *testing.T) {
	w := newTestNet(t)
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
		forward(addr("203.0.113.9"), "", nft.Port(80), 80), // not an address of any host
	})
	w.sh(w.outside, "ip route add 203.0.113.9 via 10.9.0.1")
	w.checkFacts(t, []fact{
		{"any", w.outside, "tcp", "10.9.0.1:8080", "red:80 10.9.0.2"},
		{"by address", w.outside, "tcp", "10.9.0.7:8080", "red:82 10.9.0.2"},
		{"by device", w.blue, "tcp", "10.9.0.1:8080", "red:81 192.168.15.1"},
		{"by address and device", w.blue, "tcp", "10.9.0.7:8080", "red:83 192.168.15.1"},
		{"the machine has no input device", w.machine, "tcp", "10.9.0.7:8080", "red:82 192.168.15.1"},
		{"a range keeps its ports", w.outside, "tcp", "10.9.0.1:20005", "red:20005 10.9.0.2"},
		{"a range with other target ports keeps the order", w.outside, "tcp", "10.9.0.1:30005", "red:40005 10.9.0.2"},
		{"a port has precedence over a range", w.outside, "tcp", "10.9.0.1:20006", "blue 10.9.0.2"},
		{"an address of no host", w.outside, "tcp", "203.0.113.9:80", "red:80 10.9.0.2"},
	})
}

// TestGuard checks that packets to 127.0.0.1 that arrive on a link are dropped; with route_localnet the kernel would
// accept them.
func TestGuard(t *testing.T) {
	w := newTestNet(t)
	w.serve(w.machine, "machine", "tcp", "127.0.0.1:9999")
	w.sh(w.machine, "echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet")
	w.sh(w.outside, `ip addr del 127.0.0.1/8 dev lo
		echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet
		ip route add 127.0.0.1 via 10.9.0.1 src 10.9.0.2`)
	w.checkFacts(t, []fact{{"without guard", w.outside, "tcp", "127.0.0.1:9999", "machine 10.9.0.2"}})
	w.apply(nil, []nft.Rule{nft.Forward{Proto: nft.TCP, Ports: nft.Port(8080), To: addr("192.168.15.2"), ToPort: 80}})
	w.checkFacts(t, []fact{
		{"with guard", w.outside, "tcp", "127.0.0.1:9999", "no answer"},
		{"the machine itself", w.machine, "tcp", "127.0.0.1:9999", "machine 127.0.0.1"},
	})
}

func TestIsolate(t *testing.T) {
	w := newTestNet(t)
	w.serve(w.outside, "outside", "tcp", ":80")
	w.sh(w.outside, "ip route add default via 10.9.0.1")
	w.checkFacts(t, []fact{{"routed", w.red, "tcp", "10.9.0.2:80", "outside 192.168.15.2"}})
	rule := nft.Isolate{In: "v-net-0", Out: "eth0"}
	w.apply(nil, []nft.Rule{rule})
	w.checkFacts(t, []fact{{"isolated", w.red, "tcp", "10.9.0.2:80", "no answer"}})
	w.apply([]nft.Rule{rule}, nil)
	w.checkFacts(t, []fact{{"routed again", w.red, "tcp", "10.9.0.2:80", "outside 192.168.15.2"}})
}

// TestNoMasqueradeOnLo checks that masquerading on lo is refused: the machine could not reach itself any more.
func TestNoMasqueradeOnLo(t *testing.T) {
	w := newTestNet(t)
	w.serve(w.machine, "machine", "tcp", "127.0.0.1:80")
	rule := nft.Masquerade{Out: "lo"}
	if err := w.nft.Apply("vnet", nil, []nft.Rule{rule}); err == nil {
		t.Errorf("%s is accepted", rule)
	}
	w.checkFacts(t, []fact{{"the machine itself", w.machine, "tcp", "127.0.0.1:80", "machine 127.0.0.1"}})
}
