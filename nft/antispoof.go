package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Antispoof restricts the frames that come in by a port of a bridge to those of the port's [PortAddress] rules:
//   - the source MAC address of all frames, and the sender's addresses in ARP
//   - the source address of IP packets; 0.0.0.0, ::, and the link-local address that follows from the MAC address pass
//   - the target of neighbour advertisements, and of probes for a duplicate address
//
// Router advertisements, redirects and packets of DHCP servers are dropped, and so are frames with a VLAN tag: the
// rules do not see what is behind the tag.
type Antispoof struct {
	Port string // the name of the port's link
	// Routes lets the port send IP packets from any source: a router forwards the packets of others.
	Routes bool
	// Gateway also lets it send router advertisements, redirects and packets of DHCP servers. It needs Routes.
	Gateway bool
}

// String returns the element in nft's syntax: element host_port { "red-eth0" }.
func (a Antispoof) String() string { return fmt.Sprintf("element %s { %q }", a.set(), a.Port) }

// Check returns an error if the rule is invalid.
func (a Antispoof) Check() error {
	err := checkLink(a.Port)
	if err == nil && a.Gateway && !a.Routes {
		err = errors.New("the field Gateway needs the field Routes")
	}
	return invalid(a, err)
}

func (a Antispoof) set() string {
	switch {
	case a.Gateway:
		return "gateway_port"
	case a.Routes:
		return "router_port"
	}
	return "host_port"
}

func (a Antispoof) elements() []element { return []element{{set: a.set(), key: encodeName(a.Port)}} }

func decodeAntispoof(e element, _ set) (Rule, error) {
	return Antispoof{decodeName(e.key), e.set != "host_port", e.set == "gateway_port"}, nil
}

// PortAddress is an address that the frames of a port with [Antispoof] may have.
type PortAddress struct {
	Port string // the name of the port's link
	MAC  MAC
	// Addr is an IP address that MAC may have. The zero Addr means MAC itself, with the addresses that every host may
	// use: see [Antispoof].
	Addr netip.Addr
}

// String returns the element in nft's syntax: element source4 { "red-eth0" . 02:00:00:00:00:01 . 10.0.0.2 }.
func (p PortAddress) String() string {
	e := p.elements()[0]
	return "element " + e.set + " { " + e.text(setNamed(e.set)) + " }"
}

// Check returns an error if the rule is invalid.
func (p PortAddress) Check() error {
	err := checkLink(p.Port)
	switch {
	case err != nil:
	case p.MAC == MAC{} || p.MAC[0]&1 != 0:
		err = fmt.Errorf("%s is not the address of a link", p.MAC)
	case p.Addr.Is4In6() || p.Addr.Zone() != "" || p.Addr.IsMulticast():
		err = fmt.Errorf("%s is not an address of a host", p.Addr)
	case p.isImplied():
		err = fmt.Errorf("the rule for %s already allows %s", p.MAC, p.Addr)
	}
	return invalid(p, err)
}

// isImplied reports whether the rule for the MAC address allows the address.
func (p PortAddress) isImplied() bool {
	return p.Addr.IsValid() && (p.Addr.IsUnspecified() || p.Addr == p.MAC.linkLocal())
}

// linkLocal returns the link-local address that follows from the MAC address; RFC 4291, appendix A.
func (m MAC) linkLocal() netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
}

func (p PortAddress) elements() []element {
	e := element{set: "port_mac", key: encodeName(p.Port) + string(p.MAC[:]) + "\x00\x00"}
	if p.Addr.IsValid() {
		e.set = "source" + familyDigit(p.Addr)
		e.key += string(p.Addr.AsSlice())
	}
	return []element{e}
}

