package live

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/topo"
)

// reservedFiles is the number of open files besides those of handles: the lab's lock, the
// Go runtime's files, and files open during reads, writes and requests.
const reservedFiles = 3*linkBatch + 64

// checkOpenFileLimit returns EMFILE if the limit of open files (RLIMIT_NOFILE) is too low
// for the namespaces of a plan. Otherwise it grows the file descriptor table for them.
func (t *handleTable) checkOpenFileLimit(p topo.Plan) error {
	needed := OpenFiles(p) - filesPerHandle(false)
	for _, h := range t.handles {
		needed += filesPerHandle(h.own)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if uint64(needed) > limit.Cur {
		return fmt.Errorf("the lab's namespaces need %d open files, but the limit is %d (ulimit -n); "+
			"nothing was changed: %w", needed, limit.Cur, unix.EMFILE)
	}
	t.growFDTable(needed - reservedFiles)
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

// growFDTable grows the file descriptor table at once to the given number of files and some
// more. Otherwise the kernel doubles the table each time it is full, and in a process with
// several threads each doubling waits for an RCU grace period. Errors are ignored: if the
// table cannot grow, a later open returns the error.
func (t *handleTable) growFDTable(files int) {
	const smallest = 64 // NR_OPEN_DEFAULT of <linux/fdtable.h>, on 64 bits
	size := files + smallest/2
	if size <= max(t.fdTableSize, smallest) {
		return
	}
	t.fdTableSize = size
	if fd, err := unix.FcntlInt(t.lock.Fd(), unix.F_DUPFD_CLOEXEC, size); err == nil {
		unix.Close(fd)
	}
}
