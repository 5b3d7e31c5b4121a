//go:build linux

package nft

import (
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A foreignRule is a rule that another program made, as far as this package understands it.
type foreignRule struct {
	chain string
	name  string // for messages: "the rule with handle 4"
	steps []ruleStep
}

// A ruleStep is an expression of a foreign rule.
type ruleStep struct {
	kind stepKind
	// Registers are numbered in bytes: NFT_REG_1 is 0, NFT_REG_2 and NFT_REG32_04 are 16.
	from, to uint32
	field    fieldName  // of stepLoad
	size     int        // of stepLoad, in bytes; 0 if unknown
	op       expr.CmpOp // of stepCompare: CmpOpEq or CmpOpNeq
	// low and high are the values of stepCompare; nil means no limit. low is the mask of stepMask, and the family of
	// stepTakes; nil means any.
	low, high []byte
	ports     []Ports // of stepPorts
	set       string  // of stepLookup
	isMap     bool    // of stepLookup
	code      int32   // of stepVerdict
	chain     string  // of stepVerdict, for jump and goto
}

type stepKind byte

const (
	stepUnknown stepKind = iota // matches some packets, and may write to any register
	stepNothing                 // matches all packets
	stepLoad                    // loads a field into a register
	stepMask                    // masks a register
	stepCompare                 // compares a register
	stepPorts                   // compares the destination port
	stepLookup                  // looks for a register in a set, or in a map
	stepVerdict
	stepReject
	stepTakes // gives the packet another destination: dnat, redirect, tproxy
	stepEnds  // ends the chain: snat, masquerade
)

// decodeRuleSteps decodes a rule in a message of the kernel.
func decodeRuleSteps(family byte, body []byte) (r foreignRule, err error) {
	ad, err := attrs(body)
	if err != nil {
		return r, err
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_RULE_CHAIN:
			r.chain = ad.String()
		case unix.NFTA_RULE_HANDLE:
			r.name = "the rule with handle " + strconv.FormatUint(ad.Uint64(), 10)
		case unix.NFTA_RULE_EXPRESSIONS:
			ad.Nested(func(list *netlink.AttributeDecoder) error {
				for list.Next() {
					list.Nested(func(ad *netlink.AttributeDecoder) error {
						r.steps = append(r.steps, decodeStep(family, ad))
						return nil
					})
				}
				return nil
			})
		}
	}
	return r, ad.Err()
}

// decodeStep decodes an expression.
func decodeStep(family byte, ad *netlink.AttributeDecoder) (s ruleStep) {
	name := ""
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_EXPR_NAME:
			name = ad.String()
			s.kind = simpleSteps[name]
		case unix.NFTA_EXPR_DATA:
			switch name {
			case "immediate":
				ad.Nested(s.decodeImmediate)
			case "match", "target":
				ad.Nested(func(ad *netlink.AttributeDecoder) error { return s.decodeXtables(name, ad) })
			case "lookup":
				ad.Nested(s.decodeLookup)
			default:
				if e := newExpr(name); e != nil && expr.Unmarshal(family, ad.Bytes(), e) == nil {
					s.decodeKnown(family, e)
				}
			}
		}
	}
	return s
}

// simpleSteps are the expressions whose attributes do not matter.
var simpleSteps = map[string]stepKind{
	"byteorder": stepNothing, // nft adds it even before fields of one byte
	"counter":   stepNothing, "log": stepNothing, "objref": stepNothing, "notrack": stepNothing, "last": stepNothing,
	"reject": stepReject, "redir": stepTakes, "tproxy": stepTakes, "masq": stepEnds,
}

