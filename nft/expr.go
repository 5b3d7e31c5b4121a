//go:build linux

package nft

import (
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// metaIIFKind is NFT_META_IIFKIND of <linux/netfilter/nf_tables.h>, which x/sys/unix lacks.
const metaIIFKind = 26

// exprs returns the kernel's expressions for a statement.
func (s *statement) exprs() []expr.Any {
	switch s.verb {
	case equal, notEqual:
		return s.compareExprs()
	case lookup:
		return append(loadExprs(s.loads), &expr.Lookup{SourceRegister: reg1, SetName: s.name})
	case lookupNot:
		return append(loadExprs(s.loads), &expr.Lookup{SourceRegister: reg1, SetName: s.name, Invert: true})
	case add:
		return append(loadExprs(s.loads), &expr.Dynset{SrcRegKey: reg1, SetName: s.name,
			Operation: unix.NFT_DYNSET_OP_ADD})
	case dnat, snat:
		return s.translateExprs()
	case masquerade:
		return []expr.Any{&expr.Masq{FullyRandom: s.name != ""}}
	case accept:
		return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}
	case drop:
		return []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}
	case ret:
		return []expr.Any{&expr.Verdict{Kind: expr.VerdictReturn}}
	case setTo: // only the packet type
		return []expr.Any{&expr.Immediate{Register: reg1, Data: []byte(s.value.bytes)},
			&expr.Meta{Key: expr.MetaKeyPKTTYPE, SourceRegister: true, Register: reg1}}
	case offload:
		return []expr.Any{&expr.FlowOffload{Name: s.name}}
	}
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: s.name}}
}

func (s *statement) compareExprs() []expr.Any {
	op := expr.CmpOpEq
	if s.verb == notEqual {
		op = expr.CmpOpNeq
	}
	if s.value.bits {
		if op == expr.CmpOpEq {
			op = expr.CmpOpNeq
		} else {
			op = expr.CmpOpEq
		}
		zero := make([]byte, len(s.value.mask))
		return append(append(loadExprs(s.loads), masked(s.value)), &expr.Cmp{Op: op, Register: reg1, Data: zero})
	}
	loads := loadExprs(s.loads)
	if address, ok := loads[0].(*expr.Payload); ok { // for a prefix, load its first bytes only
		address.Len = uint32(len(s.value.bytes))
	}
	if s.value.mask != "" {
		loads = append(loads, masked(s.value))
	}
	return append(loads, &expr.Cmp{Op: op, Register: reg1, Data: []byte(s.value.bytes)})
}

// masked clears the bits of register 1 that are not compared.
func masked(v value) expr.Any {
	return &expr.Bitwise{SourceRegister: reg1, DestRegister: reg1, Len: uint32(len(v.mask)), Mask: []byte(v.mask),
		Xor: make([]byte, len(v.mask))}
}

// translateExprs loads the new address from a map into register 1. If the map contains ports, the next register gets
// the port.
func (s *statement) translateExprs() []expr.Any {
	to := setNamed(s.name).data
	nat := &expr.NAT{Type: expr.NATTypeDestNAT, Family: protoIPv4, RegAddrMin: reg1, RegAddrMax: reg1}
	if s.verb == snat {
		nat.Type = expr.NATTypeSourceNAT
	}
	if s.ipv6 {
		nat.Family = protoIPv6
	}
	if len(to) > 1 {
		nat.RegProtoMin = register(to[0].padded())
		nat.RegProtoMax, nat.Specified = nat.RegProtoMin, true
	}
	return append(loadExprs(s.loads),
		&expr.Lookup{SourceRegister: reg1, DestRegister: reg1, IsDestRegSet: true, SetName: s.name}, nat)
}

// register returns the register at a byte offset of the key. Every fourth 32-bit register is also the start of a
// 16-byte register with a number of its own; nft prints both the same.
func register(offset int) uint32 {
	if offset%16 == 0 {
		return uint32(reg1 + offset/16)
	}
	return uint32(reg32 + offset/4)
}

