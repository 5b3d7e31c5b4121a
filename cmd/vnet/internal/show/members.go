package show

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/vnet-lab/vnet/internal/display"
)

// A member is one property in ip(8)'s output: a member of the JSON object, if it has a name, and a piece of the text.
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

// text joins the texts of all members. A member that is an object adds the texts of its own members.
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

// add appends a property. format is its text, with a verb for the value.
func (m *members) add(name string, value any, format string) {
	*m = append(*m, member{name, value, fmt.Sprintf(format, value)})
}

// put appends a property with a JSON value and a text; name or text can be "".
func (m *members) put(name string, value any, text string) {
	*m = append(*m, member{name, value, text})
}

// addText appends text without a JSON member.
func (m *members) addText(text string) { m.put("", nil, text) }

// seconds is a time in hundredths of a second. ip(8) prints it as seconds in JSON.
type seconds uint64

// MarshalJSON prints both decimals.
func (s seconds) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%.2f", float64(s)/100), nil }

// A color is ip(8)'s colour for a kind of value: a number of ECMA-48.
type color int

const (
	colorName  color = 36
	colorLL    color = 33
	colorInet  color = 35
	colorInet6 color = 34
	colorUp    color = 32
	colorDown  color = 31
)

// paint colours text if colours are on. On a dark background the text is bold, and blue is bright: dark blue is not
// legible.
func (s Style) paint(c color, text string) string {
	switch {
	case !s.Color || c == 0:
		return text
	case s.Light:
		return fmt.Sprintf("%s[%dm%s%[1]s[0m", escape, c, text)
	case c == colorInet6:
		c += 60 // the bright one
	}
	return fmt.Sprintf("%s[1;%dm%s%[1]s[0m", escape, c, text)
}

// escape stands for the escape character (0x1b) in a text that is not printed yet. No text from the kernel has it: the
// kernel ends names and aliases at a zero byte. printLine replaces it.
const escape = "\x00"

// printLine prints a text and a line break. Characters that are not printable appear as Go escapes: root in any
// namespace chooses the names of its links, and they must not control the terminal.
func printLine(w io.Writer, text string) error {
	parts := strings.Split(text, escape)
	for i, part := range parts {
		parts[i] = display.Escape(part)
	}
	_, err := io.WriteString(w, strings.Join(parts, "\x1b")+"\n")
	return err
}

// Name returns a name or another text on one line as it is printed: line breaks and tabs are Go escapes, too.
func Name(text string) string {
	return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(display.Escape(text))
}

// list prints objects as JSON or text. With -oneline, backslashes replace the line breaks of an object.
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
		if err := printLine(w, text); err != nil {
			return err
		}
	}
	return nil
}
