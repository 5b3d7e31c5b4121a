package live

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/execute"
)

// reservedFiles is the number of open files besides those of handles: the lab's lock, the
// Go runtime's files, and files open during reads, writes and requests.
const reservedFiles = 3*execute.LinkBatch + 64

// checkOpenFileLimit returns EMFILE if the limit of open files (RLIMIT_NOFILE) is too low
// for the namespaces of a plan. Otherwise it grows the file descriptor table for them.
func (k *Kernel) checkOpenFileLimit(p topo.Plan) error {
	needed := OpenFiles(p) - filesPerHandle(false)
	for _, h := range k.table.Handles {
		needed += filesPerHandle(h.Own)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if uint64(needed) > limit.Cur {
		return fmt.Errorf("the lab's namespaces need %d open files, but the limit is %d (ulimit -n); "+
			"nothing was changed: %w", needed, limit.Cur, unix.EMFILE)
	}
	k.table.GrowFDTable(needed - reservedFiles)
	return nil
}

// OpenFiles returns how many files Up opens for a plan that begins without namespaces of the lab.
func OpenFiles(p topo.Plan) int {
	needed := reservedFiles + filesPerHandle(false)
	for _, s := range p {
		if n, ok := s.Want.(topo.Namespace); ok && s.Op() == topo.Create {
			needed += filesPerHandle(n.From == "")
		}
	}
	return needed
}

// filesPerHandle returns the number of files that a handle keeps open: the socket and, for
// a foreign namespace, the namespace file.
func filesPerHandle(own bool) int {
	if own {
		return 1
	}
	return 2
}
