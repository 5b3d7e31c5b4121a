//go:build linux

package nft

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Plain reads the tables of a namespace that are not passed over, as nft(8) or
// another program made them. Rules that masquerade, or translate to one address,
// are returned; and the chains in which there are others.
func Plain(ns *os.File, passOver func(table string) bool) (rules []Rule, rest []Chain, err error) {
	c, err := nftables.New(nftables.WithNetNSFd(int(ns.Fd())))
	if err != nil {
		return nil, nil, &Error{Op: "open", Object: "nftables socket", Err: errnoOf(err)}
	}
	chains, err := c.ListChains()
	if err != nil {
		return nil, nil, &Error{Op: "show", Object: "chains", Err: errnoOf(err)}
	}
	for _, chain := range chains {
		if passOver(chain.Table.Name) {
			continue
		}
		has, err := c.GetRules(chain.Table, chain)
		if err != nil {
			return nil, nil, &Error{Op: "show", Object: "chain " + chain.Name, Err: errnoOf(err)}
		}
		all := true
		for _, r := range has {
			rule, ok := plainRule(byte(chain.Table.Family), r.Exprs)
			if all = all && ok; ok {
				rules = append(rules, rule)
			}
		}
		if !all {
			rest = append(rest, Chain{families[byte(chain.Table.Family)], chain.Table.Name, chain.Name})
		}
	}
	return rules, rest, nil
}

// plainRule is the rule that expressions are, if it is one of this package's.
func plainRule(family byte, exprs []expr.Any) (Rule, bool) {
	p := plain{family: family, fields: map[uint32]loaded{}, data: map[uint32][]byte{}}
	for _, e := range exprs {
		if p.rule != nil || !p.take(e) {
			return nil, false
		}
	}
	return p.rule, p.rule != nil && p.rule.Check() == nil
}

// A plain follows the expressions of a rule: what they load, what that must be, and
// what they do.
type plain struct {
	family byte
	fields map[uint32]loaded // of the packet, by the register that they are loaded into
	data   map[uint32][]byte // constants, by their register

	source  netip.Prefix
	target  netip.Addr
	in, out string
	proto   Proto
	ports   Ports

	rule Rule
}

// A loaded field is one of the packet, and what is looked at of it.
type loaded struct {
	name fieldName
	mask []byte // nil: all of it
}

type fieldName byte

const (
	otherField fieldName = iota
	familyField
	protoField
	inField
	outField
	sourceField
	targetField
	portField
	typeField // local, of the address it goes to
)

var metaFields = map[expr.MetaKey]fieldName{
	expr.MetaKeyNFPROTO: familyField, expr.MetaKeyL4PROTO: protoField, expr.MetaKeyIIFNAME: inField, expr.MetaKeyOIFNAME: outField,
}

// take follows one expression. It says whether it is understood.
func (p *plain) take(e expr.Any) bool {
	switch e := e.(type) {
	case *expr.Counter:
		return true
	case *expr.Meta:
		p.fields[e.Register] = loaded{name: metaFields[e.Key]}
		return !e.SourceRegister
	case *expr.Fib:
		p.fields[e.Register] = loaded{name: typeField}
		return e.ResultADDRTYPE && e.FlagDADDR && !e.FlagIIF
	case *expr.Payload:
		p.fields[e.DestRegister] = loaded{name: p.payloadField(e)}
		return e.OperationType == expr.PayloadLoad
	case *expr.Bitwise:
		p.fields[e.DestRegister] = loaded{p.fields[e.SourceRegister].name, e.Mask}
		return bytes.Count(e.Xor, []byte{0}) == len(e.Xor)
	case *expr.Cmp:
		f := p.fields[e.Register]
		if e.Op == expr.CmpOpEq { // what is loaded there next may be left out by the library, which does not know all
			delete(p.fields, e.Register)
		}
		return p.compareBy(e.Op, f, e.Data)
	case *expr.Range:
		return e.Op == expr.CmpOpEq && p.fields[e.Register].name == portField && p.compare(p.fields[e.Register], e.FromData, e.ToData)
	case *expr.Immediate:
		p.data[e.Register] = e.Data
		return true
	case *expr.Masq:
		p.rule = Masquerade{Source: p.source, Out: p.out}
		return p.onlyEgress()
	case *expr.NAT:
		return p.translate(e)
	}
	return false
}

