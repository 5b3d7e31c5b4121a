package words

import (
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/names"
	"github.com/vnet-lab/vnet/rtnl"
)

// addrVerbs are in the order in which ip(8) matches abbreviations.
var addrVerbs = []string{"add", "change", "chg", "replace", "delete", "show", "list", "lst", "flush", "help"}

// AddrVerbs returns the commands for addresses.
func AddrVerbs() []string {
	return []string{"show", "add", "replace", "change", "del", "flush", "help"}
}

// AddrVerb takes the command after "addr"; the default is show.
func (w *Words) AddrVerb() string {
	if !w.More() {
		return "show"
	}
	word := w.Next()
	at := slices.IndexFunc(addrVerbs, func(v string) bool { return Short(word, v) })
	if at < 0 {
		if w.Err == nil {
			w.Err = Unknown("address command", word, AddrVerbs())
		}
		return ""
	}
	switch addrVerbs[at] {
	case "list", "lst":
		return "show"
	case "chg":
		return "change"
	}
	return addrVerbs[at]
}

// An AddrChange is an address to add, change or delete. Dev is the link's name; Addr.Link is not set.
type AddrChange struct {
	Addr rtnl.Addr
	Dev  string
	// Notes are sentences about ignored words.
	Notes []string
	Help  bool
}

type addrReader struct {
	*Words
	c                AddrChange
	family           int
	local, peer      Prefix
	brd              string // "" if not given
	scoped           bool
	valid, preferred *uint32
}

// AddrChange parses the words after addr add, change, replace or delete.
func (w *Words) AddrChange(verb string, family int) AddrChange {
	r := &addrReader{Words: w, family: family}
	for r.More() && !r.c.Help {
		word := r.Next()
		if k := find(addrKeywords(), word); k != nil {
			k.read(r, word)
		} else {
			r.readLocal(word)
		}
	}
	if r.Err == nil && !r.c.Help {
		r.finish(verb)
	}
	return r.c
}

// addrKeywords returns the keywords in the order in which ip(8) matches abbreviations.
func addrKeywords() []keyword[addrReader] {
	return []keyword[addrReader]{
		{"peer", false, readPeerAddr},
		{"remote", false, readPeerAddr},
		{"broadcast", true, readBroadcast},
		{"brd", false, readBroadcast},
		{"scope", false, readAddrScope},
		{"dev", false, func(r *addrReader, k string) { r.c.Dev = r.Value(k) }},
		{"label", false, func(r *addrReader, k string) { r.c.Addr.Label = r.Value(k) }},
		{"metric", true, readAddrMetric},
		{"priority", true, readAddrMetric},
		{"preference", true, readAddrMetric},
		{"valid_lft", true, readValid},
		{"preferred_lft", true, readPreferred},
		{"proto", false, readAddrProto},
		{"home", false, addrFlag(unix.IFA_F_HOMEADDRESS)},
		{"mngtmpaddr", false, addrFlag(unix.IFA_F_MANAGETEMPADDR)},
		{"nodad", false, addrFlag(unix.IFA_F_NODAD)},
		{"optimistic", false, addrFlag(unix.IFA_F_OPTIMISTIC)},
		{"noprefixroute", false, addrFlag(unix.IFA_F_NOPREFIXROUTE)},
		{"autojoin", false, addrFlag(unix.IFA_F_MCAUTOJOIN)},
		{"secondary", false, (*addrReader).readOnlyFlag},
		{"temporary", false, (*addrReader).readOnlyFlag},
		{"dadfailed", false, (*addrReader).readOnlyFlag},
		{"deprecated", false, (*addrReader).readOnlyFlag},
		{"tentative", false, (*addrReader).readOnlyFlag},
		{"permanent", false, (*addrReader).readOnlyFlag},
		{"stable-privacy", false, (*addrReader).readOnlyFlag},
		{"local", false, func(r *addrReader, k string) { r.readLocal(r.Value(k)) }},
	}
}

