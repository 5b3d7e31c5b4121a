package syntax

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Words iterates over the words of a value, such as a route.
type Words struct {
	rest []string
	last string
}

// NewWords returns the words of s, which spaces separate.
func NewWords(s string) *Words { return &Words{rest: strings.Fields(s)} }

// More reports whether there is another word.
func (w *Words) More() bool { return len(w.rest) > 0 }

// Last returns the word that Next returned last.
func (w *Words) Last() string { return w.last }

// Next returns the next word, "" if there is none.
func (w *Words) Next() string {
	w.last = ""
	if len(w.rest) > 0 {
		w.last, w.rest = w.rest[0], w.rest[1:]
	}
	return w.last
}

// Peek returns the next word without skipping it.
func (w *Words) Peek() string {
	if len(w.rest) == 0 {
		return ""
	}
	return w.rest[0]
}

// Take skips the next word if it equals word, and reports whether it did.
func (w *Words) Take(word string) bool {
	if w.Peek() != word {
		return false
	}
	w.Next()
	return true
}

// NextNumber reads a number from lo to hi. key is the word before it, for the error.
func (w *Words) NextNumber(key string, lo, hi uint64) (uint64, error) {
	s := w.Next()
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil || v < lo || v > hi {
		return 0, valueError{s, fmt.Sprintf("%s %s: expected a number from %d to %d", key, s, lo, hi), ""}
	}
	return v, nil
}

// NextAddr reads an address. key is the word before it, for the error; "" if there is none.
func (w *Words) NextAddr(key string) (netip.Addr, error) {
	s := w.Next()
	a, err := ParseAddr(s)
	if err != nil {
		return a, valueError{s, strings.TrimSpace(key+" "+s) + ": expected an address", ""}
	}
	return a, nil
}
