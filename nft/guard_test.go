//go:build linux

package nft_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
)

var comparePrefix = cmpopts.EquateComparable(netip.Prefix{})

// someGuards returns guards with all combinations of sets.
func someGuards() []nft.Guard {
	var guards []nft.Guard
	for i := range 64 {
		var g nft.Guard
		g.IPv4, g.IPv6 = i&1 != 0, i&2 != 0
		if i&4 != 0 {
			g.Sources = []netip.Prefix{prefix("10.0.0.0/24"), prefix("10.0.1.0/24"), prefix("128.0.0.0/1"),
				prefix("fd00:15::/64")}
		}
		if i&8 != 0 {
			g.Out = []string{"eth0", "ppp0"}
		}
		if i&16 != 0 {
			g.From4 = []string{"eth0", "eth1"}
		}
		if i&32 != 0 {
			g.From6 = []string{"eth1", "eth2"}
		}
		guards = append(guards, g)
	}
	return guards
}

func (w *testNet) guard(g nft.Guard) {
	w.t.Helper()
	if err := w.nft.Guard(g); err != nil {
		w.t.Fatal(err)
	}
}

// TestGuardReadsBack checks that ReadGuard returns what Guard sets, that nft with the script makes the same table, and
// that the table is not listed as a table of rules.
func TestGuardReadsBack(t *testing.T) {
	needNFT(t)
	c := dial(t)
	check := func(want nft.Guard) {
		t.Helper()
		if got, err := c.ReadGuard(); err != nil || !cmp.Equal(want, got, comparePrefix) {
			t.Errorf("read back %+v, %v, want %+v", got, err, want)
		}
		if tables, err := c.Tables(); err != nil || len(tables) > 0 {
			t.Errorf("tables %q, %v", tables, err)
		}
	}
	guards := someGuards()
	for i, g := range guards {
		if err := c.Guard(g); err != nil {
			t.Fatal(err)
		}
		check(g)
		list := func() []string {
			return sortedBlocks(strings.ReplaceAll(runNFT(t, "", "list", "ruleset"), nft.GuardTable, "vnet"))
		}
		byConn, listed := bytecode(t), list()
		if err := c.Guard(guards[(i*7+3)%32]); err != nil {
			t.Fatal(err)
		}
		runNFT(t, g.Script(), "-f", "-")
		check(g)
		if diff := cmp.Diff(listed, list()); diff != "" {
			t.Errorf("-Guard +Script:\n%s", diff)
		}
		if diff := cmp.Diff(byConn, bytecode(t)); diff != "" {
			t.Errorf("-Guard +Script:\n%s", diff)
		}
	}
	if err := c.Guard(nft.Guard{}); err != nil {
		t.Fatal(err)
	}
	mustHaveNoTables(t, c)
	check(nft.Guard{})
	if got := runNFT(t, "", "list", "ruleset"); got != "" {
		t.Errorf("the zero guard leaves %s", got)
	}
}

