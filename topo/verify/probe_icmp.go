package verify

import (
	"encoding/binary"
	"net/netip"
)

// Types of ICMP (RFC 792) and ICMPv6 (RFC 4443) messages.
const (
	icmpEchoReply   = 0
	icmpUnreachable = 3
	icmpRedirect    = 5
	icmpEcho        = 8
	icmpExceeded    = 11

	icmp6Unreachable = 1
	icmp6TooBig      = 2
	icmp6Exceeded    = 3
	icmp6Echo        = 128
	icmp6EchoReply   = 129
)

// An icmpMeaning says what an ICMP type and code mean.
type icmpMeaning struct {
	text    string
	refusal bool // a host or a firewall rejected the packet; false: the packet could not be delivered
}

var icmpCodes = map[[2]byte]icmpMeaning{
	{icmpUnreachable, 0}:  {"network unreachable", false},
	{icmpUnreachable, 1}:  {"host unreachable", false},
	{icmpUnreachable, 2}:  {"protocol unreachable", true},
	{icmpUnreachable, 3}:  {"port unreachable", true},
	{icmpUnreachable, 4}:  {"packet too big, fragmentation needed", false},
	{icmpUnreachable, 5}:  {"source route failed", false},
	{icmpUnreachable, 9}:  {"network administratively prohibited", true},
	{icmpUnreachable, 10}: {"host administratively prohibited", true},
	{icmpUnreachable, 13}: {"administratively prohibited", true},
	{icmpExceeded, 0}:     {"time to live exceeded (routing loop?)", false},
	{icmpExceeded, 1}:     {"fragment reassembly time exceeded", false},
}

var icmp6Codes = map[[2]byte]icmpMeaning{
	{icmp6Unreachable, 0}: {"no route", false},
	{icmp6Unreachable, 1}: {"administratively prohibited", true},
	{icmp6Unreachable, 2}: {"beyond scope of source address", false},
	{icmp6Unreachable, 3}: {"address unreachable", false},
	{icmp6Unreachable, 4}: {"port unreachable", true},
	{icmp6Unreachable, 5}: {"source address failed policy", true},
	{icmp6Unreachable, 6}: {"route rejected", true},
	{icmp6TooBig, 0}:      {"packet too big", false},
	{icmp6Exceeded, 0}:    {"hop limit exceeded (routing loop?)", false},
	{icmp6Exceeded, 1}:    {"fragment reassembly time exceeded", false},
}

// lookupICMP returns the meaning of an error of ICMP (v4) or ICMPv6; false if it is unknown.
func lookupICMP(v4 bool, typ, code byte) (icmpMeaning, bool) {
	codes := icmp6Codes
	if v4 {
		codes = icmpCodes
	}
	meaning, ok := codes[[2]byte{typ, code}]
	return meaning, ok
}

// An icmpMessage is an echo request, an echo reply, or an error about a request.
type icmpMessage struct {
	typ, code byte
	id, seq   uint16 // of the echo request or reply
	nonce     uint64 // of an echo request or reply; an error may quote too few bytes to have it
	from      netip.Addr
}

const (
	icmpHeader = 8 // type, code, checksum, and four bytes that depend on the type
	nonceLen   = 8 // the payload of an echo request begins with the nonce
	ipv4Header = 20
	ipv6Header = 40
)

// appendEcho appends an echo request of ICMP (v4) or ICMPv6. size is that of the packet with its IP
// header, in bytes; 0 means as small as possible. The kernel fills in the checksum of ICMPv6.
func appendEcho(b []byte, v4 bool, id, seq uint16, nonce uint64, size int) []byte {
	typ, overhead := byte(icmp6Echo), ipv6Header
	if v4 {
		typ, overhead = icmpEcho, ipv4Header
	}
	start := len(b)
	b = append(b, typ, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, id)
	b = binary.BigEndian.AppendUint16(b, seq)
	b = binary.BigEndian.AppendUint64(b, nonce)
	if pad := size - overhead - icmpHeader - nonceLen; pad > 0 {
		b = append(b, make([]byte, pad)...)
	} else if size > 0 {
		b = b[:start+max(size-overhead, icmpHeader)]
	}
	if v4 {
		binary.BigEndian.PutUint16(b[start+2:], internetChecksum(b[start:]))
	}
	return b
}

// parseICMP parses what a raw socket receives: with the IP header for IPv4, without it for IPv6. It
// does not set from. It returns false for messages that do not concern a probe.
func parseICMP(v4 bool, b []byte) (icmpMessage, bool) {
	if v4 {
		if len(b) < ipv4Header || len(b) < int(b[0]&0xf)*4 {
			return icmpMessage{}, false
		}
		b = b[int(b[0]&0xf)*4:]
	}
	if len(b) < icmpHeader {
		return icmpMessage{}, false
	}
	m := icmpMessage{typ: b[0], code: b[1]}
	if !isEcho(v4, m.typ) {
		if _, ok := lookupICMP(v4, m.typ, m.code); !ok {
			return icmpMessage{}, false
		}
		var ok bool
		if b, ok = quotedEcho(v4, b[icmpHeader:]); !ok {
			return icmpMessage{}, false
		}
	}
	m.id, m.seq = binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:])
	if len(b) >= icmpHeader+nonceLen {
		m.nonce = binary.BigEndian.Uint64(b[icmpHeader:])
	}
	return m, true
}

func isEcho(v4 bool, typ byte) bool {
	if v4 {
		return typ == icmpEcho || typ == icmpEchoReply
	}
	return typ == icmp6Echo || typ == icmp6EchoReply
}

// quotedEcho returns the echo request that an error quotes.
func quotedEcho(v4 bool, b []byte) ([]byte, bool) {
	skip, request := ipv6Header, byte(icmp6Echo)
	if v4 {
		if len(b) < ipv4Header || b[9] != 1 { // IPPROTO_ICMP
			return nil, false
		}
		skip, request = int(b[0]&0xf)*4, icmpEcho
	}
	if len(b) < skip+icmpHeader || b[skip] != request {
		return nil, false
	}
	return b[skip:], true
}

// internetChecksum returns the checksum of RFC 1071.
func internetChecksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
