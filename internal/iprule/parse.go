package iprule

import (
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A keyword of ip-rule(8).
type keyword struct {
	word   string
	attr   uint16
	change abbreviation // in commands that change rules
	list   abbreviation // in commands that list rules
}

type abbreviation uint8

const (
	whole  abbreviation = iota // the keyword cannot be abbreviated
	short                      // it can be abbreviated
	absent                     // the command does not have it
)

// keywords are in the order in which ip matches abbreviations.
var keywords = []keyword{
	{"not", not, whole, whole}, {"from", from, whole, short}, {"src", from, absent, short},
	{"preference", Priority, short, short}, {"order", Priority, short, short}, {"priority", Priority, short, short},
	{"tos", TOS, whole, whole}, {"dsfield", TOS, short, whole}, {"fwmark", mark, whole, whole},
	{"realms", Realms, short, absent}, {"protocol", Protocol, short, short}, {"tun_id", tunnel, short, short},
	{"table", Table, short, short}, {"lookup", Table, whole, short},
	{"suppress_prefixlength", suppressLength, short, absent}, {"sup_pl", suppressLength, whole, absent},
	{"suppress_ifgroup", SuppressGroup, short, absent}, {"sup_group", SuppressGroup, whole, absent},
	{"dev", in, whole, whole}, {"iif", in, whole, whole}, {"oif", out, whole, whole}, {"l3mdev", L3MDev, whole, whole},
	{"uidrange", uids, whole, whole}, {"ipproto", IPProto, whole, whole}, {"sport", srcPorts, whole, whole},
	{"dport", dstPorts, whole, whole}, {"dscp", DSCP, whole, whole}, {"flowlabel", flowLabel, whole, whole},
	{"to", to, whole, short}, {"dst", to, absent, short}, {"type", Action, whole, absent},
	{"goto", Goto, short, absent},
}

// masks are the attributes of the masks that can follow a number, and fullMasks those that match all bits.
var (
	masks = map[uint16]uint16{
		mark: markMask, srcPorts: srcPortMask, dstPorts: dstPortMask, DSCP: dscpMask, flowLabel: flowMask,
	}
	fullMasks = map[uint16]uint64{
		markMask: 1<<32 - 1, srcPortMask: 1<<16 - 1, dstPortMask: 1<<16 - 1, dscpMask: 1<<6 - 1, flowMask: 1<<20 - 1,
	}
)

// An Error is a mistake in a rule.
type Error struct {
	Word, Text string
	Known      []string // words of which Word may be a misspelling
	Prefix     bool     // a prefix is expected
	Help       bool     // the word is help
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

// A Parser reads rules. Prefix reads a prefix; a zero one is all addresses. Number reads a number or its name; attr
// says what it is.
type Parser struct {
	Prefix func(word string) (p netip.Prefix, ok bool)
	Number func(attr uint16, word string) (n uint64, ok bool)
	// List reads the words that select rules to list.
	List bool

	words []string
	rule  Rule
	err   *Error
}

// Rule reads a rule.
func (p Parser) Rule(words []string) (Rule, *Error) {
	p.words, p.rule.Values = words, map[uint16]uint64{}
	for len(p.words) > 0 && p.err == nil {
		p.word(p.next(""))
	}
	return p.rule, p.err
}

// Parse reads a rule of a lab. Tables and protocols have few names there.
func Parse(words []string) (Rule, *Error) {
	r, err := Parser{Prefix: ParsePrefix, Number: ParseNumber}.Rule(words)
	if err == nil {
		r.Canonical()
	}
	return r, err
}

// ParsePrefix reads an address or a prefix as a Parser's Prefix; all is zero.
func ParsePrefix(word string) (p netip.Prefix, ok bool) {
	if word == "all" {
		return p, true
	}
	if a, err := netip.ParseAddr(word); err == nil && a.Zone() == "" && !a.Is4In6() {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(word)
	return p, err == nil && !p.Addr().Is4In6()
}

// next takes the value of a keyword.
func (p *Parser) next(keyword string) (word string) {
	if len(p.words) == 0 {
		p.fail(Error{Word: keyword, Text: strconv.Quote(keyword) + " needs a value"})
		return ""
	}
	word, p.words = p.words[0], p.words[1:]
	return word
}

func (p *Parser) fail(e Error) {
	if p.err == nil {
		p.err = &e
	}
}

func (p *Parser) invalid(keyword, word string) {
	p.fail(Error{Word: word, Text: keyword + " " + strconv.Quote(word) + " is not valid"})
}

// word reads a keyword and its value.
func (p *Parser) word(word string) {
	i := slices.IndexFunc(keywords, func(k keyword) bool {
		can := k.change
		if p.List {
			can = k.list
		}
		return word == k.word && can != absent || word != "" && can == short && strings.HasPrefix(k.word, word)
	})
	if i < 0 {
		p.other(word)
		return
	}
	k := keywords[i]
	switch k.attr {
	case not:
		p.rule.Not = true
	case L3MDev:
		p.rule.Values[L3MDev] = 1
	case Action:
		p.other(p.next(word))
	case from:
		p.rule.From = p.prefix(p.next(word))
	case to:
		p.rule.To = p.prefix(p.next(word))
	case in:
		p.rule.In = p.link(word)
	case out:
		p.rule.Out = p.link(word)
	default:
		p.value(k, p.next(word))
	}
}

// other reads a word that is no keyword: an action, or the prefix that limits a list.
func (p *Parser) other(word string) {
	if p.List {
		p.rule.To = p.prefix(word)
		return
	}
	n, ok := p.Number(Action, word)
	switch {
	case p.err != nil:
	case ok:
		p.rule.Action = uint8(n)
	default:
		known := []string{"blackhole", "unreachable", "prohibit"}
		for _, k := range keywords {
			known = append(known, k.word)
		}
		help := len(word) > 0 && len(word) <= 4 && word == "help"[:len(word)]
		p.fail(Error{Word: word, Text: "unknown word " + strconv.Quote(word) + " in a rule", Known: known, Help: help})
	}
}

func (p *Parser) prefix(word string) netip.Prefix {
	prefix, ok := p.Prefix(word)
	if !ok {
		p.fail(Error{Word: word, Text: strconv.Quote(word) + " is not a prefix", Prefix: true})
	}
	return prefix
}

func (p *Parser) link(keyword string) string {
	word := p.next(keyword)
	if word == "" || len(word) > 15 || strings.ContainsAny(word, "/ \t\n") {
		p.invalid(keyword, word)
	}
	return word
}

// value reads the number of a keyword: alone, with a mask, or the first and the last of a range.
func (p *Parser) value(k keyword, word string) {
	number, rest, ranged := word, "", false
	isRange := k.attr == uids || k.attr == srcPorts || k.attr == dstPorts
	if isRange {
		number, rest, ranged = strings.Cut(word, "-")
	}
	mask, hasMask := masks[k.attr]
	if hasMask && !ranged {
		number, rest, hasMask = strings.Cut(number, "/")
	}
	n, ok := p.Number(k.attr, number)
	last := n
	switch {
	case ranged:
		var valid bool
		last, valid = p.Number(k.attr, rest)
		ok = ok && valid
	case hasMask && mask != 0:
		m, valid := p.Number(mask, rest)
		ok = ok && valid
		p.rule.Values[mask] = m
	case k.attr == flowLabel:
		p.rule.Values[mask] = fullMasks[mask]
	}
	if isRange {
		ok = ok && (ranged || k.attr != uids)
		n |= last << 32
	}
	if !ok {
		p.invalid(k.word, word)
	}
	p.set(k.attr, n)
}

func (p *Parser) set(attr uint16, n uint64) {
	switch attr {
	case TOS:
		p.rule.TOS = uint8(n)
		return
	case Goto:
		p.rule.Action = jump
	}
	p.rule.Values[attr] = n
}

// widths are the lengths in bits of numbers that do not have 32 bits.
var widths = map[uint16]int{
	TOS: 8, Action: 8, Protocol: 8, IPProto: 8, tunnel: 64, srcPorts: 16, dstPorts: 16, srcPortMask: 16, dstPortMask: 16,
	DSCP: 6, dscpMask: 8, flowLabel: 20, flowMask: 20, suppressLength: 31,
}

// numbers are the names that a lab file can have. ip has more, from files of the system.
var numbers = map[uint16]map[string]uint64{
	Table:   {"default": 253, "main": mainTable, "local": 255},
	IPProto: {"icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "ipv6-icmp": 58, "sctp": 132},
}

// ParseNumber reads a number as a Parser's Number.
func ParseNumber(attr uint16, word string) (uint64, bool) {
	if attr == Action {
		n := max(slices.Index(actions, word), 0)
		return uint64(n), word != "" && n > 0
	}
	if n, ok := numbers[attr][word]; ok {
		return n, true
	}
	n, err := strconv.ParseUint(word, 0, 64)
	width := widths[attr]
	if width == 0 {
		width = 32
	}
	return n, err == nil && bits.Len64(n) <= width
}
