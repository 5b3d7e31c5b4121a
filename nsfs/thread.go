package nsfs

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// errExited is what a caller gets whose function left its goroutine with
// runtime.Goexit, as testing's FailNow does.
var errExited = errors.New("function exited its goroutine")

// Do runs fn on a thread inside the network namespace ns, and returns what fn
// returns. The thread is not used again.
func Do(ns *os.File, fn func() error) error {
	return onThread(func() error {
		if err := enter(ns); err != nil {
			return err
		}
		return fn()
	})
}

// A Traveller is a thread on its way through namespaces. To work in a thousand of
// them, one such thread is a lot cheaper than [Do] for each.
type Traveller struct{}

// Travel runs fn on a thread that [Traveller.Enter] and [Traveller.New] move from
// namespace to namespace, and that is not used again. What fn opens, a socket for
// example, belongs to the namespace that the thread is in. Goroutines that it starts
// do not come along.
func Travel(fn func(Traveller) error) error {
	return onThread(func() error { return fn(Traveller{}) })
}

// Enter goes into the network namespace ns.
func (Traveller) Enter(ns *os.File) error { return enter(ns) }

// New makes a network namespace, as the function [New] does, and goes into it.
func (Traveller) New() (*os.File, error) { return unshare() }

// Enter moves the calling goroutine into the network namespace ns for good, and its
// thread with it. It is for programs that have nothing to do elsewhere any more, as
// ip -n has not: called by the main goroutine, it makes ns the process's own in the eyes
// of others. Other goroutines stay where they are. With an error, nothing has changed.
func Enter(ns *os.File) error {
	runtime.LockOSThread()
	if err := enter(ns); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	return nil
}

// enter moves the calling thread, which its caller throws away, into ns.
func enter(ns *os.File) error {
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return &os.PathError{Op: "enter network namespace", Path: ns.Name(), Err: err}
	}
	return nil
}

// onThread runs fn on a thread that ends with it: the goroutine returns while
// it is locked, and the runtime then destroys the thread.
func onThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := errExited
		defer func() { done <- err }()
		if unix.Gettid() != unix.Getpid() {
			err = fn()
			return
		}
		// The runtime cannot destroy the first thread of a process: it would park
		// it inside the namespace for good, where /proc/self and /proc/net show
		// it to everybody. While this goroutine holds that thread, another one
		// cannot land on it.
		err = onThread(fn)
		runtime.UnlockOSThread()
	}()
	return <-done
}
