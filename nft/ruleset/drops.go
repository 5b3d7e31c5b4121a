//go:build linux

package ruleset

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
)

// A Packet describes packets that begin a connection. A zero field is not known: such packets may have any value.
type Packet struct {
	In, Out           string     // links
	InGroup, OutGroup uint32     // their groups
	Source, Target    netip.Addr // of one family
}

// A BaseChain is a chain at a hook.
type BaseChain struct {
	Chain
	Hook  Hook
	Links []string // the links of a chain at [Ingress] or [Egress]
}

// A Drop is a chain that drops packets.
type Drop struct {
	BaseChain
	// Packet are the packets that it drops, or may drop.
	Packet Packet
	// Certain means that it drops them all. Otherwise some of its rules depend on what is not known.
	Certain bool
	// Rest means that it drops all packets that none of its rules accepts: by its policy, or by its last rule.
	Rest bool
	// Rules is the number of its rules, without a last one that drops all.
	Rules int
}

// Verb is "drops", or "may drop" if the chain may let the packets pass.
func (d Drop) Verb() string {
	if d.Certain {
		return "drops"
	}
	return "may drop"
}

// Drops returns the chains that drop or may drop packets: chains of nftables of all families except arp, of
// iptables-nft and of iptables-legacy. packets returns what passes a chain; nil skips the chain. The calling thread
// must be in the namespace of c.
func Drops(c *nft.Conn, packets func(BaseChain) []Packet) (drops []Drop, err error) {
	chains, err := listChains(c)
	if err != nil {
		return nil, err
	}
	r := rules{c: c, tables: tables{}, sets: map[Chain][]element{}}
	for _, chain := range chains {
		base := BaseChain{chain.Chain, chain.hookName(), chain.links}
		if base.Hook == "" {
			continue
		}
		if all := packets(base); len(all) > 0 {
			if err := r.tables.read(c, chain); err != nil {
				return nil, err
			}
			drops = r.appendDrop(drops, base, chain.policy, all)
		}
	}
	legacy, err := legacyTables()
	if err != nil {
		return nil, err
	}
	for _, t := range legacy {
		for hook, name := range builtinChains {
			base := BaseChain{Chain: Chain{t.family, t.name, name, true}, Hook: inetHooks[hook]}
			if _, ok := t.hook(hook); ok {
				r.tables[base.table()] = t.chains() // the policy is the last rule
				drops = r.appendDrop(drops, base, verdictAccept, packets(base))
			}
		}
	}
	return drops, r.err
}

// Leaving reports whether packets at a hook have an output link and no input link.
func (h Hook) Leaving() bool { return h == Output || h == Postrouting || h == Egress }

// inetHooks are the hooks by NF_INET_*.
var inetHooks = [...]Hook{Prerouting, Input, Forwarding, Output, Postrouting, Ingress}

// hookName returns the chain's hook; "" if it has none, or is of the family arp.
func (c listedChain) hookName() Hook {
	switch {
	case c.family == unix.NFPROTO_NETDEV && c.hook <= 1:
		return [...]Hook{Ingress, Egress}[c.hook]
	case c.family != unix.NFPROTO_ARP && c.family != unix.NFPROTO_NETDEV && c.hook < uint32(len(inetHooks)):
		return inetHooks[c.hook]
	}
	return ""
}

// appendDrop appends a chain that drops some of the packets, with the first that it drops for certain.
func (r *rules) appendDrop(drops []Drop, base BaseChain, policy uint32, packets []Packet) []Drop {
	found := Drop{BaseChain: base, Rules: len(r.tables.of(base.Chain))}
	found.Rest = policy == verdictDrop
	if !found.Rest && r.tables.endsInDrop(base.Chain, maxJumps) {
		found.Rest, found.Rules = true, found.Rules-1
	}
	some := false
	for _, p := range packets {
		result := r.baseChain(base.Chain, policy, p)
		if certain := result == dropped; result&dropped != 0 && (!some || certain) {
			some, found.Packet, found.Certain = true, p, certain
			if certain {
				break
			}
		}
	}
	if some {
		drops = append(drops, found)
	}
	return drops
}

// An outcome is what can become of packets.
type outcome byte

const (
	accepted outcome = 1 << iota
	dropped
	goesOn  // to the next rule
	returns // to the calling chain
)

// baseChain returns what a base chain can do to packets: accept or drop them.
func (r *rules) baseChain(c Chain, policy uint32, p Packet) outcome {
	family := p.family()
	if c.Family == "ip" || c.Family == "ip6" {
		if family != 0 && family != familyNumber(c.Family) {
			return accepted // does not see them
		}
		family = familyNumber(c.Family)
	}
	result := walk{r, p, family}.chain(c, maxJumps)
	switch {
	case result&goesOn == 0:
		return result
	case policy == verdictDrop:
		return result&^goesOn | dropped
	}
	return result&^goesOn | accepted
}

// family returns NFPROTO_IPV4 or NFPROTO_IPV6; 0 if it is not known.
func (p Packet) family() byte {
	switch {
	case p.Source.Is4() || p.Target.Is4():
		return unix.NFPROTO_IPV4
	case p.Source.IsValid() || p.Target.IsValid():
		return unix.NFPROTO_IPV6
	}
	return 0
}

// A walk follows packets through chains.
type walk struct {
	*rules
	p      Packet
	family byte // 0 if it is not known
}

// chain returns what a chain can do to packets.
func (w walk) chain(c Chain, depth int) (all outcome) {
	if depth == 0 {
		return accepted | dropped | goesOn
	}
	for _, r := range w.tables.of(c) {
		result := w.rule(c, r.steps, depth)
		all |= result & (accepted | dropped)
		if result&returns != 0 {
			all |= goesOn
		}
		if result&goesOn == 0 {
			return all
		}
	}
	return all | goesOn
}

