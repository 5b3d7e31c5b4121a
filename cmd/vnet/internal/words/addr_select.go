package words

import (
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/names"
)

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
