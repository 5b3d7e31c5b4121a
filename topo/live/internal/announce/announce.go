// Package announce sends the MAC address of an IP address to its neighbours. Otherwise they use the old one
// for up to half a minute.
package announce

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Socket opens a socket for Send in the namespace of the calling thread.
func Socket() (fd int, err error) {
	return unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
}

// Send sends the announcement of an address from a link, which has the index. A router also says that it is one.
func Send(fd int, link uint32, addr netip.Addr, mac [6]byte, router bool) error {
	frame, proto := announcement(addr, mac, router)
	return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: int(link), Protocol: proto})
}

// announcement returns the Ethernet frame, and its type in network byte order: a gratuitous ARP
// request (RFC 5227; Linux ignores a gratuitous reply for an entry that it just confirmed), or an
// unsolicited neighbour advertisement that overrides (RFC 4861, 4.4).
func announcement(addr netip.Addr, mac [6]byte, router bool) (frame []byte, proto uint16) {
	if addr.Is4() {
		frame = append(frame, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
		frame = append(append(frame, mac[:]...), 0x08, 0x06)
		frame = append(frame, 0, 1, 0x08, 0, 6, 4, 0, 1) // Ethernet, IPv4, request
		frame = append(append(frame, mac[:]...), addr.AsSlice()...)
		frame = append(append(frame, 0, 0, 0, 0, 0, 0), addr.AsSlice()...)
		return frame, networkOrder(unix.ETH_P_ARP)
	}
	flags := byte(0x20) // override
	if router {
		flags |= 0x80
	}
	body := append([]byte{136, 0, 0, 0, flags, 0, 0, 0}, addr.AsSlice()...)
	body = append(append(body, 2, 1), mac[:]...) // the target's link-layer address
	return ICMP6Frame(addr, mac, body)
}

// ICMP6Frame returns an Ethernet frame with an ICMPv6 message to all nodes, and its type in network
// byte order. body has an even length, and no checksum yet.
func ICMP6Frame(from netip.Addr, mac [6]byte, body []byte) (frame []byte, proto uint16) {
	allNodes := netip.MustParseAddr("ff02::1")
	frame = append(frame, 0x33, 0x33, 0, 0, 0, 1)
	frame = append(append(frame, mac[:]...), 0x86, 0xdd)
	frame = append(frame, 0x60, 0, 0, 0, 0, byte(len(body)), unix.IPPROTO_ICMPV6, 255)
	frame = append(append(frame, from.AsSlice()...), allNodes.AsSlice()...)
	at := len(frame)
	frame = append(frame, body...)
	sum := uint32(len(body) + unix.IPPROTO_ICMPV6)
	for b := frame[at-32:]; len(b) > 0; b = b[2:] { // with the addresses of the IPv6 header
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(frame[at+2:], ^uint16(sum))
	return frame, networkOrder(unix.ETH_P_IPV6)
}

func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}
