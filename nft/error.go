package nft

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
)

// Error is a change that was refused, by the kernel or before.
//
// It answers errors.Is(err, fs.ErrNotExist), fs.ErrExist and fs.ErrPermission
// for every errno that means it, errors.ErrUnsupported where the kernel lacks
// something, and errors.Is with the errno itself.
type Error struct {
	// Op is what was to be done: add, delete, show, check.
	Op string
	// Object is what it was to be done to, in nft's words:
	// "tcp dport 80 dnat ip to 192.168.15.2:8080", "table inet vnet".
	Object string
	// Message is the kernel's own explanation; nf_tables seldom gives one.
	Message string
	// Missing is the kernel option (CONFIG_NFT_MASQ) without which the kernel does
	// not know what was asked for; several are separated by commas.
	Missing string
	// Err is the reason: a syscall.Errno if the kernel refused.
	Err error
}

// absentError is the reason why a rule cannot be deleted.
type absentError struct{}

// Error says so without naming the rule: who has the error has the rule.
func (absentError) Error() string { return "there is no such rule" }

// Unwrap makes it fs.ErrNotExist.
func (absentError) Unwrap() error { return syscall.ENOENT }

// ErrNotForgotten comes from a change that was made as it was asked for, but of which
// connection tracking did not learn: some connections go on by the rules that were
// before, until they end. Errors that answer to it wrap the reason too.
var ErrNotForgotten = errors.New("the rules are changed, but connections go on by the old ones")

// notForgotten is that of a reason; nil if there is none.
func notForgotten(reason error) error {
	if reason == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrNotForgotten, reason)
}

// errBusy ends a change that others' changes came before each time.
var errBusy = errors.New("the ruleset kept changing")

// conflictError is the reason why a rule cannot be added.
type conflictError struct{ other Rule }

// Error names the rule that is in the way.
func (e *conflictError) Error() string { return "there is already " + e.other.String() }

// Unwrap makes it fs.ErrExist.
func (e *conflictError) Unwrap() error { return syscall.EEXIST }

// Error says it in one line: add tcp dport 80 dnat ip to 10.0.0.2:80: file exists.
func (e *Error) Error() string {
	words := strings.TrimSpace(e.Op+" "+e.Object) + ": "
	switch {
	case e.Missing != "":
		return fmt.Sprintf("%sthe kernel lacks %s (%v)", words, e.Missing, e.Err)
	case e.Message != "":
		return fmt.Sprintf("%s%s (%v)", words, strings.TrimSuffix(e.Message, "."), e.Err)
	}
	return words + e.Err.Error()
}

// Unwrap returns the reason. An ENOENT that means a missing kernel option would
// be taken for a missing object; it is Is that answers for it.
func (e *Error) Unwrap() error {
	if e.Missing != "" {
		return nil
	}
	return e.Err
}

// Is maps errnos to what they mean.
func (e *Error) Is(target error) bool {
	var errno syscall.Errno
	if !errors.As(e.Err, &errno) {
		return false
	}
	switch target {
	case errno:
		return true
	case errors.ErrUnsupported:
		return e.Missing != ""
	case fs.ErrNotExist:
		return errno == syscall.ENOENT && e.Missing == ""
	case fs.ErrExist:
		return errno == syscall.EEXIST || errno == syscall.ENOTEMPTY
	case fs.ErrPermission:
		return errno == syscall.EPERM || errno == syscall.EACCES
	}
	return false
}
