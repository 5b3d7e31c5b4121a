//go:build linux

package nft_test

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
)

// A labNet is a testNet with one more host of the lab, on a link of its own, and a route from outside to all hosts.
//
//	other 192.168.16.2, fd00:16::2 ─── lab1 machine
type labNet struct {
	*testNet
	other *os.File
}

func newLabNet(t *testing.T) labNet {
	t.Helper()
	w := newTestNet(t)
	other, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	w.sh(w.machine, `ip link add lab1 type veth peer name eth0 netns `+path(other)+`
		ip addr add 192.168.16.1/24 dev lab1; ip addr add fd00:16::1/64 dev lab1 nodad; ip link set lab1 up`)
	w.sh(other, `ip link set lo up; ip link set eth0 up
		ip addr add 192.168.16.2/24 dev eth0; ip addr add fd00:16::2/64 dev eth0 nodad
		ip route add default via 192.168.16.1; ip route add default via fd00:16::1`)
	w.sh(w.outside, "ip route add default via 10.9.0.1; ip route add default via 2001:db8:9::1")
	return labNet{w, other}
}

// forwardsToRed returns forwards of port 80 to red.
func forwardsToRed() []nft.Rule { return forwardsTo("192.168.15.2", "fd00:15::2") }

// forwardsTo returns forwards of port 80 to addresses.
func forwardsTo(addrs ...string) []nft.Rule {
	var rules []nft.Rule
	for _, to := range addrs {
		for _, proto := range []nft.Proto{nft.TCP, nft.UDP} {
			rules = append(rules, nft.Forward{Proto: proto, Ports: nft.Port(80), To: addr(to), ToPort: 80})
		}
	}
	return rules
}

var portKinds = []string{"tcp4", "udp4", "tcp6", "udp6"}

// TestClosed checks that a closed link is reached from the lab's own links and by forwarded ports only, and that its
// hosts reach everything.
func TestClosed(t *testing.T) {
	for _, filtered := range []string{"0", "1"} {
		t.Run("bridge-nf-call="+filtered, func(t *testing.T) { checkClosed(t, filtered) })
	}
}

func checkClosed(t *testing.T, filtered string) {
	needNFT(t)
	w := newLabNet(t)
	w.setBridgeNF(filtered)
	w.serveAll(w.red, w.outside)
	red := func(what string, from *os.File, want ...string) {
		t.Helper()
		w.checkReach(t, what, from, "192.168.15.2", "fd00:15::2", want...)
	}
	closed := []nft.Rule{nft.Closed{Link: "v-net-0"}, nft.Own{Link: "v-net-0"}, nft.Own{Link: "lab1"}}
	w.apply(nil, closed)
	red("from outside", w.outside)
	red("from another network of the lab", w.other, allKinds...)
	red("from a neighbour", w.blue, allKinds...)
	red("from the machine", w.machine, allKinds...)
	w.checkReach(t, "to outside", w.red, "10.9.0.2", "2001:db8:9::2", allKinds...)
	w.withoutRule("vnet", "closed", "drop", func() { red("from outside, without the rule", w.outside, allKinds...) })
	w.apply(closed[2:], nil)
	red("from a link that is not the lab's own", w.other)
	w.apply(closed[1:2], nil)
	red("from a neighbour, on a link that is not the lab's own", w.blue, allKinds...)
	if filtered == "1" {
		w.withoutRule("vnet", "closed", "@closed_link", func() {
			red("from a neighbour, without the rule for it", w.blue)
		})
	}
	w.checkAllow(t, red)

	w.apply(nil, forwardsToRed())
	port := func(what string, want ...string) {
		t.Helper()
		w.checkReach(t, what, w.outside, "10.9.0.1", "2001:db8:9::1", append(want, "icmp4", "icmp6")...)
	}
	port("forwarded port", portKinds...)
	w.withoutRule("vnet", "closed", "ct status dnat", func() { port("forwarded port, without the rule for it") })
	w.checkReach(t, "forwarded port, from a link that is not the lab's own", w.other, "192.168.16.1", "fd00:16::1",
		allKinds...)
}

