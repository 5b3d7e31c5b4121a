//go:build linux

package ruleset

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nft/internal/nfnetlink"
)

// parseRule returns the rule in a message. It returns false if this package has no such rule.
func parseRule(family byte, body []byte) (nft.Rule, bool) {
	p := ruleParser{family: family, fields: map[uint32]loadedField{}, data: map[uint32][]byte{}}
	ad, err := nfnetlink.Attributes(body)
	if err != nil {
		return nil, false
	}
	supported := true
	for ad.Next() {
		if ad.Type() != unix.NFTA_RULE_EXPRESSIONS {
			continue
		}
		ad.Nested(func(list *netlink.AttributeDecoder) error {
			for list.Next() {
				list.Nested(func(ad *netlink.AttributeDecoder) error {
					supported = supported && p.result == nil && p.parseExpr(decodeExpr(family, ad))
					return nil
				})
			}
			return nil
		})
	}
	return p.result, ad.Err() == nil && supported && p.result != nil && p.result.Check() == nil
}

// decodeExpr decodes an expression; nil if it is not one that a ruleParser supports.
func decodeExpr(family byte, ad *netlink.AttributeDecoder) expr.Any {
	var e expr.Any
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_EXPR_NAME:
			e = newExpr(ad.String())
		case unix.NFTA_EXPR_DATA:
			if e == nil || expr.Unmarshal(family, ad.Bytes(), e) != nil {
				return nil
			}
		}
	}
	return e
}

// newExpr returns an empty expression with a name.
func newExpr(name string) expr.Any {
	switch name {
	case "counter":
		return &expr.Counter{}
	case "meta":
		return &expr.Meta{}
	case "fib":
		return &expr.Fib{}
	case "payload":
		return &expr.Payload{}
	case "bitwise":
		return &expr.Bitwise{}
	case "ct":
		return &expr.Ct{}
	case "cmp":
		return &expr.Cmp{}
	case "range":
		return &expr.Range{}
	case "immediate":
		return &expr.Immediate{}
	case "masq":
		return &expr.Masq{}
	case "nat":
		return &expr.NAT{}
	}
	return nil
}

// A ruleParser parses the expressions of a rule: the fields that they load, the values they compare, and the action.
type ruleParser struct {
	family byte
	fields map[uint32]loadedField // fields of the packet, by register
	data   map[uint32][]byte      // constants, by register

	source  netip.Prefix
	target  netip.Addr
	in, out string
	proto   nft.Proto
	ports   nft.Ports

	result nft.Rule
}

// parseExpr parses one expression. It reports whether it is supported.
func (p *ruleParser) parseExpr(e expr.Any) bool {
	switch e := e.(type) {
	case *expr.Counter:
		return true
	case *expr.Meta:
		p.fields[e.Register] = loadedField{name: metaFields[e.Key]}
		return !e.SourceRegister
	case *expr.Fib:
		p.fields[e.Register] = loadedField{name: typeField}
		return e.ResultADDRTYPE && e.FlagDADDR && !e.FlagIIF
	case *expr.Payload:
		p.fields[e.DestRegister] = loadedField{name: payloadField(p.family, e)}
		return e.OperationType == expr.PayloadLoad
	case *expr.Bitwise:
		p.fields[e.DestRegister] = loadedField{name: p.fields[e.SourceRegister].name, mask: e.Mask}
		return bytes.Count(e.Xor, []byte{0}) == len(e.Xor)
	case *expr.Cmp:
		f := p.fields[e.Register]
		if e.Op == expr.CmpOpEq { // a further comparison needs a new load
			delete(p.fields, e.Register)
		}
		return p.matchCmp(e.Op, f, e.Data)
	case *expr.Range:
		return e.Op == expr.CmpOpEq && p.fields[e.Register].name == portField &&
			p.match(p.fields[e.Register], e.FromData, e.ToData)
	case *expr.Immediate:
		if e.Register == unix.NFT_REG_VERDICT {
			return false
		}
		p.data[e.Register] = e.Data
		return true
	case *expr.Masq:
		p.result = nft.Masquerade{Source: p.source, Out: p.out}
		return p.onlyEgress()
	case *expr.NAT:
		return p.translate(e)
	}
	return false
}

// matchCmp records the value that a field must have. For ports, it records one end of the range.
func (p *ruleParser) matchCmp(op expr.CmpOp, f loadedField, data []byte) bool {
	switch {
	case op == expr.CmpOpEq:
		return p.match(f, data, data)
	case op == expr.CmpOpGte && f.name == portField:
		return p.match(f, data, be16(p.ports.Last))
	case op == expr.CmpOpLte && f.name == portField:
		return p.match(f, be16(p.ports.First), data)
	}
	return false
}

// match records the values that a field must have.
func (p *ruleParser) match(f loadedField, first, last []byte) bool {
	if f.mask != nil && f.name != sourceField {
		return false
	}
	switch f.name {
	case familyField:
		p.family = first[0]
	case protoField:
		p.proto = nft.Proto(first[0])
	case inField:
		p.in = linkName(first)
		return wholeName(first)
	case outField:
		p.out = linkName(first)
		return wholeName(first)
	case targetField:
		p.target, _ = netip.AddrFromSlice(first)
	case sourceField:
		return p.matchSource(first, f.mask)
	case portField:
		if len(first) != 2 || len(last) != 2 {
			return false
		}
		p.ports = nft.Ports{First: binary.BigEndian.Uint16(first), Last: binary.BigEndian.Uint16(last)}
	case typeField:
		return len(first) == 4 && binary.NativeEndian.Uint32(first) == unix.RTN_LOCAL
	default:
		return false
	}
	return true
}

func (p *ruleParser) matchSource(value, mask []byte) bool {
	bits, size := 8*len(value), 4
	if p.family == unix.NFPROTO_IPV6 {
		size = 16
	}
	if mask != nil {
		bits = 0
		for _, b := range mask {
			for ; b&0x80 != 0; b <<= 1 {
				bits++
			}
		}
	}
	addr, ok := netip.AddrFromSlice(append(bytes.Clone(value), make([]byte, size-len(value))...))
	p.source = netip.PrefixFrom(addr, bits)
	return ok
}

func (p *ruleParser) onlyEgress() bool {
	return p.in == "" && !p.target.IsValid() && p.proto == 0 && p.ports == nft.Ports{}
}

// translate records the new address and ports.
func (p *ruleParser) translate(e *expr.NAT) bool {
	to, ok := netip.AddrFromSlice(p.data[e.RegAddrMin])
	if !ok || e.RegAddrMax != 0 && e.RegAddrMax != e.RegAddrMin ||
		e.RegProtoMax != 0 && e.RegProtoMax != e.RegProtoMin {
		return false
	}
	if e.Type == expr.NATTypeSourceNAT {
		p.result = nft.SourceNAT{Source: p.source, Out: p.out, To: to}
		return p.onlyEgress() && e.RegProtoMin == 0
	}
	f := nft.Forward{Proto: p.proto, Addr: p.target, In: p.in, Ports: p.ports, To: to, ToPort: p.ports.First}
	if port := p.data[e.RegProtoMin]; e.RegProtoMin != 0 && len(port) == 2 {
		f.ToPort = binary.BigEndian.Uint16(port)
	}
	p.result = f
	return !p.source.IsValid() && p.out == ""
}