func (s *ruleStep) decodeKnown(family byte, e expr.Any) {
	switch e := e.(type) {
	case *expr.Meta:
		if s.kind = stepNothing; !e.SourceRegister { // else it sets a mark, for example
			*s = ruleStep{kind: stepLoad, to: registerByte(e.Register), field: metaFields[e.Key], size: metaSize(e.Key)}
		}
	case *expr.Fib:
		*s = ruleStep{kind: stepLoad, to: registerByte(e.Register), size: 4}
		if e.ResultADDRTYPE && e.FlagDADDR && !e.FlagIIF {
			s.field = typeField
		}
	case *expr.Payload:
		if e.OperationType == expr.PayloadLoad {
			p := ruleParser{family: family}
			*s = ruleStep{kind: stepLoad, to: registerByte(e.DestRegister), field: p.payloadField(e), size: int(e.Len)}
			if s.field == otherField && e.Base == expr.PayloadBaseNetworkHeader {
				s.field = networkField(e)
			}
		}
	case *expr.Bitwise:
		*s = ruleStep{kind: stepMask, from: registerByte(e.SourceRegister), to: registerByte(e.DestRegister), low: e.Mask}
		if slices.ContainsFunc(e.Xor, func(b byte) bool { return b != 0 }) {
			s.low = nil
		}
	case *expr.Cmp:
		*s = compareStep(e)
	case *expr.Range:
		*s = ruleStep{kind: stepCompare, op: e.Op, from: registerByte(e.Register), low: e.FromData, high: e.ToData}
	case *expr.NAT:
		if s.kind = stepEnds; e.Type == expr.NATTypeDestNAT {
			s.kind, s.low = stepTakes, []byte{byte(e.Family)}
		}
	}
}

// networkField returns the field at an offset of the network header, where it is the same for the prefixes of IPv4 and
// IPv6 in tables of the family inet. nft compares prefixes of whole bytes without a mask.
func networkField(e *expr.Payload) fieldName {
	switch {
	case e.Offset == 16 && e.Len <= 4:
		return target4Field
	case e.Offset == 24 && e.Len <= 16:
		return target6Field
	case e.Offset == 9 && e.Len == 1, e.Offset == 6 && e.Len == 1: // protocol, nexthdr
		return protoField
	}
	return otherField
}

func metaSize(key expr.MetaKey) int {
	switch key {
	case expr.MetaKeyIIFNAME, expr.MetaKeyOIFNAME:
		return unix.IFNAMSIZ
	}
	return 4 // the padded size; shorter values are compared from their start
}

// compareStep returns a comparison as one with a range.
func compareStep(e *expr.Cmp) ruleStep {
	s := ruleStep{kind: stepCompare, op: expr.CmpOpEq, from: registerByte(e.Register)}
	switch e.Op {
	case expr.CmpOpEq, expr.CmpOpNeq:
		s.op, s.low, s.high = e.Op, e.Data, e.Data
	case expr.CmpOpGte:
		s.low = e.Data
	case expr.CmpOpLte:
		s.high = e.Data
	case expr.CmpOpGt: // everything but the values up to this one
		s.op, s.high = expr.CmpOpNeq, e.Data
	case expr.CmpOpLt:
		s.op, s.low = expr.CmpOpNeq, e.Data
	}
	return s
}

// registerByte returns the first byte of a register.
func registerByte(n uint32) uint32 {
	if n >= unix.NFT_REG32_00 {
		return (n - unix.NFT_REG32_00) * 4
	}
	return (n - unix.NFT_REG_1) * 16
}

// decodeLookup decodes the attributes NFTA_LOOKUP_*.
func (s *ruleStep) decodeLookup(ad *netlink.AttributeDecoder) error {
	s.kind, s.op, s.to = stepLookup, expr.CmpOpEq, verdictRegister
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_LOOKUP_SET:
			s.set = ad.String()
		case unix.NFTA_LOOKUP_SREG:
			s.from = registerByte(ad.Uint32())
		case unix.NFTA_LOOKUP_DREG:
			s.isMap = true
			if reg := ad.Uint32(); reg != unix.NFT_REG_VERDICT {
				s.to = registerByte(reg)
			}
		case unix.NFTA_LOOKUP_FLAGS:
			if ad.Uint32()&unix.NFT_LOOKUP_F_INV != 0 {
				s.op = expr.CmpOpNeq
			}
		}
	}
	return nil
}

// verdictRegister is a number that no register for data has.
const verdictRegister = ^uint32(0)

