package words

import (
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/names"
	"github.com/vnet-lab/vnet/rtnl"
)

// A RouteSelection selects routes to show or to flush. Links and the VRF are names here; the caller looks them up.
type RouteSelection struct {
	// Filter is the part of the selection that the kernel applies.
	Filter rtnl.RouteFilter
	// Dev is the outgoing link, InDev the incoming link; "" is any.
	Dev, InDev string
	// InLink is the index of InDev. The caller sets it.
	InLink uint32
	// VRF is the VRF whose table is selected; "" is none, also if a table is given after it. NoLocal leaves out local
	// and broadcast routes.
	VRF     string
	NoLocal bool
	// Any is set if the selection has a word.
	Any bool
	// Help reports whether the words ask for help.
	Help bool

	// Values that must be equal; nil matches all.
	TOS, Protocol, Scope *uint8
	Metric, Mark         *uint32
	// Realms must be equal in the bits of RealmsMask.
	Realms, RealmsMask uint32
	// Via is the gateway and Src the preferred source. Root and Match are ip(8)'s limits for the destination, FromRoot
	// and FromMatch for the source.
	Via, Src, Root, Match, FromRoot, FromMatch Prefix
}

type selectionReader struct {
	*Words
	RouteSelection
	family int
}

// selectionKeywords are in the order in which ip(8) matches abbreviations.
var selectionKeywords = []keyword[selectionReader]{
	{"table", true, (*selectionReader).readTable},
	{"vrf", true, func(s *selectionReader, word string) { s.VRF, s.NoLocal = s.Value(word), true }},
	{"cached", true, func(s *selectionReader, _ string) { s.Filter.Cached = true }},
	{"cloned", true, func(s *selectionReader, _ string) { s.Filter.Cached = true }},
	{"tos", false, func(s *selectionReader, word string) { s.TOS = s.namedPtr(word, names.DSFields) }},
	{"dsfield", true, func(s *selectionReader, word string) { s.TOS = s.namedPtr(word, names.DSFields) }},
	{"protocol", true, func(s *selectionReader, word string) { s.Protocol = s.namedOrAll(word, names.RouteProtocols) }},
	{"scope", true, func(s *selectionReader, word string) { s.Scope = s.namedOrAll(word, names.Scopes) }},
	{"type", true, (*selectionReader).readType},
	{"dev", false, func(s *selectionReader, word string) { s.Dev = s.Value(word) }},
	{"oif", false, func(s *selectionReader, word string) { s.Dev = s.Value(word) }},
	{"iif", false, func(s *selectionReader, word string) { s.InDev = s.Value(word) }},
	{"mark", false, func(s *selectionReader, word string) { s.Mark = s.numberPtr(word) }},
	{"metric", true, func(s *selectionReader, word string) { s.Metric = s.numberPtr(word) }},
	{"priority", true, func(s *selectionReader, word string) { s.Metric = s.numberPtr(word) }},
	{"preference", false, func(s *selectionReader, word string) { s.Metric = s.numberPtr(word) }},
	{"via", false, (*selectionReader).readVia},
	{"src", false, func(s *selectionReader, word string) { s.Src = s.prefix(s.Value(word)) }},
	{"realms", true, (*selectionReader).readRealms},
	{"from", true, func(s *selectionReader, _ string) { s.readBounds(&s.FromRoot, &s.FromMatch) }},
}

// RouteSelection parses the words after route show or route flush. family is the family of the options; 0 means IPv4,
// or all families if all tables are selected.
func (w *Words) RouteSelection(family int) RouteSelection {
	s := &selectionReader{Words: w, family: family}
	s.Filter.Family = uint8(family)
	s.Any = w.More()
	for s.More() && !s.Help {
		if k := find(selectionKeywords, s.Peek()); k != nil {
			k.read(s, s.Next())
			continue
		}
		s.TakeShort("to")
		word := s.Peek()
		s.readBounds(&s.Root, &s.Match)
		s.suggest(word, append(keywordNames(selectionKeywords), "root", "match", "exact"))
	}
	if family == 0 && (!s.Filter.AllTables || s.NoLocal) {
		s.Filter.Family = unix.AF_INET
	}
	return s.RouteSelection
}

// readTable takes a table's name or number, "all" or "cache".
func (s *selectionReader) readTable(word string) {
	value := s.Value(word)
	table, ok := names.RouteTables.Number(value)
	switch {
	case ok:
		s.Filter.Table, s.Filter.AllTables, s.VRF = table, table == 0, ""
	case value == "all":
		s.Filter.AllTables = true
	case value == "cache":
		s.Filter.Cached = true
	case value == "help":
		s.Help = true
	case s.Err == nil:
		s.Err = Unknown("table", value, append(names.RouteTables.All(), "all", "cache"))
	}
}

func (s *selectionReader) readType(word string) {
	value := s.Value(word)
	typ, ok := routeType(value)
	if !ok && s.Err == nil {
		var known []string
		for _, t := range routeTypes {
			known = append(known, t.name)
		}
		s.Err = Unknown("type", value, known)
	}
	s.Filter.Type = typ
}