// TestGuardNormalForm checks that sources inside others and duplicates are omitted, and that invalid ones are refused.
func TestGuardNormalForm(t *testing.T) {
	c := dial(t)
	g := nft.Guard{IPv4: true, Sources: []netip.Prefix{prefix("10.1.0.0/16"), prefix("10.0.0.0/8"), prefix("10.0.0.0/8")},
		Out: []string{"b", "a", "b"}}
	if err := c.Guard(g); err != nil {
		t.Fatal(err)
	}
	want := nft.Guard{IPv4: true, Sources: []netip.Prefix{prefix("10.0.0.0/8")}, Out: []string{"a", "b"}}
	if got, err := c.ReadGuard(); err != nil || !cmp.Equal(want, got, comparePrefix) {
		t.Errorf("read back %+v, %v", got, err)
	}
	for _, bad := range []nft.Guard{
		{Sources: []netip.Prefix{{}}},
		{Sources: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/8")}},
		{Out: []string{""}},
		{Out: []string{"a b"}},
		{From4: []string{""}},
		{From6: []string{""}},
	} {
		if err := c.Guard(bad); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
	if err := c.Guard(nft.Guard{}); err != nil {
		t.Fatal(err)
	}
}

// TestGuardNothingToDo checks that an equal guard sends no transaction.
func TestGuardNothingToDo(t *testing.T) {
	w, c := newCountingConn(t)
	transactions := 0
	w.before = func() { transactions++ }
	for _, g := range someGuards() {
		if err := c.Guard(g); err != nil {
			t.Fatal(err)
		}
		before := transactions
		if err := c.Guard(g); err != nil || transactions != before {
			t.Errorf("%+v again: %v, %d transactions", g, err, transactions-before)
		}
	}
	if err := c.Guard(nft.Guard{}); err != nil {
		t.Fatal(err)
	}
}

// TestGuardUpdatedAtOnce checks that none of many updates at the same time is lost or refused.
func TestGuardUpdatedAtOnce(t *testing.T) {
	const n, rounds = 16, 10
	var all sync.WaitGroup
	for i := range n {
		c := dial(t)
		all.Go(func() {
			for round := range rounds {
				source := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), byte(round), 0}), 24)
				err := c.UpdateGuard(func(g nft.Guard) nft.Guard {
					return nft.Guard{IPv4: true, Sources: append(g.Sources, source)}
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	c := dial(t)
	g, err := c.ReadGuard()
	if err != nil || len(g.Sources) != n*rounds {
		t.Errorf("%d sources, %v", len(g.Sources), err)
	}
	if err := c.Guard(nft.Guard{}); err != nil {
		t.Fatal(err)
	}
}

// TestGuardForwarding checks with packets what a guard drops and what it lets pass. Here vnet turned forwarding on, and
// red and outside are in networks that are not of a lab.
func TestGuardForwarding(t *testing.T) {
	needNFT(t)
	w := newTestNet(t)
	w.serveAll(w.red, w.outside)
	w.sh(w.outside, "ip route add default via 10.9.0.1; ip route add default via 2001:db8:9::1")
	out := func(what string, want ...string) {
		t.Helper()
		w.checkReach(t, what, w.red, "10.9.0.2", "2001:db8:9::2", want...)
	}
	in := func(what string, want ...string) {
		t.Helper()
		w.checkReach(t, what, w.outside, "192.168.15.2", "fd00:15::2", want...)
	}
	out("without guard", allKinds...)
	both := nft.Guard{IPv4: true, IPv6: true}
	w.guard(both)
	out("guard")
	in("guard, from outside")
	w.withoutRule(nft.GuardTable, "forward", "drop", func() {
		out("guard without its last rule", allKinds...)
		in("guard without its last rule, from outside", allKinds...)
	})
	out("guard again")
	w.guard(nft.Guard{IPv4: true})
	out("guard for IPv4", ipv6Kinds...)
	w.guard(nft.Guard{IPv6: true})
	out("guard for IPv6", ipv4Kinds...)

	w.guard(nft.Guard{IPv4: true, IPv6: true, Sources: []netip.Prefix{prefix("192.168.15.0/24")}})
	out("from a source", ipv4Kinds...)
	in("to a source")
	w.guard(nft.Guard{IPv4: true, IPv6: true, Sources: []netip.Prefix{prefix("fd00:15::/64")}})
	out("from an IPv6 source", ipv6Kinds...)
	in("to an IPv6 source")
	w.guard(nft.Guard{IPv4: true, IPv6: true, Out: []string{"eth0"}})
	out("by an output link", allKinds...)
	in("from an output link")
	w.guard(nft.Guard{IPv4: true, IPv6: true, From4: []string{"v-net-0"}})
	out("by a link that forwarded before", ipv4Kinds...)
	in("to a link that forwarded before")
	w.guard(nft.Guard{IPv4: true, IPv6: true, From6: []string{"v-net-0"}})
	out("by a link that forwarded IPv6 before to another link")
	w.guard(nft.Guard{IPv4: true, IPv6: true, From6: []string{"v-net-0", "eth0"}})
	out("between links that forwarded IPv6 before", ipv6Kinds...)
	in("between links that forwarded IPv6 before", ipv6Kinds...)

	w.guard(both)
	w.sh(w.machine, "ip link set v-net-0 group 30318")
	out("from a link of a lab", allKinds...)
	in("to a link of a lab", allKinds...)
	w.sh(w.machine, "ip link set v-net-0 group default")
	in("guard again, from outside")
}

// TestGuardSpoofedSource checks that a source that is not behind the input link does not pass as one of the guard's.
func TestGuardSpoofedSource(t *testing.T) {
	needNFT(t)
	w := newTestNet(t)
	w.guard(nft.Guard{IPv4: true, IPv6: true, Sources: []netip.Prefix{prefix("192.168.15.0/24"), prefix("fd00:15::/64"),
		prefix("10.9.0.0/24"), prefix("2001:db8:9::/64")}})
	w.sh(w.outside, "ip route add default via 10.9.0.1; ip route add default via 2001:db8:9::1")
	arrives := func(what string, want int) {
		t.Helper()
		for _, c := range []struct{ source, own, to string }{
			{"192.168.15.9", "10.9.0.2", "192.168.15.2"}, {"fd00:15::9", "2001:db8:9::2", "fd00:15::2"},
		} {
			seen := w.capture(w.red)
			w.sendRaw(w.outside, addr(c.source), addr(c.to), 253, []byte("hello"))
			mark := func() { w.sendRaw(w.outside, addr(c.own), addr(c.to), 253, []byte("mark")) }
			if got := len(seen.until("mark", mark, addr(c.source))); got != want {
				t.Errorf("%s: %d packets from %s, want %d", what, got, c.source, want)
			}
		}
	}
	arrives("guard", 0)
	w.withoutRule(nft.GuardTable, "forward", "drop", func() { arrives("without its last rule", 1) })
}

// TestGuardSpoofedReply checks that a foreign network cannot send replies for the target of a forwarded port to another
// foreign network, which has a connection to this port.
func TestGuardSpoofedReply(t *testing.T) {
	needNFT(t)
	w := newLabNet(t)
	w.sh(w.machine, `for i in all v-net-0; do echo 0 > /proc/sys/net/ipv4/conf/$i/rp_filter; done
		ip link set lab1 group 30318`)
	w.guard(nft.Guard{IPv4: true, IPv6: true})
	arrives := func(what string, from *os.File, want int) {
		t.Helper()
		for _, c := range []struct{ target, port, client string }{
			{"192.168.16.2", "10.9.0.1", "10.9.0.2"}, {"fd00:16::2", "2001:db8:9::1", "2001:db8:9::2"},
		} {
			conn := w.dialFrom(w.outside, netip.AddrPortFrom(addr(c.port), 80).String())
			w.deliver(conn, w.other, netip.AddrPortFrom(addr(c.target), 80))
			reply := binary.BigEndian.AppendUint16([]byte{0, 80}, conn.LocalAddr().(*net.UDPAddr).AddrPort().Port())
			reply = append(reply, 0, 10, 0, 0, 'h', 'i')
			seen := w.capture(w.outside)
			reply = withChecksum(addr(c.target), addr(c.client), nft.UDP, reply, 6, false)
			send := func() { w.sendRaw(from, addr(c.target), addr(c.client), nft.UDP, reply) }
			send()
			mark := func() { w.sendRaw(w.machine, addr(c.port), addr(c.client), 253, []byte("mark")) }
			got := len(seen.until("mark", mark, addr(c.port)))
			for tries := 0; got < want && tries < 5; tries++ { // a busy machine loses packets
				send()
				got = len(seen.until("mark", mark, addr(c.port)))
			}
			if got != want {
				t.Errorf("%s: %d packets from %s, want %d", what, got, c.port, want)
			}
		}
	}
	w.apply(nil, forwardsTo("192.168.16.2", "fd00:16::2"))
	arrives("reply of the target", w.other, 1)
	arrives("reply of another network", w.red, 0)
	w.withoutRule(nft.GuardTable, "reply", "drop", func() { arrives("without the rule", w.red, 1) })
	w.guard(nft.Guard{IPv4: true, IPv6: true, From4: []string{"v-net-0"}, From6: []string{"v-net-0", "eth0"}})
	arrives("by a link that forwarded before", w.red, 1)
}

// deliver sends datagrams until one arrives at an address of a host, which does not answer.
func (w *testNet) deliver(conn net.Conn, host *os.File, at netip.AddrPort) {
	w.t.Helper()
	var server *net.UDPConn
	err := nsfs.Do(host, func() (err error) {
		server, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	defer server.Close()
	for end := time.Now().Add(answerTimeout); time.Now().Before(end); {
		conn.Write([]byte("?"))
		server.SetReadDeadline(time.Now().Add(time.Second))
		if _, _, err := server.ReadFrom(make([]byte, 8)); err == nil {
			return
		}
	}
	w.t.Fatalf("nothing arrives at %s", at)
}

// TestGuardIsolatedPorts checks that isolated ports of a foreign bridge do not reach each other by way of the machine.
func TestGuardIsolatedPorts(t *testing.T) {
	for _, filtered := range []string{"0", "1"} {
		t.Run("bridge-nf-call="+filtered, func(t *testing.T) { checkGuardIsolatedPorts(t, filtered) })
	}
}

func checkGuardIsolatedPorts(t *testing.T, filtered string) {
	needNFT(t)
	w := newTestNet(t)
	w.setBridgeNF(filtered)
	w.serveAll(w.blue)
	w.isolatePorts()
	blue := func(what string, want ...string) {
		t.Helper()
		w.checkReach(t, what, w.red, "192.168.15.3", "fd00:15::3", want...)
	}
	blue("without guard", allKinds...)
	w.guard(nft.Guard{IPv4: true, IPv6: true})
	blue("guard")
	w.withoutRule(nft.GuardTable, "same_bridge", "drop", func() { blue("without the rule", allKinds...) })
	w.checkReach(t, "the machine itself", w.red, "192.168.15.1", "fd00:15::1", "icmp4", "icmp6")
	w.sh(w.machine, "ip neigh flush dev v-net-0 nud all")
	w.checkReach(t, "from the machine itself", w.machine, "192.168.15.3", "fd00:15::3", allKinds...)
	w.guard(nft.Guard{IPv4: true})
	blue("guard for IPv4", ipv6Kinds...)
	w.guard(nft.Guard{IPv4: true, IPv6: true, Sources: []netip.Prefix{prefix("192.168.15.0/24")}})
	blue("from a source", ipv4Kinds...)
	w.guard(nft.Guard{IPv4: true, IPv6: true, Out: []string{"v-net-0"}})
	blue("by an output link", allKinds...)
	w.guard(nft.Guard{IPv4: true, IPv6: true, From4: []string{"v-net-0"}, From6: []string{"v-net-0"}})
	blue("on a link that forwarded before", allKinds...)
}

// TestGuardAndOthers checks that a guard lets forwarded ports of other tables, bridged packets and established
// connections of links that forwarded before pass.
func TestGuardAndOthers(t *testing.T) {
	needNFT(t)
	w := newTestNet(t)
	w.setBridgeNF("1")
	w.serveAll(w.red)
	w.echo(w.outside, "tcp4", ":7")
	w.sh(w.outside, "ip route add default via 10.9.0.1")
	w.apply(nil, []nft.Rule{nft.Masquerade{Out: "ppp0"}}) // without any rule, connections are not tracked
	old := w.open(w.red, "tcp4", "10.9.0.2:7")
	w.exchangeTimes(old, 1, "192.168.15.2")
	w.guard(nft.Guard{IPv4: true, IPv6: true, From4: []string{"v-net-0"}})
	w.exchangeTimes(old, 3, "192.168.15.2")
	w.guard(nft.Guard{IPv4: true, IPv6: true})
	w.checkReach(t, "neighbours on a bridge", w.blue, "192.168.15.2", "fd00:15::2", allKinds...)
	w.withoutRule(nft.GuardTable, "forward", "@bridged return", func() {
		w.checkReach(t, "neighbours on a bridge, without the rule for it", w.blue, "192.168.15.2", "fd00:15::2")
	})
	w.sh(w.red, "ip addr add 10.77.0.2/24 dev eth0; ip addr add fd77::2/64 dev eth0 nodad")
	w.sh(w.blue, "ip addr add 10.77.0.3/24 dev eth0; ip addr add fd77::3/64 dev eth0 nodad")
	w.checkReach(t, "neighbours unknown to the machine", w.blue, "10.77.0.2", "fd77::2", allKinds...)
	w.withoutRule(nft.GuardTable, "reply", "@bridged return", func() {
		w.checkReach(t, "neighbours unknown to the machine, without the rule for them", w.blue, "10.77.0.2", "fd77::2")
	})
	w.sh(w.machine, `nft 'table inet docker { chain pre { type nat hook prerouting priority dstnat;
		iifname eth0 tcp dport 80 dnat ip to 192.168.15.2; iifname eth0 meta nfproto ipv6 tcp dport 80 dnat ip6 to fd00:15::2;
		iifname eth0 udp dport 80 dnat ip to 192.168.15.2; }; }'`)
	w.checkReach(t, "port forwarded by another table", w.outside, "10.9.0.1", "2001:db8:9::1", "tcp4", "tcp6", "udp4",
		"icmp4", "icmp6") // the machine itself answers ICMP
	w.withoutRule(nft.GuardTable, "forward", "ct status dnat", func() {
		w.checkReach(t, "without the rule for it", w.outside, "10.9.0.1", "2001:db8:9::1", "icmp4", "icmp6")
	})
}
