package live

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
func (k *Kernel) processStep(step topo.Step) (r result) {
	h, err := k.handle(step.Object().Key().NS)
	if err != nil {
		return result{err: err}
	}
	if err := k.injectedFault(); err != nil {
		return result{err: err}
	}
	r.err = k.startProcess(h, step.Want.(topo.Process))
	r.touched = r.err == nil
	return r
}

// startProcess runs a shell command in the namespace, in a session of its own. Its
// environment names the lab; the processes that it starts inherit this.
func (k *Kernel) startProcess(h *netnsHandle, p topo.Process) error {
	cmd := exec.Command("sh", "-c", "{ "+mark.RunShell+"; } &")
	cmd.Env = append(os.Environ(), mark.EnvLab+"="+k.lab, mark.EnvRun+"="+p.Command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
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
func (k *Kernel) stopStage(stage []topo.Step, results []result) {
	stopping := topo.NewState()
	for _, s := range stage {
		stopping.Put(s.Have)
	}
	running, err := nsfs.Processes()
	err = errors.Join(err, k.findPrograms(stopping, running))
	of := map[process][]*stoppingProcess{} // by command and namespace
	for i, s := range stage {
		h, handleErr := k.handle(s.Have.Key().NS)
		if results[i].err = errors.Join(k.injectedFault(), err, handleErr); results[i].err == nil {
			of[process{command: s.Have.(topo.Process).Command, ns: h.id}] = nil
		}
	}
	var all []*stoppingProcess
	for _, proc := range k.programs {
		key := process{command: proc.command, ns: proc.ns}
		if _, named := of[key]; !named {
			continue
		}
		e := k.openToStop(proc)
		of[key], all = append(of[key], e), append(all, e)
		defer e.close()
	}
	stopAll(all)
	for i, s := range stage {
		if results[i].err != nil {
			continue
		}
		h, _ := k.handle(s.Have.Key().NS) // no error: see above
		for _, e := range of[process{command: s.Have.(topo.Process).Command, ns: h.id}] {
			results[i].err = errors.Join(results[i].err, e.err)
		}
		results[i].touched = results[i].err == nil
	}
}

// A stoppingProcess is a process to stop. It is signalled through a pidfd, because its process
// ID may be reused.
type stoppingProcess struct {
	pid, fd int
	ended   bool
	err     error
}

// openToStop opens a process if it still is the program that was read.
func (k *Kernel) openToStop(p process) *stoppingProcess {
	fd, err := unix.PidfdOpen(p.pid, 0)
	e := &stoppingProcess{pid: p.pid, fd: fd}
	command, ok := k.commandOf(p.pid)
	for range rescans {
		if ok || err != nil {
			break
		}
		if e.wait(time.Now().Add(rescanDelay)); e.ended {
			break
		}
		command, ok = k.commandOf(p.pid) // it may just have called execve
	}
	switch {
	case err == nil && ok && command == p.command:
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
	switch err := unix.PidfdSendSignal(e.fd, sig, nil, 0); err {
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

// A process is a running program of the lab.
type process struct {
	pid     int
	command string
	ns      nsfs.ID
}

// processes returns the lab's programs in its namespaces.
func (k *Kernel) processes() ([]process, error) {
	all, err := nsfs.Processes()
	list, _ := k.labProcesses(all)
	return list, err
}

// A program that calls execve, or whose child takes over, cannot be found for a moment. If
// an expected program is missing, the processes are read again, up to rescans times.
const (
	rescans     = 10
	rescanDelay = 10 * time.Millisecond
)

// findPrograms sets k.programs to the lab's programs among all processes. It reads the
// processes again if a program of want may only be invisible for a moment.
func (k *Kernel) findPrograms(want topo.State, all []nsfs.Process) (err error) {
	for range rescans {
		var moving bool
		k.programs, moving = k.labProcesses(all)
		if !moving || !k.hasMissingProgram(want) {
			return nil
		}
		time.Sleep(rescanDelay)
		if all, err = nsfs.Processes(); err != nil {
			return err
		}
	}
	return nil
}

// hasMissingProgram reports whether a program of want does not run in its namespace.
func (k *Kernel) hasMissingProgram(want topo.State) bool {
	running := map[topo.Process]bool{}
	for _, p := range k.programs {
		for _, h := range k.handles {
			running[topo.Process{NS: h.name, Command: p.command}] = running[topo.Process{NS: h.name, Command: p.command}] || h.id == p.ns
		}
	}
	for _, o := range want {
		if p, ok := o.(topo.Process); ok && k.handles[p.NS] != nil && !running[p] {
			return true
		}
	}
	return false
}

// labProcesses returns the lab's programs among all processes. moving reports whether there
// was another that may be one but could not be read completely: it called execve or exited.
func (k *Kernel) labProcesses(all []nsfs.Process) (list []process, moving bool) {
	spaces := map[nsfs.ID]*netnsHandle{}
	for _, h := range k.handles {
		h.foreignPrograms, spaces[h.id] = false, h
	}
	for _, p := range all {
		h := spaces[p.ID]
		if h == nil {
			continue
		}
		env := readEnviron(p.Pid)
		command, ok := k.commandIn(env, p.Pid)
		if ok {
			list = append(list, process{p.Pid, command, p.ID})
			continue
		}
		h.foreignPrograms = true
		moving = moving || len(env) == 0 || command != ""
	}
	return list, moving
}

// commandOf returns the lab's command that a process runs.
func (k *Kernel) commandOf(pid int) (command string, ok bool) {
	return k.commandIn(readEnviron(pid), pid)
}

// commandIn is commandOf for an environment that was already read. If the environment names
// a command but the process is not trusted, it returns the command and false.
func (k *Kernel) commandIn(env []byte, pid int) (command string, ok bool) {
	if lab, _ := envValue(env, mark.EnvLab); lab != k.lab {
		return "", false
	}
	command, ok = envValue(env, mark.EnvRun)
	return command, ok && isTrusted(pid)
}

// readEnviron returns the beginning of a process's environment; none without permission.
// It is called for all processes, so it avoids the overhead of [os.ReadFile].
func readEnviron(pid int) []byte {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/environ", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	env, n := make([]byte, 4096), 0
	for n < maxEnviron {
		got, err := unix.Read(fd, env[n:])
		if err != nil || got <= 0 {
			break
		}
		if n += got; n == len(env) {
			env = append(env, make([]byte, n)...)
		}
	}
	return env[:n]
}

// maxEnviron is the number of bytes of an environment at which reading stops. The kernel
// limits one variable to 128 KiB.
const maxEnviron = 1 << 20

// isTrusted reports whether a process has our user ID and our user and PID namespaces, and
// was not started with more rights than its parent. Otherwise its environment proves
// nothing: any user can start a program, such as su, with the variables of a lab. If vnet
// trusted it, undoing a Delete would start the command in it with our rights.
func isTrusted(pid int) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	for _, ns := range []string{"ns/user", "ns/pid"} {
		if its, err := os.Readlink(filepath.Join(dir, ns)); err != nil || its != ownNS(ns) {
			return false
		}
	}
	// Not the directory's owner: that is root if the process is not dumpable.
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil || !bytes.Contains(status, fmt.Appendf(nil, "\nUid:\t%d\t%[1]d\t%[1]d\t", os.Geteuid())) {
		return false
	}
	auxv, err := os.ReadFile(filepath.Join(dir, "auxv"))
	return err == nil && !isSecureExec(auxv)
}

// atSecure is AT_SECURE of <linux/auxvec.h>. It is nonzero if the program got rights that
// its parent does not have, as a set-user-ID program does; see getauxval(3).
const atSecure = 23

// isSecureExec reports whether AT_SECURE is nonzero or missing in an auxiliary vector.
func isSecureExec(auxv []byte) bool {
	const word = strconv.IntSize / 8
	for ; len(auxv) >= 2*word; auxv = auxv[2*word:] {
		if nativeWord(auxv) == atSecure {
			return nativeWord(auxv[word:]) != 0
		}
	}
	return true
}

func nativeWord(b []byte) uint64 {
	if strconv.IntSize == 32 {
		return uint64(binary.NativeEndian.Uint32(b))
	}
	return binary.NativeEndian.Uint64(b)
}

func ownNS(ns string) string {
	own, _ := os.Readlink("/proc/self/" + ns)
	return own
}

func envValue(env []byte, name string) (string, bool) {
	for _, v := range bytes.Split(env, []byte{0}) {
		if value, ok := bytes.CutPrefix(v, []byte(name+"=")); ok {
			return string(value), true
		}
	}
	return "", false
}
