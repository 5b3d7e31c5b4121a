package nsfs

import (
	"os"
	"strconv"
	"strings"
)

// OpenFrom opens a namespace as a lab file names it. If from is empty, it opens the
// namespace with the given name in [Dir]. Otherwise from is a path if it has a slash, a
// process id if it is a number, and else a name in [Dir]. Errors are those of [Open].
func OpenFrom(name, from string) (*os.File, error) {
	if from == "" {
		return Open(name)
	}
	if strings.Contains(from, "/") {
		return OpenPath(from)
	}
	if pid, err := strconv.ParseUint(from, 10, 31); err == nil {
		return OpenPid(int(pid))
	}
	return Open(from)
}

// Reopen returns another descriptor of a namespace, which the caller closes.
func Reopen(ns *os.File) (*os.File, error) {
	return OpenPath("/proc/self/fd/" + strconv.Itoa(int(ns.Fd())))
}
