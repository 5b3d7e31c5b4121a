//go:build linux

package nft

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"net/netip"
	"slices"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// DestinationNAT contains the foreign rules that may give packets another destination, in nftables of any form (dnat,
// redirect and tproxy, with sets, maps and jumps, and those of iptables-nft) and in iptables-legacy.
type DestinationNAT struct {
	c      *Conn
	tables map[Chain]map[string][]foreignRule // by the table, with Name "": the rules by chain
	base   []Chain                            // chains at the hooks prerouting and output
	sets   map[Chain][]foreignElement         // by set, with its name as Name
	err    error
}

// ReadDestinationNAT reads the rules of a namespace. It skips [GuardTable] and the tables for which skip returns true.
// For iptables-legacy, it reads the calling thread's namespace.
func (c *Conn) ReadDestinationNAT(skip func(table string) bool) (*DestinationNAT, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := &DestinationNAT{c: c, tables: map[Chain]map[string][]foreignRule{}, sets: map[Chain][]foreignElement{}}
	m := request(unix.NFT_MSG_GETCHAIN, netlink.Dump)
	m.Data[0] = unix.NFPROTO_UNSPEC
	bodies, err := c.list("chains", m)
	if err != nil {
		return nil, err
	}
	for _, b := range bodies {
		chain, hook, _, err := decodeBaseChain(b)
		if err != nil {
			return nil, err
		}
		if chain.Family == "" || chain.Family == "bridge" || chain.Table == GuardTable || skip(chain.Table) ||
			hook != unix.NF_INET_PRE_ROUTING && hook != unix.NF_INET_LOCAL_OUT {
			continue
		}
		d.base = append(d.base, chain)
		if err := c.readRules(chain, d.tables); err != nil {
			return nil, err
		}
	}
	return d, d.readLegacy()
}

// readRules reads the rules of a chain's table, unless tables has them.
func (c *Conn) readRules(chain Chain, tables map[Chain]map[string][]foreignRule) error {
	table := chain.table()
	if tables[table] != nil {
		return nil
	}
	tables[table] = map[string][]foreignRule{}
	m := request(unix.NFT_MSG_GETRULE, netlink.Dump, attrString(unix.NFTA_RULE_TABLE, chain.Table))
	m.Data[0] = familyNumber(chain.Family)
	bodies, err := c.list("rules of table "+chain.Family+" "+chain.Table, m)
	for _, b := range bodies {
		r, decodeErr := decodeRuleSteps(m.Data[0], b)
		err = errors.Join(err, decodeErr)
		tables[table][r.chain] = append(tables[table][r.chain], r)
	}
	return err
}

func familyNumber(name string) byte {
	for n, known := range families {
		if known == name {
			return n
		}
	}
	return unix.NFPROTO_UNSPEC
}

// Taking returns the first foreign rule that may take packets which f forwards: "the rule with handle 4 of chain ip x
// p"; "" if there is none. local are the addresses of the namespace. Taking assumes that conditions which it does not
// know, for example on the source, hold for some packets.
func (d *DestinationNAT) Taking(f Forward, local []netip.Addr) (string, error) {
	d.c.mu.Lock()
	defer d.c.mu.Unlock()
	p := packets{v4: f.To.Is4(), proto: f.Proto, ports: f.Ports, in: f.In, all: true}
	for _, a := range local {
		if a.Is4() == p.v4 && (!f.Addr.IsValid() || f.Addr == a) {
			p.addrs = append(p.addrs, a)
		}
	}
	if f.Addr.IsValid() {
		p.addrs = []netip.Addr{f.Addr}
	}
	for _, chain := range d.base {
		if chain.Family == "inet" || (chain.Family == "ip") == p.v4 {
			if taken, _ := d.chain(chain, p, maxJumps); taken != "" || d.err != nil {
				return taken, d.err
			}
		}
	}
	return "", nil
}

// packets are those packets that a forward takes and that may get to a place in a ruleset.
type packets struct {
	v4    bool
	proto Proto
	ports Ports
	addrs []netip.Addr // destinations
	in    string       // the input link; "" means any
	all   bool         // all of the chain's packets get to the rule's step
}

