package program

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// grace is the time that a program has to exit after SIGTERM, and again after SIGKILL.
const grace = 2 * time.Second

// stopRounds is how often Stop looks for processes that were started while it stopped others.
const stopRounds = 5

// A SendSignal sends a signal to the process of a pidfd; see pidfd_send_signal(2).
type SendSignal func(pidfd int, sig unix.Signal, info *unix.Siginfo, flags int) error

// Stop stops the processes of programs until there are none: first it sends SIGTERM to all of them, and after a
// while SIGKILL to those that still run. It returns the errors by program. If it may not stop one process of a program,
// it stops none of them: the others show that this one belongs to the program.
func (f *Finder) Stop(of func(Program) bool, send SendSignal) (failed map[Program]error, err error) {
	failed = map[Program]error{}
	for range stopRounds {
		members, err := f.members()
		if err != nil {
			return nil, err
		}
		var all []*stoppingProcess
		for _, m := range members {
			if of(m.program) && failed[m.program] == nil {
				e := openToStop(m, send)
				defer e.close()
				all = append(all, e)
			}
		}
		if len(all) == 0 {
			return failed, nil
		}
		for _, e := range all {
			if e.signal(0); e.err != nil {
				failed[e.program] = errors.Join(failed[e.program], e.err)
			}
		}
		all = slices.DeleteFunc(all, func(e *stoppingProcess) bool { return failed[e.program] != nil })
		stopAll(all)
		for _, e := range all {
			failed[e.program] = errors.Join(failed[e.program], e.err)
		}
	}
	return failed, errors.New("its processes start new ones faster than they can be stopped")
}

// A stoppingProcess is a process to stop. It is signalled through a pidfd, because its process
// ID may be reused.
type stoppingProcess struct {
	pid, fd int
	program Program
	send    SendSignal
	ended   bool
	err     error
}

// openToStop opens a process if it is still the one that was found.
func openToStop(m member, send SendSignal) *stoppingProcess {
	fd, err := unix.PidfdOpen(m.pid, 0)
	e := &stoppingProcess{pid: m.pid, fd: fd, program: m.program, send: send}
	switch now, ok := readProcess(m.pid); {
	case err == nil && ok && now.start == m.start:
	case err == nil, err == unix.ESRCH: // it has exited; its ID is unused, or another process has it
		e.ended = true
	default:
		e.fail(err)
	}
	return e
}

func (e *stoppingProcess) fail(err error) { e.err = fmt.Errorf("process %d: %w", e.pid, err) }

func (e *stoppingProcess) close() {
	if e.fd >= 0 {
		unix.Close(e.fd)
	}
}

// stopAll stops processes. All share the time limits.
func stopAll(all []*stoppingProcess) {
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		for _, e := range all {
			e.signal(sig)
		}
		until := time.Now().Add(grace)
		for _, e := range all {
			e.wait(until)
		}
	}
	for _, e := range all {
		if !e.ended && e.err == nil {
			e.fail(errors.New("does not exit, not even after SIGKILL"))
		}
	}
}

func (e *stoppingProcess) signal(sig unix.Signal) {
	if e.ended || e.err != nil {
		return
	}
	switch err := e.send(e.fd, sig, nil, 0); err {
	case nil:
	case unix.ESRCH:
		e.ended = true
	default:
		e.fail(err)
	}
}

func (e *stoppingProcess) wait(until time.Time) {
	for !e.ended && e.err == nil {
		left := max(0, time.Until(until))
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(e.fd), Events: unix.POLLIN}}, int(left.Milliseconds()))
		if err != unix.EINTR {
			e.ended = n > 0
			return
		}
	}
}
