package live

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/convert"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// announce sends announcements. It only writes a warning if it cannot: the entries of the
// neighbours expire, too.
func (k *Kernel) announce(list []topo.Announcement) {
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].NS == list[0].NS {
			n++
		}
		h, err := k.table.Handle(list[0].NS)
		if err == nil {
			err = h.RunInside(func() error { return sendAnnouncements(h, list[:n]) })
		}
		if err != nil {
			k.log.Warn(fmt.Sprintf("%scannot announce changed addresses, so neighbours may not reach them for half a minute: %v",
				display.In(list[0].NS), err))
		}
		list = list[n:]
	}
}

// knownOtherwise returns a function that reports whether a neighbour entry of the last snapshot
// has another MAC address for an address that the plan creates.
func (k *Kernel) knownOtherwise(plan topo.Plan) func(netip.Addr, topo.MAC) bool {
	known := map[netip.Addr][]rtnl.LLAddr{}
	for _, s := range plan {
		if a, ok := s.Want.(topo.Address); ok {
			known[a.Prefix.Addr()] = nil
		}
	}
	for _, h := range k.table.Handles {
		if h.Snapshot == nil || len(known) == 0 {
			continue
		}
		for _, n := range h.Snapshot.Neighs {
			if _, created := known[n.Addr]; created && n.LLAddr != "" {
				known[n.Addr] = append(known[n.Addr], n.LLAddr)
			}
		}
	}
	return func(addr netip.Addr, mac topo.MAC) bool {
		for _, l := range known[addr] {
			if l != convert.LLAddr(mac) {
				return true
			}
		}
		return false
	}
}

// sendAnnouncements sends announcements in the namespace of the calling thread.
func sendAnnouncements(h *netns.Handle, list []topo.Announcement) error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, a := range list {
		link, err := h.LinkIndex(a.Link)
		if err != nil {
			return err
		}
		addrs := []rtnl.Addr{{Prefix: netip.PrefixFrom(a.Addr, 0)}}
		if !a.Addr.IsValid() {
			if addrs, err = h.Conn.Addrs(rtnl.AddrFilter{Link: link}); err != nil {
				return err
			}
		}
		for _, addr := range addrs {
			frame, proto := announcement(addr.Prefix.Addr(), a.MAC, a.Router)
			to := &unix.SockaddrLinklayer{Ifindex: int(link), Protocol: proto}
			if err := unix.Sendto(fd, frame, 0, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// announcement returns the Ethernet frame, and its type in network byte order: a gratuitous ARP
// request (RFC 5227; Linux ignores a gratuitous reply for an entry that it just confirmed), or an
// unsolicited neighbour advertisement that overrides (RFC 4861, 4.4).
func announcement(addr netip.Addr, mac topo.MAC, router bool) (frame []byte, proto uint16) {
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
	return icmp6Frame(addr, mac, body)
}

// icmp6Frame returns an Ethernet frame with an ICMPv6 message to all nodes, and its type in network
// byte order. body has an even length, and no checksum yet.
func icmp6Frame(from netip.Addr, mac topo.MAC, body []byte) (frame []byte, proto uint16) {
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
