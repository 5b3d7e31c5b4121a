package nft

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// A rule is a list of statements. The kernel runs them from left to right, until one does not match.
type rule []*statement

// A statement is one step of a rule. Only the fields that its verb needs are set.
type statement struct {
	verb  verb
	loads []load // compared, or used as the key of a lookup
	value value  // compared with loads[0]
	name  string // of the set or map of a lookup, or of the target chain of a jump; the flag of masquerade
	ipv6  bool   // address family of dnat and snat
	// implicit statements are not printed: nft adds them by itself before statements that depend on them.
	implicit bool
}

type verb int

const (
	equal      verb = iota // continue if loads[0] is value
	notEqual               // continue if loads[0] is not value
	lookup                 // continue if loads are in the set
	lookupNot              // continue if loads are not in the set
	add                    // add loads to the set
	dnat                   // translate the destination to the map's data for loads
	snat                   // translate the source to the map's data for loads
	masquerade             // translate the source to an address of the output link
	accept
	drop
	ret     // return
	setTo   // set loads[0] to value
	offload // add the connection to the flowtable
	jump
)

// A load is a property of a packet that the kernel loads into registers.
type load int

const (
	iif load = iota
	oif
	iifIndex
	family
	saddr4
	daddr4
	saddr6
	daddr6
	l4proto
	dport
	ctState     // state bits of the packet in its connection, such as "established"
	ctStatus    // status bits of the connection, such as "dnat"
	ctDirection // of the packet in its connection
	saddrType
	daddrType
	saddrTypeOnOut // the type of the source address on the output link
	saddrRoute     // the name of the link through which packets to the source address leave
	saddrLink      // the index of the input link if packets to the source address leave through it; else 0
	iifType        // ARPHRD_* of <linux/if_arp.h>
	iifKind        // the kind of the input link, such as "bridge"
	iifGroup
	oifGroup
	protocol // the Ethernet type after a VLAN tag
	etherSaddr
	etherKind // the Ethernet type; that of the VLAN tag if there is one
	arpSaddrEther
	arpSaddr
	arpDaddr
	fragmentOffset4
	fragmentOffset6
	icmpType
	icmpv6Type
	ndTargetAddr // of neighbour solicitations and advertisements
	udpSport
	udpDport
	packetType // PACKET_* of <linux/if_packet.h>
	etherDaddr
	etherHeader // the first bytes of a frame's Ethernet header; packets of this namespace have no such header yet
)

// loadText contains nft's keyword for each load.
var loadText = map[load]string{
	iif: "iifname", oif: "oifname", iifIndex: "iif", family: "meta nfproto",
	saddr4: "ip saddr", daddr4: "ip daddr", saddr6: "ip6 saddr", daddr6: "ip6 daddr",
	l4proto: "meta l4proto", dport: "th dport", ctState: "ct state", ctStatus: "ct status",
	ctDirection: "ct direction", saddrType: "fib saddr type", daddrType: "fib daddr type",
	saddrTypeOnOut: "fib saddr . oif type", saddrRoute: "fib saddr oifname", saddrLink: "fib saddr . iif oif",
	iifType: "meta iiftype",
	iifKind: "meta iifkind", iifGroup: "iifgroup", oifGroup: "oifgroup", packetType: "meta pkttype",
	protocol: "meta protocol", etherSaddr: "ether saddr", etherKind: "ether type",
	arpSaddrEther: "arp saddr ether", arpSaddr: "arp saddr ip", arpDaddr: "arp daddr ip",
	icmpType: "icmp type", icmpv6Type: "icmpv6 type", fragmentOffset4: "ip frag-off & 8191",
	fragmentOffset6: "frag frag-off", ndTargetAddr: "@th,64,128", udpSport: "udp sport", udpDport: "udp dport",
	etherDaddr: "ether daddr", etherHeader: "@ll,0,48",
}

// A value is a constant that a load is compared with.
type value struct {
	text  string
	bytes string // for a prefix, only its first bytes
	mask  string // the compared bits; "" means all
	bits  bool   // a set of bits: equal if the load has one of those in mask
}

