// Command vnet makes virtual networks: namespaces, veth pairs, bridges, addresses, routes and NAT. It takes ip(8)'s
// commands or a lab file, and uses only netlink and nftables.
//
//	args ──words──▶ values ──session──▶ rtnl · nft · nsfs · topo ──▶ values ──show──▶ stdout
//
// This package only connects the others: words parses, show prints, and rtnl, nft, nsfs and topo do the work.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/plugin"
	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/internal/display"
)

func main() {
	if plugin.Called(os.Args, os.Getenv, os.Stdin) {
		os.Exit(plugin.Run(os.Args, versionAlone(), checkPrivilege()))
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Exit codes. Commands of ip(8) have ip(8)'s exit codes; see exitCode.
const (
	exitOK     = 0
	exitFailed = 1   // failed
	exitKernel = 2   // the kernel refused
	exitUsage  = 255 // usage error
)

// run is the whole program except for os.Exit.
func run(args []string, in io.Reader, out, errOut io.Writer) int {
	s := newSession(in, out, errOut)
	defer s.close()
	err := checkPrivilege()
	if err == nil {
		err = s.command(args)
	}
	if ferr := s.out.Flush(); err == nil && ferr != nil {
		err = fmt.Errorf("write: %w", ferr)
	}
	if err == nil {
		return exitOK
	}
	s.report(err)
	return exitCode(err)
}

// errReported ends a command that has already printed its error.
var errReported = errors.New("already reported")

// report prints an error, one line per error, and a hint.
func (s *session) report(err error) {
	if errors.Is(err, errReported) {
		return
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		if line != "" {
			fmt.Fprintln(s.err, "vnet: error:", display.Escape(line))
		}
	}
	if hint := s.hintOf(err); hint != "" {
		s.hint("%s", hint)
	}
}

// note prints a note: a warning, or a change that the user did not ask for.
func (s *session) note(format string, args ...any) {
	fmt.Fprintln(s.err, "vnet: note:", display.Escape(fmt.Sprintf(format, args...)))
}

// hint prints a hint.
func (s *session) hint(format string, args ...any) {
	fmt.Fprintln(s.err, "vnet: hint:", display.Escape(fmt.Sprintf(format, args...)))
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

// exitCode returns ip(8)'s exit codes: 255 for a usage error, 2 if the kernel refused a request, 1 otherwise.
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
