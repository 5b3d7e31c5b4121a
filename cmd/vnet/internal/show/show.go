// Package show prints what was read, as ip(8) prints it: text for people, and
// JSON with the same fields. It writes to a writer and touches nothing else.
//
// Each kind of object has a file: the fields of its JSON as a struct, in ip(8)'s
// order, and its text.
package show

import (
	"bytes"
	"encoding/json"
	"io"
)

// Style is how to print.
type Style struct {
	JSON, Pretty, Brief, Oneline bool
	// Details and Stats count how often they were asked for; 0 is not at all.
	Details, Stats int
	// Human prints counters with units, of 1000 or, with IEC, of 1024.
	Human, IEC bool
	// Numeric prints numbers where there are names.
	Numeric bool
	// Color colours the text as ip(8) does, with Light for a light background.
	Color, Light bool
	// Family is the address family that was asked for; 0 is all.
	Family int
}

// JSON prints v as ip(8) prints JSON: in one line, or over several if pretty.
func JSON(w io.Writer, v any, pretty bool) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	out := buf.Bytes()
	if pretty {
		out = layOut(out)
	}
	_, err := w.Write(out)
	return err
}

// layOut breaks one line of JSON into the lines that iproute2's json_writer.c
// would write: members on lines of their own, the elements of lists on one.
func layOut(line []byte) []byte {
	var out bytes.Buffer
	var open []byte // the brackets we are in
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

// stringEnd returns where the string that begins at start is over.
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
