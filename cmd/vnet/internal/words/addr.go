package words

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

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
		{"peer", false, func(r *addrReader, k string) { r.peer = r.prefix(k) }},
		{"remote", false, func(r *addrReader, k string) { r.peer = r.prefix(k) }},
		{"broadcast", true, func(r *addrReader, k string) { r.brd = r.Value(k) }},
		{"brd", false, func(r *addrReader, k string) { r.brd = r.Value(k) }},
		{"scope", false, readAddrScope},
		{"dev", false, func(r *addrReader, k string) { r.c.Dev = r.Value(k) }},
		{"label", false, func(r *addrReader, k string) { r.c.Addr.Label = r.Value(k) }},
		{"metric", true, readAddrMetric},
		{"priority", true, readAddrMetric},
		{"preference", true, readAddrMetric},
		{"valid_lft", true, func(r *addrReader, k string) { r.valid = r.lifetime(k) }},
		{"preferred_lft", true, func(r *addrReader, k string) { r.preferred = r.lifetime(k) }},
		{"proto", false, readAddrProto},
		{"home", false, addrFlag(unix.IFA_F_HOMEADDRESS)},
		{"mngtmpaddr", false, addrFlag(unix.IFA_F_MANAGETEMPADDR)},
		{"nodad", false, addrFlag(unix.IFA_F_NODAD)},
		{"optimistic", false, addrFlag(unix.IFA_F_OPTIMISTIC)},
		{"noprefixroute", false, addrFlag(unix.IFA_F_NOPREFIXROUTE)},
		{"autojoin", false, addrFlag(unix.IFA_F_MCAUTOJOIN)},
		{"local", false, func(r *addrReader, k string) { r.readLocal(r.Value(k)) }},
	}
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
	} else if verb == "delete" && r.local.Family == unix.AF_INET && !r.local.Length {
		r.c.Addr.AnyLength = true
	}
	r.finishBroadcast(verb)
	r.finishLifetimes()
	if !r.scoped && verb != "delete" && r.c.Addr.Prefix.Addr().Is4() && r.c.Addr.Prefix.Addr().IsLoopback() {
		r.c.Addr.Scope = unix.RT_SCOPE_HOST
	}
	r.finishFlags()
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
			r.c.Notes = append(r.c.Notes, fmt.Sprintf("%q is ignored: it is only for IPv6 addresses", f.name))
		}
	}
}

// An AddrSelection selects addresses to show or to flush, and their links.
type AddrSelection struct {
	LinkSelection
	Family int
	// To is the prefix that contains the addresses; zero is any.
	To netip.Prefix
	// Scope is the scope of the addresses, if HasScope.
	Scope    uint8
	HasScope bool
	// Mask has the flags that are compared, Flags their values.
	Flags, Mask uint32
	// Label is a shell pattern; "" is any.
	Label string
	// Proto is the origin of the addresses, if HasProto.
	Proto    uint8
	HasProto bool
}

// addrFlagNames are the flags that select addresses.
var addrFlagNames = map[string]uint32{
	"secondary": unix.IFA_F_SECONDARY, "temporary": unix.IFA_F_SECONDARY, "nodad": unix.IFA_F_NODAD,
	"optimistic": unix.IFA_F_OPTIMISTIC,
	"dadfailed":  unix.IFA_F_DADFAILED, "home": unix.IFA_F_HOMEADDRESS, "deprecated": unix.IFA_F_DEPRECATED,
	"tentative": unix.IFA_F_TENTATIVE, "permanent": unix.IFA_F_PERMANENT, "mngtmpaddr": unix.IFA_F_MANAGETEMPADDR,
	"noprefixroute": unix.IFA_F_NOPREFIXROUTE, "autojoin": unix.IFA_F_MCAUTOJOIN,
	"stable-privacy": unix.IFA_F_STABLE_PRIVACY,
}

// AddrSelection parses the words after addr show or flush.
func (w *Words) AddrSelection(family int) AddrSelection {
	s := AddrSelection{Family: family}
	for w.More() && !s.Help {
		switch word := w.Next(); {
		case word == "to":
			p := w.Prefix(s.Family)
			s.To = p.Of(s.Family)
			if s.Family == 0 {
				s.Family = p.Family
			}
		case word == "scope":
			s.readScope(w)
		case word == "label":
			s.Label = w.Value(word)
		case word == "proto":
			s.readProto(w)
		case s.readFlag(word), s.read(w, word):
		default:
			s.dev(w, word)
		}
	}
	return s
}

func (s *AddrSelection) readScope(w *Words) {
	word := w.Value("scope")
	if word == "all" {
		return
	}
	scope, ok := names.Scopes.Number(word)
	if !ok {
		w.Fail("scope %q is unknown", word)
	}
	s.Scope, s.HasScope = uint8(scope), true
}

func (s *AddrSelection) readProto(w *Words) {
	word := w.Value("proto")
	proto, ok := names.AddrProtocols.Number(word)
	if !ok {
		w.Fail("protocol %q is unknown", word)
	}
	s.Proto, s.HasProto = uint8(proto), true
}

// readFlag parses a flag. With a dash before it, the flag must not be set.
func (s *AddrSelection) readFlag(word string) bool {
	name, unset := strings.CutPrefix(word, "-")
	switch name {
	case "dynamic":
		name, unset = "permanent", !unset
	case "primary":
		name, unset = "secondary", !unset
	}
	flag, ok := addrFlagNames[name]
	if !ok {
		return false
	}
	s.Mask |= flag
	s.Flags &^= flag
	if !unset {
		s.Flags |= flag
	}
	return true
}