// checkAllow checks that sources of an Allow reach a closed link, in one family each. It leaves no Allow.
func (w labNet) checkAllow(t *testing.T, red func(string, *os.File, ...string)) {
	ipv4, ipv6 := prefix("10.9.0.0/24"), prefix("2001:db8:9::/64")
	for _, tt := range []struct {
		rule nft.Allow
		want []string
	}{
		{nft.Allow{Link: "v-net-0", Source: ipv4}, ipv4Kinds},
		{nft.Allow{Link: "v-net-0", Source: ipv6}, ipv6Kinds},
		{nft.Allow{Link: "v-net-0", Source: prefix("0.0.0.0/0")}, ipv4Kinds},
		{nft.Allow{Link: "lab1", Source: ipv4}, nil},
		{nft.Allow{Link: "v-net-0", Source: prefix("10.9.1.0/24")}, nil},
	} {
		w.apply(nil, []nft.Rule{tt.rule})
		red(tt.rule.String(), w.outside, tt.want...)
		w.apply([]nft.Rule{tt.rule}, nil)
		red("after "+tt.rule.String(), w.outside)
	}
}

// TestIsolateNetworks checks that nothing is forwarded from one link to another, except to forwarded ports, and that
// the opposite direction is not affected.
func TestIsolateNetworks(t *testing.T) {
	needNFT(t)
	w := newLabNet(t)
	w.serveAll(w.red, w.other)
	red := func(what string, want ...string) {
		t.Helper()
		w.checkReach(t, what, w.other, "192.168.15.2", "fd00:15::2", want...)
	}
	rule := nft.Isolate{In: "lab1", Out: "v-net-0"}
	w.apply(nil, append(forwardsToRed(), rule))
	red("isolated")
	w.checkReach(t, "opposite direction", w.red, "192.168.16.2", "fd00:16::2", allKinds...)
	w.withoutRule("vnet", "apart", "drop", func() { red("without the rule", allKinds...) })
	w.checkReach(t, "forwarded port", w.other, "192.168.16.1", "fd00:16::1", allKinds...)
	w.withoutRule("vnet", "apart", "ct status dnat", func() {
		w.checkReach(t, "forwarded port, without the rule for it", w.other, "192.168.16.1", "fd00:16::1",
			"icmp4", "icmp6")
	})
	for _, r := range w.counted() {
		if r.Rule == nft.Rule(rule) && r.Packets == 0 {
			t.Errorf("%s counted nothing", r)
		}
	}
}

// TestIsolateNeighbours checks that isolated ports of a bridge cannot reach each other by way of the gateway, at
// whatever MAC address of it, and that other bridged packets pass.
func TestIsolateNeighbours(t *testing.T) {
	for _, filtered := range []string{"0", "1"} {
		t.Run("bridge-nf-call="+filtered, func(t *testing.T) { checkIsolateNeighbours(t, filtered) })
	}
}

func checkIsolateNeighbours(t *testing.T, filtered string) {
	needNFT(t)
	w := newLabNet(t)
	w.setBridgeNF(filtered)
	w.sh(w.machine, "ip link set v-net-0 address 02:00:00:00:00:fe") // not that of a port
	w.serveAll(w.blue)
	blue := func(what string, want ...string) {
		t.Helper()
		w.checkReach(t, what, w.red, "192.168.15.3", "fd00:15::3", want...)
	}
	rules := []nft.Rule{nft.Isolate{In: "v-net-0", Out: "v-net-0"}, w.gate("v-net-0", "v-net-0")}
	w.apply(nil, rules)
	blue("bridged", allKinds...)

	w.apply(rules, nil)
	w.isolatePorts()
	blue("by way of the gateway", allKinds...)
	w.apply(nil, rules)
	blue("isolated")
	w.withoutRule("vnet", "apart", "drop", func() { blue("without the rule", allKinds...) })

	port := w.gate("v-net-0", "veth-red")
	for host, link := range map[*os.File]string{w.red: "veth-red", w.blue: "veth-blue"} {
		mac := w.macOf(w.machine, link)
		w.sh(host, "for a in 192.168.15.1 fd00:15::1; do ip neigh replace $a lladdr "+mac+" dev eth0; done")
	}
	blue("at the address of a port", allKinds...)
	w.apply(nil, []nft.Rule{port})
	blue("at the address of a port that is a gate")
}

