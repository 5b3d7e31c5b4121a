// Command vnet makes virtual networks: namespaces, cables, switches, addresses,
// routes and NAT, with ip(8)'s own words or from a lab file, through netlink and
// nftables alone.
//
//	args ──words──▶ values ──session──▶ rtnl · nft · nsfs · topo ──▶ values ──show──▶ stdout
//
// Nothing is decided here: words knows the grammar, show the print, the packages
// below do the work.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/topo"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// Exit codes. The words of ip(8) exit as ip(8) does; see exitCode.
const (
	exitOK     = 0
	exitFailed = 1   // something could not be done
	exitKernel = 2   // the kernel refused
	exitUsage  = 255 // the command line means nothing
)

// run is the whole program but for the exit.
func run(args []string, in io.Reader, out, errOut io.Writer) int {
	s := newSession(in, out, errOut)
	defer s.close()
	err := s.command(args)
	if ferr := s.out.Flush(); err == nil && ferr != nil {
		err = fmt.Errorf("write: %w", ferr)
	}
	if err == nil {
		return exitOK
	}
	s.report(err)
	return exitCode(err)
}

// errReported ends a command that has told what went wrong.
var errReported = errors.New("already reported")

// report prints what went wrong, a line each, and what to do about it.
func (s *session) report(err error) {
	if errors.Is(err, errReported) {
		return
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		if line != "" {
			fmt.Fprintln(s.err, "vnet: error:", topo.Shown(line))
		}
	}
	if hint := hintOf(err); hint != "" {
		s.hint("%s", hint)
	}
}

// note tells what was done beside what was asked for.
func (s *session) note(format string, args ...any) {
	fmt.Fprintln(s.err, "vnet: note:", topo.Shown(fmt.Sprintf(format, args...)))
}

// hint tells what may help.
func (s *session) hint(format string, args ...any) {
	fmt.Fprintln(s.err, "vnet: hint:", topo.Shown(fmt.Sprintf(format, args...)))
}

// A codeError is an error with an exit code of its own.
type codeError struct {
	code int
	error
}

// Unwrap returns the error without its code.
func (e *codeError) Unwrap() error { return e.error }

// exit gives an error an exit code.
func exit(code int, err error) error {
	if err == nil {
		return nil
	}
	return &codeError{code, err}
}

// exitCode is ip(8)'s: 255 for a command line it does not understand, 2 for what
// the kernel refused, 1 for the rest.
func exitCode(err error) int {
	var coded *codeError
	var word *words.Error
	switch {
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &word) && word.Status != 0:
		return word.Status
	case errors.As(err, &word):
		return exitUsage
	case refused(err):
		return exitKernel
	}
	return exitFailed
}
