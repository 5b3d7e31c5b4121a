package words

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/names"
	"github.com/vnet-lab/vnet/rtnl"
)

// A RouteQuestion asks which way a packet would go, with the links still by name.
type RouteQuestion struct {
	Query rtnl.RouteQuery
	// Dst is as it was written: its length is not heeded.
	Dst netip.Prefix
	// InDev and OutDev are where the packet comes in and has to go out; "" is not
	// said. VRF says that OutDev has to be one.
	InDev, OutDev string
	VRF           bool
	// Connected asks once more, from the address that the first answer chose.
	Connected bool
	// Help says that help was asked for instead.
	Help bool
}

type questionReader struct {
	*Words
	RouteQuestion
	family int
	dst    Prefix
	hasDst bool
}

// questionKeywords are in the order in which ip(8) tries them.
var questionKeywords = []keyword[questionReader]{
	{"tos", false, func(q *questionReader, word string) { q.Query.TOS = uint8(q.named(word, names.DSFields)) }},
	{"dsfield", true, func(q *questionReader, word string) { q.Query.TOS = uint8(q.named(word, names.DSFields)) }},
	{"from", true, (*questionReader).readFrom},
	{"iif", true, func(q *questionReader, word string) { q.InDev = q.Value(word) }},
	{"mark", true, func(q *questionReader, word string) { q.Query.Mark = uint32(q.number(word, 1<<32-1)) }},
	{"oif", true, func(q *questionReader, word string) { q.OutDev = q.Value(word) }},
	{"dev", false, func(q *questionReader, word string) { q.OutDev = q.Value(word) }},
	{"notify", true, func(q *questionReader, _ string) { q.Query.Notify = true }},
	{"connected", true, func(q *questionReader, _ string) { q.Connected = true }},
	{"vrf", true, func(q *questionReader, word string) { q.OutDev, q.VRF = q.Value(word), true }},
	{"uid", true, func(q *questionReader, word string) {
		uid := uint32(q.number(word, 1<<32-1))
		q.Query.UID = &uid
	}},
	{"fibmatch", true, func(q *questionReader, _ string) { q.Query.FIBMatch = true }},
	{"sport", true, func(q *questionReader, word string) { q.Query.SrcPort = uint16(q.number(word, 1<<16-1)) }},
	{"dport", true, func(q *questionReader, word string) { q.Query.DstPort = uint16(q.number(word, 1<<16-1)) }},
	{"ipproto", true, (*questionReader).readProtocol},
	{"flowlabel", false, func(q *questionReader, word string) { q.Query.FlowLabel = uint32(q.number(word, 1<<20-1)) }},
}

// RouteQuestion reads what follows route get. The family is that of the options,
// 0 if they do not say.
func (w *Words) RouteQuestion(family int) RouteQuestion {
	q := &questionReader{Words: w, family: family}
	for q.More() && !q.Help {
		if k := find(questionKeywords, q.Peek()); k != nil {
			k.read(q, q.Next())
			continue
		}
		q.Take("to")
		word := q.Peek()
		if q.Help = Short(word, "help"); !q.Help {
			q.dst, q.hasDst = q.prefix(q.Value("to")), true
			q.suggest(word, keywordNames(questionKeywords))
		}
	}
	if !q.hasDst && !q.Help && q.Err == nil {
		q.Err = &Error{Text: "no destination address", Hint: "vnet route get ADDRESS", Status: 1}
	}
	if q.family == 0 {
		q.family = unix.AF_INET
	}
	q.Dst = q.dst.Of(q.family)
	q.Query.Dst = q.Dst.Addr()
	return q.RouteQuestion
}

func (q *questionReader) readFrom(word string) {
	if q.Help = Short(q.Peek(), "help"); !q.Help {
		q.Query.Src = q.prefix(q.Value(word)).Addr()
	}
}

func (q *questionReader) prefix(word string) Prefix {
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

// ipProtocols are those that a route can depend on, and some more; protocols(5).
var ipProtocols = map[string]uint8{
	"icmp": unix.IPPROTO_ICMP, "igmp": unix.IPPROTO_IGMP, "tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP,
	"ipv6-icmp": unix.IPPROTO_ICMPV6, "gre": unix.IPPROTO_GRE, "esp": unix.IPPROTO_ESP, "ah": unix.IPPROTO_AH,
	"sctp": unix.IPPROTO_SCTP, "udplite": unix.IPPROTO_UDPLITE,
}

func (q *questionReader) readProtocol(word string) {
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
