// Package display turns names and values into the text that vnet prints. Names may come from
// others: [Escape] makes them safe for a terminal.
package display

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// JoinPrefixes returns prefixes, separated by commas.
func JoinPrefixes(list []netip.Prefix) string {
	words := make([]string, len(list))
	for i, p := range list {
		words[i] = p.String()
	}
	return strings.Join(words, ", ")
}

// Texts returns the text of each value.
func Texts[T any](list []T, text func(T) string) []string {
	out := make([]string, 0, len(list))
	for _, v := range list {
		out = append(out, text(v))
	}
	return out
}

// Addrs returns the texts of addresses.
func Addrs(list []netip.Addr) []string { return Texts(list, netip.Addr.String) }

// Prefixes returns the texts of prefixes.
func Prefixes(list []netip.Prefix) []string { return Texts(list, netip.Prefix.String) }

// Width returns how many columns a text takes.
func Width(s string) int { return utf8.RuneCountInString(s) }

// In returns the namespace as a prefix of a text, "" for the machine's.
func In(ns string) string {
	if ns == "" {
		return ""
	}
	return ns + ": "
}

// Printable reports whether a text is not empty and has only printable characters.
// The text may come from somebody else.
func Printable(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// Escape returns a text with Go escapes for characters that are not printable, except
// newlines and tabs. A link's name may have such characters: the kernel forbids only white
// space, '/' and ':', and root in a host chooses the names of its links.
func Escape(s string) string {
	hidden := func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }
	if utf8.ValidString(s) && !strings.ContainsFunc(s, hidden) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if hidden(r) || r == utf8.RuneError && n == 1 {
			quoted := strconv.Quote(s[:n])
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// OneLine returns a printable text unchanged, any other text as a quoted Go string.
func OneLine(s string) string {
	if Printable(s) {
		return s
	}
	return strconv.Quote(s)
}

// ChangedWords returns the part of the old text that differs from the new one: from the
// first word that differs to the last.
func ChangedWords(old, next string) string {
	a, b := strings.Fields(old), strings.Fields(next)
	for len(a) > 1 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 1 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return strings.Join(a, " ")
}
