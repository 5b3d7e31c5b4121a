package words

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Prefix is an address with a prefix length in ip(8)'s syntax: shortened (10/8), with a netmask
// (10.0.0.0/255.0.0.0), or one of the words default, all and any, which are for both address families.
type Prefix struct {
	netip.Prefix
	// Family is unix.AF_INET or AF_INET6. Zero means both; then Prefix is not valid.
	Family int
	// Length is set if a length was given, as a number or by the word default.
	Length bool
}

// Of returns the prefix. If it is for both families, Of returns the default route of the given family.
func (p Prefix) Of(family int) netip.Prefix {
	switch {
	case p.IsValid():
		return p.Prefix
	case family == unix.AF_INET6:
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}

// Prefix takes a prefix of a family; family 0 is any.
func (w *Words) Prefix(family int) Prefix {
	word := w.Next()
	p, ok := parsePrefix(word, family)
	if !ok {
		w.failAddr(family, "prefix", word)
	}
	return p
}

// Addr takes an address of a family; family 0 is any. A prefix length is not allowed.
func (w *Words) Addr(family int) netip.Addr {
	word := w.Next()
	a, ok := ParseAddr(word, family)
	if !ok {
		w.failAddr(family, "address", word)
	}
	return a
}

func (w *Words) failAddr(family int, what, word string) {
	if w.Err != nil {
		return
	}
	e := &Error{Text: fmt.Sprintf("expected %s %s, not %q", familyName(family), what, word), Status: 1, Exits: true}
	if family == unix.AF_MPLS && isLabels(word) {
		e.Text, e.Status, e.Exits = fmt.Sprintf("%q: vnet does not have MPLS routes and addresses", word), 2, false
	}
	w.Err = e
}

// isLabels reports whether a word is a stack of MPLS labels, such as 100/200.
func isLabels(word string) bool {
	for _, label := range strings.Split(word, "/") {
		if _, ok := Number(label, 1<<20-1); !ok {
			return false
		}
	}
	return true
}

// suggest adds a hint to an error: a keyword that is similar to the word.
func (w *Words) suggest(word string, known []string) {
	if e, ok := w.Err.(*Error); ok && e.Hint == "" {
		e.Hint = Unknown("word", word, known).Hint
	}
}

func familyName(family int) string {
	switch family {
	case unix.AF_INET:
		return "an IPv4"
	case unix.AF_INET6:
		return "an IPv6"
	case unix.AF_MPLS:
		return "an MPLS"
	case unix.AF_BRIDGE:
		return "a bridge"
	case unix.AF_PACKET:
		return "a link-layer"
	}
	return "an IP"
}

func parsePrefix(word string, family int) (p Prefix, ok bool) {
	switch word {
	case "default", "all", "any":
		if family == unix.AF_PACKET {
			return Prefix{}, false
		}
		p = Prefix{Family: family, Length: word == "default"}
		if family != 0 {
			p.Prefix = p.Of(family)
		}
		return p, true
	}
	text, length, cut := strings.Cut(word, "/")
	a, ok := ParseAddr(text, family)
	if !ok {
		return Prefix{}, false
	}
	n := a.BitLen()
	if cut {
		if n, ok = prefixLength(length); !ok || n > a.BitLen() {
			return Prefix{}, false
		}
	}
	p = Prefix{Prefix: netip.PrefixFrom(a, n), Family: unix.AF_INET6, Length: cut}
	if a.Is4() {
		p.Family = unix.AF_INET
	}
	return p, true
}

// ParseAddr parses an address as ip(8) does. In an IPv4 address, zeros at the end can be left out, and numbers can be
// octal or hexadecimal, as in C. Family 0 is any; families without IP addresses have no addresses.
func ParseAddr(word string, family int) (netip.Addr, bool) {
	if family != unix.AF_UNSPEC && family != unix.AF_INET && family != unix.AF_INET6 {
		return netip.Addr{}, false
	}
	if strings.Contains(word, ":") {
		a, err := netip.ParseAddr(word)
		return a, err == nil && a.Zone() == "" && family != unix.AF_INET
	}
	var b [4]byte
	parts := strings.Split(word, ".")
	if len(parts) > len(b) || family == unix.AF_INET6 {
		return netip.Addr{}, false
	}
	for i, part := range parts {
		n, ok := Number(part, 255)
		if !ok {
			return netip.Addr{}, false
		}
		b[i] = byte(n)
	}
	return netip.AddrFrom4(b), true
}

// prefixLength parses a number of bits or an IPv4 netmask.
func prefixLength(word string) (int, bool) {
	if n, ok := Number(word, 128); ok {
		return int(n), true
	}
	a, ok := ParseAddr(word, unix.AF_INET)
	if !ok {
		return 0, false
	}
	b := a.As4()
	mask := binary.BigEndian.Uint32(b[:])
	n := bits.LeadingZeros32(^mask)
	return n, mask == ^uint32(0)<<(32-n)
}

// Number parses a number up to max as C's strtoul does: 0x means hexadecimal, 0 octal.
func Number(word string, max uint64) (uint64, bool) {
	n, err := strconv.ParseUint(word, 0, 64)
	// Refuse what only Go accepts: 1_000, 0b1, 0o7.
	if err != nil || n > max || strings.ContainsAny(word, "_oO") || strings.HasPrefix(strings.ToLower(word), "0b") {
		return 0, false
	}
	return n, true
}
