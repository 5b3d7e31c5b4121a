//go:build linux

package nft_test

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
)

// A listener is a UDP socket of the machine. red sends frames to it.
type listener struct {
	*testNet
	red  frameSocket
	conn net.PacketConn
	mac  string // of red
}

// listen makes a listener on port 7, and in v-net-0 the MAC address 02:00:00:00:00:fe.
func (w *testNet) listen() listener {
	w.t.Helper()
	l := listener{testNet: w, red: openFrames(w.t, w.red), mac: w.macOf(w.red, "eth0")}
	w.sh(w.machine, `ip link set v-net-0 address 02:00:00:00:00:fe type bridge mcast_snooping 0
		for i in all v-net-0 veth-red; do echo 0 > /proc/sys/net/ipv4/conf/$i/rp_filter; done`)
	err := nsfs.Do(w.machine, func() (err error) {
		l.conn, err = net.ListenPacket("udp", ":7")
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { l.conn.Close() })
	return l
}

// packet returns a frame with a datagram to port 7.
func (l listener) packet(name, mac, src, dst string) frame {
	return to(mac, l.mac, name, udpPacket(name, netip.AddrPortFrom(addr(src), 7), netip.AddrPortFrom(addr(dst), 7)))
}

// check checks which of the frames the machine accepts. It tries again if one is missing: a busy machine loses packets.
func (l listener) check(what string, frames []frame, want ...frame) {
	l.t.Helper()
	var got, names []string
	for _, f := range want {
		names = append(names, f.name)
	}
	for range 5 {
		if got = l.accepted(frames); slices.Equal(names, got) {
			return
		}
	}
	l.t.Errorf("%s: -want +got:\n%s", what, cmp.Diff(names, got))
}

// accepted sends frames and returns the names of those that the machine accepts.
func (l listener) accepted(frames []frame) (names []string) {
	l.t.Helper()
	found := map[string]bool{}
	buf := make([]byte, 128)
	for range 30 {
		mark := "mark " + time.Now().String()
		l.red.send(frames...)
		l.red.send(l.packet(mark, "02:00:00:00:00:fe", "192.168.15.2", "192.168.15.1"))
		l.conn.SetReadDeadline(time.Now().Add(time.Second))
		for !found[mark] {
			n, _, err := l.conn.ReadFrom(buf)
			if err != nil {
				break
			}
			found[strings.Clone(string(buf[:n]))] = true
		}
		if found[mark] {
			break
		}
	}
	for _, f := range frames {
		if found[f.name] {
			names = append(names, f.name)
		}
	}
	return names
}

// The MAC addresses of IP multicast to all hosts, and a reserved one.
const (
	toAll4, toAll6 = "01:00:5e:00:00:01", "33:33:00:00:00:01"
	reserved       = "01:80:c2:00:00:03"
)

// TestSpoofedToMachine checks that the machine accepts no packets at the link of a gate whose source is not behind the
// link, in whatever frames. Hosts without an address, and those with a link-local one, can talk to it.
func TestSpoofedToMachine(t *testing.T) { bothFilters(t, checkSpoofedToMachine) }

func checkSpoofedToMachine(t *testing.T, filtered string) {
	l := newTestNet(t).listen()
	l.setBridgeNF(filtered)
	var spoofed, group, good []frame
	for _, f := range []struct{ n, own, outside, nobody, machine, toAll, multicast string }{
		{"4", "192.168.15.2", "10.9.0.2", "8.8.8.8", "192.168.15.1", toAll4, "255.255.255.255"},
		{"6", "fd00:15::2", "2001:db8:9::2", "2001:db8:8::8", "fd00:15::1", toAll6, "ff02::1"},
	} {
		spoofed = append(spoofed,
			l.packet("outside, broadcast"+f.n, toAll, f.outside, f.machine),
			l.packet("outside, multicast"+f.n, f.toAll, f.outside, f.machine),
			l.packet("outside, to all hosts"+f.n, f.toAll, f.outside, f.multicast),
			l.packet("nobody, broadcast"+f.n, toAll, f.nobody, f.machine))
		group = append(group, l.packet("reserved"+f.n, reserved, f.own, f.machine),
			l.packet("outside, reserved"+f.n, "01:80:c2:00:00:0e", f.outside, f.machine))
		good = append(good, l.packet("own"+f.n, "02:00:00:00:00:fe", f.own, f.machine),
			l.packet("own, broadcast"+f.n, toAll, f.own, f.machine),
			l.packet("own, to all hosts"+f.n, f.toAll, f.own, f.multicast))
	}
	good = append(good, l.packet("DHCP", toAll, "0.0.0.0", "255.255.255.255"),
		l.packet("link-local", "02:00:00:00:00:fe", "fe80::2", "fd00:15::1"),
		l.packet("link-local, to all hosts", toAll6, "fe80::2", "ff02::1"))
	noAddress := l.packet("without an address", toAll6, "::", "ff02::1")
	all := slices.Concat(spoofed, group, good, []frame{noAddress})
	l.check("without rules", all, all...)
	l.apply(nil, []nft.Rule{l.gate("v-net-0", "v-net-0")})
	good = append(good, noAddress)
	l.check("with a gate", all, good...)
	l.withoutRule("vnet", "spoof", "@gate_link", func() {
		l.check("without the rule for links", all, slices.Concat(spoofed, good)...)
	})
	if filtered == "0" { // else the kernel drops packets for other hosts when they leave the bridge
		l.withoutRule("vnet", "spoof_input", "other drop", func() {
			l.check("without the rule for their type", all, slices.Concat(spoofed, good)...)
		})
	}
	l.withoutRule("vnet", "spoof_input", "01:80:c2", func() {
		l.check("without the rule for reserved addresses", all, slices.Concat(group, good)...)
	})
	l.withoutRule("vnet", "spoofed", "ip6 saddr ::", func() {
		l.check("without the exception", all, good[:len(good)-1]...)
	})
}

// TestGateLetsBroadcastsPass checks that a bridge passes broadcasts between its ports, whatever their source.
func TestGateLetsBroadcastsPass(t *testing.T) {
	bothFilters(t, func(t *testing.T, filtered string) {
		l := newTestNet(t).listen()
		l.setBridgeNF(filtered)
		l.apply(nil, []nft.Rule{l.gate("v-net-0", "v-net-0")})
		frames := []frame{l.packet("nobody4", toAll, "8.8.8.8", "255.255.255.255"),
			l.packet("nobody6", toAll6, "2001:db8:8::8", "ff02::1")}
		names := []string{"nobody4", "nobody6"}
		got := arrived(openFrames(t, l.blue), func() { l.red.send(frames...) }, func() {
			l.red.send(frame{name: "the mark", src: l.mac, kind: 0x88b5})
		}, "the mark", names)
		if diff := cmp.Diff(names, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

// TestAntispoofReserved checks that antispoof applies to frames to reserved group addresses, which the bridge gives to
// the port itself.
func TestAntispoofReserved(t *testing.T) { bothFilters(t, checkAntispoofReserved) }

func checkAntispoofReserved(t *testing.T, filtered string) {
	l := newTestNet(t).listen()
	l.setBridgeNF(filtered)
	own := []frame{l.packet("own4", reserved, "192.168.15.2", "192.168.15.1"),
		l.packet("own6", reserved, "fd00:15::2", "fd00:15::1")}
	neighbour := []frame{l.packet("neighbour4", reserved, "192.168.15.3", "192.168.15.1"),
		l.packet("neighbour6", reserved, "fd00:15::3", "fd00:15::1")}
	all := slices.Concat(own, neighbour)
	l.check("without rules", all, all...)
	m := nft.MAC(mac(l.mac))
	l.apply(nil, []nft.Rule{nft.Antispoof{Port: "veth-red"}, nft.PortAddress{Port: "veth-red", MAC: m},
		nft.PortAddress{Port: "veth-red", MAC: m, Addr: addr("192.168.15.2")},
		nft.PortAddress{Port: "veth-red", MAC: m, Addr: addr("fd00:15::2")}})
	l.check("antispoof", all, own...)
	l.withoutRule("vnet", "antispoof_input", "host_port", func() { l.check("without the rule", all, all...) })
}