// helperElements returns the other elements that the rule needs.
func (p PortAddress) helperElements() (all []element) {
	addrs := []netip.Addr{p.Addr}
	if !p.Addr.IsValid() {
		addrs = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified(), p.MAC.linkLocal()}
	}
	for _, a := range addrs {
		all = append(all, PortAddress{p.Port, p.MAC, a}.elements()[0])
		if a.Is6() && !a.IsUnspecified() {
			all = append(all, element{set: "nd_target", key: encodeName(p.Port) + string(a.AsSlice())})
		}
	}
	return all
}

// decodePortAddress returns nil for the elements that belong to the rule for a MAC address.
func decodePortAddress(e element, _ set) (Rule, error) {
	p := PortAddress{Port: decodeName(e.key), MAC: decodeMAC(e.key[nameSize:])}
	p.Addr, _ = netip.AddrFromSlice([]byte(e.key[nameSize+etherAddr.padded():]))
	if p.isImplied() {
		return nil, nil
	}
	return p, nil
}

func antispoofSets() []set {
	return []set{
		{name: "host_port", key: []*field{ifname}, decode: decodeAntispoof},
		{name: "router_port", key: []*field{ifname}, decode: decodeAntispoof},
		{name: "gateway_port", key: []*field{ifname}, decode: decodeAntispoof},
		{name: "port_mac", key: []*field{ifname, etherAddr}, decode: decodePortAddress},
		{name: "source4", key: []*field{ifname, etherAddr, ipv4Addr}, decode: decodePortAddress},
		{name: "source6", key: []*field{ifname, etherAddr, ipv6Addr}, decode: decodePortAddress},
		{name: "nd_target", key: []*field{ifname, ndTarget}},
	}
}

// hasAntispoof reports whether a table has ports with [Antispoof].
func hasAntispoof(sets map[string]bool) bool {
	return sets["host_port"] || sets["router_port"] || sets["gateway_port"]
}

// antispoofRules returns the rules that send the frames of each kind of port through the chain for this kind. first are
// conditions for the frames. At the prerouting hook, the rules run before br_netfilter and before the bridge learns the
// source address. Frames to the reserved group addresses pass the input hook only: see [spoofInputRules].
func antispoofRules(sets map[string]bool, first ...*statement) (rules []rule) {
	for _, chain := range []string{"host_port", "router_port", "gateway_port"} {
		if sets[chain] {
			r := append(slices.Clone(first), inSet(chain, iif), &statement{verb: jump, name: chain})
			rules = append(rules, r)
		}
	}
	return rules
}

// hostPortRules are the rules for ports whose host does not route.
func hostPortRules(sets map[string]bool) []rule {
	if !hasAntispoof(sets) {
		return nil
	}
	return []rule{
		{isProtocol(etherIPv4), notInSet("source4", iif, etherSaddr, saddr4), {verb: drop}},
		{isProtocol(etherIPv6), notInSet("source6", iif, etherSaddr, saddr6), {verb: drop}},
		{{verb: jump, name: "router_port"}},
	}
}

// routerPortRules are the rules for ports of hosts that are not the gateway.
func routerPortRules(sets map[string]bool) []rule {
	if !hasAntispoof(sets) {
		return nil
	}
	return append(append([]rule{{{verb: jump, name: "gateway_port"}}}, laterFragments()...), []rule{
		append(isICMPv6(routerAdvert), &statement{verb: drop}),
		append(isICMPv6(redirect), &statement{verb: drop}),
		{isFrame(etherIPv4), isICMP, is(one(icmpType), redirect4), {verb: drop}},
		{isUDP, is(one(udpSport), dhcpServer), {verb: drop}},
		{isUDP, is(one(udpDport), dhcpClient), {verb: drop}},
		{isUDP, is(one(udpSport), dhcpServer6), {verb: drop}},
		{isUDP, is(one(udpDport), dhcpClient6), {verb: drop}},
	}...)
}

// laterFragments returns the rules for all fragments of an IP packet except the first: they do not have the header of
// the protocol. Some kernels take their data for this header.
func laterFragments() []rule {
	return []rule{
		{isProtocol(etherIPv4), isNot(one(fragmentOffset4), value{text: "0", bytes: "\x00\x00", mask: "\x1f\xff"}),
			{verb: ret}},
		{isFrame(etherIPv6), isNot(one(fragmentOffset6), value{text: "0", bytes: "\x00\x00", mask: "\xff\xf8"}),
			{verb: ret}},
	}
}