// chain follows packets through a chain. It returns the rule that takes some of them, and whether none of them go on
// after the chain.
func (d *DestinationNAT) chain(c Chain, p packets, depth int) (taken string, ends bool) {
	if depth == 0 {
		return "", false
	}
	for _, r := range d.tables[c.table()][c.Name] {
		e := &ruleEvaluation{d: d, chain: c, depth: depth, registers: map[uint32]loadedField{}}
		p.all = true
		if e.run(r.steps, p); e.takes {
			return r.name + " of " + c.String(), true
		}
		switch {
		case e.taken != "":
			return e.taken, true
		case e.ends, e.returns:
			return "", e.ends
		}
	}
	return "", false
}

// A ruleEvaluation follows packets through the steps of a rule.
type ruleEvaluation struct {
	d         *DestinationNAT
	chain     Chain
	depth     int
	registers map[uint32]loadedField // by first byte

	takes         bool   // the rule takes some packets
	taken         string // a rule of a chain that it jumps to takes some
	ends, returns bool   // no packet goes on: to the next chain, to the next rule
}

func (e *ruleEvaluation) run(steps []ruleStep, p packets) {
	for i, s := range steps {
		matches := true
		switch s.kind {
		case stepUnknown:
			clear(e.registers)
			p.all = false
		case stepLoad:
			e.registers[s.to] = loadedField{name: s.field, size: s.size}
		case stepMask:
			f := e.registers[s.from]
			if f.mask = s.low; f.mask == nil {
				f.name = otherField
			}
			e.registers[s.to] = f
		case stepCompare:
			field := e.registers[s.from]
			p, matches = p.restrict(s.op, func(p packets) (packets, bool) { return p.match(field, s.low, s.high) })
		case stepPorts:
			p, matches = p.restrictPorts(s)
		case stepLookup:
			if e.lookup(s, steps[i+1:], &p) {
				return
			}
		case stepVerdict, stepReject, stepEnds:
			e.verdict(s, p)
			return
		case stepTakes:
			e.takes = s.low == nil || s.low[0] == p.family() || s.low[0] == unix.NFPROTO_INET
			matches = !e.takes
		}
		if !matches {
			return
		}
	}
}

// verdict applies a verdict to packets.
func (e *ruleEvaluation) verdict(s ruleStep, p packets) {
	jumps := s.code == verdictJump || s.code == verdictGoto
	if s.kind == stepVerdict && jumps {
		taken, ends := e.d.chain(Chain{e.chain.Family, e.chain.Table, s.chain, e.chain.Legacy}, p, e.depth-1)
		if e.taken == "" {
			e.taken = taken
		}
		if p.all {
			e.ends, e.returns = ends, s.code == verdictGoto
		}
		return
	}
	if p.all {
		e.returns = true
		e.ends = s.kind != stepVerdict || s.code != verdictReturn
	}
}

// lookup looks for packets in a set, and runs the rest of the rule for each element that matches some of them. It
// returns false if the rest remains to be run for p.
func (e *ruleEvaluation) lookup(s ruleStep, rest []ruleStep, p *packets) (done bool) {
	if s.op != expr.CmpOpEq {
		p.all = false
		return false
	}
	for _, element := range e.d.elements(e.chain, s.set) {
		q, matches := e.matchElement(s.from, element, *p)
		if !matches {
			continue
		}
		switch {
		case s.isMap && s.to == verdictRegister:
			e.verdict(element.verdict, q)
		default:
			if s.isMap {
				delete(e.registers, s.to)
			}
			e.run(rest, q)
		}
		if e.takes || e.taken != "" || e.ends || e.returns {
			return true
		}
	}
	return true
}

// matchElement restricts packets to those with a key of an element.
func (e *ruleEvaluation) matchElement(register uint32, element foreignElement, p packets) (packets, bool) {
	low, high, matches := element.key, element.end, true
	p.all = p.all && len(low) > 0 // a catch-all element matches what no other does
	for len(low) > 0 && matches {
		f, known := e.registers[register]
		size := min(len(low), len(high), (f.size+3)/4*4)
		if !known || size == 0 {
			p.all = false
			return p, true
		}
		p, matches = p.match(f, low[:size], high[:size])
		low, high, register = low[size:], high[size:], register+uint32(size)
	}
	return p, matches
}

