package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

var (
	errMalformedRule = errors.New("malformed rule message")
	errRuleFamily    = errors.New("neither an IPv4 nor an IPv6 rule")
)

// Rule is a rule of policy routing, which chooses the routing table for a packet; struct
// fib_rule_hdr and the FRA_ attributes of <linux/fib_rules.h>, see ip-rule(8). Zero fields
// match all packets.
//
//	Rule{From: netip.MustParsePrefix("10.0.0.0/8"), Values: map[uint16]uint64{unix.FRA_TABLE: 100}}
//	Rule{In: "eth1", Action: unix.FR_ACT_PROHIBIT, Values: map[uint16]uint64{unix.FRA_PRIORITY: 50}}
type Rule struct {
	// Is6 means that it is a rule for IPv6. Not means that the rule applies to the packets
	// that do not match.
	Is6, Not bool
	// From and To contain the source and the destination address.
	From, To netip.Prefix
	// In and Out are the names of the incoming and of the outgoing link. The links need
	// not exist. For packets that this machine sends, the incoming link is lo.
	In, Out string
	// TOS is the type of service.
	TOS uint8
	// Action is FR_ACT_TO_TBL, FR_ACT_GOTO, FR_ACT_NOP, FR_ACT_BLACKHOLE,
	// FR_ACT_UNREACHABLE or FR_ACT_PROHIBIT; zero is FR_ACT_TO_TBL, and any in
	// [DeleteRule].
	Action uint8
	// Flags are FIB_RULE_UNRESOLVED: the target of goto does not exist, and
	// FIB_RULE_IIF_DETACHED and FIB_RULE_OIF_DETACHED: the link does not exist.
	// Read-only.
	Flags uint32
	// Values has the other attributes by their numbers: FRA_PRIORITY, FRA_FWMARK,
	// FRA_TABLE, FRA_PROTOCOL …. The value of a range (FRA_UID_RANGE, FRA_SPORT_RANGE,
	// FRA_DPORT_RANGE) is first | last<<32. Without FRA_PRIORITY, AddRule puts the rule
	// before all others except the first; without FRA_TABLE, FR_ACT_TO_TBL looks packets
	// up in RT_TABLE_MAIN. In [DeleteRule], a missing value matches any.
	Values map[uint16]uint64
}

// String returns the priority and the addresses as ip-rule(8) writes them, for errors.
func (r Rule) String() string {
	s := "rule"
	if r.Is6 {
		s = "IPv6 rule"
	}
	if n, has := r.Values[unix.FRA_PRIORITY]; has {
		s += fmt.Sprintf(" priority %d", n)
	}
	if r.From.IsValid() {
		s += " from " + r.From.String()
	}
	if r.To.IsValid() {
		s += " to " + r.To.String()
	}
	return s
}

// AddRule adds a rule. If the same rule exists, the error is fs.ErrExist.
func AddRule(r Rule) Request {
	if r.Action == unix.FR_ACT_UNSPEC {
		r.Action = unix.FR_ACT_TO_TBL
	}
	return ruleRequest("add", r, unix.RTM_NEWRULE, netlink.Create|netlink.Excl)
}

// DeleteRule deletes the first rule that has all values of r. If there is none, the error
// is fs.ErrNotExist.
func DeleteRule(r Rule) Request { return ruleRequest("delete", r, unix.RTM_DELRULE, 0) }

func ruleRequest(op string, r Rule, typ netlink.HeaderType, flags netlink.HeaderFlags) Request {
	body, err := encodeRule(r)
	if typ == unix.RTM_NEWRULE && r.Action == unix.FR_ACT_TO_TBL && err == nil {
		_, table := r.Values[unix.FRA_TABLE]
		if _, vrf := r.Values[unix.FRA_L3MDEV]; !table && !vrf {
			body[4] = unix.RT_TABLE_MAIN
		}
	}
	return Request{
		op: op, object: r.String(), err: err,
		msg: netlink.Message{Header: netlink.Header{Type: typ, Flags: flags}, Data: body},
	}
}

// sizeofRuleHdr is the size of struct fib_rule_hdr.
const sizeofRuleHdr = 12

