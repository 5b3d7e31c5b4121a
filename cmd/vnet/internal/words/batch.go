package words

import (
	"bufio"
	"errors"
	"strings"
)

// BatchLine reads one command line of a batch as ip(8) does: a backslash at the end of a line joins the line with the
// next, # begins a comment, and single or double quotes enclose words with blanks. It returns the words, none for an
// empty line, and n, the number of lines read. The last line comes together with io.EOF.
func BatchLine(in *bufio.Reader) (line []string, n int, err error) {
	var text strings.Builder
	for {
		part, rerr := in.ReadString('\n')
		if part != "" {
			n++
		}
		part = strings.TrimSuffix(part, "\n")
		if more, joined := strings.CutSuffix(part, "\\"); joined && rerr == nil {
			text.WriteString(more)
			continue
		}
		text.WriteString(part)
		line, err = split(text.String())
		if err == nil && rerr != nil {
			err = rerr
		}
		return line, n, err
	}
}

var errQuote = errors.New("the closing quote is missing")

// split splits a line into words.
func split(line string) (out []string, err error) {
	for {
		line = strings.TrimLeft(line, " \t\r")
		switch {
		case line == "" || line[0] == '#':
			return out, nil
		case line[0] == '"' || line[0] == '\'':
			word, rest, closed := strings.Cut(line[1:], line[:1])
			if !closed {
				return nil, errQuote
			}
			out, line = append(out, word), rest
		default:
			end := strings.IndexAny(line, " \t\r")
			if end < 0 {
				end = len(line)
			}
			out, line = append(out, line[:end]), line[end:]
		}
	}
}
