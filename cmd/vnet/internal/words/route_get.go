package words

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/names"
	"github.com/vnet-lab/vnet/rtnl"
)

// A RouteGet is the lookup of route get. Links are names here; the caller looks them up.
type RouteGet struct {
	Query rtnl.RouteQuery
	// Dst is the destination as given. Its prefix length is ignored.
	Dst netip.Prefix
	// InDev and OutDev are the incoming and outgoing link; "" is any. If VRF is set, OutDev must be a VRF.
	InDev, OutDev string
	VRF           bool
	// Connected repeats the lookup with the source address of the first answer.
	Connected bool
	// Help reports whether the words ask for help.
	Help bool
}

type routeGetReader struct {
	*Words
	RouteGet
	family int
	dst    Prefix
	hasDst bool
}

// routeGetKeywords are in the order in which ip(8) matches abbreviations.
var routeGetKeywords = []keyword[routeGetReader]{
	{"tos", false, func(q *routeGetReader, word string) { q.Query.TOS = uint8(q.named(word, names.DSFields)) }},
	{"dsfield", true, func(q *routeGetReader, word string) { q.Query.TOS = uint8(q.named(word, names.DSFields)) }},
	{"from", true, (*routeGetReader).readFrom},
	{"iif", true, func(q *routeGetReader, word string) { q.InDev = q.Value(word) }},
	{"mark", true, func(q *routeGetReader, word string) { q.Query.Mark = uint32(q.number(word, 1<<32-1)) }},
	{"oif", true, func(q *routeGetReader, word string) { q.OutDev = q.Value(word) }},
	{"dev", false, func(q *routeGetReader, word string) { q.OutDev = q.Value(word) }},
	{"notify", true, func(q *routeGetReader, _ string) { q.Query.Notify = true }},
	{"connected", true, func(q *routeGetReader, _ string) { q.Connected = true }},
	{"vrf", true, func(q *routeGetReader, word string) { q.OutDev, q.VRF = q.Value(word), true }},
	{"uid", true, func(q *routeGetReader, word string) {
		uid := uint32(q.number(word, 1<<32-1))
		q.Query.UID = &uid
	}},
	{"fibmatch", true, func(q *routeGetReader, _ string) { q.Query.FIBMatch = true }},
	{"sport", true, func(q *routeGetReader, word string) { q.Query.SrcPort = uint16(q.number(word, 1<<16-1)) }},
	{"dport", true, func(q *routeGetReader, word string) { q.Query.DstPort = uint16(q.number(word, 1<<16-1)) }},
	{"ipproto", true, (*routeGetReader).readProtocol},
	{"flowlabel", false, func(q *routeGetReader, word string) { q.Query.FlowLabel = uint32(q.number(word, 1<<20-1)) }},
}

// RouteGet parses the words after route get. family is the family of the options; 0 is any.
func (w *Words) RouteGet(family int) RouteGet {
	q := &routeGetReader{Words: w, family: family}
	for q.More() && !q.Help {
		if k := find(routeGetKeywords, q.Peek()); k != nil {
			k.read(q, q.Next())
			continue
		}
		q.Take("to")
		word := q.Peek()
		if q.Help = Short(word, "help"); !q.Help {
			q.dst, q.hasDst = q.prefix(q.Value("to")), true
			q.suggest(word, keywordNames(routeGetKeywords))
		}
	}
	if !q.hasDst && !q.Help && q.Err == nil {
		q.Err = &Error{Text: "the destination address is missing", Hint: "vnet route get ADDRESS", Status: 1}
	}
	if q.family == 0 {
		q.family = unix.AF_INET
	}
	q.Dst = q.dst.Of(q.family)
	q.Query.Dst = q.Dst.Addr()
	return q.RouteGet
}

func (q *routeGetReader) readFrom(word string) {
	if q.Help = Short(q.Peek(), "help"); !q.Help {
		q.Query.Src = q.prefix(q.Value(word)).Addr()
	}
}

func (q *routeGetReader) prefix(word string) Prefix {
	if q.Err != nil {
		return Prefix{}
	}
	p, ok := parsePrefix(word, q.family)
	if !ok {
		q.failAddr(q.family, "address", word)
	}
	if q.family == 0 {
		q.family = p.Family
	}
	return p
}

// ipProtocols are the protocols that a route lookup can depend on, and some more; protocols(5).
var ipProtocols = map[string]uint8{
	"icmp": unix.IPPROTO_ICMP, "igmp": unix.IPPROTO_IGMP, "tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP,
	"ipv6-icmp": unix.IPPROTO_ICMPV6, "gre": unix.IPPROTO_GRE, "esp": unix.IPPROTO_ESP, "ah": unix.IPPROTO_AH,
	"sctp": unix.IPPROTO_SCTP, "udplite": unix.IPPROTO_UDPLITE,
}

func (q *routeGetReader) readProtocol(word string) {
	value := q.Value(word)
	protocol, ok := ipProtocols[value]
	if n, isNumber := Number(value, 255); !ok && isNumber {
		protocol, ok = uint8(n), true
	}
	if !ok {
		q.Fail("ipproto %q is unknown", value)
	}
	q.Query.Protocol = protocol
}