// payloadField is the field of a header: of addresses, nft loads as many bytes as
// their prefix has.
func (p *plain) payloadField(e *expr.Payload) fieldName {
	size, source, target := uint32(4), uint32(12), uint32(16)
	if p.family == unix.NFPROTO_IPV6 {
		size, source, target = 16, 8, 24
	}
	switch {
	case e.Base == expr.PayloadBaseTransportHeader && e.Offset == 2 && e.Len == 2:
		return portField
	case e.Base != expr.PayloadBaseNetworkHeader || p.family == unix.NFPROTO_INET || e.Len > size:
		return otherField
	case e.Offset == source:
		return sourceField
	case e.Offset == target && e.Len == size:
		return targetField
	}
	return otherField
}

// compareBy notes what a field must be, and of ports one end of their range.
func (p *plain) compareBy(op expr.CmpOp, f loaded, data []byte) bool {
	switch {
	case op == expr.CmpOpEq:
		return p.compare(f, data, data)
	case op == expr.CmpOpGte && f.name == portField:
		return p.compare(f, data, be16(p.ports.Last))
	case op == expr.CmpOpLte && f.name == portField:
		return p.compare(f, be16(p.ports.First), data)
	}
	return false
}

// compare notes what a field must be.
func (p *plain) compare(f loaded, first, last []byte) bool {
	if f.mask != nil && f.name != sourceField {
		return false
	}
	switch f.name {
	case familyField:
		p.family = first[0]
	case protoField:
		p.proto = Proto(first[0])
	case inField:
		p.in = decodeName(string(first))
		return wholeName(first)
	case outField:
		p.out = decodeName(string(first))
		return wholeName(first)
	case targetField:
		p.target, _ = netip.AddrFromSlice(first)
	case sourceField:
		return p.compareSource(first, f.mask)
	case portField:
		if len(first) != 2 || len(last) != 2 {
			return false
		}
		p.ports = Ports{binary.BigEndian.Uint16(first), binary.BigEndian.Uint16(last)}
	case typeField:
		return len(first) == 4 && binary.NativeEndian.Uint32(first) == unix.RTN_LOCAL
	default:
		return false
	}
	return true
}

// wholeName tells a link's name from the beginning of some, eth*, of which only that is
// compared.
func wholeName(b []byte) bool { return bytes.IndexByte(b, 0) > 0 }

func (p *plain) compareSource(value, mask []byte) bool {
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

func (p *plain) onlyEgress() bool {
	return p.in == "" && !p.target.IsValid() && p.proto == 0 && p.ports == Ports{}
}

// translate notes what addresses and ports become.
func (p *plain) translate(e *expr.NAT) bool {
	to, ok := netip.AddrFromSlice(p.data[e.RegAddrMin])
	if !ok || e.RegAddrMax != 0 && e.RegAddrMax != e.RegAddrMin || e.RegProtoMax != 0 && e.RegProtoMax != e.RegProtoMin {
		return false
	}
	if e.Type == expr.NATTypeSourceNAT {
		p.rule = SourceNAT{Source: p.source, Out: p.out, To: to}
		return p.onlyEgress() && e.RegProtoMin == 0
	}
	f := Forward{Proto: p.proto, Addr: p.target, In: p.in, Ports: p.ports, To: to, ToPort: p.ports.First}
	if port := p.data[e.RegProtoMin]; e.RegProtoMin != 0 && len(port) == 2 {
		f.ToPort = binary.BigEndian.Uint16(port)
	}
	p.rule = f
	return !p.source.IsValid() && p.out == ""
}