func readPeerAddr(r *addrReader, k string) {
	if r.peer.Family != 0 {
		r.Fail(`"peer" is given twice`)
	}
	if r.peer = r.prefix(k); r.family == 0 {
		r.family = r.peer.Family
	}
}

func readBroadcast(r *addrReader, k string) {
	if r.brd != "" {
		r.Fail(`"broadcast" is given twice`)
	}
	r.brd = r.Value(k)
}

func (r *addrReader) prefix(keyword string) Prefix {
	if !r.More() {
		r.Value(keyword)
		return Prefix{}
	}
	return r.Prefix(r.family)
}

func (r *addrReader) readLocal(word string) {
	if r.Err != nil {
		return
	}
	if word == "help" {
		r.c.Help = true
		return
	}
	if r.local.IsValid() {
		r.Unexpected(word, keywordNames(addrKeywords()))
		return
	}
	p, ok := parsePrefix(word, r.family)
	if !ok || !p.IsValid() {
		r.failAddr(r.family, "prefix", word)
		r.suggest(word, keywordNames(addrKeywords()))
		return
	}
	r.local = p
	if r.family == 0 {
		r.family = p.Family
	}
}

func readAddrScope(r *addrReader, k string) {
	word := r.Value(k)
	scope, ok := names.Scopes.Number(word)
	if !ok {
		r.Fail("scope %q is unknown", word)
	}
	r.c.Addr.Scope, r.scoped = uint8(scope), true
}

func readAddrProto(r *addrReader, k string) {
	word := r.Value(k)
	proto, ok := names.AddrProtocols.Number(word)
	if !ok {
		r.Fail("protocol %q is unknown", word)
	}
	r.c.Addr.Proto = uint8(proto)
}

func readValid(r *addrReader, k string) {
	if r.valid != nil {
		r.Fail(`"valid_lft" is given twice`)
	}
	r.valid = r.lifetime(k)
}

func readPreferred(r *addrReader, k string) {
	if r.preferred != nil {
		r.Fail(`"preferred_lft" is given twice`)
	}
	r.preferred = r.lifetime(k)
}

func readAddrMetric(r *addrReader, k string) {
	word := r.Value(k)
	n, ok := Number(word, 1<<32-1)
	if !ok {
		r.Fail("%q: %q is not a number", k, word)
	}
	r.c.Addr.Metric = uint32(n)
}

func (r *addrReader) lifetime(keyword string) *uint32 {
	word := r.Value(keyword)
	n, ok := Number(word, 1<<32-1)
	if word == "forever" {
		n, ok = rtnl.Forever, true
	}
	if !ok {
		r.Fail("%q: %q is neither seconds nor \"forever\"", keyword, word)
	}
	seconds := uint32(n)
	return &seconds
}

// readOnlyFlag notes that a flag is ignored, as ip(8) does: only the kernel sets it.
func (r *addrReader) readOnlyFlag(word string) {
	r.note("%q is ignored: only the kernel sets it", word)
}

func addrFlag(flag uint32) func(*addrReader, string) {
	return func(r *addrReader, _ string) { r.c.Addr.Flags |= flag }
}

// finish checks the whole command and sets its defaults.
func (r *addrReader) finish(verb string) {
	switch {
	case r.c.Dev == "":
		r.Err = &Error{Text: `the link is missing: "dev" is required`, Hint: "vnet addr " + verb + " ADDRESS dev LINK",
			Status: 1}
	case !r.local.IsValid() && !r.peer.IsValid():
		r.Err = &Error{Text: "the address is missing", Hint: "vnet addr " + verb + " ADDRESS/LENGTH dev " + r.c.Dev,
			Status: 2}
	case r.peer.IsValid() && r.local.IsValid() && r.peer.Family != r.local.Family:
		r.Fail("peer %v and %v are of different address families", r.peer.Addr(), r.local.Addr())
	}
	if r.Err != nil {
		return
	}
	r.c.Addr.Prefix = r.local.Prefix
	if r.peer.IsValid() {
		if !r.local.IsValid() {
			r.c.Addr.Prefix = r.peer.Prefix
		} else {
			r.c.Addr.Peer = r.peer.Addr()
			r.c.Addr.Prefix = netip.PrefixFrom(r.local.Addr(), r.peer.Bits())
		}
	} else if !r.local.Length {
		r.noLength(verb)
	}
	r.finishBroadcast(verb)
	r.finishLifetimes()
	r.checkAutojoin()
	if !r.scoped && verb != "delete" && r.c.Addr.Prefix.Addr().Is4() && r.c.Addr.Prefix.Addr().IsLoopback() {
		r.c.Addr.Scope = unix.RT_SCOPE_HOST
	}
	r.finishFlags()
}

