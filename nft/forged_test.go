//go:build linux

package nft_test

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
)

// udpPacket returns an IP packet with a UDP datagram. conntrack ignores datagrams with a wrong checksum.
func udpPacket(text string, src, dst netip.AddrPort) []byte {
	b := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, src.Port()), dst.Port())
	b = append(binary.BigEndian.AppendUint16(b, uint16(8+len(text))), 0, 0)
	b = withChecksum(src.Addr(), dst.Addr(), nft.UDP, append(b, text...), 6, false)
	return ipPacket(src.Addr(), dst.Addr(), nft.UDP, b)
}

// errorPacket returns an ICMP error, "host unreachable" or "no route", about a packet.
func errorPacket(src, dst netip.Addr, about []byte) []byte {
	kind, header := nft.Proto(unix.IPPROTO_ICMP), []byte{3, 1, 0, 0, 0, 0, 0, 0}
	if src.Is6() {
		kind, header = unix.IPPROTO_ICMPV6, make([]byte, 8)
		header[0] = 1
	}
	return ipPacket(src, dst, kind, withChecksum(src, dst, kind, append(header, about...), 2, false))
}

func ipPacket(src, dst netip.Addr, proto nft.Proto, payload []byte) []byte {
	if src.Is6() {
		return ipv6Packet(src, dst, proto, payload)
	}
	return ipv4Packet(src, dst, proto, payload)
}

// to returns a frame with an IP packet.
func to(dst, src, name string, packet []byte) frame {
	f := frame{name: name, dst: dst, src: src, kind: unix.ETH_P_IP, payload: packet}
	if packet[0]>>4 == 6 {
		f.kind = unix.ETH_P_IPV6
	}
	return f
}

// A forgery is a test network in which blue and other send packets that seem to belong to connections of red.
type forgery struct {
	labNet
	red, blue, other, server         frameSocket
	flows                            []net.Conn // from red, to outside and to other
	fromBlue, fromOther, fromOutside []frame
}

func newForgery(t *testing.T, filtered string) forgery {
	w := forgery{labNet: newLabNet(t)}
	w.setBridgeNF(filtered)
	w.sh(w.machine, "ip link set v-net-0 address 02:00:00:00:00:fe type bridge mcast_snooping 0")
	w.sh(w.machine, "for i in all v-net-0 lab1; do echo 0 > /proc/sys/net/ipv4/conf/$i/rp_filter; done")
	w.red, w.blue = openFrames(t, w.testNet.red), openFrames(t, w.testNet.blue)
	w.other, w.server = openFrames(t, w.labNet.other), openFrames(t, w.outside)
	// No packet waits for neighbour discovery.
	w.sh(w.machine, "for a in 192.168.15.2 fd00:15::2; do ip neigh replace $a lladdr "+w.macOf(w.testNet.red, "eth0")+
		" dev v-net-0; done")
	w.sh(w.testNet.red, "for a in 192.168.15.1 fd00:15::1; do ip neigh replace $a lladdr 02:00:00:00:00:fe dev eth0; done")
	for i, hosts := range [][3]string{{"10.9.0.2", "192.168.15.3", "192.168.16.2"},
		{"2001:db8:9::2", "fd00:15::3", "fd00:16::2"}} {
		w.forge(string("46"[i]), hosts[0], hosts[1], hosts[2])
	}
	return w
}

// forge opens connections of a family from red to outside and to other, and makes the forged packets.
func (w *forgery) forge(n, outside, blue, other string) {
	gate, gate2 := "02:00:00:00:00:fe", w.macOf(w.machine, "lab1")
	mac, mac2 := w.macOf(w.testNet.blue, "eth0"), w.macOf(w.labNet.other, "eth0")
	var red, server [2]netip.AddrPort
	for i, host := range []string{outside, other} {
		server[i] = netip.AddrPortFrom(addr(host), 9)
		c := w.dialFrom(w.testNet.red, server[i].String())
		red[i] = netip.MustParseAddrPort(c.LocalAddr().String())
		w.flows = append(w.flows, c)
	}
	about := func(i int, name string) []byte { return udpPacket(name, red[i], server[i]) }
	w.fromBlue = append(w.fromBlue,
		to(gate, mac, "reply of outside"+n, udpPacket("reply of outside"+n, server[0], red[0])),
		to(gate, mac, "reply of other"+n, udpPacket("reply of other"+n, server[1], red[1])),
		to(gate, mac, "error"+n, errorPacket(addr(blue), red[0].Addr(), about(0, "error"+n))))
	w.fromOutside = append(w.fromOutside, to(w.macOf(w.machine, "eth0"), w.macOf(w.outside, "eth0"), "unreachable"+n,
		errorPacket(server[0].Addr(), red[0].Addr(), about(0, "unreachable"+n))))
	w.fromOther = append(w.fromOther,
		to(gate2, mac2, "to another lab"+n, udpPacket("to another lab"+n, server[0], red[0])),
		to(gate2, mac2, "error of other"+n, errorPacket(addr(other), red[0].Addr(), about(0, "error of other"+n))),
		to(gate2, mac2, "error of the server"+n, errorPacket(addr(other), red[1].Addr(), about(1, "error of the server"+n))))
}

