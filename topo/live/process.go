package live

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo"
)

// grace is the time that a program has to exit after SIGTERM, and again after SIGKILL.
const grace = 2 * time.Second

// processStep starts a program.
func (x *executor) processStep(step topo.Step) (r result) {
	h, err := x.handle(step.Object().Key().NS)
	if err != nil {
		return result{err: err}
	}
	r.err = x.startProcess(h, step.Want.(topo.Process))
	r.touched = r.err == nil
	return r
}

// startProcess runs a shell command in the namespace, in a session of its own. Its
// environment names the lab; the processes that it starts inherit this.
func (x *executor) startProcess(h *netnsHandle, p topo.Process) error {
	cmd := exec.Command("sh", "-c", "{ "+mark.RunShell+"; } &")
	cmd.Env = append(os.Environ(), mark.EnvLab+"="+x.lab, mark.EnvRun+"="+p.Command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return x.calls.run(h, cmd)
}

// run runs a command in the namespace, until it exits.
func (h *netnsHandle) run(cmd *exec.Cmd) error {
	switch {
	case h.name == "":
		return cmd.Run()
	case h.ref != "": // also mounts the lab's files over /etc
		return nsfs.Run(h.ref, cmd)
	}
	return h.runInside(cmd.Run)
}

// stopStage stops programs and the processes that they started: first it sends SIGTERM to
// all of them, and after a while SIGKILL to those that still run.
func (x *executor) stopStage(stage []topo.Step, results []result) {
	stopping := topo.NewState()
	for _, s := range stage {
		stopping.Put(s.Have)
	}
	running, err := nsfs.Processes()
	err = errors.Join(err, x.programs.find(stopping, running))
	steps := map[program]int{}
	for i, s := range stage {
		h, handleErr := x.handle(s.Have.Key().NS)
		if results[i].err = errors.Join(err, handleErr); results[i].err == nil {
			steps[program{s.Have.(topo.Process).Command, h.id}] = i
		}
	}
	failed, err := x.stopMembers(func(p program) bool { _, is := steps[p]; return is })
	for p, i := range steps {
		results[i].err = errors.Join(err, failed[p])
		results[i].touched = results[i].err == nil
	}
}

// stopRounds is how often stopMembers looks for processes that were started while it stopped others.
const stopRounds = 5

// stopMembers stops the processes of programs until there are none. It returns the errors by program.
func (x *executor) stopMembers(of func(program) bool) (failed map[program]error, err error) {
	failed = map[program]error{}
	for range stopRounds {
		members, err := x.programs.members()
		if err != nil {
			return nil, err
		}
		var all []*stoppingProcess
		for _, m := range members {
			if of(m.program) && failed[m.program] == nil {
				e := x.openToStop(m)
				defer e.close()
				all = append(all, e)
			}
		}
		if len(all) == 0 {
			return failed, nil
		}
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
	program program
	send    func(fd int, sig unix.Signal, info *unix.Siginfo, flags int) error
	ended   bool
	err     error
}

// openToStop opens a process if it is still the one that was found.
func (x *executor) openToStop(m member) *stoppingProcess {
	fd, err := unix.PidfdOpen(m.pid, 0)
	e := &stoppingProcess{pid: m.pid, fd: fd, program: m.program, send: x.calls.signal}
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