// isolatePorts isolates red's and blue's ports of the bridge from each other. The hosts' routes to each other lead
// through the machine.
func (w *testNet) isolatePorts() {
	w.t.Helper()
	w.sh(w.machine, `ip link set v-net-0 address 02:00:00:00:00:fe # not that of a port
		for i in veth-red veth-blue; do ip link set $i type bridge_slave isolated on; done
		for i in all v-net-0; do echo 0 > /proc/sys/net/ipv4/conf/$i/send_redirects; done`)
	for _, host := range []*os.File{w.red, w.blue} { // else they believe the redirects of the gateway, which fail
		w.sh(host, "for i in all eth0; do echo 0 > /proc/sys/net/ipv6/conf/$i/accept_redirects; done")
	}
	w.sh(w.red, "ip route add 192.168.15.3 via 192.168.15.1; ip route add fd00:15::3 via fd00:15::1; ip neigh flush all")
	w.sh(w.blue, "ip route add 192.168.15.2 via 192.168.15.1; ip route add fd00:15::2 via fd00:15::1; ip neigh flush all")
	// Neighbour discovery is not what is tested. On a busy machine it may give up.
	for host, n := range map[*os.File]string{w.red: "2", w.blue: "3"} {
		mac := w.macOf(host, "eth0")
		w.sh(w.machine, "for a in 192.168.15."+n+" fd00:15::"+n+"; do ip neigh replace $a lladdr "+mac+" dev v-net-0; done")
		w.sh(host, "for a in 192.168.15.1 fd00:15::1; do ip neigh replace $a lladdr 02:00:00:00:00:fe dev eth0; done")
	}
}

// macOf returns the MAC address of a link.
func (w *testNet) macOf(host *os.File, link string) string {
	w.t.Helper()
	_, rest, _ := strings.Cut(w.sh(host, "ip -o link show dev "+link), "link/ether ")
	mac, _, _ := strings.Cut(rest, " ")
	return mac
}

// gate returns a Gate of a link with the MAC address of a link.
func (w *testNet) gate(link, addressOf string) nft.Rule {
	w.t.Helper()
	mac := w.macOf(w.machine, addressOf)
	g := nft.Gate{Link: link}
	parsed, err := net.ParseMAC(mac)
	if err != nil {
		w.t.Fatal(err)
	}
	copy(g.MAC[:], parsed)
	return g
}

// readLine returns a line from a connection, or "no answer".
func readLine(c net.Conn, wait time.Duration) string {
	c.SetReadDeadline(time.Now().Add(wait))
	buf := make([]byte, 64)
	if n, err := c.Read(buf); err == nil {
		return string(buf[:n])
	}
	return "no answer"
}

// counted returns the rules of the test network's table with their counters.
func (w *testNet) counted() []nft.CountedRule {
	w.t.Helper()
	rules, err := w.nft.Read("vnet")
	if err != nil {
		w.t.Fatal(err)
	}
	return rules
}

// TestNewRuleEndsConnections checks that connections that a new Isolate or Closed forbids do not continue, and that
// others do.
func TestNewRuleEndsConnections(t *testing.T) {
	for _, rule := range []nft.Rule{nft.Closed{Link: "v-net-0"}, nft.Isolate{In: "lab1", Out: "v-net-0"}} {
		t.Run(rule.String(), func(t *testing.T) {
			w := newLabNet(t)
			w.apply(nil, append(masquerades(), forwardsToRed()...))
			w.echo(w.outside, "tcp4", ":7")
			w.echo(w.red, "tcp4", ":80")
			w.serve(w.red, "red", "udp4", ":80")
			w.serve(w.red, "red", "udp6", ":80")
			leaving := w.open(w.red, "tcp4", "10.9.0.2:7")
			port := w.open(w.outside, "tcp4", "10.9.0.1:80")
			tcp := w.open(w.other, "tcp4", "192.168.15.2:80")
			udp4, udp6 := w.dialFrom(w.other, "192.168.15.2:80"), w.dialFrom(w.other, "[fd00:15::2]:80")
			continues := func() {
				t.Helper()
				w.exchangeTimes(leaving, 1, "10.9.0.1")
				w.exchangeTimes(port, 1, "10.9.0.2")
			}
			continues()
			w.exchangeTimes(tcp, 1, "192.168.16.2")
			for _, c := range []string{exchange(udp4, answerTimeout), exchange(udp6, answerTimeout)} {
				if c == "no answer" {
					t.Error("no answer before the rule")
				}
			}
			w.apply(nil, []nft.Rule{rule})
			continues()
			tcp.Write([]byte("?\n"))
			for what, c := range map[string]string{"tcp": readLine(tcp, 300*time.Millisecond),
				"udp4": exchange(udp4, 300*time.Millisecond), "udp6": exchange(udp6, 300*time.Millisecond)} {
				if c != "no answer" {
					t.Errorf("%s continues: %q", what, c)
				}
			}
		})
	}
}
