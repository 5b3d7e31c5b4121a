//go:build linux

package ruleset

import (
	"errors"
	"io/fs"
	"net/netip"
	"slices"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
)

// DestinationNAT contains the foreign rules that may give packets another destination, in nftables of any form (dnat,
// redirect and tproxy, with sets, maps and jumps, and those of iptables-nft) and in iptables-legacy.
type DestinationNAT struct {
	rules
	base []Chain // chains at the hooks prerouting and output
}

// rules are foreign rules with their sets.
type rules struct {
	c      *nft.Conn
	tables tables
	sets   map[Chain][]element // by set, with its name as Name
	err    error
}

// ReadDestinationNAT reads the rules of a namespace. It skips [nft.GuardTable] and the tables for which skip returns
// true. For iptables-legacy, it reads the calling thread's namespace.
func ReadDestinationNAT(c *nft.Conn, skip func(table string) bool) (*DestinationNAT, error) {
	d := &DestinationNAT{rules: rules{c: c, tables: tables{}, sets: map[Chain][]element{}}}
	chains, err := listChains(c)
	if err != nil {
		return nil, err
	}
	for _, chain := range chains {
		if !chain.isAt(unix.NF_INET_PRE_ROUTING, unix.NF_INET_LOCAL_OUT) || chain.Family == "bridge" ||
			chain.Table == nft.GuardTable || skip(chain.Table) {
			continue
		}
		d.base = append(d.base, chain.Chain)
		if err := d.tables.read(c, chain); err != nil {
			return nil, err
		}
	}
	return d, d.readLegacy()
}

// Taking returns the first foreign rule that may give packets which f forwards another destination: "the rule with
// handle 4 of chain ip x p"; "" if there is none. local are the addresses of the namespace. Taking assumes that
// conditions which it does not know, for example on the source, hold for some packets.
func (d *DestinationNAT) Taking(f nft.Forward, local []netip.Addr) (string, error) {
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

// chain follows packets through a chain. It returns the rule that takes some of them, and whether none of them goes on
// after the chain. depth is the number of jumps that are still allowed.
func (d *DestinationNAT) chain(c Chain, p packets, depth int) (taken string, ends bool) {
	if depth == 0 {
		return "", false
	}
	for _, r := range d.tables.of(c) {
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

	takes   bool   // the rule takes some packets
	taken   string // a rule of a chain that it jumps to takes some
	ends    bool   // no packet goes on after this chain
	returns bool   // no packet goes on to the next rule of this chain
}

func (e *ruleEvaluation) run(steps []step, p packets) {
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
		case stepVerdict, stepReject, stepEndChain:
			e.verdict(s, p)
			return
		case stepRedirect:
			e.takes = s.low == nil || s.low[0] == p.family() || s.low[0] == unix.NFPROTO_INET
			matches = !e.takes
		}
		if !matches {
			return
		}
	}
}

// verdict applies a verdict to packets.
func (e *ruleEvaluation) verdict(s step, p packets) {
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
// returns false if the caller has to run the rest for p.
func (e *ruleEvaluation) lookup(s step, rest []step, p *packets) (done bool) {
	if s.op != expr.CmpOpEq {
		p.all = false
		return false
	}
	for _, el := range e.d.elements(e.chain, s.set) {
		q, matches := e.matchElement(s.from, el, *p)
		if !matches {
			continue
		}
		switch {
		case s.isMap && s.to == verdictRegister:
			e.verdict(el.verdict, q)
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
func (e *ruleEvaluation) matchElement(register uint32, el element, p packets) (packets, bool) {
	low, high, matches := el.key, el.end, true
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

// elements returns the elements of a set, a catch-all element last; none if it does not exist any more.
func (d *rules) elements(c Chain, set string) []element {
	c.Name = set
	if known, ok := d.sets[c]; ok {
		return known
	}
	bodies, err := d.c.Dump("set "+c.Family+" "+c.Table+" "+set, unix.NFT_MSG_GETSETELEM, familyNumber(c.Family),
		attrString(unix.NFTA_SET_ELEM_LIST_TABLE, c.Table), attrString(unix.NFTA_SET_ELEM_LIST_SET, set))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.err = errors.Join(d.err, err)
	}
	var all []element
	for _, b := range bodies {
		more, err := decodeElements(b)
		d.err = errors.Join(d.err, err)
		all = append(all, more...)
	}
	all = joinIntervals(all)
	isCatchAll := func(e element) bool { return len(e.key) == 0 }
	if i := slices.IndexFunc(all, isCatchAll); i >= 0 { // it matches what no other does, so it comes last
		all = append(slices.Delete(slices.Clone(all), i, i+1), all[i])
	}
	d.sets[c] = all
	return d.sets[c]
}
