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
// fib_rule_hdr and the FRA_ attributes of <linux/fib_rules.h>, see ip-rule(8).
//
//	Rule{RuleConfig: RuleConfig{From: netip.MustParsePrefix("10.0.0.0/8"), Table: 100}}
type Rule struct {
	RuleConfig
	// HasPriority means that Priority is set. Without it, [AddRule] puts the rule before
	// all others except the first, and [DeleteRule] deletes a rule of any priority.
	// Decoded rules have it.
	HasPriority bool
	// Protocol is the origin of the rule, as for routes; zero is RTPROT_UNSPEC, and any
	// in [DeleteRule].
	Protocol uint8
	// Realms are as in [Route].
	Realms uint32
	// TunnelID is the id of the tunnel that the packet came from; zero is any.
	TunnelID uint64
	// Flags are FIB_RULE_UNRESOLVED: the target of goto does not exist, and
	// FIB_RULE_IIF_DETACHED and FIB_RULE_OIF_DETACHED: the link does not exist.
	// Read-only.
	Flags uint32
}

// RuleConfig has the packets that a rule matches, and what happens to them. Zero fields
// match all packets.
type RuleConfig struct {
	// Priority is the place of the rule; the kernel applies low numbers first.
	Priority uint32
	// Is6 means that it is a rule for IPv6.
	Is6 bool
	// Not means that the rule applies to all packets that do not match.
	Not bool
	// From and To contain the source and the destination address.
	From, To netip.Prefix
	// In and Out are the names of the incoming and of the outgoing link. The links need
	// not exist. Packets that this machine sends come in by lo.
	In, Out string
	// Mark must be equal to the packet's mark in the bits of MarkMask. A zero MarkMask
	// with a Mark is all bits.
	Mark, MarkMask uint32
	// TOS is the type of service.
	TOS uint8
	// IPProto is the protocol: IPPROTO_TCP ….
	IPProto uint8
	// SrcPorts and DstPorts are the first and the last port.
	SrcPorts, DstPorts [2]uint16
	// UIDs are the first and the last user ID of the sender, if HasUIDs.
	UIDs    [2]uint32
	HasUIDs bool
	// L3MDev matches packets of VRFs, and looks them up in the VRF's table.
	L3MDev bool

	// Action is FR_ACT_TO_TBL, FR_ACT_GOTO, FR_ACT_NOP, FR_ACT_BLACKHOLE,
	// FR_ACT_UNREACHABLE or FR_ACT_PROHIBIT; zero is FR_ACT_TO_TBL, and any in
	// [DeleteRule].
	Action uint8
	// Table is the table for FR_ACT_TO_TBL; zero is RT_TABLE_MAIN, and any in
	// [DeleteRule].
	Table uint32
	// Goto is the priority of the next rule for FR_ACT_GOTO.
	Goto uint32
	// SuppressLength ignores routes whose prefix has at most this length, if
	// HasSuppressLength; 0 ignores default routes.
	SuppressLength    uint32
	HasSuppressLength bool
	// SuppressGroup ignores routes to links of this group, if HasSuppressGroup.
	SuppressGroup    uint32
	HasSuppressGroup bool
}

