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
	return nsfs.Do(s.ns, cmd.Run)
}

// stop ends a command and what it started: first by asking.
func (k *Kernel) stop(s *space, p Process) error {
	procs, err := k.processes()
	if err != nil {
		return err
	}
	var errs []error
	for _, proc := range procs {
		if proc.command != p.Command || proc.ns != s.id {
			continue
		}
		if err := endProcess(proc.pid); err != nil {
			errs = append(errs, fmt.Errorf("process %d: %w", proc.pid, err))
		}
	}
	return errors.Join(errs...)
}

// endProcess asks a process to end, waits for it, and then makes it. The descriptor
// stays with the process: its number may become another's.
func endProcess(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		if err := unix.PidfdSendSignal(fd, sig, nil, 0); err == unix.ESRCH {
			return nil
		} else if err != nil {
			return err
		}
		if ended(fd) {
			return nil
		}
	}
	return errors.New("does not end")
}

func ended(pidfd int) bool {
	until := time.Now().Add(grace)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(time.Until(until).Milliseconds())+1)
		if err != unix.EINTR {
			return n > 0
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
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	spaces := map[nsfs.ID]bool{}
	for _, s := range k.spaces {
		spaces[s.id] = true
	}
	var list []process
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		id, err := processNS(pid)
		if err != nil || !spaces[id] {
			continue // it has ended, is none of ours to look at, or is elsewhere
		}
		env := environ(pid)
		lab, _ := envValue(env, envLab)
		command, ok := envValue(env, envRun)
		if lab == k.lab && ok && ofOurs(pid) {
			list = append(list, process{pid, command, id})
		}
	}
	return list, nil
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

func processNS(pid int) (nsfs.ID, error) {
	var st unix.Stat_t
	err := unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &st)
	return nsfs.ID{Dev: uint64(st.Dev), Ino: st.Ino}, err //nolint:unconvert // 32 bits on mips
}
