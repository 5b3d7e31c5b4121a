package lab

import (
	"cmp"
	"fmt"
	"sort"
	"strings"

	"github.com/vnet-lab/vnet/internal/display"
)

// A Mistake is an error in a lab file, with its place.
type Mistake struct {
	File    string // as given to Parse; "" for a Topology made by hand
	Line    int    // from 1; 0 if there is no file
	Column  int    // from 1, in bytes; 0 if unknown
	Text    string // the wrong text, as in the file; may be empty
	Message string // what is wrong
	Hint    string // what to write instead; may be empty
	Source  string // the whole line of the file
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

// A pos is a line and a column of the file, both from 1; the zero value means unknown.
type pos struct{ line, col int }

// A source is the text of a lab file.
type source struct {
	file  string
	lines []string
}

func newSource(file string, text []byte) *source {
	return &source{file: file, lines: strings.Split(string(text), "\n")}
}

// A mistakeList collects mistakes.
type mistakeList struct {
	src   *source // may be nil
	list  Mistakes
	seen  map[Mistake]bool
	count int // number of calls of mistake; a repeated mistake counts, but is listed once
}

// mistake adds a mistake. Its place is the first occurrence of text at the
// position at or shortly after it. message says what is wrong, and hint says
// what to write instead; hint may be empty.
func (c *mistakeList) mistake(at pos, text, message, hint string) {
	m := Mistake{Text: text, Message: message, Hint: hint}
	if c.src != nil {
		at = c.src.find(at, text)
		m.File, m.Line, m.Column = c.src.file, at.line, at.col
		if 0 < at.line && at.line <= len(c.src.lines) {
			m.Source = strings.TrimSuffix(c.src.lines[at.line-1], "\r")
		}
	}
	if c.seen == nil {
		c.seen = map[Mistake]bool{}
	}
	if c.count++; !c.seen[m] {
		c.seen[m] = true
		c.list = append(c.list, m)
	}
}

// err returns the mistakes in the order of the file, or nil.
func (c *mistakeList) err() error {
	if len(c.list) == 0 {
		return nil
	}
	sort.SliceStable(c.list, func(i, j int) bool {
		a, b := c.list[i], c.list[j]
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Message, b.Message)) < 0
	})
	return c.list
}

// searchLines is the number of lines from an entry's start in which find looks for a text.
const searchLines = 40

// find returns the position of text: at or after the position at, within the
// same entry. It returns at if the entry does not contain text, for example
// because the entry was repeated or its text was computed.
func (s *source) find(at pos, text string) pos {
	if at.line < 1 || at.line > len(s.lines) || text == "" {
		return at
	}
	// An entry ends at the next line that is not indented more than its key,
	// or, in a list, than its dash.
	first := s.lines[at.line-1]
	ends := min(max(at.col-1, 0), len(first))
	if strings.HasSuffix(first[:ends], "- ") {
		ends -= 2
	}
	for n := at.line; n < at.line+searchLines && n <= len(s.lines); n++ {
		line, from := s.lines[n-1], 0
		if n == at.line {
			from = min(max(at.col-1, 0), len(line))
		} else if indent := len(line) - len(strings.TrimLeft(line, " ")); indent <= ends && indent < len(line) {
			break
		}
		if i := findWord(line[from:], text); i >= 0 {
			return pos{n, from + i + 1}
		}
	}
	return at
}

// first returns the position of the first occurrence of text in the file.
func (s *source) first(text string) pos {
	for n, line := range s.lines {
		if i := strings.Index(line, text); i >= 0 {
			return pos{n + 1, i + 1}
		}
	}
	return pos{1, 1}
}

// findWord returns the index of word in line, but not as part of a longer word; -1 if there is none.
func findWord(line, word string) int {
	for from := 0; ; {
		i := strings.Index(line[from:], word)
		if i < 0 {
			return -1
		}
		i += from
		if !wordByteAt(line, i-1) && !wordByteAt(line, i+len(word)) {
			return i
		}
		from = i + 1
	}
}

func wordByteAt(s string, i int) bool {
	if i < 0 || i >= len(s) {
		return false
	}
	c := s[i]
	return c == '_' || c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
