// Package show prints links, addresses, routes and other objects as ip(8) does: as text, or as JSON with the same
// fields. It writes only to the given writer.
//
// Each kind of object has a file.
package show

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
)

// Style selects how to print.
type Style struct {
	JSON, Pretty, Brief, Oneline bool
	// Details and Stats count how often -details and -stats are given.
	Details, Stats int
	// Human prints counters with units: of 1024 with IEC, otherwise of 1000.
	Human, IEC bool
	// Numeric prints numbers instead of names.
	Numeric bool
	// Color prints ip(8)'s colours; Light is for a light background.
	Color, Light bool
	// Family is the selected address family; 0 is all.
	Family int
}

// pad fills a column with blanks up to width, and adds another blank. As in C, the width counts bytes.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(width-len(text), 0)+1)
}

// JSON prints v as ip(8) does: in one line, or on several lines if pretty.
func JSON(w io.Writer, v any, pretty bool) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	out := buf.Bytes()
	if pretty {
		out = indentJSON(out)
	}
	_, err := w.Write(out)
	return err
}

// indentJSON formats one line of JSON as iproute2's json_writer.c does: each member on its own line, the elements of a
// list on one line.
func indentJSON(line []byte) []byte {
	var out bytes.Buffer
	var open []byte // the open brackets
	newline := func() { out.WriteByte('\n'); out.Write(bytes.Repeat([]byte("    "), len(open))) }
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch c {
		case '"':
			end := stringEnd(line, i)
			out.Write(line[i:end])
			i = end - 1
		case '{', '[':
			open = append(open, c)
			out.WriteByte(c)
			if c == '[' {
				out.WriteByte(' ')
			} else if line[i+1] != '}' {
				newline()
			}
		case '}', ']':
			open = open[:len(open)-1]
			if empty := line[i-1] == c-2; !empty {
				if c == '}' {
					newline()
				} else {
					out.WriteByte(' ')
				}
			}
			out.WriteByte(c)
		case ',':
			out.WriteByte(c)
			if open[len(open)-1] == '{' {
				newline()
			}
		case ':':
			out.WriteString(": ")
		default:
			out.WriteByte(c)
		}
	}
	return out.Bytes()
}

// stringEnd returns the end of the string that begins at start.
func stringEnd(line []byte, start int) int {
	for i := start + 1; ; i++ {
		switch line[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}
