package syntax

import (
	"cmp"
	"slices"
	"sort"
	"strings"
)

// A Pos is a line and a column of the file, both from 1, the column in bytes. The zero value means unknown.
type Pos struct{ Line, Column int }

// A Source is the text of a lab file.
type Source struct {
	File  string // its name in mistakes
	lines []string
}

// NewSource returns the source of a text. file is its name in mistakes.
func NewSource(file string, text []byte) *Source {
	return &Source{File: file, lines: strings.Split(string(text), "\n")}
}

// Line returns a line of the text without its line break. Lines are counted from 1; of others, it is "".
func (s *Source) Line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	return strings.TrimSuffix(s.lines[n-1], "\r")
}

// A Mistake is what is wrong at a place of the file.
type Mistake struct {
	At      Pos    // zero if there is no file
	Text    string // the wrong text, as in the file; may be empty
	Message string // what is wrong
	Hint    string // what to write instead; may be empty
}

// A MistakeList collects mistakes. It lists a repeated mistake once.
type MistakeList struct {
	Source *Source // the file; nil if there is none

	list  []Mistake
	seen  map[Mistake]bool
	count int // number of calls of Mistake
}

// Mistake adds a mistake. Its place is the first occurrence of text at the
// position at or shortly after it. message says what is wrong, and hint says
// what to write instead; hint may be empty.
func (l *MistakeList) Mistake(at Pos, text, message, hint string) {
	m := Mistake{Text: text, Message: message, Hint: hint}
	if l.Source != nil {
		m.At = l.Source.find(at, text)
	}
	if l.seen == nil {
		l.seen = map[Mistake]bool{}
	}
	if l.count++; !l.seen[m] {
		l.seen[m] = true
		l.list = append(l.list, m)
	}
}

// Found reports whether there are mistakes so far.
func (l *MistakeList) Found() bool { return len(l.list) > 0 }

// Sorted returns the mistakes in the order of the file.
func (l *MistakeList) Sorted() []Mistake {
	list := slices.Clone(l.list)
	sort.SliceStable(list, func(i, j int) bool {
		a, b := list[i], list[j]
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Message, b.Message)) < 0
	})
	return list
}

// Compare compares positions by their order in the file, as [cmp.Compare] does.
func (p Pos) Compare(q Pos) int {
	return cmp.Or(cmp.Compare(p.Line, q.Line), cmp.Compare(p.Column, q.Column))
}

// searchLines is the number of lines from an entry's start in which find looks for a text.
const searchLines = 40

// find returns the position of text: at or after the position at, within the
// same entry. It returns at if the entry does not contain text, for example
// because the entry was repeated or its text was computed.
func (s *Source) find(at Pos, text string) Pos {
	if at.Line < 1 || at.Line > len(s.lines) || text == "" {
		return at
	}
	// An entry ends at the next line that is not indented more than its key,
	// or, in a list, than its dash.
	first := s.lines[at.Line-1]
	ends := min(max(at.Column-1, 0), len(first))
	if strings.HasSuffix(first[:ends], "- ") {
		ends -= 2
	}
	for n := at.Line; n < at.Line+searchLines && n <= len(s.lines); n++ {
		line, from := s.lines[n-1], 0
		if n == at.Line {
			from = min(max(at.Column-1, 0), len(line))
		} else if indent := len(line) - len(strings.TrimLeft(line, " ")); indent <= ends && indent < len(line) {
			break
		}
		if i := findWord(line[from:], text); i >= 0 {
			return Pos{n, from + i + 1}
		}
	}
	return at
}

// first returns the position of the first occurrence of text in the file.
func (s *Source) first(text string) Pos {
	for n, line := range s.lines {
		if i := strings.Index(line, text); i >= 0 {
			return Pos{n + 1, i + 1}
		}
	}
	return Pos{1, 1}
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
