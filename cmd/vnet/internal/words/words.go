// Package words is the grammar of vnet: it makes values of the words on a
// command line, as ip(8) reads them, and touches nothing.
//
//	[]string ──Options──▶ what comes before the object
//	         ──Words────▶ link, addr, route, neigh … commands as values
//
// Links stay names here: only the kernel knows which there are.
package words

import (
	"fmt"
	"strings"
)

// Error is a command line that means nothing. Its text says which word is at
// fault.
type Error struct {
	// Text says what is wrong, in one line.
	Text string
	// Hint says what to do instead; empty if nobody knows.
	Hint string
	// Status is the exit status that ip(8) has for it; zero is its usual 255.
	Status int
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

// Errorf makes an Error without a hint.
func Errorf(format string, args ...any) *Error { return &Error{Text: fmt.Sprintf(format, args...)} }

// Words reads a command line from left to right. The first thing that goes wrong
// sticks in Err; after that there are no more words.
type Words struct {
	args []string
	Err  error
}

// Of begins to read a command line.
func Of(args []string) *Words { return &Words{args: args} }

// More says whether a word is left.
func (w *Words) More() bool { return w.Err == nil && len(w.args) > 0 }

// Peek returns the next word without taking it; "" at the end.
func (w *Words) Peek() string {
	if !w.More() {
		return ""
	}
	return w.args[0]
}

// Next takes a word; "" at the end.
func (w *Words) Next() string {
	word := w.Peek()
	if w.More() {
		w.args = w.args[1:]
	}
	return word
}

// Rest takes all that is left.
func (w *Words) Rest() []string {
	rest := w.args
	w.args = nil
	return rest
}

// Value takes the word that has to follow a keyword.
func (w *Words) Value(keyword string) string {
	if w.Err == nil && len(w.args) == 0 {
		w.Fail("%q needs a value behind it", keyword)
	}
	return w.Next()
}

// Take takes the next word if it is exactly one of those.
func (w *Words) Take(options ...string) bool {
	for _, o := range options {
		if w.More() && w.args[0] == o {
			w.args = w.args[1:]
			return true
		}
	}
	return false
}

// TakeShort takes the next word if it abbreviates one of those.
func (w *Words) TakeShort(options ...string) bool {
	for _, o := range options {
		if w.More() && Short(w.args[0], o) {
			w.args = w.args[1:]
			return true
		}
	}
	return false
}

// Fail notes what is wrong, unless something is already.
func (w *Words) Fail(format string, args ...any) {
	if w.Err == nil {
		w.Err = Errorf(format, args...)
	}
}

// FailHint is [Words.Fail] with what to do instead.
func (w *Words) FailHint(hint, format string, args ...any) {
	if w.Err == nil {
		w.Err = &Error{Text: fmt.Sprintf(format, args...), Hint: hint}
	}
}

// Surplus notes that a word is neither known nor has a place left.
func (w *Words) Surplus(word string, known []string) {
	if w.Err == nil {
		w.Err = Unknown("word", word, known)
	}
}

// Short says whether word abbreviates full, as ip(8)'s matches does: it is a
// beginning of it, and not empty.
func Short(word, full string) bool { return word != "" && strings.HasPrefix(full, word) }

// Unknown is the error for a word that is none of the known ones. The hint is
// the most alike of them, if one is alike enough.
func Unknown(what, word string, known []string) *Error {
	e := Errorf("%s %q is unknown", what, word)
	if near := Nearest(word, known); near != "" {
		e.Hint = fmt.Sprintf("did you mean %q?", near)
	}
	return e
}

// Nearest returns the known word that is most like word; "" if none is alike: at
// most one letter in three may be wrong, missing, too many or swapped.
func Nearest(word string, known []string) string {
	best, most := "", 1+len(word)/3
	for _, k := range known {
		if d := distance(word, k); d <= most {
			best, most = k, d-1
		}
	}
	return best
}

// distance counts the letters to change, to insert, to leave out or to swap with
// their neighbours (optimal string alignment) to make b of a.
func distance(a, b string) int {
	var before []int
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(change, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