// Attributes of <linux/fib_rules.h> that x/sys does not have.
const (
	fraDSCP          = 25 // FRA_DSCP
	fraFlowLabel     = 26 // FRA_FLOWLABEL
	fraFlowLabelMask = 27 // FRA_FLOWLABEL_MASK
	fraSPortMask     = 28 // FRA_SPORT_MASK
	fraDPortMask     = 29 // FRA_DPORT_MASK
	fraDSCPMask      = 30 // FRA_DSCP_MASK
)

// A ruleValue is the encoding of a value of a rule.
type ruleValue struct {
	bytes     uint8 // the length; of a range, that of both numbers together
	isRange   bool
	bigEndian bool // in network byte order
}

// ruleValues are the encodings by attribute. Other attributes are fields of [Rule], or the
// kernel does not use them.
var ruleValues = [...]ruleValue{
	unix.FRA_GOTO: {bytes: 4}, unix.FRA_PRIORITY: {bytes: 4}, unix.FRA_FWMARK: {bytes: 4}, unix.FRA_FLOW: {bytes: 4},
	unix.FRA_TUN_ID: {bytes: 8, bigEndian: true}, unix.FRA_SUPPRESS_IFGROUP: {bytes: 4},
	unix.FRA_SUPPRESS_PREFIXLEN: {bytes: 4}, unix.FRA_TABLE: {bytes: 4}, unix.FRA_FWMASK: {bytes: 4},
	unix.FRA_L3MDEV: {bytes: 1}, unix.FRA_UID_RANGE: {bytes: 8, isRange: true}, unix.FRA_PROTOCOL: {bytes: 1},
	unix.FRA_IP_PROTO: {bytes: 1}, unix.FRA_SPORT_RANGE: {bytes: 4, isRange: true},
	unix.FRA_DPORT_RANGE: {bytes: 4, isRange: true}, fraDSCP: {bytes: 1}, fraFlowLabel: {bytes: 4, bigEndian: true},
	fraFlowLabelMask: {bytes: 4, bigEndian: true}, fraSPortMask: {bytes: 2}, fraDPortMask: {bytes: 2},
	fraDSCPMask: {bytes: 1},
}

// encode returns a value as it is in a message.
func (v ruleValue) encode(n uint64) []byte {
	switch {
	case v.isRange:
		half := ruleValue{bytes: v.bytes / 2}
		return append(half.encode(n&(1<<32-1)), half.encode(n>>32)...)
	case v.bigEndian:
		return binary.BigEndian.AppendUint64(nil, n)[8-v.bytes:]
	case v.bytes == 1:
		return []byte{uint8(n)}
	case v.bytes == 2:
		return binary.NativeEndian.AppendUint16(nil, uint16(n))
	}
	return binary.NativeEndian.AppendUint32(nil, uint32(n))
}

// decode is the reverse of encode. b must have the length that encode returns.
func (v ruleValue) decode(b []byte) (n uint64) {
	switch {
	case v.isRange:
		half := len(b) / 2
		return uint64(number(b[:half])) | uint64(number(b[half:]))<<32
	case v.bigEndian:
		for _, c := range b {
			n = n<<8 | uint64(c)
		}
		return n
	}
	return uint64(number(b))
}

func ruleHeader(is6 bool) []byte {
	b := make([]byte, sizeofRuleHdr)
	b[0] = unix.AF_INET
	if is6 {
		b[0] = unix.AF_INET6
	}
	return b
}

