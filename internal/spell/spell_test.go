package spell

import (
	"strings"
	"testing"
)

// TestDistance checks that the distance is symmetric, and zero only for equal words.
func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"link", "link", 0}, {"link", "lnik", 1}, {"link", "lin", 1}, {"link", "links", 1},
		{"link", "line", 1},
		{"", "abc", 3}, {"via", "vai", 1}, {"red", "blue", 4}, {"ab", "ba", 1}, {"abcd", "badc", 2}, {"kitten", "sitting", 3},
	} {
		if there, back := Distance(tt.a, tt.b), Distance(tt.b, tt.a); there != tt.want || back != tt.want {
			t.Errorf("%s to %s: %d, and back %d; want %d", tt.a, tt.b, there, back, tt.want)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	many := strings.Split("aa bb cc dd ee ff gg hh ii jj kk ll mm", " ")
	for _, tt := range []struct {
		word  string
		known []string
		want  string
	}{
		{"ofice", []string{"lab", "office"}, `did you mean "office"?`},
		{"LINK", []string{"link"}, `did you mean "link"?`},
		{"x", nil, ""},
		{"zzzz", []string{"a", "b"}, "known: a, b"},
		{"zzzz", many[:12], "known: aa, bb, cc, dd, ee, ff, gg, hh, ii, jj, kk, ll"},
		{"zzzz", many, "known: aa, bb, cc, dd, ee, ff, gg, hh, ii, jj, kk, ll, …"},
	} {
		if got := DidYouMean(tt.word, tt.known); got != tt.want {
			t.Errorf("DidYouMean(%q, %q) = %q, want %q", tt.word, tt.known, got, tt.want)
		}
	}
	if len(many) != 13 || many[12] != "mm" {
		t.Errorf("DidYouMean changed its argument: %q", many)
	}
}

// TestNearest: a word may differ in a third of its letters, and at least in one.
func TestNearest(t *testing.T) {
	for _, tt := range []struct{ word, known, want string }{
		{"ab", "ax", "ax"}, {"ab", "xy", ""}, {"abcdef", "abcdxy", "abcdxy"}, {"abcdef", "abcxyz", ""}, {"", "a", "a"},
		{strings.Repeat("a", 200), strings.Repeat("a", 64), strings.Repeat("a", 64)},
	} {
		if got := Nearest(tt.word, []string{tt.known}); got != tt.want {
			t.Errorf("Nearest(%q, %q) = %q, want %q", tt.word, tt.known, got, tt.want)
		}
	}
	if got := Nearest("ab", []string{"ax", "ab", "ab "}); got != "ab" {
		t.Errorf("%q is not the nearest", got)
	}
}