// gatewayPortRules are the rules for all ports.
func gatewayPortRules(sets map[string]bool) []rule {
	if !hasAntispoof(sets) {
		return nil
	}
	probe := append(isICMPv6(neighborSolicit), is(one(saddr6), unspecified6))
	return slices.Concat([]rule{
		{isFrameShown(etherVLAN), {verb: drop}},
		{isFrameShown(etherQinQ), {verb: drop}},
		{notInSet("port_mac", iif, etherSaddr), {verb: drop}},
		{isFrame(etherARP), notInSet("source4", iif, arpSaddrEther, arpSaddr), {verb: drop}},
		{isFrame(etherARP), is(one(arpSaddr), unspecified4),
			notInSet("source4", iif, arpSaddrEther, arpDaddr), {verb: drop}},
	}, laterFragments(), []rule{
		append(isICMPv6(neighborAdvert), notInSet("nd_target", iif, ndTargetAddr), &statement{verb: drop}),
		append(probe, notInSet("nd_target", iif, ndTargetAddr), &statement{verb: drop}),
	})
}

// isFrame matches frames of an Ethernet type. nft adds it before statements about the type's header.
func isFrame(v value) *statement {
	s := isFrameShown(v)
	s.implicit = true
	return s
}

// isProtocol does the same for statements about headers of several layers. It ignores a VLAN tag.
func isProtocol(v value) *statement {
	return &statement{verb: equal, loads: []load{protocol}, value: v, implicit: true}
}

func isFrameShown(v value) *statement { return is(one(etherKind), v) }

// isUDP matches UDP packets. nft adds it before statements about UDP's header.
var isUDP = &statement{verb: equal, loads: []load{l4proto}, value: value{bytes: "\x11"}, implicit: true}

// isICMP matches ICMP messages over IPv4. nft adds it before statements about ICMP's header.
var isICMP = &statement{verb: equal, loads: []load{l4proto}, value: value{bytes: "\x01"}, implicit: true}

// isICMPv6 matches ICMPv6 messages of a type.
func isICMPv6(v value) rule {
	return rule{isFrame(etherIPv6),
		{verb: equal, loads: []load{l4proto}, value: value{bytes: "\x3a"}, implicit: true}, is(one(icmpv6Type), v)}
}

var (
	etherIPv4 = value{text: "ip", bytes: "\x08\x00"}
	etherARP  = value{text: "arp", bytes: "\x08\x06"}
	etherIPv6 = value{text: "ip6", bytes: "\x86\xdd"}
	etherVLAN = value{text: "8021q", bytes: "\x81\x00"}
	etherQinQ = value{text: "8021ad", bytes: "\x88\xa8"}

	// Types of ICMPv6; RFC 4861.
	routerAdvert    = value{text: "nd-router-advert", bytes: "\x86"}
	neighborSolicit = value{text: "nd-neighbor-solicit", bytes: "\x87"}
	neighborAdvert  = value{text: "nd-neighbor-advert", bytes: "\x88"}
	redirect        = value{text: "nd-redirect", bytes: "\x89"}

	redirect4 = value{text: "redirect", bytes: "\x05"} // type of ICMP; RFC 792

	dhcpServer  = value{text: "67", bytes: "\x00\x43"}
	dhcpClient  = value{text: "68", bytes: "\x00\x44"}
	dhcpServer6 = value{text: "547", bytes: "\x02\x23"}
	dhcpClient6 = value{text: "546", bytes: "\x02\x22"}

	unspecified4 = value{text: "0.0.0.0", bytes: "\x00\x00\x00\x00"}
	unspecified6 = value{text: "::", bytes: string(make([]byte, 16))}
)
