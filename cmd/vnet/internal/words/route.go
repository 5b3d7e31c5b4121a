package words

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/names"
	"github.com/vnet-lab/vnet/rtnl"
)

// A keyword is a word of a command and the function that parses the words after it.
type keyword[R any] struct {
	name string
	// short allows abbreviations.
	short bool
	read  func(reader *R, word string)
}

// find returns the first keyword in a table that the word fits; nil is none.
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

// routeVerbs are in the order in which ip(8) matches abbreviations.
var routeVerbs = []string{
	"add", "change", "replace", "prepend", "append", "delete",
	"list", "show", "lst", "get", "flush", "help",
}

// RouteVerbs returns the commands for routes.
func RouteVerbs() []string {
	return []string{"show", "add", "replace", "append", "prepend", "change", "del", "get", "flush", "help"}
}

// RouteVerb takes the command after "route"; the default is show.
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

// A RouteChange is a route to add, change or delete. Links and the VRF are names here; the caller looks them up.
type RouteChange struct {
	Route rtnl.Route
	// Dev is the outgoing link; "" is none.
	Dev string
	// HopDevs are the links of Route.Hops; each is "" if the hop has none.
	HopDevs []string
	// VRF is the VRF whose table the route is in; "" is none.
	VRF string
	// Help reports whether the words ask for help.
	Help bool
}

// routeReader parses a [RouteChange].
type routeReader struct {
	*Words
	RouteChange
	family int // of all addresses; 0 until the first address
	dst    Prefix
	src    Prefix

	hasDst, hasScope, hasTable bool
}

// RouteChange parses the words after route add, change, replace, append, prepend or delete. family is the family of
// the options; 0 is any.
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
			r.readDst(word)
			r.suggest(word, keywordNames(routeKeywords))
		}
	}
	if !r.hasDst && r.Err == nil {
		r.Help = true
	}
	r.finish(verb == "delete")
	return r.RouteChange
}

// finish sets the defaults of the whole command, as ip(8) does.
func (r *routeReader) finish(del bool) {
	if r.family == 0 {
		r.family = unix.AF_INET
	}
	r.Route.Dst = r.dst.Of(r.family)
	if r.src != (Prefix{}) && (r.src.IsValid() || r.src.Length) {
		r.Route.Src = r.src.Of(r.family)
	}
	if !r.hasTable {
		r.Route.Table = r.Route.DefaultTable()
	}
	if r.hasScope {
		return
	}
	r.Route.Scope = r.Route.DefaultScope()
	if del && r.family == unix.AF_INET && r.Route.Type <= unix.RTN_UNICAST {
		r.Route.Scope = unix.RT_SCOPE_NOWHERE
	}
}

// readDst parses a destination: [to] [TYPE] PREFIX.
func (r *routeReader) readDst(word string) {
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
		r.Fail("%q is unknown, or it is a second destination", word)
		return
	}
	r.dst, r.hasDst = r.prefix(word), true
}

// prefix parses a prefix. The first prefix or address sets the route's family.
func (r *routeReader) prefix(word string) Prefix {
	p, ok := parsePrefix(word, r.family)
	if !ok {
		r.failAddr(r.family, "prefix", word)
	}
	r.setDefaultFamily(p.Family)
	return p
}

func (r *routeReader) setDefaultFamily(family int) {
	if r.family == 0 {
		r.family = family
	}
}

// address takes an address. The first prefix or address sets the route's family.
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
		r.setDefaultFamily(unix.AF_INET)
	default:
		r.setDefaultFamily(unix.AF_INET6)
	}
	return a
}

// via takes a gateway: [FAMILY] ADDRESS. The family can differ from the route's.
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

// named takes a name from a table, or a number.
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

// routeTypes are the RTN_ constants of <linux/rtnetlink.h> in ip(8)'s order. Those with short can be abbreviated.
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
