package nsfs

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// errExited is the error if a function ends its goroutine with runtime.Goexit, like
// FailNow of package testing.
var errExited = errors.New("function exited its goroutine")

// Do runs fn on a thread inside the network namespace ns and returns fn's error.
// The thread ends afterwards.
func Do(ns *os.File, fn func() error) error {
	return onThread(func() error {
		if err := enter(ns); err != nil {
			return err
		}
		return fn()
	})
}

// A Thread is a thread that enters several namespaces, one after another. One
// thread for a thousand namespaces is much cheaper than [Do] for each. [WithThread]
// makes it; the zero Thread is not valid.
type Thread struct{ proc *procMount }

// WithThread runs fn on a thread that [Thread.Enter] and [Thread.New] move from
// namespace to namespace. The thread ends afterwards. A socket that fn opens belongs
// to the namespace that the thread is in at that moment. Goroutines that fn starts
// run outside.
func WithThread(fn func(Thread) error) error {
	return onThread(func() error {
		proc := &procMount{dir: -1}
		defer proc.close()
		return fn(Thread{proc})
	})
}

// Enter moves the thread into the network namespace ns.
func (Thread) Enter(ns *os.File) error { return enter(ns) }

// New creates a network namespace, like the function [New], and moves the thread
// into it.
func (Thread) New() (*os.File, error) { return unshare() }

// Enter moves the calling goroutine and its thread into the network namespace ns
// permanently. It is for programs that work in this namespace only, like ip -n. If
// the main goroutine calls it, other programs see ns as the namespace of the
// process. Other goroutines stay where they are. On an error, nothing has changed.
func Enter(ns *os.File) error {
	runtime.LockOSThread()
	if err := enter(ns); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	return nil
}

// enter moves the calling thread into ns. The caller must end the thread, or never
// leave ns.
func enter(ns *os.File) error {
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return &os.PathError{Op: "enter network namespace", Path: ns.Name(), Err: err}
	}
	return nil
}

// onThread runs fn on a thread that ends with it: the goroutine returns while it is
// locked to the thread, so the runtime ends the thread.
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
		// The runtime cannot end the first thread of a process. It would keep it
		// inside the namespace, and /proc/self and /proc/net would show that
		// namespace to all threads. While this goroutine is locked to the first
		// thread, the next one runs on another.
		err = onThread(fn)
		runtime.UnlockOSThread()
	}()
	return <-done
}
