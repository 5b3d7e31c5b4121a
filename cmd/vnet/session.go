package main

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/show"
	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// A session is the state that all commands of one batch share: the options, the input and output, and the socket in
// the namespace.
type session struct {
	words.Options
	in  io.Reader
	out *bufio.Writer
	err io.Writer

	asIP bool // whether the program was called by the name ip

	ns   *os.File   // the namespace of -netns; nil means the current one
	conn *rtnl.Conn // opened when first needed

	current string // the object whose command runs; "" before the first

	opened []*os.File // namespaces that requests refer to; they stay open until the command ends
}

func newSession(in io.Reader, out, errOut io.Writer) *session {
	return &session{in: in, out: bufio.NewWriter(out), err: errOut, asIP: filepath.Base(os.Args[0]) == "ip"}
}

func (s *session) close() {
	s.closeOpened()
	if s.conn != nil {
		s.conn.Close()
	}
	if s.ns != nil {
		s.ns.Close()
	}
}

// closeOpened closes the namespaces that the requests of one command refer to.
func (s *session) closeOpened() {
	for _, f := range s.opened {
		f.Close() // f is nil if the request has a process ID
	}
	s.opened = nil
}

// command runs a whole command line, including the options.
func (s *session) command(args []string) error {
	if n := len(args); n > 0 && args[n-1] == completeFlag {
		return s.complete(args[:n-1])
	}
	opts, rest, err := words.ParseOptions(args)
	if err != nil {
		return err
	}
	s.Options = opts
	// As in ip(8), a missing namespace is the first error.
	if _, err := s.namespace(); err != nil {
		return exit(exitUsage, noNetns(s.Netns, exitUsage, err))
	}
	switch {
	case opts.Version:
		return s.version(nil)
	case opts.Batch != "":
		return s.batch(opts.Batch)
	}
	return suggest(s.object(rest), args[:len(args)-len(rest)], rest)
}

// suggest adds a hint to a usage error: the command that the words after the options probably mean.
func suggest(err error, options, rest []string) error {
	var e *words.Error
	meant := words.Habit(rest)
	if !errors.As(err, &e) || meant == nil {
		return err
	}
	command := slices.Concat([]string{"vnet"}, options, meant)
	if !slices.ContainsFunc(command, shellChanges) {
		e.Hint = strings.Join(command, " ")
	}
	return err
}

// shellChanges reports whether a shell would not pass a word on as it is.
func shellChanges(word string) bool {
	return word == "" || strings.ContainsAny(word, " \t\n\\'\"`$&|;<>()*?#~!{}")
}

// namespace opens the namespace of -netns; nil without -netns.
func (s *session) namespace() (*os.File, error) {
	if s.ns != nil || s.Netns == "" {
		return s.ns, nil
	}
	ns, err := openNetns(s.Netns)
	if err != nil {
		return nil, err
	}
	s.ns = ns
	return ns, nil
}

// openNetns opens a namespace by name or by absolute path.
func openNetns(name string) (*os.File, error) {
	ns, err := nsfs.Open(name)
	if errors.Is(err, nsfs.ErrName) && len(name) > 0 && name[0] == '/' {
		ns, err = nsfs.OpenPath(name)
	}
	return ns, err
}

// rtnl returns the socket in the namespace that the command works in.
func (s *session) rtnl() (*rtnl.Conn, error) {
	if s.conn != nil {
		return s.conn, nil
	}
	ns, err := s.namespace()
	if err != nil {
		return nil, err
	}
	if ns != nil {
		// As ip -n does. This is cheaper than entering the namespace and coming back.
		if err := nsfs.Enter(ns); err != nil {
			return nil, err
		}
	}
	s.conn, err = rtnl.Dial(nil)
	return s.conn, err
}

// do sends requests in the namespace that the command works in.
func (s *session) do(requests ...rtnl.Request) error {
	c, err := s.rtnl()
	if err != nil {
		return err
	}
	return c.Do(requests...)
}

// style returns the style that the options select.
func (s *session) style() show.Style {
	return show.Style{
		JSON: s.JSON, Pretty: s.Pretty, Brief: s.Brief, Oneline: s.Oneline,
		Details: s.Details, Stats: s.Stats, Human: s.Human, IEC: s.IEC,
		Numeric: s.Numeric, Family: s.Family, Color: s.colored(), Light: lightBackground(os.Getenv("COLORFGBG")),
	}
}

// colored reports whether output has colours: never if NO_COLOR is set (no-color.org).
func (s *session) colored() bool {
	if os.Getenv("NO_COLOR") != "" || s.JSON {
		return false
	}
	return s.Color == "always" || s.Color == "auto" && isTerminal(os.Stdout)
}

// lightBackground reports whether COLORFGBG, "foreground;background", has a light background. As in ip(8), the
// default is dark.
func lightBackground(colors string) bool {
	at := strings.LastIndexByte(colors, ';')
	if at < 0 {
		return false
	}
	switch colors[at+1:] {
	case "0", "1", "2", "3", "4", "5", "6", "8":
		return false
	}
	return true
}

func isTerminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// refused reports whether the kernel refused a request.
func refused(err error) bool {
	var e *rtnl.Error
	return errors.As(err, &e)
}

// hinted is an error with a hint.
type hinted struct {
	error
	hint string
}

// Unwrap returns the error without its hint.
func (h *hinted) Unwrap() error { return h.error }

// hintOf returns the hint for an error; "" if there is none.
func (s *session) hintOf(err error) string {
	var word *words.Error
	var h *hinted
	var rule *nft.Error
	switch {
	case errors.As(err, &word):
		return word.Hint
	case errors.As(err, &h):
		return h.hint
	case errors.As(err, &rule) && rule.Missing != "":
		return "the kernel option may be a module: " + strings.ToLower(strings.ReplaceAll(rule.Missing, "CONFIG_", "")) +
			"; some systems have it in a separate package, such as linux-modules-extra or kmod-nft-nat"
	case strings.Contains(err.Error(), rtnl.NoIPv6):
		return "the kernel was built without CONFIG_IPV6, or booted with ipv6.disable=1"
	case errors.Is(err, unix.EROFS) && strings.Contains(err.Error(), "/proc/sys/"):
		return sysctlHint(err)
	case errors.Is(err, unix.EMFILE):
		return "raise the limit of open files in the shell, as root: ulimit -n 65536"
	case errors.Is(err, fs.ErrPermission):
		return s.permissionHint(err)
	}
	return sharedSysctlHint(err)
}
