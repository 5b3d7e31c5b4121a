package words

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
)

// BatchLine reads one command line of a batch as ip(8) does: a backslash at the end of a line joins the line with the
// next, # begins a comment, also inside a word or quotes, and single or double quotes enclose words with blanks. It
// returns the words, none for an empty line, and n, the number of lines read. The last line comes together with io.EOF.
// A line of more than 128 KiB is an error.
func BatchLine(in *bufio.Reader) (line []string, n int, err error) {
	var text strings.Builder
	for {
		part, rerr := readPart(in, maxBatchLine-text.Len())
		if part != "" {
			n++
		}
		if errors.Is(rerr, errLongLine) {
			return nil, n, rerr
		}
		part = strings.TrimSuffix(part, "\n")
		part, _, comment := strings.Cut(part, "#")
		if more, joined := strings.CutSuffix(part, "\\"); joined && rerr == nil && !comment {
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

// maxBatchLine is the length of the longest line of a batch, in bytes. The kernel accepts requests of 64 KiB.
const maxBatchLine = 128 << 10

var errLongLine = fmt.Errorf("the line has more than %d KiB", maxBatchLine>>10)

// readPart reads up to the end of a line, but at most limit bytes.
func readPart(in *bufio.Reader, limit int) (string, error) {
	var part []byte
	for {
		piece, err := in.ReadSlice('\n')
		if part = append(part, piece...); len(part) > limit {
			return string(part), errLongLine
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return string(part), err
		}
	}
}

var errQuote = errors.New("the closing quote is missing")

// split splits a line into words.
func split(line string) (out []string, err error) {
	for {
		line = strings.TrimLeft(line, " \t\r")
		switch {
		case line == "":
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