// restrict restricts packets to those that match does (CmpOpEq) or does not accept (CmpOpNeq).
func (p packets) restrict(op expr.CmpOp, match func(packets) (packets, bool)) (packets, bool) {
	was := p.all
	p.all = true
	q, some := match(p)
	if op == expr.CmpOpEq {
		q.all = q.all && was
		return q, some
	}
	p.all = was && !some
	return p, !some || !q.all
}

func (p packets) restrictPorts(s ruleStep) (packets, bool) {
	return p.restrict(s.op, func(p packets) (packets, bool) {
		for _, r := range s.ports {
			if q, some := p.match(loadedField{name: portField}, be16(r.First), be16(r.Last)); some {
				return q, true
			}
		}
		return p, false
	})
}

// match returns the packets with a value of the field between low and high; nil means no limit. It clears all if there
// may be others.
func (p packets) match(f loadedField, low, high []byte) (packets, bool) {
	compare := func(value, with []byte) int { // only what both have: with may be a prefix, or padded
		n := min(len(value), len(with))
		return bytes.Compare(value[:n], with[:n])
	}
	within := func(value []byte) bool { return compare(value, low) >= 0 && compare(value, high) <= 0 }
	switch f.name {
	case familyField:
		return p, within([]byte{p.family()})
	case protoField:
		return p, within([]byte{byte(p.proto)})
	case portField:
		return p.matchPort(low, high)
	case targetField, target4Field, target6Field:
		if f.name == target4Field && !p.v4 || f.name == target6Field && p.v4 {
			return p, false
		}
		count := len(p.addrs)
		p.addrs = slices.DeleteFunc(slices.Clone(p.addrs), func(a netip.Addr) bool {
			b := a.AsSlice()
			for i := range f.mask {
				b[i] &= f.mask[i]
			}
			return !within(b)
		})
		p.all = p.all && len(p.addrs) == count
		return p, len(p.addrs) > 0
	case inField:
		name := decodeName(string(low))
		whole := wholeName(low) && (f.mask == nil || bytes.IndexByte(f.mask, 0) > len(name))
		if p.in != "" && whole && bytes.Equal(low, high) {
			return p, name == p.in
		}
	case typeField:
		return p, len(low) == 4 && binary.NativeEndian.Uint32(low) == unix.RTN_LOCAL
	}
	p.all = false
	return p, true
}

func (p packets) family() byte {
	if p.v4 {
		return unix.NFPROTO_IPV4
	}
	return unix.NFPROTO_IPV6
}

func (p packets) matchPort(low, high []byte) (packets, bool) {
	first, last := uint16(0), uint16(0xffff)
	if len(low) >= 2 {
		first = binary.BigEndian.Uint16(low)
	}
	if len(high) >= 2 {
		last = binary.BigEndian.Uint16(high)
	}
	had := p.ports
	p.ports = Ports{max(first, had.First), min(last, had.Last)}
	p.all = p.all && p.ports == had
	return p, p.ports.First <= p.ports.Last
}

// elements returns the elements of a set; none if it does not exist any more.
func (d *DestinationNAT) elements(c Chain, set string) []foreignElement {
	c.Name = set
	if known, ok := d.sets[c]; ok {
		return known
	}
	m := request(unix.NFT_MSG_GETSETELEM, netlink.Dump,
		attrString(unix.NFTA_SET_ELEM_LIST_TABLE, c.Table), attrString(unix.NFTA_SET_ELEM_LIST_SET, set))
	m.Data[0] = familyNumber(c.Family)
	bodies, err := d.c.list("set "+c.Family+" "+c.Table+" "+set, m)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.err = errors.Join(d.err, err)
	}
	var all []foreignElement
	for _, b := range bodies {
		more, err := decodeForeignElements(b)
		d.err = errors.Join(d.err, err)
		all = append(all, more...)
	}
	d.sets[c] = joinForeignIntervals(all)
	return d.sets[c]
}
