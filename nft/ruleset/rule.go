//go:build linux

package ruleset

import (
	"slices"
	"strconv"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nft/internal/nfnetlink"
)

// A rule is a rule that another program made, as far as this package understands it.
type rule struct {
	chain string
	name  string // for messages: "the rule with handle 4"
	steps []step
}

// A step is an expression of a foreign rule.
type step struct {
	kind stepKind
	// Registers are numbered in bytes: NFT_REG_1 is 0, NFT_REG_2 and NFT_REG32_04 are 16.
	from, to uint32
	field    fieldName // of stepLoad
	size     int       // of stepLoad, in bytes; 0 if unknown
	header   bool      // of stepLoad: the field is in the network header, at this offset
	offset   uint32
	op       expr.CmpOp // of stepCompare: CmpOpEq or CmpOpNeq
	// low and high are the values of stepCompare; nil means no limit. low is the mask of stepMask, and the family of
	// stepRedirect; nil means any.
	low, high []byte
	ports     []nft.Ports // of stepPorts
	set       string      // of stepLookup
	isMap     bool        // of stepLookup
	code      int32       // of stepVerdict
	chain     string      // of stepVerdict, for jump and goto
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
	stepRedirect // changes the packet's destination: dnat, redirect, tproxy
	stepEndChain // ends the chain: snat, masquerade
)

// decodeRule decodes a rule in a message of the kernel.
func decodeRule(family byte, body []byte) (r rule, err error) {
	ad, err := nfnetlink.Attributes(body)
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
func decodeStep(family byte, ad *netlink.AttributeDecoder) (s step) {
	name := ""
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_EXPR_NAME:
			name = ad.String()
			if s.kind = simpleSteps[name]; name == "queue" {
				s.code = verdictQueue
			}
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

// simpleSteps are the steps of the expressions whose attributes do not matter.
var simpleSteps = map[string]stepKind{
	"byteorder": stepNothing, // nft adds it even before fields of one byte
	"counter":   stepNothing, "log": stepNothing, "objref": stepNothing, "notrack": stepNothing, "last": stepNothing,
	"queue": stepVerdict, "reject": stepReject, "redir": stepRedirect, "tproxy": stepRedirect, "masq": stepEndChain,
}

func (s *step) decodeKnown(family byte, e expr.Any) {
	switch e := e.(type) {
	case *expr.Meta:
		if s.kind = stepNothing; !e.SourceRegister { // with a source register it sets a mark, for example
			*s = step{kind: stepLoad, to: registerByte(e.Register), field: metaFields[e.Key], size: metaSize(e.Key)}
		}
	case *expr.Fib:
		*s = step{kind: stepLoad, to: registerByte(e.Register), size: 4}
		if e.ResultADDRTYPE && e.FlagDADDR && !e.FlagIIF {
			s.field = typeField
		} else if e.ResultOIF && e.FlagSADDR && e.FlagIIF {
			s.field = routeField
		}
	case *expr.Ct:
		if s.kind = stepNothing; !e.SourceRegister {
			*s = step{kind: stepLoad, to: registerByte(e.Register)}
			if e.Key == expr.CtKeySTATE {
				s.field, s.size = stateField, 4
			}
		}
	case *expr.Payload:
		if e.OperationType == expr.PayloadLoad {
			*s = step{kind: stepLoad, to: registerByte(e.DestRegister), field: payloadField(family, e), size: int(e.Len)}
			s.header, s.offset = e.Base == expr.PayloadBaseNetworkHeader, e.Offset
			if s.field == otherField && s.header {
				s.field = networkField(e)
			}
		}
	case *expr.Bitwise:
		*s = step{kind: stepMask, from: registerByte(e.SourceRegister), to: registerByte(e.DestRegister), low: e.Mask}
		if slices.ContainsFunc(e.Xor, func(b byte) bool { return b != 0 }) {
			s.low = nil
		}
	case *expr.Cmp:
		*s = compareStep(e)
	case *expr.Range:
		*s = step{kind: stepCompare, op: e.Op, from: registerByte(e.Register), low: e.FromData, high: e.ToData}
	case *expr.NAT:
		if s.kind = stepEndChain; e.Type == expr.NATTypeDestNAT {
			s.kind, s.low = stepRedirect, []byte{byte(e.Family)}
		}
	}
}

// compareStep converts a comparison with one value to a comparison with a range of values.
func compareStep(e *expr.Cmp) step {
	s := step{kind: stepCompare, op: expr.CmpOpEq, from: registerByte(e.Register)}
	switch e.Op {
	case expr.CmpOpEq, expr.CmpOpNeq:
		s.op, s.low, s.high = e.Op, e.Data, e.Data
	case expr.CmpOpGte:
		s.low = e.Data
	case expr.CmpOpLte:
		s.high = e.Data
	case expr.CmpOpGt: // not one of the values up to this one
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
func (s *step) decodeLookup(ad *netlink.AttributeDecoder) error {
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
func (s *step) decodeImmediate(ad *netlink.AttributeDecoder) error {
	s.kind = stepNothing // data for nat, which is not compared
	for ad.Next() {
		if ad.Type() == unix.NFTA_IMMEDIATE_DATA {
			ad.Nested(s.decodeVerdictData)
		}
	}
	return nil
}

func (s *step) decodeVerdictData(ad *netlink.AttributeDecoder) error {
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

// Verdicts: NF_DROP, NF_ACCEPT and NF_QUEUE of <linux/netfilter.h>, and enum nft_verdicts of
// <linux/netfilter/nf_tables.h>.
const (
	verdictDrop   = 0
	verdictAccept = 1
	verdictQueue  = 3
	verdictJump   = -3
	verdictGoto   = -4
	verdictReturn = -5
)
