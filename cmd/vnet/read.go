package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
)

// maxLabFile is the size of the largest lab file, in bytes. That is enough for more than ten thousand hosts; vnet then
// needs less than 256 MB of memory.
const maxLabFile = 1 << 20

// readFile reads a lab file; - is standard input. It reads at most maxLabFile bytes, because a file such as /dev/zero
// has no end.
func (s *session) readFile(file string) ([]byte, error) {
	in, name := s.in, "standard input"
	if file != "-" {
		f, err := os.Open(file)
		if errors.Is(err, fs.ErrNotExist) {
			e := &words.Error{Text: fmt.Sprintf("there is no file %s", file), Status: exitFailed}
			if file == labFile {
				e.Hint = "name a lab file, or - for standard input"
			}
			return nil, e
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in, name = f, file
	}
	text, err := io.ReadAll(io.LimitReader(in, maxLabFile+1))
	if err == nil && len(text) > maxLabFile {
		return nil, fmt.Errorf("%s has more than %d MiB, the maximum for a lab file", name, maxLabFile>>20)
	}
	return text, err
}
