//go:build linux

package nft_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
)

// The MAC addresses of TestAntispoof.
const (
	redMAC, blueMAC = "02:00:00:00:00:02", "02:00:00:00:00:03"
	toAll           = "ff:ff:ff:ff:ff:ff"
)

// redLinkLocal is the link-local address of redMAC.
const redLinkLocal = "fe80::ff:fe00:2"

// forbidden are frames that red may not send, by the rule that drops them: its chain, and a part of its text.
var forbidden = []struct {
	chain, rule string
	frames      []frame
}{
	{"gateway_port", "@port_mac", []frame{
		{name: "source MAC", src: blueMAC, kind: 0x88b5},
	}},
	{"gateway_port", "arp saddr ether . arp saddr ip != @source4", []frame{
		arp("ARP reply for a neighbour", 2, redMAC, "192.168.15.3", "192.168.15.1"),
		arp("ARP request of a neighbour", 1, redMAC, "192.168.15.3", "192.168.15.3"),
		arp("ARP with a neighbour's MAC", 2, blueMAC, "192.168.15.2", "192.168.15.1"),
	}},
	{"gateway_port", "arp daddr ip != @source4", []frame{
		arp("ARP probe for a neighbour's address", 1, redMAC, "0.0.0.0", "192.168.15.3"),
	}},
	{"gateway_port", "nd-neighbor-advert", []frame{
		icmp6("neighbour advertisement", "fd00:15::2", 136, "fd00:15::3", false),
		icmp6("neighbour advertisement with options", "fd00:15::2", 136, "fd00:15::3", true),
	}},
	{"gateway_port", "nd-neighbor-solicit", []frame{
		icmp6("probe for a duplicate of a neighbour's address", "::", 135, "fd00:15::3", false),
	}},
	{"gateway_port", "8021q", []frame{
		tagged("ARP behind a tag", unix.ETH_P_8021Q), tagged("ARP behind two tags", unix.ETH_P_8021Q, unix.ETH_P_8021Q),
	}},
	{"gateway_port", "8021ad", []frame{tagged("ARP behind a service tag", unix.ETH_P_8021AD)}},
	{"router_port", "nd-router-advert", []frame{
		icmp6("router advertisement", redLinkLocal, 134, "::", false),
		icmp6("router advertisement with options", redLinkLocal, 134, "::", true),
	}},
	{"router_port", "nd-redirect", []frame{icmp6("redirect", redLinkLocal, 137, "fd00:15::3", false)}},
	{"router_port", "icmp type redirect", []frame{icmp4("redirect over IPv4", "192.168.15.2", 5)}},
	{"router_port", "udp sport 67", []frame{udp("from a DHCP server", "192.168.15.2", 67, 9)}},
	{"router_port", "udp dport 68", []frame{udp("to a DHCP client", "192.168.15.2", 9, 68)}},
	{"router_port", "udp sport 547", []frame{udp("from a DHCPv6 server", "fd00:15::2", 547, 9)}},
	{"router_port", "udp dport 546", []frame{udp("to a DHCPv6 client", redLinkLocal, 9, 546)}},
	{"host_port", "@source4", []frame{
		udp("source of a neighbour", "192.168.15.3", 9, 9), udp("source of nobody", "8.8.8.8", 9, 9),
	}},
	{"host_port", "@source6", []frame{
		udp("IPv6 address of a neighbour", "fd00:15::3", 9, 9),
		udp("link-local address of a neighbour", "fe80::ff:fe00:3", 9, 9),
	}},
}

// permitted are frames that every host may send.
var permitted = []frame{
	{name: "any type", src: redMAC, kind: 0x88b5},
	arp("ARP request", 1, redMAC, "192.168.15.2", "192.168.15.3"), arp("ARP reply", 2, redMAC, "192.168.15.2", "0.0.0.0"),
	arp("ARP probe", 1, redMAC, "0.0.0.0", "192.168.15.2"),
	udp("IPv4", "192.168.15.2", 9, 9), udp("IPv6", "fd00:15::2", 9, 9), udp("link-local address", redLinkLocal, 9, 9),
	icmp4("port unreachable", "192.168.15.2", 3), icmp4("echo request", "192.168.15.2", 8),
	udp("DHCP client", "0.0.0.0", 68, 67), udp("DHCPv6 client", redLinkLocal, 546, 547),
	icmp6("neighbour solicitation", "fd00:15::2", 135, "fd00:15::3", false),
	icmp6("probe for a duplicate", "::", 135, "fd00:15::2", false),
	icmp6("probe for a link-local duplicate", "::", 135, redLinkLocal, false),
	icmp6("own advertisement", "fd00:15::2", 136, "fd00:15::2", false),
	icmp6("own link-local advertisement", redLinkLocal, 136, redLinkLocal, false),
	icmp6("router solicitation", redLinkLocal, 133, "::", false),
	icmp6("MLD report", "::", 143, "::", true),
	fragment("fragment"), fragment6("IPv6 fragment", 134), fragment6("another IPv6 fragment", 136),
}

func arp(name string, op byte, sender, from, to string) frame {
	p := slices.Concat([]byte{0, 1, 8, 0, 6, 4, 0, op}, mac(sender), addr(from).AsSlice(), make([]byte, 6),
		addr(to).AsSlice())
	return frame{name: name, src: redMAC, kind: unix.ETH_P_ARP, payload: p}
}

// tagged returns an ARP reply for a neighbour behind VLAN tags.
func tagged(name string, tags ...uint16) frame {
	f := arp(name, 2, redMAC, "192.168.15.3", "192.168.15.1")
	f.tags = tags
	return f
}

