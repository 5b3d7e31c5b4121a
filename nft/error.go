package nft

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
)

// Error is the error of an operation that the kernel refused, or of an invalid rule, which was not sent to it.
//
// errors.Is(err, target) works with fs.ErrNotExist, fs.ErrExist and fs.ErrPermission for the matching errnos, with
// errors.ErrUnsupported for a missing feature of the kernel, and with the errno itself.
type Error struct {
	// Op is the operation: add, delete, show, check …
	Op string
	// Object is the object of the operation, in nft's syntax:
	// "tcp dport 80 dnat ip to 192.168.15.2:8080", "table inet vnet".
	Object string
	// Message is the kernel's explanation (extended acknowledgement). Usually nf_tables gives none.
	Message string
	// Missing is the kernel option that the kernel lacks for the operation (CONFIG_NFT_MASQ). Several are separated
	// by commas.
	Missing string
	// Err is the cause: a syscall.Errno if the kernel refused.
	Err error
}

// noSuchRuleError is the cause of a failed delete.
type noSuchRuleError struct{}

// Error does not name the rule: [Error].Object does.
func (noSuchRuleError) Error() string { return "no such rule" }

// Unwrap makes it match fs.ErrNotExist.
func (noSuchRuleError) Unwrap() error { return syscall.ENOENT }

// ErrStaleConntrack means that the change was made, but old conntrack entries could not be deleted: some connections
// continue to use the old rules until they end. The returned error wraps the cause too.
var ErrStaleConntrack = errors.New("the rules are changed, but conntrack entries of the old rules remain")

// staleConntrack wraps cause in ErrStaleConntrack. It returns nil if cause is nil.
func staleConntrack(cause error) error {
	if cause == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrStaleConntrack, cause)
}

// errLost is the cause if the kernel's reply was lost or did not come, so that the outcome is unknown.
var errLost = errors.New("no reply from the kernel")

// errBusy is the error if the ruleset changed during each of many attempts.
var errBusy = errors.New("the ruleset kept changing")

// conflictError is the cause of a failed add.
type conflictError struct{ other Rule }

// Error names the existing rule.
func (e *conflictError) Error() string { return "conflicts with " + e.other.String() }

// Unwrap makes it match fs.ErrExist.
func (e *conflictError) Unwrap() error { return syscall.EEXIST }

// Error returns the message in one line: add tcp dport 80 dnat ip to 10.0.0.2:80: file exists.
func (e *Error) Error() string {
	prefix := strings.TrimSpace(e.Op+" "+e.Object) + ": "
	switch {
	case e.Missing != "":
		return fmt.Sprintf("%sthe kernel lacks %s (%v)", prefix, e.Missing, e.Err)
	case e.Message != "":
		return fmt.Sprintf("%s%s (%v)", prefix, strings.TrimSuffix(e.Message, "."), e.Err)
	}
	return prefix + e.Err.Error()
}

// Unwrap returns the cause, or nil if Missing is set: an ENOENT for a missing kernel option must not match
// fs.ErrNotExist. The method Is handles that case.
func (e *Error) Unwrap() error {
	if e.Missing != "" {
		return nil
	}
	return e.Err
}

// Is maps errnos to the errors of package fs and to errors.ErrUnsupported.
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
