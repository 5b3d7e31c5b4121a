//go:build linux

package topo

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// otherFiles are what is open beside the sockets of namespaces: the lab's lock, what the
// runtime has, and what is read and written meanwhile.
const otherFiles = 3*linksAtOnce + 64

// makeWay makes the process's table of files large enough for the namespaces of a plan, or
// says that it cannot be: EMFILE. Each takes a socket.
func (k *Kernel) makeWay(p Plan) error {
	needed := otherFiles
	for _, s := range k.spaces {
		needed += filesOf(s.own)
	}
	for _, s := range p {
		if n, ok := s.Want.(Namespace); ok && s.Op() == Create {
			needed += filesOf(n.From == "")
		}
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if uint64(needed) > limit.Cur {
		return fmt.Errorf("the lab's namespaces take %d open files, and the limit is %d; nothing was changed: %w", needed, limit.Cur, unix.EMFILE)
	}
	k.widen(needed - otherFiles)
	return nil
}

// filesOf is how many files are open for a namespace: for those that are not the lab's own,
// one besides the socket.
func filesOf(own bool) int {
	if own {
		return 1
	}
	return 2
}

// widen lets the table of open files grow in one go to what so many, and a few others,
// need. It doubles each time it is full, and in a process of several threads all that open
// something then wait for a grace period. That it cannot grow, whoever opens the next file
// finds out.
func (k *Kernel) widen(files int) {
	const smallest = 64 // NR_OPEN_DEFAULT of <linux/fdtable.h>, on 64 bits
	size := files + smallest/2
	if size <= max(k.width, smallest) {
		return
	}
	k.width = size
	if fd, err := unix.FcntlInt(k.lock.Fd(), unix.F_DUPFD_CLOEXEC, size); err == nil {
		unix.Close(fd)
	}
}
