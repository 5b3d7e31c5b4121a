//go:build linux

package nft

import (
	"time"

	"golang.org/x/sys/unix"
)

// lockTimeout limits how long a change waits for the changes of other processes.
const lockTimeout = 10 * time.Second

// lock waits until no other process that uses this package changes the ruleset of the socket's namespace, and returns
// the function that ends the lock. Without it, many changes at once would compute their transactions again and again.
// The lock is on the file of the namespace, so it needs no path and works across mount namespaces.
//
// The lock only makes changes fair; the ruleset's generation keeps them correct. So if there is no lock within
// lockTimeout, for example because somebody else holds it, or if the namespace's file cannot be opened, the change
// continues without it.
func (c *Conn) lock() (unlock func()) {
	ns, err := c.namespace()
	if err != nil {
		return func() {}
	}
	if unix.Flock(ns, unix.LOCK_EX|unix.LOCK_NB) == nil {
		return func() { unix.Close(ns) }
	}
	locked, abandoned := make(chan bool), make(chan bool)
	go func() {
		for unix.Flock(ns, unix.LOCK_EX) == unix.EINTR {
		}
		select {
		case locked <- true:
		case <-abandoned:
			unix.Close(ns)
		}
	}()
	timeout := time.NewTimer(lockTimeout)
	defer timeout.Stop()
	select {
	case <-locked:
		return func() { unix.Close(ns) }
	case <-timeout.C:
		close(abandoned)
		return func() {}
	}
}

// namespace opens the file of the namespace of c's socket.
func (c *Conn) namespace() (fd int, err error) {
	raw, err := c.nl.SyscallConn()
	if err != nil {
		return -1, err
	}
	var nsErr error
	if err := raw.Control(func(s uintptr) { fd, nsErr = unix.IoctlRetInt(int(s), unix.SIOCGSKNS) }); err != nil {
		return -1, err
	}
	return fd, nsErr
}