// String returns the priority and the addresses as ip-rule(8) writes them, for errors.
func (r Rule) String() string {
	s := "rule"
	if r.Is6 {
		s = "IPv6 rule"
	}
	if r.HasPriority {
		s += fmt.Sprintf(" priority %d", r.Priority)
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
	if r.Action == unix.FR_ACT_TO_TBL && r.Table == 0 && !r.L3MDev {
		r.Table = unix.RT_TABLE_MAIN
	}
	return ruleRequest("add", r, unix.RTM_NEWRULE, netlink.Create|netlink.Excl)
}

// DeleteRule deletes the first rule that has all values of r; zero fields match any. If
// there is none, the error is fs.ErrNotExist.
func DeleteRule(r Rule) Request { return ruleRequest("delete", r, unix.RTM_DELRULE, 0) }

func ruleRequest(op string, r Rule, typ netlink.HeaderType, flags netlink.HeaderFlags) Request {
	body, err := encodeRule(r)
	return Request{
		op: op, object: r.String(), err: err,
		msg: netlink.Message{Header: netlink.Header{Type: typ, Flags: flags}, Data: body},
	}
}

// sizeofRuleHdr is the size of struct fib_rule_hdr.
const sizeofRuleHdr = 12

func ruleHeader(is6 bool) []byte {
	b := make([]byte, sizeofRuleHdr)
	b[0] = unix.AF_INET
	if is6 {
		b[0] = unix.AF_INET6
	}
	return b
}

// encodeRule returns the body of a request. The message type of package rtnetlink cannot
// be used: it has user IDs of 16 bits only.
func encodeRule(r Rule) ([]byte, error) {
	b := ruleHeader(r.Is6)
	ae := netlink.NewAttributeEncoder()
	for i, p := range []netip.Prefix{r.To, r.From} { // the order in the header, and of FRA_DST and FRA_SRC
		if p.IsValid() && p.Addr().Is6() != r.Is6 {
			return nil, fmt.Errorf("%v is not of the address family of the rule", p)
		}
		if p.Bits() > 0 {
			b[1+i] = uint8(p.Bits())
			ae.Bytes(unix.FRA_DST+uint16(i), p.Addr().AsSlice())
		}
	}
	b[3], b[7] = r.TOS, r.Action
	flags := r.Flags
	if r.Not {
		flags |= unix.FIB_RULE_INVERT
	}
	binary.NativeEndian.PutUint32(b[8:], flags)
	if r.Table < 256 {
		b[4] = uint8(r.Table)
	}
	for _, n := range []struct {
		typ   uint16
		value uint32
		has   bool
	}{
		{unix.FRA_PRIORITY, r.Priority, r.HasPriority}, {unix.FRA_GOTO, r.Goto, r.Goto != 0},
		{unix.FRA_FWMARK, r.Mark, r.Mark != 0}, {unix.FRA_FWMASK, r.MarkMask, r.MarkMask != 0},
		{unix.FRA_FLOW, r.Realms, r.Realms != 0}, {unix.FRA_TABLE, r.Table, r.Table > 255},
		{unix.FRA_SUPPRESS_PREFIXLEN, r.SuppressLength, r.HasSuppressLength},
		{unix.FRA_SUPPRESS_IFGROUP, r.SuppressGroup, r.HasSuppressGroup},
	} {
		if n.has {
			ae.Uint32(n.typ, n.value)
		}
	}
	r.encodeMatch(ae)
	attrs, err := ae.Encode()
	return append(b, attrs...), err
}

// encodeMatch appends the attributes that are not numbers of 32 bits.
func (r Rule) encodeMatch(ae *netlink.AttributeEncoder) {
	if r.In != "" {
		ae.String(unix.FRA_IIFNAME, r.In)
	}
	if r.Out != "" {
		ae.String(unix.FRA_OIFNAME, r.Out)
	}
	if r.L3MDev {
		ae.Uint8(unix.FRA_L3MDEV, 1)
	}
	if r.Protocol != 0 {
		ae.Uint8(unix.FRA_PROTOCOL, r.Protocol)
	}
	if r.IPProto != 0 {
		ae.Uint8(unix.FRA_IP_PROTO, r.IPProto)
	}
	if r.TunnelID != 0 {
		ae.Bytes(unix.FRA_TUN_ID, binary.BigEndian.AppendUint64(nil, r.TunnelID))
	}
	if r.HasUIDs {
		uids := binary.NativeEndian.AppendUint32(nil, r.UIDs[0])
		ae.Bytes(unix.FRA_UID_RANGE, binary.NativeEndian.AppendUint32(uids, r.UIDs[1]))
	}
	for i, p := range [][2]uint16{r.SrcPorts, r.DstPorts} {
		if p != [2]uint16{} {
			ports := binary.NativeEndian.AppendUint16(nil, p[0])
			ae.Bytes(unix.FRA_SPORT_RANGE+uint16(i), binary.NativeEndian.AppendUint16(ports, p[1]))
		}
	}
}

// decodeRule decodes the body of a rule message. It ignores unknown attributes.
func decodeRule(b []byte) (Rule, error) {
	if len(b) < sizeofRuleHdr {
		return Rule{}, errMalformedRule
	}
	if b[0] != unix.AF_INET && b[0] != unix.AF_INET6 {
		return Rule{}, errRuleFamily
	}
	flags := binary.NativeEndian.Uint32(b[8:])
	r := Rule{HasPriority: true, Flags: flags &^ unix.FIB_RULE_INVERT, RuleConfig: RuleConfig{
		Is6: b[0] == unix.AF_INET6, TOS: b[3], Table: uint32(b[4]), Action: b[7], Not: flags&unix.FIB_RULE_INVERT != 0,
	}}
	ad, err := parseAttributes(b[sizeofRuleHdr:])
	if err != nil {
		return Rule{}, errMalformedRule
	}
	ends := [2]netip.Addr{anyAddr(r.Is6), anyAddr(r.Is6)} // to, from
	for ad.Next() {
		switch typ, value := ad.Type(), ad.Bytes(); typ {
		case unix.FRA_DST, unix.FRA_SRC:
			ends[typ-unix.FRA_DST] = routeAddr(r.Is6, value)
		default:
			r.decodeAttr(typ, value)
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

func (r *Rule) decodeAttr(typ uint16, value []byte) {
	switch n := number(value); typ {
	case unix.FRA_IIFNAME:
		r.In = text(value)
	case unix.FRA_OIFNAME:
		r.Out = text(value)
	case unix.FRA_PRIORITY:
		r.Priority = n
	case unix.FRA_GOTO:
		r.Goto = n
	case unix.FRA_FWMARK:
		r.Mark = n
	case unix.FRA_FWMASK:
		r.MarkMask = n
	case unix.FRA_FLOW:
		r.Realms = n
	case unix.FRA_TABLE:
		r.Table = n
	case unix.FRA_SUPPRESS_PREFIXLEN:
		r.SuppressLength, r.HasSuppressLength = suppressed(n)
	case unix.FRA_SUPPRESS_IFGROUP:
		r.SuppressGroup, r.HasSuppressGroup = suppressed(n)
	case unix.FRA_L3MDEV:
		r.L3MDev = n != 0
	case unix.FRA_PROTOCOL:
		r.Protocol = uint8(n)
	case unix.FRA_IP_PROTO:
		r.IPProto = uint8(n)
	default:
		r.decodeRange(typ, value)
	}
}

// suppressed returns the value of a suppressor. The kernel reports -1 if there is none.
func suppressed(n uint32) (value uint32, has bool) {
	if n == 1<<32-1 {
		return 0, false
	}
	return n, true
}

// decodeRange decodes an attribute of two numbers, and the tunnel id of 64 bits.
func (r *Rule) decodeRange(typ uint16, value []byte) {
	order := binary.NativeEndian
	switch {
	case typ == unix.FRA_TUN_ID && len(value) == 8:
		r.TunnelID = binary.BigEndian.Uint64(value)
	case typ == unix.FRA_UID_RANGE && len(value) == 8:
		r.UIDs, r.HasUIDs = [2]uint32{order.Uint32(value), order.Uint32(value[4:])}, true
	case typ == unix.FRA_SPORT_RANGE && len(value) == 4:
		r.SrcPorts = [2]uint16{order.Uint16(value), order.Uint16(value[2:])}
	case typ == unix.FRA_DPORT_RANGE && len(value) == 4:
		r.DstPorts = [2]uint16{order.Uint16(value), order.Uint16(value[2:])}
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
