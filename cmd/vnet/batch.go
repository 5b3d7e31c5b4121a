package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
)

// batch runs each line of a file as a command, all in one process and through one socket. It stops at the first
// error, unless -force is set. It always stops at a syntax error.
func (s *session) batch(file string) error {
	in := s.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	options, failed := s.Options, false
	lines := bufio.NewReader(in)
	for at := 1; ; {
		line, n, err := words.BatchLine(lines)
		if err != nil && !errors.Is(err, io.EOF) {
			return exit(exitFailed, fmt.Errorf("%s:%d: %w", file, at, err))
		}
		if len(line) > 0 {
			s.Options = options
			cmdErr := s.object(line)
			s.closeOpened()
			if cmdErr != nil {
				failed = true
				s.out.Flush()
				s.report(fmt.Errorf("%s:%d: %w", file, at, cmdErr))
				if code, stop := stopsBatch(cmdErr); stop {
					return exit(code, errReported)
				}
				if !options.Force {
					break
				}
			}
		}
		if err != nil {
			break
		}
		at += n
	}
	if failed {
		return exit(exitFailed, errReported)
	}
	return nil
}

// stopsBatch reports whether an error stops a batch even with -force, and the batch's exit code then. As with ip(8), a
// syntax error does: the lines after it may depend on that line.
func stopsBatch(err error) (code int, stop bool) {
	code = exitCode(err)
	var word *words.Error
	return code, code == exitUsage || errors.As(err, &word) && word.Exits
}