func loadExprs(loads []load) []expr.Any {
	var all []expr.Any
	at := 0
	for _, l := range loads {
		all = append(all, loadExpr(l, register(at)))
		at += loadSize(l)
	}
	return all
}

// loadSize returns the size of a load in registers, in bytes.
func loadSize(l load) int {
	switch l {
	case iif, oif, saddrRoute:
		return ifname.padded()
	case saddr6, daddr6, ndTargetAddr:
		return ipv6Addr.padded()
	case etherDaddr, etherHeader, etherSaddr, arpSaddrEther:
		return etherAddr.padded()
	}
	return 4
}

func loadExpr(l load, reg uint32) expr.Any {
	network := func(offset, length uint32) expr.Any {
		return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}
	}
	switch l {
	case iif:
		return &expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg}
	case oif:
		return &expr.Meta{Key: expr.MetaKeyOIFNAME, Register: reg}
	case iifIndex:
		return &expr.Meta{Key: expr.MetaKeyIIF, Register: reg}
	case family:
		return &expr.Meta{Key: expr.MetaKeyNFPROTO, Register: reg}
	case saddr4:
		return network(12, 4)
	case daddr4:
		return network(16, 4)
	case saddr6:
		return network(8, 16)
	case daddr6:
		return network(24, 16)
	case l4proto:
		return &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg}
	case dport:
		return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}
	case ctStatus:
		return &expr.Ct{Key: expr.CtKeySTATUS, Register: reg}
	case ctState:
		return &expr.Ct{Key: expr.CtKeySTATE, Register: reg}
	case ctDirection:
		return &expr.Ct{Key: expr.CtKeyDIRECTION, Register: reg}
	case iifType:
		return &expr.Meta{Key: expr.MetaKeyIIFTYPE, Register: reg}
	case iifKind:
		return &expr.Meta{Key: metaIIFKind, Register: reg}
	case iifGroup:
		return &expr.Meta{Key: expr.MetaKeyIIFGROUP, Register: reg}
	case protocol:
		return &expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: reg}
	case fragmentOffset4:
		return network(6, 2)
	case fragmentOffset6:
		return &expr.Exthdr{DestRegister: reg, Type: unix.IPPROTO_FRAGMENT, Offset: 2, Len: 2, Op: expr.ExthdrOpIpv6}
	case icmpType, icmpv6Type:
		return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Len: 1}
	case ndTargetAddr:
		return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: 8, Len: 16}
	case udpSport, udpDport:
		return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: uint32(l-udpSport) * 2,
			Len: 2}
	case arpSaddrEther: // see <linux/if_arp.h>
		return network(8, 6)
	case arpSaddr:
		return network(14, 4)
	case arpDaddr:
		return network(24, 4)
	case etherSaddr:
		return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseLLHeader, Offset: 6, Len: 6}
	case etherKind:
		return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseLLHeader, Offset: 12, Len: 2}
	case packetType:
		return &expr.Meta{Key: expr.MetaKeyPKTTYPE, Register: reg}
	case oifGroup:
		return &expr.Meta{Key: expr.MetaKeyOIFGROUP, Register: reg}
	case etherDaddr, etherHeader:
		return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseLLHeader, Len: uint32(etherAddr.size)}
	}
	return fibExpr(l, reg)
}

// fibExpr returns a lookup in the routing tables.
func fibExpr(l load, reg uint32) expr.Any {
	switch l {
	case saddrType:
		return &expr.Fib{Register: reg, ResultADDRTYPE: true, FlagSADDR: true}
	case saddrTypeOnOut:
		return &expr.Fib{Register: reg, ResultADDRTYPE: true, FlagSADDR: true, FlagOIF: true}
	case saddrRoute:
		return &expr.Fib{Register: reg, ResultOIFNAME: true, FlagSADDR: true}
	case saddrLink:
		return &expr.Fib{Register: reg, ResultOIF: true, FlagSADDR: true, FlagIIF: true}
	}
	return &expr.Fib{Register: reg, ResultADDRTYPE: true, FlagDADDR: true}
}