// check checks which packets, of both families, arrive at red, besides the errors of outside. It tries again if one is
// missing: a busy machine loses packets.
func (w *forgery) check(t *testing.T, what string, want ...string) {
	t.Helper()
	var names, both, got []string
	for _, f := range slices.Concat(w.fromBlue, w.fromOther, w.fromOutside) {
		names = append(names, f.name)
	}
	for _, n := range append(slices.Clone(want), "unreachable") {
		both = append(both, n+"4", n+"6")
	}
	slices.Sort(both)
	for range 5 {
		got = arrived(w.red, func() {
			for _, c := range w.flows {
				c.Write([]byte("open")) // an error of an earlier packet does not matter
				c.Write([]byte("open"))
			}
			w.server.send(w.fromOutside...)
			w.other.send(w.fromOther...)
			w.blue.send(w.fromBlue...)
		}, func() { w.blue.send(frame{name: "the mark", src: w.macOf(w.testNet.blue, "eth0"), kind: 0x88b5}) },
			"the mark", names)
		if slices.Sort(got); slices.Equal(both, got) {
			return
		}
	}
	t.Errorf("%s: -want +got:\n%s", what, cmp.Diff(both, got))
}

func bothFilters(t *testing.T, check func(*testing.T, string)) {
	needNFT(t)
	for _, filtered := range []string{"0", "1"} {
		t.Run("bridge-nf-call="+filtered, func(t *testing.T) { check(t, filtered) })
	}
}

var allForged = []string{"reply of outside", "reply of other", "error", "to another lab", "error of other",
	"error of the server"}

// TestForgedReplies checks that a gate drops packets of known connections, if their source is outside. Sources on the
// lab's own links pass: a host on two networks may reply on either.
func TestForgedReplies(t *testing.T) { bothFilters(t, checkForgedReplies) }

func checkForgedReplies(t *testing.T, filtered string) {
	w := newForgery(t, filtered)
	w.check(t, "without rules", allForged...)
	w.apply(nil, []nft.Rule{nft.Own{Link: "v-net-0"}, w.gate("v-net-0", "v-net-0"), w.gate("lab1", "lab1")})
	related := []string{"error", "error of other", "error of the server"}
	w.check(t, "other is of another lab", related...)
	w.apply(nil, []nft.Rule{nft.Own{Link: "lab1"}, nft.Closed{Link: "v-net-0"}})
	w.check(t, "other is of this lab", append(related, "reply of other")...)
	w.withoutRule("vnet", "spoof", "@gate fib", func() { w.check(t, "without the rule", allForged...) })
	w.withoutRule("vnet", "spoofed", "@own_route return", func() { w.check(t, "without the exception", related...) })
	w.serveAll(w.outside)
	w.checkReach(t, "real replies", w.testNet.red, "10.9.0.2", "2001:db8:9::2", allKinds...)
}

// TestForgedIsolated checks that isolated neighbours and networks do not reach each other with packets that seem to
// belong to known connections. Replies and errors of connections in a permitted direction pass.
func TestForgedIsolated(t *testing.T) { bothFilters(t, checkForgedIsolated) }

func checkForgedIsolated(t *testing.T, filtered string) {
	w := newForgery(t, filtered)
	neighbours := nft.Isolate{In: "v-net-0", Out: "v-net-0"}
	there, back := nft.Isolate{In: "lab1", Out: "v-net-0"}, nft.Isolate{In: "v-net-0", Out: "lab1"}
	w.apply(nil, []nft.Rule{neighbours, w.gate("v-net-0", "v-net-0")})
	w.check(t, "isolated neighbours", "to another lab", "error of other", "error of the server")
	w.apply(nil, []nft.Rule{there})
	// An error of a server and one of another host of its network look the same.
	w.check(t, "one direction", "to another lab", "error of other", "error of the server")
	w.apply(nil, []nft.Rule{back})
	w.check(t, "both directions")
	w.apply([]nft.Rule{neighbours}, nil)
	w.check(t, "networks only", "error")
	w.apply(nil, []nft.Rule{neighbours, nft.Own{Link: "v-net-0"}, nft.Own{Link: "lab1"}})
	w.check(t, "with own links")
	w.withoutRule("vnet", "apart", "drop", func() {
		w.check(t, "without the rule", allForged[1:]...) // the gate drops the first
	})
	w.apply(nil, append(forwardsToRed(),
		nft.Forward{Proto: nft.UDP, Ports: nft.Port(81), To: addr("192.168.15.2"), ToPort: 81},
		nft.Forward{Proto: nft.UDP, Ports: nft.Port(81), To: addr("fd00:15::2"), ToPort: 81}))
	w.serve(w.testNet.red, "red", "udp", ":80")
	w.serve(w.testNet.red, "red", "tcp", ":80")
	for what, from := range map[string]*os.File{"neighbour": w.testNet.blue, "network": w.labNet.other} {
		w.checkReach(t, "forwarded port, from an isolated "+what, from, "10.9.0.1", "2001:db8:9::1", allKinds...)
		for _, port := range []string{"10.9.0.1:81", "[2001:db8:9::1]:81"} {
			if !w.isRefused(from, port) {
				t.Errorf("an isolated %s gets no ICMP error from the forwarded port %s", what, port)
			}
		}
	}
	w.serveAll(w.outside)
	w.checkReach(t, "to outside", w.testNet.red, "10.9.0.2", "2001:db8:9::2", allKinds...)
}

// isRefused reports whether a host gets an ICMP error from a UDP port. Hosts send few errors in a second.
func (w *testNet) isRefused(from *os.File, address string) bool {
	w.t.Helper()
	c := w.dialFrom(from, address)
	for range 10 {
		if _, err := c.Write([]byte("?")); errors.Is(err, unix.ECONNREFUSED) {
			return true
		}
		c.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := c.Read(make([]byte, 1)); errors.Is(err, unix.ECONNREFUSED) {
			return true
		}
	}
	return false
}