// encodeRule returns the body of a request. The message type of package rtnetlink cannot
// be used: it has user IDs of 16 bits, and refuses new attributes.
func encodeRule(r Rule) ([]byte, error) {
	b := ruleHeader(r.Is6)
	ae := netlink.NewAttributeEncoder()
	for i, p := range []netip.Prefix{r.To, r.From} { // the order in the header, and of FRA_DST and FRA_SRC
		if p.Bits() <= 0 { // all addresses
			continue
		}
		if p.Addr().Is6() != r.Is6 {
			return nil, fmt.Errorf("%v is not of the address family of the rule", p)
		}
		b[1+i] = uint8(p.Bits())
		ae.Bytes(unix.FRA_DST+uint16(i), p.Addr().AsSlice())
	}
	b[3], b[7] = r.TOS, r.Action
	flags := r.Flags
	if r.Not {
		flags |= unix.FIB_RULE_INVERT
	}
	binary.NativeEndian.PutUint32(b[8:], flags)
	for attr, name := range map[uint16]string{unix.FRA_IIFNAME: r.In, unix.FRA_OIFNAME: r.Out} {
		if name != "" {
			ae.String(attr, name)
		}
	}
	for attr, encoding := range ruleValues {
		n, has := r.Values[uint16(attr)]
		switch {
		case !has || encoding.bytes == 0:
		case attr == unix.FRA_TABLE && n < 256:
			b[4] = uint8(n)
		default:
			ae.Bytes(uint16(attr), encoding.encode(n))
		}
	}
	attrs, err := ae.Encode()
	return append(b, attrs...), err
}

// decodeRule decodes the body of a rule message. It ignores unknown attributes, and
// values of an unknown length.
func decodeRule(b []byte) (Rule, error) {
	if len(b) < sizeofRuleHdr {
		return Rule{}, errMalformedRule
	}
	if b[0] != unix.AF_INET && b[0] != unix.AF_INET6 {
		return Rule{}, errRuleFamily
	}
	ad, err := parseAttributes(b[sizeofRuleHdr:])
	if err != nil {
		return Rule{}, errMalformedRule
	}
	flags := binary.NativeEndian.Uint32(b[8:])
	r := Rule{
		Is6: b[0] == unix.AF_INET6, TOS: b[3], Action: b[7], Not: flags&unix.FIB_RULE_INVERT != 0,
		Flags: flags &^ unix.FIB_RULE_INVERT, Values: map[uint16]uint64{unix.FRA_PRIORITY: 0}, // the kernel leaves out 0
	}
	if b[4] != 0 {
		r.Values[unix.FRA_TABLE] = uint64(b[4])
	}
	ends := [2]netip.Addr{anyAddr(r.Is6), anyAddr(r.Is6)} // to, from
	for ad.Next() {
		switch typ, value := ad.Type(), ad.Bytes(); typ {
		case unix.FRA_DST, unix.FRA_SRC:
			ends[typ-unix.FRA_DST] = routeAddr(r.Is6, value)
		case unix.FRA_IIFNAME:
			r.In = text(value)
		case unix.FRA_OIFNAME:
			r.Out = text(value)
		default:
			r.decodeValue(typ, value)
		}
	}
	for i, p := range []*netip.Prefix{&r.To, &r.From} {
		if bits := int(b[1+i]); bits > 0 {
			*p = netip.PrefixFrom(ends[i], bits)
			if !p.IsValid() {
				return Rule{}, errMalformedRule
			}
		}
	}
	return r, nil
}

func (r *Rule) decodeValue(typ uint16, value []byte) {
	if int(typ) >= len(ruleValues) || len(value) != int(ruleValues[typ].bytes) || len(value) == 0 {
		return
	}
	n := ruleValues[typ].decode(value)
	none := uint64(1<<32 - 1)
	switch {
	case typ == unix.FRA_TABLE && n == 0, typ == unix.FRA_SUPPRESS_PREFIXLEN && n == none,
		typ == unix.FRA_SUPPRESS_IFGROUP && n == none:
	default:
		r.Values[typ] = n
	}
}

// Rules returns the rules of a family in the kernel's order; family zero is both.
func (c *Conn) Rules(family uint8) ([]Rule, error) {
	var rules []Rule
	head := make([]byte, sizeofRuleHdr)
	head[0] = family
	err := c.list("rules", unix.RTM_GETRULE, head, func() { rules = nil }, func(b []byte) error {
		if len(b) > 0 && b[0] != unix.AF_INET && b[0] != unix.AF_INET6 {
			return nil // a rule of multicast routing
		}
		one, err := decodeRule(b)
		rules = append(rules, one)
		return err
	})
	return rules, err
}
