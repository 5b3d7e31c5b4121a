package words

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/names"
	"github.com/vnet-lab/vnet/rtnl"
)

// A keyword is a word that says what follows, and how to read that.
type keyword[R any] struct {
	name string
	// short says that any beginning of it will do.
	short bool
	read  func(reader *R, word string)
}

// find returns the first keyword of a table that the word names; nil is none.
func find[R any](table []keyword[R], word string) *keyword[R] {
	for i, k := range table {
		if word == k.name || k.short && Short(word, k.name) {
			return &table[i]
		}
	}
	return nil
}

func keywordNames[R any](table []keyword[R]) []string {
	var all []string
	for _, k := range table {
		all = append(all, k.name)
	}
	return all
}

// routeVerbs are in the order in which ip(8) tries them, which decides what an
// abbreviation means.
var routeVerbs = []string{
	"add", "change", "replace", "prepend", "append", "delete",
	"list", "show", "lst", "get", "flush", "help",
}

// RouteVerbs are what can be done with routes.
func RouteVerbs() []string {
	return []string{"show", "add", "replace", "append", "prepend", "change", "del", "get", "flush", "help"}
}

// RouteVerb takes the first word behind "route"; "" at the end is show.
func (w *Words) RouteVerb() string {
	if !w.More() {
		return "show"
	}
	word := w.Next()
	switch at := slices.IndexFunc(routeVerbs, func(v string) bool { return Short(word, v) }); {
	case word == "chg":
		return "change"
	case at < 0:
		if w.Err == nil {
			w.Err = Unknown("route command", word, RouteVerbs())
		}
		return ""
	case routeVerbs[at] == "list" || routeVerbs[at] == "lst":
		return "show"
	default:
		return routeVerbs[at]
	}
}

// A RouteChange is a route to be added, changed or deleted, with the links and
// the VRF that only the kernel can find still by name.
type RouteChange struct {
	Route rtnl.Route
	// Dev is the link to send through; "" is none.
	Dev string
	// HopDevs are the links of Route.Hops, each "" if none.
	HopDevs []string
	// VRF is the one whose table is meant; "" is none.
	VRF string
	// Help says that help was asked for instead.
	Help bool
}

// routeReader reads a [RouteChange].
type routeReader struct {
	*Words
	RouteChange
	family int // of all addresses; 0 while it is open
	dst    Prefix
	src    Prefix

	hasDst, hasScope, hasTable bool
}

// RouteChange reads what follows route add, change, replace, append, prepend or
// delete. The family is that of the options, 0 if they do not say.
func (w *Words) RouteChange(verb string, family int) RouteChange {
	r := &routeReader{Words: w, family: family}
	r.Route.Protocol = unix.RTPROT_BOOT
	if verb == "delete" {
		r.Route.Protocol = unix.RTPROT_UNSPEC
	}
	for r.More() && !r.Help {
		word := r.Next()
		if k := find(routeKeywords, word); k != nil {
			k.read(r, word)
		} else {
			r.to(word)
			r.suggest(word, keywordNames(routeKeywords))
		}
	}
	if !r.hasDst && r.Err == nil {
		r.Help = true
	}
	r.settle(verb == "delete")
	return r.RouteChange
}

// settle fills in what was not said, as ip(8) does.
func (r *routeReader) settle(del bool) {
	if r.family == 0 {
		r.family = unix.AF_INET
	}
	r.Route.Dst = r.dst.Of(r.family)
	if r.src != (Prefix{}) && (r.src.IsValid() || r.src.Length) {
		r.Route.Src = r.src.Of(r.family)
	}
	if !r.hasTable {
		r.Route.Table = r.Route.NaturalTable()
	}
	if r.hasScope {
		return
	}
	r.Route.Scope = r.Route.NaturalScope()
	if del && r.family == unix.AF_INET && r.Route.Type <= unix.RTN_UNICAST {
		r.Route.Scope = unix.RT_SCOPE_NOWHERE
	}
}