func (s *selectionReader) namedPtr(word string, t *names.Table) *uint8 {
	n := uint8(s.named(word, t))
	return &n
}

func (s *selectionReader) numberPtr(word string) *uint32 {
	n := uint32(s.number(word, 1<<32-1))
	return &n
}

// namedOrAll takes a name, a number, or "all", which returns nil.
func (s *selectionReader) namedOrAll(word string, t *names.Table) *uint8 {
	if s.Take("all") {
		return nil
	}
	return s.namedPtr(word, t)
}

func (s *selectionReader) readVia(word string) {
	value, family := s.Value(word), s.family
	if f, ok := addrFamily(value); ok {
		value, family = s.Value(value), f
	}
	s.Via = s.prefixOf(value, family)
}

// readRealms takes [FROM/]TO; an empty side matches any.
func (s *selectionReader) readRealms(word string) {
	text := s.Peek()
	s.Realms, s.RealmsMask = s.realms(word), 1<<32-1
	if s.Realms&0xffff == 0 && strings.HasSuffix(text, "/") {
		s.RealmsMask &^= 0xffff
	}
	if s.Realms>>16 == 0 && (!strings.Contains(text, "/") || text[0] == '/') {
		s.RealmsMask &= 0xffff
	}
}

// readBounds takes [root|match|exact] PREFIX.
func (s *selectionReader) readBounds(root, match *Prefix) {
	switch {
	case s.TakeShort("root"):
		*root = s.prefix(s.Value("root"))
	case s.TakeShort("match"):
		*match = s.prefix(s.Value("match"))
	default:
		s.TakeShort("exact")
		*match = s.prefix(s.Value("exact"))
		*root = *match
	}
}

func (s *selectionReader) prefix(word string) Prefix { return s.prefixOf(word, s.family) }

func (s *selectionReader) prefixOf(word string, family int) Prefix {
	if s.Err != nil {
		return Prefix{}
	}
	p, ok := parsePrefix(word, family)
	if !ok {
		s.failAddr(family, "prefix", word)
	}
	return p
}

// Matches reports whether a route is selected. It does not check what the kernel filters: table, type and link.
func (s RouteSelection) Matches(r rtnl.Route) bool {
	src := r.Src
	if !src.IsValid() {
		src = Prefix{}.Of(familyOf(r))
	}
	switch {
	case s.TOS != nil && r.TOS != *s.TOS,
		s.Protocol != nil && r.Protocol != *s.Protocol,
		s.Scope != nil && r.Scope != *s.Scope,
		s.Metric != nil && r.Metric != *s.Metric,
		s.Mark != nil && r.Mark != *s.Mark,
		s.InLink != 0 && r.InLink != s.InLink,
		s.Filter.Link != 0 && r.Link != s.Filter.Link, // the kernel's filter also takes the links of next hops
		s.NoLocal && (r.Type == unix.RTN_LOCAL || r.Type == unix.RTN_BROADCAST),
		(r.Realms^s.Realms)&s.RealmsMask != 0,
		!s.Root.covers(r.Dst), !s.Match.coveredBy(r.Dst),
		!s.FromRoot.covers(src), !s.FromMatch.coveredBy(src):
		return false
	}
	return s.Via.matchesAddr(r.Gateway, r.Is6()) && s.Src.matchesAddr(r.PrefSrc, r.Is6())
}

func familyOf(r rtnl.Route) int {
	if r.Is6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// limits reports whether the prefix limits the selection. The words all and any do not.
func (p Prefix) limits() bool { return p.Family != 0 || p.Length }

// ofFamily reports whether the prefix can be compared with addresses of the family.
func (p Prefix) ofFamily(is6 bool) bool {
	return p.Family == 0 || (p.Family == unix.AF_INET6) == is6
}

// covers reports whether the prefix contains dst.
func (p Prefix) covers(dst netip.Prefix) bool {
	return !p.limits() || p.ofFamily(dst.Addr().Is6()) && dst.Bits() >= p.Bits() &&
		(!p.IsValid() || p.Masked().Contains(dst.Addr()))
}

// coveredBy reports whether dst contains the prefix.
func (p Prefix) coveredBy(dst netip.Prefix) bool {
	return !p.limits() || p.ofFamily(dst.Addr().Is6()) && dst.Bits() <= max(p.Bits(), 0) &&
		(dst.Bits() <= 0 || p.IsValid() && dst.Masked().Contains(p.Addr()))
}

// matchesAddr reports whether the prefix contains an address. An invalid address counts as zero.
func (p Prefix) matchesAddr(a netip.Addr, is6 bool) bool {
	switch {
	case !p.limits():
		return true
	case a.IsValid():
		is6 = a.Is6()
	case is6:
		a = netip.IPv6Unspecified()
	default:
		a = netip.IPv4Unspecified()
	}
	return p.ofFamily(is6) && (!p.IsValid() || p.Masked().Contains(a))
}
