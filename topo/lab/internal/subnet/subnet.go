// Package subnet knows the addresses of subnets: the first and the last one for a host, and those that no
// host can have.
package subnet

import "net/netip"

// Of returns the subnet that contains a, or an invalid prefix.
func Of(a netip.Addr, subnets []netip.Prefix) netip.Prefix {
	for _, p := range subnets {
		if p.Contains(a) {
			return p
		}
	}
	return netip.Prefix{}
}

// Within returns the addresses that are in one of the subnets, with the prefix
// length of the subnet.
func Within(addrs []netip.Addr, subnets []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range addrs {
		if p := Of(a, subnets); p.IsValid() {
			out = append(out, netip.PrefixFrom(a, p.Bits()))
		}
	}
	return out
}

// First returns the first address of s for a host: not the network address,
// except in a point-to-point subnet (/31, /127) or for a single address.
func First(s netip.Prefix) netip.Addr {
	if HostBits(s) <= 1 {
		return s.Addr()
	}
	return s.Addr().Next()
}

// Last returns the last address of s for a host: not the broadcast address.
func Last(s netip.Prefix) netip.Addr {
	b := s.Addr().AsSlice()
	for i := s.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	if s.Addr().Is4() && HostBits(s) > 1 {
		return a.Prev()
	}
	return a
}

// HostBits returns the number of bits after the prefix length.
func HostBits(s netip.Prefix) int { return s.Addr().BitLen() - s.Bits() }

// notUnicast are the addresses that no link can have, and what they are. The kernel refuses them, or drops packets
// from and to them.
var notUnicast = []struct {
	prefix netip.Prefix
	kind   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast"},
	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}

// Kind returns what an address is; "" if a link can have it.
func Kind(a netip.Addr) string { return KindIn(netip.PrefixFrom(a, a.BitLen())) }

// KindForNAT returns what an address is; "" if NAT can translate to it. Link-local IPv6 addresses are valid on one link
// only.
func KindForNAT(a netip.Addr) string {
	if a.Is6() && a.IsLinkLocalUnicast() {
		return "link-local"
	}
	return Kind(a)
}

// KindIn returns what an address in p is; "" if links can have all of them.
func KindIn(p netip.Prefix) string {
	for _, special := range notUnicast {
		limited := special.kind != "broadcast" || p.IsSingleIP() // the last subnet has this address in any case
		if limited && special.prefix.Overlaps(p) {
			return special.kind
		}
	}
	return ""
}