// decodeImmediate decodes a verdict, or data for a register.
func (s *ruleStep) decodeImmediate(ad *netlink.AttributeDecoder) error {
	s.kind = stepNothing // data for nat, which is not compared
	for ad.Next() {
		if ad.Type() == unix.NFTA_IMMEDIATE_DATA {
			ad.Nested(s.decodeVerdictData)
		}
	}
	return nil
}

func (s *ruleStep) decodeVerdictData(ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		if ad.Type() == unix.NFTA_DATA_VERDICT {
			s.kind = stepVerdict
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					switch ad.Type() {
					case unix.NFTA_VERDICT_CODE:
						s.code = int32(ad.Uint32())
					case unix.NFTA_VERDICT_CHAIN:
						s.chain = ad.String()
					}
				}
				return nil
			})
		}
	}
	return nil
}

// decodeXtables decodes a match or target of iptables-nft.
func (s *ruleStep) decodeXtables(kind string, ad *netlink.AttributeDecoder) error {
	name, revision, info := "", byte(0), []byte(nil)
	for ad.Next() {
		switch ad.Type() { // NFTA_MATCH_* has the same numbers
		case unix.NFTA_TARGET_NAME:
			name = ad.String()
		case unix.NFTA_TARGET_REV:
			revision = byte(ad.Uint32())
		case unix.NFTA_TARGET_INFO:
			info = ad.Bytes()
		}
	}
	if kind == "match" {
		*s = xtMatch(name, revision, info)
	} else {
		*s = xtTarget(name)
	}
	return nil
}

// xtTarget returns what a target of iptables does.
func xtTarget(name string) ruleStep {
	switch name {
	case "REJECT":
		return ruleStep{kind: stepReject}
	case "DNAT", "REDIRECT", "TPROXY", "NETMAP":
		return ruleStep{kind: stepTakes}
	case "SNAT", "MASQUERADE":
		return ruleStep{kind: stepEnds}
	case "LOG", "NFLOG", "MARK", "CONNMARK", "TRACE", "TCPMSS", "CT":
		return ruleStep{kind: stepNothing}
	}
	return ruleStep{kind: stepUnknown}
}

// xtMatch returns the step for a match of iptables. Ports are in host byte order: struct xt_tcp, struct xt_udp and
// struct xt_multiport_v1 of <linux/netfilter/>.
func xtMatch(name string, revision byte, info []byte) ruleStep {
	s := ruleStep{kind: stepPorts, op: expr.CmpOpEq}
	port := func(at int) uint16 { return binary.NativeEndian.Uint16(info[at:]) }
	switch {
	case name == "comment":
		return ruleStep{kind: stepNothing}
	case name == "tcp" && len(info) >= 12 && info[11]&xtInvertPort == 0,
		name == "udp" && len(info) >= 9 && info[8]&xtInvertPort == 0:
		s.ports = []Ports{{port(4), port(6)}}
	case name == "multiport" && revision == 1 && len(info) >= 48 && info[0] != xtSourcePorts:
		count := min(int(info[1]), 15)
		for i := 0; i < count; i++ {
			p := Ports{port(2 + 2*i), port(2 + 2*i)}
			if info[32+i] != 0 && i+1 < count { // a range takes two entries
				i++
				p.Last = port(2 + 2*i)
			}
			s.ports = append(s.ports, p)
		}
		if info[47] != 0 {
			s.op = expr.CmpOpNeq
		}
	case name == "devgroup" && len(info) >= 20: // struct xt_devgroup_info
		s = ruleStep{kind: stepUnknown}
		switch binary.NativeEndian.Uint32(info) {
		case xtSourceGroup:
			s.field, s.low = inGroupField, info[4:8]
		case xtDestinationGroup:
			s.field, s.low = outGroupField, info[12:16]
		}
	default:
		return ruleStep{kind: stepUnknown}
	}
	return s
}

const (
	xtInvertPort  = 2 // XT_TCP_INV_DSTPT and XT_UDP_INV_DSTPT
	xtSourcePorts = 0 // XT_MULTIPORT_SOURCE

	xtSourceGroup      = 1 // XT_DEVGROUP_MATCH_SRC
	xtDestinationGroup = 4 // XT_DEVGROUP_MATCH_DST
)
