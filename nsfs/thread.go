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
