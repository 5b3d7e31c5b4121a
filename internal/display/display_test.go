package display

import (
	"encoding/xml"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestLists(t *testing.T) {
	prefixes := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/64")}
	if got := JoinPrefixes(prefixes); got != "10.0.0.0/8, fd00::/64" {
		t.Errorf("JoinPrefixes: %q", got)
	}
	if got := Prefixes(prefixes); !slices.Equal(got, []string{"10.0.0.0/8", "fd00::/64"}) {
		t.Errorf("Prefixes: %q", got)
	}
	if got := Addrs([]netip.Addr{netip.MustParseAddr("fd00::1")}); !slices.Equal(got, []string{"fd00::1"}) {
		t.Errorf("Addrs: %q", got)
	}
	if In("") != "" || In("red") != "red: " || Width("é→x") != 3 {
		t.Errorf("%q, %q, %d", In(""), In("red"), Width("é→x"))
	}
}

// TestEscape: what a terminal would interpret is escaped; other text stays as it is.
func TestEscape(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "eth0": "eth0", "é→\t\n": "é→\t\n", "\x1b[31m": `\x1b[31m`, "a\u202eb": `a\u202eb`, "a\xffé": `a\xffé`,
		"\ufffd": "\ufffd", "\x1b\ufffd\"": `\x1b` + "\ufffd\"",
	} {
		if got := Escape(text); got != want {
			t.Errorf("Escape(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestOneLine(t *testing.T) {
	for text, want := range map[string]string{"": `""`, "a b": "a b", "a\nb": `"a\nb"`, "a\tb": `"a\tb"`} {
		if got := OneLine(text); got != want || Printable(text) != (text == want) {
			t.Errorf("OneLine(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestChangedWords(t *testing.T) {
	for _, tt := range []struct{ old, next, want string }{
		{"a b c", "a x c", "b"}, {"a b c d", "a x y d", "b c"}, {"a b", "a b", "b"}, {"a", "a b", "a"}, {"", "a", ""},
		{"a b c", "c", "a b"}, {"a b c", "", "a b c"},
	} {
		if got := ChangedWords(tt.old, tt.next); got != tt.want {
			t.Errorf("ChangedWords(%q, %q) = %q, want %q", tt.old, tt.next, got, tt.want)
		}
	}
}

func TestRate(t *testing.T) {
	for bits, want := range map[uint64]string{
		1: "1bit", 1500: "1500bit", 2000: "2kbit", 2_500_000: "2500kbit", 1e7: "10mbit", 1e9: "1gbit", 3e12: "3tbit",
	} {
		if got := Rate(bits); got != want {
			t.Errorf("Rate(%d) = %s, want %s", bits, got, want)
		}
	}
}

// TestEscapeXML: the result is what encoding/xml writes, and encoding/xml reads it back.
func TestEscapeXML(t *testing.T) {
	for _, text := range []string{"", "a<b>&\"'", "a\tb\nc\rd", "\x00\x1f ", "\ufffe\uffff", "é"} {
		var want strings.Builder
		if err := xml.EscapeText(&want, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got := EscapeXML(text); got != want.String() {
			t.Errorf("EscapeXML(%q) = %q, want %q", text, got, want.String())
		}
	}
}
