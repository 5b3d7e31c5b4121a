package lab

import (
	"fmt"
	"strings"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// A Mistake is an error in a lab file, with its place.
type Mistake struct {
	File    string `json:"file"`           // as given to Parse; "" for a Topology made by hand
	Line    int    `json:"line"`           // from 1; 0 if there is no file
	Column  int    `json:"column"`         // from 1, in bytes; 0 if unknown
	Text    string `json:"text,omitempty"` // the wrong text, as in the file; may be empty
	Message string `json:"message"`        // what is wrong
	Hint    string `json:"hint,omitempty"` // what to write instead; may be empty
	Source  string `json:"-"`              // the whole line of the file
}

// Error writes "file:line:column: message; hint".
func (m Mistake) Error() string {
	var b strings.Builder
	if m.File != "" || m.Line > 0 {
		fmt.Fprintf(&b, "%s:%d:%d: ", m.File, m.Line, max(m.Column, 1))
	}
	b.WriteString(m.Message)
	if m.Hint != "" {
		b.WriteString("; " + m.Hint)
	}
	return display.Escape(b.String())
}

// Excerpt returns the line of the file with the wrong text underlined, "" if
// there is no file.
//
//	7 |   - endpoints: [red:eth1, bleu:eth1]
//	  |                           ^^^^
func (m Mistake) Excerpt() string {
	if m.Line == 0 || strings.TrimSpace(m.Source) == "" {
		return ""
	}
	source, col := cutLine(m.Source, min(max(m.Column, 1)-1, len(m.Source)))
	// A tab stays a tab, so that the underline has the same indentation as the text.
	blank := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, display.Escape(source[:col]))
	n := 1
	if strings.HasPrefix(source[col:], m.Text) {
		n = max(n, len([]rune(display.Escape(m.Text))))
	}
	return fmt.Sprintf("%5d | %s\n      | %s%s\n", m.Line, display.Escape(source), blank, strings.Repeat("^", n))
}

// maxExcerpt is the largest number of bytes of a line that an excerpt shows.
const maxExcerpt = 240

// cutLine returns the part of a long line around the column col, and the column in it.
func cutLine(line string, col int) (part string, newCol int) {
	if len(line) <= maxExcerpt {
		return line, col
	}
	const more = "…"
	start := min(max(0, col-maxExcerpt/2), len(line)-maxExcerpt)
	part = strings.ToValidUTF8(line[start:col], "")
	if start > 0 {
		part = more + part
	}
	newCol = len(part)
	part += strings.ToValidUTF8(line[col:min(start+maxExcerpt, len(line))], "")
	if start+maxExcerpt < len(line) {
		part += more
	}
	return part, newCol
}

// Mistakes are all mistakes of a lab, in the order of the file. Parse and
// Compile return them as their error.
type Mistakes []Mistake

// MaxShown is the largest number of mistakes that are shown. The others are only counted.
const MaxShown = 20

// Error writes one mistake per line, [MaxShown] at most.
func (ms Mistakes) Error() string {
	var b strings.Builder
	for i, m := range ms[:min(len(ms), MaxShown)] {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(m.Error())
	}
	if more := len(ms) - MaxShown; more > 0 {
		fmt.Fprintf(&b, "\nand %d more mistakes", more)
	}
	return b.String()
}

// errorOf returns the mistakes of a list in the order of the file as [Mistakes], or nil.
func errorOf(l *syntax.MistakeList) error {
	if !l.Found() {
		return nil
	}
	var ms Mistakes
	for _, m := range l.Sorted() {
		full := Mistake{Line: m.At.Line, Column: m.At.Column, Text: m.Text, Message: m.Message, Hint: m.Hint}
		if l.Source != nil {
			full.File, full.Source = l.Source.File, l.Source.Line(m.At.Line)
		}
		ms = append(ms, full)
	}
	return ms
}
