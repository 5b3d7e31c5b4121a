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

// colors are iproute2's, for a light background; see ip(8) on -color.
const (
	colorName  = "\x1b[36m"
	colorLL    = "\x1b[33m"
	colorInet  = "\x1b[35m"
	colorInet6 = "\x1b[34m"
	colorUp    = "\x1b[32m"
	colorDown  = "\x1b[31m"
	colorClear = "\x1b[0m"
)

// paint colours a piece of text, if that is wanted.
func (s Style) paint(color, text string) string {
	if !s.Color || color == "" {
		return text
	}
	return color + text + colorClear
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