var (
	loName     = value{text: `"lo"`, bytes: "lo\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"}
	noLink     = value{text: "0", bytes: "\x00\x00\x00\x00"}
	noHeader   = value{text: "0x0", bytes: "\x00\x00\x00\x00\x00\x00"}
	isIPv4     = value{text: "ipv4", bytes: "\x02"}
	isIPv6     = value{text: "ipv6", bytes: "\x0a"}
	loopback4  = value{text: "127.0.0.0/8", bytes: "\x7f"}
	loopback6  = value{text: "::1", bytes: strings.Repeat("\x00", 15) + "\x01"}
	multicast4 = value{text: "224.0.0.0/24", bytes: "\xe0\x00\x00"}
	broadcast4 = value{text: "255.255.255.255", bytes: "\xff\xff\xff\xff"}
	multicast6 = value{text: "ff02::/16", bytes: "\xff\x02"}

	localType  = number("local", 2)             // RTN_LOCAL of <linux/rtnetlink.h>
	statusSNAT = bits("snat", 1<<4)             // IPS_SRC_NAT of <linux/netfilter/nf_conntrack_common.h>
	statusDNAT = bits("dnat", 1<<5)             // IPS_DST_NAT
	knownState = bits("established,related", 6) // NF_CT_STATE_BIT of the same file
	// reservedGroup are the MAC addresses that bridges do not pass on; IEEE 802.1D, table 7-10.
	reservedGroup = value{text: "& ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00", bytes: "\x01\x80\xc2\x00\x00\x00",
		mask: "\xff\xff\xff\xff\xff\xf0"}
	inReply    = value{text: "reply", bytes: "\x01"}
	bridgeKind = value{text: `"bridge"`, bytes: encodeName("bridge")}
	etherType  = value{text: "ether", bytes: string(binary.NativeEndian.AppendUint16(nil, 1))} // ARPHRD_ETHER
	toHost     = value{text: "host", bytes: "\x00"}                                            // PACKET_HOST
	toOther    = value{text: "other", bytes: "\x03"}                                           // PACKET_OTHERHOST
	labLinks   = number(strconv.Itoa(LinkGroup), LinkGroup)
)

// number returns a value of 32 bits in host byte order.
func number(text string, v uint32) value { return value{text: text, bytes: string(native32(v))} }

// bits returns a set of bits in host byte order.
func bits(text string, v uint32) value {
	return value{text: text, mask: string(native32(v)), bits: true}
}

func native32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

var (
	matchIPv4 = &statement{verb: equal, loads: []load{family}, value: isIPv4, implicit: true}
	matchIPv6 = &statement{verb: equal, loads: []load{family}, value: isIPv6, implicit: true}
)

func matchFamily(ipv6, implicit bool) *statement {
	s := *matchIPv4
	if ipv6 {
		s = *matchIPv6
	}
	s.implicit = implicit
	return &s
}

func one(l load) []load { return []load{l} }

func is(l []load, v value) *statement    { return &statement{verb: equal, loads: l, value: v} }
func isNot(l []load, v value) *statement { return &statement{verb: notEqual, loads: l, value: v} }
func inSet(set string, l ...load) *statement {
	return &statement{verb: lookup, loads: l, name: set}
}
func notInSet(set string, l ...load) *statement {
	return &statement{verb: lookupNot, loads: l, name: set}
}

// String prints the rule as nft does.
func (r rule) String() string {
	var parts []string
	for _, s := range r {
		if !s.implicit {
			parts = append(parts, s.String())
		}
	}
	return strings.Join(parts, " ")
}

// String prints the statement as nft does.
func (s *statement) String() string {
	parts := make([]string, len(s.loads))
	for i, l := range s.loads {
		parts[i] = loadText[l]
	}
	loads, ip := strings.Join(parts, " . "), "ip"
	if s.ipv6 {
		ip = "ip6"
	}
	switch s.verb {
	case equal:
		return loads + " " + s.value.text
	case notEqual:
		if s.value.bits { // none of the bits is set
			return loads + " ! " + s.value.text
		}
		return loads + " != " + s.value.text
	case lookup:
		return loads + " @" + s.name
	case lookupNot:
		return loads + " != @" + s.name
	case add:
		return fmt.Sprintf("add @%s { %s }", s.name, loads)
	case dnat:
		return fmt.Sprintf("dnat %s to %s map @%s", ip, loads, s.name)
	case snat:
		return fmt.Sprintf("snat %s to %s map @%s", ip, loads, s.name)
	case masquerade:
		return strings.TrimSuffix("masquerade "+s.name, " ")
	case accept:
		return "accept"
	case drop:
		return "drop"
	case ret:
		return "return"
	case setTo:
		return loads + " set " + s.value.text
	case offload:
		return "flow add @" + s.name
	}
	return "jump " + s.name
}
