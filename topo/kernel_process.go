//go:build linux

package topo

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

	"github.com/vnet-lab/vnet/nsfs"
)

// grace is how long a program that is asked to end has for it.
const grace = 2 * time.Second

// start runs a shell command in the namespace, in a session of its own. Its
// environment says whose it is, and that of whatever it starts.
func (k *Kernel) start(s *space, p Process) error {
	cmd := exec.Command("sh", "-c", "{ "+runShell+"; } &")
	cmd.Env = append(os.Environ(), envLab+"="+k.lab, envRun+"="+p.Command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	switch {
	case s.name == "":
		return cmd.Run()
	case s.ref != "": // with the files of the lab in /etc
		return nsfs.Run(s.ref, cmd)
	}
	return s.insideOf(cmd.Run)
}

// stopStage ends commands and what they started: it asks all of them first, and
// makes those that have not ended after a while.
func (k *Kernel) stopStage(stage []Step, results []result) {
	going := NewState()
	for _, s := range stage {
		going.put(s.Have)
	}
	running, err := nsfs.Processes()
	err = errors.Join(err, k.find(going, running))
	of := map[process][]*ending{} // by command and namespace
	for i, s := range stage {
		sp, spaceErr := k.space(s.Have.Key().NS)
		if results[i].err = errors.Join(k.faulty(), err, spaceErr); results[i].err == nil {
			of[process{command: s.Have.(Process).Command, ns: sp.id}] = nil
		}
	}
	var all []*ending
	for _, proc := range k.programs {
		key := process{command: proc.command, ns: proc.ns}
		if _, named := of[key]; !named {
			continue
		}
		e := k.ending(proc)
		of[key], all = append(of[key], e), append(all, e)
		defer e.close()
	}
	endAll(all)
	for i, s := range stage {
		if results[i].err != nil {
			continue
		}
		sp, _ := k.space(s.Have.Key().NS) // there it was
		for _, e := range of[process{command: s.Have.(Process).Command, ns: sp.id}] {
			results[i].err = errors.Join(results[i].err, e.err)
		}
		results[i].touched = results[i].err == nil
	}
}

// An ending is a process that is to end. The descriptor stays with it: its number may
// become another's.
type ending struct {
	pid, fd int
	ended   bool
	err     error
}

// ending begins with one that is what it was when the list was made.
func (k *Kernel) ending(p process) *ending {
	fd, err := unix.PidfdOpen(p.pid, 0)
	e := &ending{pid: p.pid, fd: fd}
	command, ok := k.commandOf(p.pid)
	for range blinks {
		if ok || err != nil {
			break
		}
		if e.wait(time.Now().Add(blink)); e.ended {
			break
		}
		command, ok = k.commandOf(p.pid) // it may have begun another program just now
	}
	switch {
	case err == nil && ok && command == p.command:
	case err == nil, err == unix.ESRCH: // it has ended; the number is nobody's, or another's
		e.ended = true
	default:
		e.fail(err)
	}
	return e
}

func (e *ending) fail(err error) { e.err = fmt.Errorf("process %d: %w", e.pid, err) }

func (e *ending) close() {
	if e.fd >= 0 {
		unix.Close(e.fd)
	}
}

// endAll ends processes, all in the time that one has for it.
func endAll(all []*ending) {
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
			e.fail(errors.New("does not end"))
		}
	}
}

func (e *ending) signal(sig unix.Signal) {
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

func (e *ending) wait(until time.Time) {
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

// processes are those of the lab, in the namespaces that it has.
func (k *Kernel) processes() ([]process, error) {
	all, err := nsfs.Processes()
	list, _ := k.ownAmong(all)
	return list, err
}

// A program that is about to begin another, or to go on in a child of its own, cannot be
// seen for a moment: where one is missed, it is looked for again, so often and with such
// pauses.
const (
	blinks = 10
	blink  = 10 * time.Millisecond
)

// find makes the lab's of all processes its programs, and looks again if one that is wanted may
// just not have been seen.
func (k *Kernel) find(want State, all []nsfs.Process) (err error) {
	for range blinks {
		var moving bool
		k.programs, moving = k.ownAmong(all)
		if !moving || !k.misses(want) {
			return nil
		}
		time.Sleep(blink)
		if all, err = nsfs.Processes(); err != nil {
			return err
		}
	}
	return nil
}

// misses tells whether a program that is wanted does not run in its namespace.
func (k *Kernel) misses(want State) bool {
	there := map[Process]bool{}
	for _, p := range k.programs {
		for _, s := range k.spaces {
			there[Process{s.name, p.command}] = there[Process{s.name, p.command}] || s.id == p.ns
		}
	}
	for _, o := range want {
		if p, ok := o.(Process); ok && k.spaces[p.NS] != nil && !there[p] {
			return true
		}
	}
	return false
}

// ownAmong are the lab's of all processes, and whether there was one that may be, but could
// not be read to its end: it began another program just then, or ended.
func (k *Kernel) ownAmong(all []nsfs.Process) (list []process, moving bool) {
	spaces := map[nsfs.ID]*space{}
	for _, s := range k.spaces {
		s.guests, spaces[s.id] = false, s
	}
	for _, p := range all {
		s := spaces[p.ID]
		if s == nil {
			continue
		}
		env := environ(p.Pid)
		command, ok := k.commandIn(env, p.Pid)
		if ok {
			list = append(list, process{p.Pid, command, p.ID})
			continue
		}
		s.guests = true
		moving = moving || len(env) == 0 || command != ""
	}
	return list, moving
}

// commandOf tells which of the lab's commands a process is.
func (k *Kernel) commandOf(pid int) (command string, ok bool) { return k.commandIn(environ(pid), pid) }

// commandIn is commandOf for who has read the environment. One that is not ours may say
// that it is such a command all the same.
func (k *Kernel) commandIn(env []byte, pid int) (command string, ok bool) {
	if lab, _ := envValue(env, envLab); lab != k.lab {
		return "", false
	}
	command, ok = envValue(env, envRun)
	return command, ok && ofOurs(pid)
}

// environ is what a process's environment begins with; none if it may not be looked
// at. It does not wait, as [os.ReadFile] prepares to: of all processes this is read.
func environ(pid int) []byte {
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

// maxEnviron is how much of an environment is read, in bytes: the kernel lets nobody
// have more than 128 KiB in one variable.
const maxEnviron = 1 << 20

// ofOurs tells whether a process is our user's, in our namespaces of users and of
// processes, and began with no more rights than whoever started it had. Anybody can
// write into an environment that this is a program of the lab, also into that of su;
// and what is believed is started again, with our rights, if taking it away is undone.
func ofOurs(pid int) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	for _, ns := range []string{"ns/user", "ns/pid"} {
		if its, err := os.Readlink(filepath.Join(dir, ns)); err != nil || its != ownNS(ns) {
			return false
		}
	}
	status, err := os.ReadFile(filepath.Join(dir, "status")) // the folder's owner is root where it may not be dumped
	if err != nil || !bytes.Contains(status, fmt.Appendf(nil, "\nUid:\t%d\t%[1]d\t%[1]d\t", os.Geteuid())) {
		return false
	}
	auxv, err := os.ReadFile(filepath.Join(dir, "auxv"))
	return err == nil && !startedSecurely(auxv)
}

// atSecure is AT_SECURE of <linux/auxvec.h>: the kernel says to a program that it has
// rights which its starter has not; see getauxval(3).
const atSecure = 23

// startedSecurely looks that up among a program's pairs of words. One that says nothing
// counts as such.
func startedSecurely(auxv []byte) bool {
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