// noLength notes what an address without a prefix length means: del deletes an IPv4 address of any length, and the
// others use one that has no network. lo often has such addresses.
func (r *addrReader) noLength(verb string) {
	a := r.local.Addr()
	switch {
	case verb == "delete" && a.Is4():
		r.c.Addr.AnyLength = true
		r.note("%v has no prefix length: any prefix length matches; %[1]v/32 matches only /32", a)
	case verb != "delete" && r.c.Dev != "lo":
		r.note("%v has no prefix length: it becomes %[1]v/%d, with no other address in its network", a, a.BitLen())
	}
}

func (r *addrReader) note(format string, args ...any) {
	r.c.Notes = append(r.c.Notes, fmt.Sprintf(format, args...))
}

func (r *addrReader) finishBroadcast(verb string) {
	switch r.brd {
	case "":
	case "+", "-":
		if verb == "delete" {
			return
		}
		if !r.c.Addr.Prefix.Addr().Is4() {
			r.Err = &Error{Text: "broadcast: only IPv4 addresses have a broadcast address", Status: 1}
			return
		}
		r.c.Addr.Broadcast = rtnl.BroadcastOf(r.c.Addr.Prefix)
		if r.brd == "-" { // the host bits are zero, as in 4.2BSD
			r.c.Addr.Broadcast = r.c.Addr.Prefix.Masked().Addr()
		}
	default:
		a, ok := ParseAddr(r.brd, r.family)
		if !ok {
			r.failAddr(r.family, "address", r.brd)
		}
		r.c.Addr.Broadcast = a
	}
}

func (r *addrReader) finishLifetimes() {
	if r.valid == nil && r.preferred == nil {
		return
	}
	forever := uint32(rtnl.Forever)
	valid, preferred := &forever, &forever
	if r.valid != nil {
		valid = r.valid
	}
	if r.preferred != nil {
		preferred = r.preferred
	}
	if *valid < *preferred {
		r.Err = &Error{Text: "preferred_lft is greater than valid_lft", Status: 1}
	}
	if *valid == 0 {
		r.Err = &Error{Text: "valid_lft is zero", Status: 1}
	}
	r.c.Addr.Valid, r.c.Addr.Preferred = *valid, *preferred
}

// checkAutojoin refuses autojoin for an address that is not a multicast address: the kernel would ignore it.
func (r *addrReader) checkAutojoin() {
	if r.c.Addr.Flags&unix.IFA_F_MCAUTOJOIN != 0 && !r.local.Addr().IsMulticast() && r.Err == nil {
		r.Err = &Error{Text: `"autojoin" is only for multicast addresses`, Status: 1}
	}
}

// ipv6OnlyFlags lists the flags that only IPv6 addresses can have.
var ipv6OnlyFlags = []struct {
	flag uint32
	name string
}{{unix.IFA_F_HOMEADDRESS, "home"}, {unix.IFA_F_NODAD, "nodad"}, {unix.IFA_F_MANAGETEMPADDR, "mngtmpaddr"},
	{unix.IFA_F_OPTIMISTIC, "optimistic"}}

func (r *addrReader) finishFlags() {
	if r.c.Addr.Is6() {
		return
	}
	for _, f := range ipv6OnlyFlags {
		if r.c.Addr.Flags&f.flag != 0 {
			r.c.Addr.Flags &^= f.flag
			r.note("%q is ignored: it is only for IPv6 addresses", f.name)
		}
	}
}