// rule returns what a rule can do to packets.
func (w walk) rule(c Chain, steps []step, depth int) (all outcome) {
	registers := map[uint32]register{}
	for _, s := range steps {
		match := always
		switch s.kind {
		case stepUnknown:
			if match = sometimes; s.low != nil { // of iptables
				match = w.load(s).within(s.low, s.low)
			}
		case stepPorts:
			match = sometimes
		case stepLoad:
			registers[s.to] = w.load(s)
		case stepMask:
			registers[s.to] = registers[s.from].masked(s.low)
		case stepCompare:
			match = registers[s.from].within(s.low, s.high).is(s.op)
		case stepLookup:
			if s.isMap && s.to == verdictRegister {
				return all | w.verdictMap(c, s, registers, depth)
			}
			if match = w.inSet(c, s, registers); s.isMap {
				delete(registers, s.to)
			}
		case stepVerdict, stepReject, stepEndChain, stepRedirect:
			return all | w.verdict(c, s, depth)
		}
		switch match {
		case never:
			return all | goesOn
		case sometimes:
			all |= goesOn
		}
	}
	return all | goesOn
}

// verdict returns what a verdict does to packets.
func (w walk) verdict(c Chain, s step, depth int) outcome {
	switch {
	case s.kind == stepReject, s.kind == stepVerdict && s.code == verdictDrop:
		return dropped
	case s.kind != stepVerdict || s.code == verdictAccept:
		return accepted
	case s.code == verdictReturn:
		return returns
	case s.chain == "":
		return accepted | goesOn // to a queue, for example
	}
	c.Name = s.chain
	result := w.chain(c, depth-1)
	if s.code == verdictGoto && result&goesOn != 0 {
		result = result&^goesOn | returns
	}
	return result
}

// verdictMap returns what the verdicts of a map can do to packets.
func (w walk) verdictMap(c Chain, s step, registers map[uint32]register, depth int) (all outcome) {
	for _, el := range w.elements(c, s.set) {
		match := holds(el, s.from, registers)
		if match != never {
			all |= w.verdict(c, el.verdict, depth)
		}
		if match == always {
			return all
		}
	}
	return all | goesOn
}

// inSet reports whether packets are in a set.
func (w walk) inSet(c Chain, s step, registers map[uint32]register) matching {
	match := never
	for _, el := range w.elements(c, s.set) {
		if match = max(match, holds(el, s.from, registers)); match == always {
			break
		}
	}
	return match.is(s.op)
}

// newConnection is the state of a packet that begins a connection: NF_CT_STATE_BIT(IP_CT_NEW).
const newConnection = 8

// load returns the value of a field.
func (w walk) load(s step) register {
	r := register{size: s.size}
	number := func(n uint32, known bool) {
		if known {
			r.value = binary.NativeEndian.AppendUint32(nil, n)
		}
	}
	link := func(name string) {
		if name != "" {
			r.value = make([]byte, unix.IFNAMSIZ)
			copy(r.value, name)
		}
	}
	switch s.field {
	case familyField:
		if w.family != 0 {
			r.value = []byte{w.family}
		}
	case protocolField:
		switch w.family {
		case unix.NFPROTO_IPV4:
			r.value = be16(unix.ETH_P_IP)
		case unix.NFPROTO_IPV6:
			r.value = be16(unix.ETH_P_IPV6)
		}
	case inField:
		link(w.p.In)
	case outField:
		link(w.p.Out)
	case inGroupField:
		number(w.p.InGroup, w.p.InGroup != 0)
	case outGroupField:
		number(w.p.OutGroup, w.p.OutGroup != 0)
	case stateField:
		number(newConnection, true)
	case routeField:
		number(1, true) // there is one: an index of a link, or true
	default:
		r.value = w.address(s)
	}
	return r
}

// address returns the part of an address that a step loads; nil if it loads something else.
func (w walk) address(s step) []byte {
	source, target := w.p.Source, w.p.Target
	if !s.header { // of iptables-legacy
		switch s.field {
		case sourceField:
			return source.AsSlice()
		case targetField:
			return target.AsSlice()
		}
		return nil
	}
	at, size := uint32(12), uint32(4)
	if w.family == unix.NFPROTO_IPV6 {
		at, size = 8, 16
	}
	for i, a := range []netip.Addr{source, target} {
		from := at + uint32(i)*size
		if end := s.offset + uint32(s.size); a.IsValid() && s.offset >= from && end <= from+size {
			return a.AsSlice()[s.offset-from : end-from]
		}
	}
	return nil
}

// maxJumps is NFT_JUMP_STACK_SIZE of the kernel's include/net/netfilter/nf_tables.h.
const maxJumps = 16

// endsInDrop reports whether a chain drops each packet that no rule for some packets accepts.
func (t tables) endsInDrop(c Chain, depth int) bool {
	for _, r := range t.of(c) {
		v := r.verdict()
		next := c
		next.Name = v.chain
		switch {
		case v.kind == stepReject, v.kind == stepVerdict && v.code == verdictDrop:
			return true
		case v.chain != "" && depth > 0 && t.endsInDrop(next, depth-1):
			return true
		case v.kind == stepVerdict && v.code != verdictJump:
			return false
		}
	}
	return false
}

// verdict returns what a rule does with all packets: stepReject, stepVerdict, or stepNothing if it has a condition or
// no verdict.
func (r rule) verdict() step {
	for _, s := range r.steps {
		if s.kind != stepNothing {
			if s.kind == stepVerdict || s.kind == stepReject {
				return s
			}
			break
		}
	}
	return step{kind: stepNothing}
}