// icmp4 returns an ICMP message over IPv4.
func icmp4(name, from string, kind byte) frame {
	p := append([]byte{kind, 3, 0, 0, 192, 168, 15, 2}, name...)
	return frame{name: name, src: redMAC, kind: unix.ETH_P_IP,
		payload: ipv4Packet(addr(from), addr("192.168.15.3"), unix.IPPROTO_ICMP, p)}
}

// icmp6 returns a message of neighbour discovery, with or without a header of options before it.
func icmp6(name, from string, kind byte, target string, options bool) frame {
	p := slices.Concat([]byte{kind, 0, 0, 0, 0, 0, 0, 0}, addr(target).AsSlice(), []byte(name))
	next := nft.Proto(unix.IPPROTO_ICMPV6)
	if options {
		p, next = append([]byte{unix.IPPROTO_ICMPV6, 0, 1, 4, 0, 0, 0, 0}, p...), unix.IPPROTO_DSTOPTS
	}
	return frame{name: name, src: redMAC, kind: unix.ETH_P_IPV6, payload: ipv6Packet(addr(from), addr("ff02::1"), next, p)}
}

func udp(name, from string, sport, dport uint16) frame {
	p := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, sport), dport)
	p = append(append(p, 0, byte(8+len(name)), 0, 0), name...)
	f := frame{name: name, src: redMAC, kind: unix.ETH_P_IP}
	if src := addr(from); src.Is4() {
		f.payload = ipv4Packet(src, netip.AddrFrom4([4]byte{255, 255, 255, 255}), nft.UDP, p)
	} else {
		f.kind, f.payload = unix.ETH_P_IPV6, ipv6Packet(src, addr("ff02::1"), nft.UDP, p)
	}
	return f
}

// fragment returns a later fragment of an IPv4 packet: its data look like the header of a DHCP packet.
func fragment(name string) frame {
	f := udp(name, "192.168.15.2", 67, 68)
	f.payload[7], f.payload[10], f.payload[11] = 1, 0, 0 // from byte 8
	binary.BigEndian.PutUint16(f.payload[10:], checksum(f.payload[:20]))
	return f
}

// fragment6 returns a later fragment of an IPv6 packet: its data look like a message of neighbour discovery.
func fragment6(name string, kind byte) frame {
	f := icmp6(name, "fd00:15::2", kind, "fd00:15::3", true)
	f.payload[6] = unix.IPPROTO_FRAGMENT
	copy(f.payload[40:], []byte{unix.IPPROTO_ICMPV6, 0, 0, 8, 0, 0, 0, 1})
	return f
}

// TestAntispoof checks that a neighbour receives none of the forbidden frames and all permitted ones, and that each
// rule is needed.
func TestAntispoof(t *testing.T) {
	for _, filtered := range []string{"0", "1"} {
		t.Run("bridge-nf-call="+filtered, func(t *testing.T) { checkAntispoof(t, filtered) })
	}
}

func checkAntispoof(t *testing.T, filtered string) {
	needNFT(t)
	w := newTestNet(t)
	w.setBridgeNF(filtered)
	w.sh(w.machine, "ip link set v-net-0 type bridge mcast_snooping 0")
	red, blue := openFrames(t, w.red), openFrames(t, w.blue)
	var bad, good []string
	var badFrames []frame
	for _, f := range forbidden {
		badFrames = append(badFrames, f.frames...)
	}
	for _, f := range badFrames {
		bad = append(bad, f.name)
	}
	for _, f := range permitted {
		good = append(good, f.name)
	}
	check := func(what string, frames []frame, names, want []string) {
		t.Helper()
		got := arrived(blue, func() { red.send(frames...) }, func() {
			red.send(frame{name: "the mark", src: redMAC, kind: 0x88b5})
		}, "the mark", names)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", what, diff)
		}
	}
	check("without rules", badFrames, bad, bad)
	host := nft.Antispoof{Port: "veth-red"}
	m := nft.MAC(mac(redMAC))
	w.apply(nil, []nft.Rule{host, nft.PortAddress{Port: "veth-red", MAC: m},
		nft.PortAddress{Port: "veth-red", MAC: m, Addr: addr("192.168.15.2")},
		nft.PortAddress{Port: "veth-red", MAC: m, Addr: addr("fd00:15::2")}})
	check("forbidden", badFrames, bad, nil)
	check("permitted", permitted, good, good)
	for _, f := range forbidden {
		w.withoutRule("vnet", f.chain, f.rule, func() {
			var names []string
			for _, f := range f.frames {
				names = append(names, f.name)
			}
			check("without "+f.rule, badFrames, bad, names)
		})
	}
	routed := namesOf("host_port")
	w.apply([]nft.Rule{host}, []nft.Rule{nft.Antispoof{Port: "veth-red", Routes: true}})
	check("router", badFrames, bad, routed)
	w.apply([]nft.Rule{nft.Antispoof{Port: "veth-red", Routes: true}},
		[]nft.Rule{nft.Antispoof{Port: "veth-red", Routes: true, Gateway: true}})
	check("gateway", badFrames, bad, append(namesOf("router_port"), routed...))
	check("gateway, permitted", permitted, good, good)
}

// namesOf returns the names of the frames that a chain drops.
func namesOf(chain string) (names []string) {
	for _, f := range forbidden {
		for _, frame := range f.frames {
			if f.chain == chain {
				names = append(names, frame.name)
			}
		}
	}
	return names
}