// to reads a destination: [to] [TYPE] PREFIX.
func (r *routeReader) to(word string) {
	if word == "to" {
		word = r.Value("to")
	}
	if typ, ok := routeType(word); ok && (word[0] < '0' || word[0] > '9') {
		r.Route.Type = typ
		word = r.Value(word)
	}
	if r.Err != nil {
		return
	}
	if Short(word, "help") {
		r.Help = true
		return
	}
	if r.hasDst {
		r.Fail("%q is unknown, or a second destination", word)
		return
	}
	r.dst, r.hasDst = r.prefix(word), true
}

// prefix reads a prefix of the route's family, which the first one decides.
func (r *routeReader) prefix(word string) Prefix {
	p, ok := parsePrefix(word, r.family)
	if !ok {
		r.failAddr(r.family, "prefix", word)
	}
	r.decide(p.Family)
	return p
}

func (r *routeReader) decide(family int) {
	if r.family == 0 {
		r.family = family
	}
}

// address takes an address of the route's family, which the first one decides.
func (r *routeReader) address(keyword string) netip.Addr {
	return r.addressOf(r.Value(keyword), r.family)
}

func (r *routeReader) addressOf(word string, family int) netip.Addr {
	if r.Err != nil {
		return netip.Addr{}
	}
	a, ok := ParseAddr(word, family)
	switch {
	case !ok:
		r.failAddr(family, "address", word)
	case a.Is4():
		r.decide(unix.AF_INET)
	default:
		r.decide(unix.AF_INET6)
	}
	return a
}

// via takes a gateway: [FAMILY] ADDRESS, where the family may be another than the
// route's.
func (r *routeReader) via(keyword string) netip.Addr {
	word := r.Value(keyword)
	if family, ok := addrFamily(word); ok {
		return r.addressOf(r.Value(word), family)
	}
	return r.addressOf(word, r.family)
}

func addrFamily(word string) (family int, ok bool) {
	switch word {
	case "inet":
		return unix.AF_INET, true
	case "inet6":
		return unix.AF_INET6, true
	}
	return 0, false
}

// number takes a number up to max.
func (w *Words) number(keyword string, max uint64) uint64 {
	word := w.Value(keyword)
	n, ok := Number(word, max)
	if !ok {
		w.Fail("%s %q is not a number up to %d", keyword, word, max)
	}
	return n
}

// named takes a name of a table, or a number.
func (w *Words) named(keyword string, t *names.Table) uint32 {
	word := w.Value(keyword)
	n, ok := t.Number(word)
	if !ok && w.Err == nil {
		w.Err = Unknown(keyword, word, t.All())
	}
	return n
}

// realms takes [FROM/]TO.
func (w *Words) realms(keyword string) uint32 {
	word := w.Value(keyword)
	from, to, both := cutRealms(word)
	var realms uint32
	for _, part := range []string{from, to} {
		n, ok := names.Realms.Number(part)
		if !ok && (part != "" || !both && part == to) {
			w.Fail("realm %q is unknown", part)
		}
		realms = realms<<16 | n
	}
	return realms
}

func cutRealms(word string) (from, to string, both bool) {
	for i := range len(word) {
		if word[i] == '/' {
			return word[:i], word[i+1:], true
		}
	}
	return "", word, false
}

// routeTypes are RTN_ of <linux/rtnetlink.h> in ip(8)'s order; the ones without
// short have to be whole.
var routeTypes = []struct {
	name  string
	short bool
	typ   uint8
}{
	{"local", false, unix.RTN_LOCAL}, {"nat", false, unix.RTN_NAT}, {"broadcast", true, unix.RTN_BROADCAST},
	{"brd", false, unix.RTN_BROADCAST}, {"anycast", true, unix.RTN_ANYCAST}, {"multicast", true, unix.RTN_MULTICAST},
	{"prohibit", true, unix.RTN_PROHIBIT}, {"unreachable", true, unix.RTN_UNREACHABLE},
	{"blackhole", true, unix.RTN_BLACKHOLE}, {"xresolve", true, unix.RTN_XRESOLVE},
	{"unicast", true, unix.RTN_UNICAST}, {"throw", false, unix.RTN_THROW},
}

func routeType(word string) (typ uint8, ok bool) {
	for _, t := range routeTypes {
		if word == t.name || t.short && Short(word, t.name) {
			return t.typ, true
		}
	}
	n, ok := Number(word, 255)
	return uint8(n), ok
}
