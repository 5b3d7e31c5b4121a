// Package words parses vnet's command line in ip(8)'s syntax. It returns values and has no side effects.
//
//	[]string ──Options──▶ the options before the object
//	         ──Words────▶ link, addr, route, neigh … commands as values
//
// Links are names here; the callers look them up in the kernel.
package words

import (
	"fmt"
	"strings"

	"github.com/vnet-lab/vnet/internal/spell"
)

// Error is a usage error. Its text contains the wrong word.
type Error struct {
	// Text describes the error in one line.
	Text string
	// Hint is the correction; "" if there is none.
	Hint string
	// Status is ip(8)'s exit status for the error; zero means 255.
	Status int
	// Exits is set if ip(8) exits at the error even inside a batch with -force, although the status is not 255.
	Exits bool
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

// Errorf makes an Error without a hint.
func Errorf(format string, args ...any) *Error { return &Error{Text: fmt.Sprintf(format, args...)} }

// Words reads a command line from left to right. Err holds the first error; after it, there are no more words.
type Words struct {
	args []string
	Err  error
}

// Of returns a reader of a command line.
func Of(args []string) *Words { return &Words{args: args} }

// More reports whether a word is left.
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

// Value takes the value of a keyword. It is an error if there is none.
func (w *Words) Value(keyword string) string {
	if w.Err == nil && len(w.args) == 0 {
		w.Fail("%q needs a value", keyword)
	}
	return w.Next()
}

// Take takes the next word if it is one of the options.
func (w *Words) Take(options ...string) bool {
	for _, o := range options {
		if w.More() && w.args[0] == o {
			w.args = w.args[1:]
			return true
		}
	}
	return false
}

// TakeShort takes the next word if it abbreviates one of the options.
func (w *Words) TakeShort(options ...string) bool {
	for _, o := range options {
		if w.More() && Short(w.args[0], o) {
			w.args = w.args[1:]
			return true
		}
	}
	return false
}

// Fail sets Err, unless it is set already.
func (w *Words) Fail(format string, args ...any) {
	if w.Err == nil {
		w.Err = Errorf(format, args...)
	}
}

// FailHint is [Words.Fail] with a hint.
func (w *Words) FailHint(hint, format string, args ...any) {
	if w.Err == nil {
		w.Err = &Error{Text: fmt.Sprintf(format, args...), Hint: hint}
	}
}

// Unexpected sets an error for a word that is not a keyword and cannot be a name here.
func (w *Words) Unexpected(word string, known []string) {
	if w.Err == nil {
		w.Err = Unknown("word", word, known)
	}
}

// Short reports whether word is a non-empty prefix of full, as ip(8)'s function matches does.
func Short(word, full string) bool { return word != "" && strings.HasPrefix(full, word) }

// Unknown returns the error for a word that is not known. The hint is the nearest known word, if there is one.
func Unknown(what, word string, known []string) *Error {
	e := Errorf("%s %q is unknown", what, word)
	if near := Nearest(word, known); near != "" {
		e.Hint = fmt.Sprintf("did you mean %q?", near)
	}
	return e
}

// Nearest returns the known word that is most similar to word; "" if none is similar. The edit
// distance is at most 1 + len(word)/3.
func Nearest(word string, known []string) string {
	best, most := "", 1+len(word)/3
	for _, k := range known {
		if d := spell.Distance(word, k); d <= most {
			best, most = k, d-1
		}
	}
	return best
}
