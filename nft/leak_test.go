//go:build linux

package nft_test

import (
	"encoding/binary"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
)

// sendRaw sends an IP packet with any source address.
func (w *testNet) sendRaw(from *os.File, src, dst netip.Addr, proto nft.Proto, payload []byte) {
	w.t.Helper()
	err := nsfs.Do(from, func() error {
		family, hdrincl := unix.AF_INET, unix.IPPROTO_IP
		if dst.Is6() {
			family, hdrincl = unix.AF_INET6, unix.IPPROTO_IPV6
		}
		fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if hdrincl == unix.IPPROTO_IP {
			return unix.Sendto(fd, ipv4Packet(src, dst, proto, payload), 0, &unix.SockaddrInet4{Addr: dst.As4()})
		}
		return unix.Sendto(fd, ipv6Packet(src, dst, proto, payload), 0, &unix.SockaddrInet6{Addr: dst.As16()})
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func ipv4Packet(src, dst netip.Addr, proto nft.Proto, payload []byte) []byte {
	b := []byte{0x45, 0, 0, 0, 0, 1, 0, 0, 64, byte(proto), 0, 0}
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
	binary.BigEndian.PutUint16(b[10:], checksum(b))
	return append(b, payload...)
}

func ipv6Packet(src, dst netip.Addr, proto nft.Proto, payload []byte) []byte {
	b := []byte{0x60, 0, 0, 0, 0, 0, byte(proto), 64}
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	return append(append(append(b, src.AsSlice()...), dst.AsSlice()...), payload...)
}

// checksum returns the Internet checksum of RFC 1071.
func checksum(parts ...[]byte) uint16 {
	var sum uint32
	for _, b := range parts {
		if len(b)%2 != 0 {
			b = append(b[:len(b):len(b)], 0)
		}
		for i := 0; i < len(b); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(b[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// withChecksum sets the checksum of a TCP, UDP or ICMP packet at an offset. It is wrong by 1 if bad is set.
func withChecksum(src, dst netip.Addr, proto nft.Proto, payload []byte, at int, bad bool) []byte {
	pseudo := binary.BigEndian.AppendUint32(nil, uint32(len(payload)))
	pseudo = append(append(append(pseudo, 0, byte(proto)), src.AsSlice()...), dst.AsSlice()...)
	if proto == unix.IPPROTO_ICMP {
		pseudo = nil
	}
	sum := checksum(pseudo, payload)
	if bad {
		sum++
	}
	binary.BigEndian.PutUint16(payload[at:], sum)
	return payload
}

// A strayPacket is a packet that does not belong to a connection.
type strayPacket struct {
	what    string
	proto   nft.Proto
	payload func(src, dst netip.Addr) []byte
}

// strayPackets returns packets that connection tracking calls invalid, or does not track.
func strayPackets(ipv6 bool) []strayPacket {
	var all []strayPacket
	for what, flags := range map[string]byte{
		"RST": 4, "RST+ACK": 0x14, "FIN": 1, "SYN+ACK": 0x12, "no flags": 0, "FIN+PSH+URG": 0x29,
	} {
		all = append(all, strayPacket{"TCP " + what, nft.TCP, func(src, dst netip.Addr) []byte {
			tcp := []byte{0x11, 0x5c, 0x1f, flags, 0, 0, 3, 0xe8, 0, 0, 7, 0xd0, 0x50, flags, 4, 0, 0, 0, 0, 0}
			return withChecksum(src, dst, nft.TCP, tcp, 16, false)
		}})
	}
	all = append(all, strayPacket{"UDP with a wrong checksum", nft.UDP, func(src, dst netip.Addr) []byte {
		return withChecksum(src, dst, nft.UDP, []byte{0x11, 0x5c, 0x1f, 0x40, 0, 10, 0, 0, 'h', 'i'}, 6, true)
	}})
	all = append(all, strayPacket{"malformed SCTP", nft.SCTP, func(src, dst netip.Addr) []byte {
		return []byte{0, 1, 0, 2, 0, 0}
	}})
	if ipv6 {
		return append(all, strayPacket{"echo reply", unix.IPPROTO_ICMPV6, func(src, dst netip.Addr) []byte {
			return withChecksum(src, dst, unix.IPPROTO_ICMPV6, []byte{129, 0, 0, 0, 0, 7, 0, 7}, 2, false)
		}})
	}
	return append(all, strayPacket{"echo reply", unix.IPPROTO_ICMP, func(src, dst netip.Addr) []byte {
		return withChecksum(src, dst, unix.IPPROTO_ICMP, []byte{0, 0, 0, 0, 0, 7, 0, 7}, 2, false)
	}})
}

// A capture is a packet socket that receives the IP packets of a namespace's links.
type capture struct {
	w  *testNet
	fd int
}

func (w *testNet) capture(ns *os.File) capture {
	w.t.Helper()
	c := capture{w: w}
	err := nsfs.Do(ns, func() (err error) {
		all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
		c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(all))
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { unix.Close(c.fd) })
	return c
}

// until sends a packet that ends with mark, reads packets up to this one, and returns those from the source. A busy
// machine loses packets: send is called again each second.
func (c capture) until(mark string, send func(), source netip.Addr) (from []string) {
	c.w.t.Helper()
	second := unix.NsecToTimeval(int64(time.Second))
	if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &second); err != nil {
		c.w.t.Fatal(err)
	}
	send()
	buf := make([]byte, 2048)
	for end := time.Now().Add(answerTimeout); ; {
		n, _, err := unix.Recvfrom(c.fd, buf, 0)
		switch p := string(buf[:max(n, 0)]); {
		case err == unix.EINTR:
		case err == unix.EAGAIN && time.Now().Before(end):
			send()
		case err != nil:
			c.w.t.Fatalf("no packet with %q: %v", mark, err)
		case strings.HasSuffix(p, mark):
			return from
		case sourceOf(buf[:n]) == source && !neighborDiscovery(buf[:n]):
			from = append(from, p)
		}
	}
}

// sourceOf returns the source address of an IP packet.
func sourceOf(p []byte) netip.Addr {
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
		return netip.AddrFrom4([4]byte(p[12:16]))
	case len(p) >= 40 && p[0]>>4 == 6:
		return netip.AddrFrom16([16]byte(p[8:24]))
	}
	return netip.Addr{}
}

// neighborDiscovery reports whether an IPv6 packet is one of neighbour discovery.
func neighborDiscovery(p []byte) bool {
	return len(p) > 40 && p[0]>>4 == 6 && p[6] == unix.IPPROTO_ICMPV6 && p[40] >= 133 && p[40] <= 137
}

// leaks sends all stray packets from red to outside and returns the number that arrive with red's address.
func (w *testNet) leaks(family string) (leaked, sent int) {
	w.t.Helper()
	src, dst := addr("192.168.15.2"), addr("10.9.0.2")
	if family == "ip6" {
		src, dst = addr("fd00:15::2"), addr("2001:db8:9::2")
	}
	c := w.capture(w.outside)
	strays := strayPackets(src.Is6())
	for _, p := range strays {
		w.sendRaw(w.red, src, dst, p.proto, p.payload(src, dst))
	}
	mark := "mark " + time.Now().String()
	conn := w.dialFrom(w.red, netip.AddrPortFrom(dst, 9).String())
	return len(c.until(mark, func() { conn.Write([]byte(mark)) }, src)), len(strays)
}

// TestNothingLeaksUntranslated checks that nothing leaves a masqueraded network with its private source, whatever rule
// translates it and whatever the packet is, and that valid connections are not hurt.
func TestNothingLeaksUntranslated(t *testing.T) {
	needNFT(t)
	w := newTestNet(t)
	w.serveAll(w.outside, w.red)
	w.sh(w.machine, "ip addr add 10.9.0.7/24 dev eth0; ip addr add 2001:db8:9::7/64 dev eth0 nodad")
	for _, rules := range [][]nft.Rule{
		masquerades(),
		append(masquerades(), nft.Own{Link: "v-net-0"}, nft.Closed{Link: "v-net-0"}),
		{nft.Masquerade{Source: prefix("192.168.0.0/16"), Out: "eth0"},
			nft.Masquerade{Source: prefix("fd00::/16"), Out: "eth0"}},
		{nft.SourceNAT{Source: prefix("192.168.0.0/16"), To: addr("10.9.0.7")},
			nft.SourceNAT{Source: prefix("fd00::/16"), Out: "eth0", To: addr("2001:db8:9::7")},
			nft.Masquerade{Source: prefix("fd00:15::/64"), Out: "eth0"}},
		{nft.Masquerade{Out: "eth0"}},
		{nft.Masquerade{Source: prefix("0.0.0.0/0")}, nft.Masquerade{Source: prefix("::/0")}},
	} {
		w.apply(nil, append(rules, forwardsToRed()...))
		what := rules[0].String()
		for _, family := range []string{"ip", "ip6"} {
			if n, of := w.leaks(family); n > 0 {
				t.Errorf("%s: %d of %d %s packets leaked", what, n, of, family)
			}
			w.withoutRule("vnet", "private", "drop", func() {
				if n, of := w.leaks(family); n < of-1 { // conntrack may pick up a connection
					t.Errorf("%s: only %d of %d %s packets leak without the rule", what, n, of, family)
				}
			})
		}
		w.checkReach(t, what, w.red, "10.9.0.2", "2001:db8:9::2", allKinds...)
		w.checkReach(t, what+", machine", w.machine, "10.9.0.2", "2001:db8:9::2", allKinds...)
		w.checkReach(t, what+", neighbour", w.blue, "192.168.15.2", "fd00:15::2", allKinds...)
		w.checkReach(t, what+", forwarded", w.outside, "10.9.0.1", "2001:db8:9::1", allKinds...)
		w.apply(append(rules, forwardsToRed()...), nil)
	}
}
