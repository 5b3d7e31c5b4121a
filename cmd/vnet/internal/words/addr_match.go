package words

import (
	"path"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
)

// LimitsAddrs reports whether the selection limits addresses, not only links.
func (s AddrSelection) LimitsAddrs() bool {
	return s.Family != 0 || s.To.IsValid() || s.HasScope || s.HasProto || s.Mask != 0 || s.Label != ""
}

// MatchesAddr reports whether an address is selected. link is the name of its link.
func (s AddrSelection) MatchesAddr(a rtnl.Addr, link string) bool {
	label := a.Label
	if label == "" {
		label = link
	}
	switch {
	case s.Family == unix.AF_INET && a.Is6(), s.Family == unix.AF_INET6 && !a.Is6(),
		s.Family != 0 && s.Family != unix.AF_INET && s.Family != unix.AF_INET6,
		s.HasScope && a.Scope != s.Scope,
		s.HasProto && a.Proto != s.Proto && a.Proto != 0, // as in ip(8), an unknown origin matches
		(a.Flags^s.Flags)&s.Mask != 0,
		s.To.IsValid() && !s.To.Contains(a.Prefix.Addr()),
		!s.MatchesLabel(label):
		return false
	}
	return true
}

// MatchesLabel reports whether a name or label matches the pattern.
func (s AddrSelection) MatchesLabel(label string) bool {
	matched, _ := path.Match(s.Label, label)
	return s.Label == "" || matched
}
