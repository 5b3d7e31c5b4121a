package show

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// A member is one thing that ip(8) tells about an object: a member of its JSON
// object, if it has a name, and a piece of its text.
type member struct {
	name  string
	value any
	text  string
}

// members are in ip(8)'s order.
type members []member

// MarshalJSON keeps the order.
func (m members) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for _, f := range m {
		if f.name == "" {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		value, err := json.Marshal(f.value)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q:%s", f.name, value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// text is all pieces in a row. Those of members that are objects are their own.
func (m members) text() string {
	var b strings.Builder
	for _, f := range m {
		b.WriteString(f.text)
		if inner, ok := f.value.(members); ok {
			b.WriteString(inner.text())
		}
	}
	return b.String()
}

// add tells something under a name, with the words around it in the text.
func (m *members) add(name string, value any, format string) {
	*m = append(*m, member{name, value, fmt.Sprintf(format, value)})
}

// put tells something in JSON one way, and in text another; either may be "".
func (m *members) put(name string, value any, text string) {
	*m = append(*m, member{name, value, text})
}

// say is text only.
func (m *members) say(text string) { m.put("", nil, text) }

// seconds are hundredths of a second, as ip(8) writes them in JSON.
type seconds uint64

// MarshalJSON keeps both decimals.
func (s seconds) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%.2f", float64(s)/100), nil }

// A color is what ip(8) paints a kind of thing in: a number of ECMA-48's.
type color int

const (
	colorName  color = 36
	colorLL    color = 33
	colorInet  color = 35
	colorInet6 color = 34
	colorUp    color = 32
	colorDown  color = 31
)

// paint colours a piece of text, if that is wanted. On a dark background it is
// bold, and a dark blue would not be legible.
func (s Style) paint(c color, text string) string {
	switch {
	case !s.Color || c == 0:
		return text
	case s.Light:
		return fmt.Sprintf("\x1b[%dm%s\x1b[0m", c, text)
	case c == colorInet6:
		c += 60 // the bright one
	}
	return fmt.Sprintf("\x1b[1;%dm%s\x1b[0m", c, text)
}

// list prints objects: JSON, or the text of each, whose lines ip(8)'s -oneline
// joins with backslashes.
func (s Style) list(w io.Writer, all []members) error {
	if s.JSON {
		return JSON(w, all, s.Pretty)
	}
	for _, m := range all {
		text := m.text()
		if s.Oneline {
			text = strings.ReplaceAll(text, "\n", "\\")
		}
		if text == "" {
			continue
		}
		if _, err := io.WriteString(w, text+"\n"); err != nil {
			return err
		}
	}
	return nil
}
