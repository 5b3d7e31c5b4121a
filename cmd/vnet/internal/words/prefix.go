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

// A Prefix is an address with a length, as ip(8) reads it: shortened (10/8), with
// a netmask (10.0.0.0/255.0.0.0), or one of the words default, all and any, whose
// family is open.
type Prefix struct {
	netip.Prefix
	// Family is unix.AF_INET or AF_INET6; zero is open, then Prefix is not valid.
	Family int
	// Length says that a length was given, by number or by the word default.
	Length bool
}

// Of makes a prefix of the open family one of that family.
func (p Prefix) Of(family int) netip.Prefix {
	switch {
	case p.IsValid():
		return p.Prefix
	case family == unix.AF_INET6:
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}

// Prefix takes a prefix of a family; 0 is any.
func (w *Words) Prefix(family int) Prefix {
	word := w.Next()
	p, ok := parsePrefix(word, family)
	if !ok {
		w.failAddr(family, "prefix", word)
	}
	return p
}

// Addr takes an address of a family; 0 is any. A length is not allowed.
func (w *Words) Addr(family int) netip.Addr {
	word := w.Next()
	a, ok := ParseAddr(word, family)
	if !ok {
		w.failAddr(family, "address", word)
	}
	return a
}

func (w *Words) failAddr(family int, what, word string) {
	if w.Err == nil {
		w.Err = &Error{Text: fmt.Sprintf("%s %s is expected, not %q", familyName(family), what, word), Status: 1}
	}
}

// suggest adds to what is wrong that the word may have been meant for a keyword.
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
	}
	return "an IP"
}

func parsePrefix(word string, family int) (p Prefix, ok bool) {
	switch word {
	case "default", "all", "any":
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

// ParseAddr reads an address as ip(8) does: an IPv4 one may be shortened from the
// right, and its numbers may be octal or hexadecimal, as in C.
func ParseAddr(word string, family int) (netip.Addr, bool) {
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

// prefixLength reads a number of bits or an IPv4 netmask.
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

// Number reads a number up to max as C's strtoul does: 0x begins a hexadecimal
// one, 0 an octal one.
func Number(word string, max uint64) (uint64, bool) {
	n, err := strconv.ParseUint(word, 0, 64)
	// Go's own spellings: 1_000, 0b1, 0o7.
	if err != nil || n > max || strings.ContainsAny(word, "_oO") || strings.HasPrefix(strings.ToLower(word), "0b") {
		return 0, false
	}
	return n, true
}
