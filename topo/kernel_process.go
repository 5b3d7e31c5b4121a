//go:build linux

package topo

import (
	"bytes"
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

// processes are those of the lab, in whatever namespace.
func (k *Kernel) processes() ([]process, error) {
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var list []process
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		env, err := os.ReadFile(filepath.Join("/proc", d.Name(), "environ"))
		if err != nil {
			continue // it has ended, or is none of ours to look at
		}
		lab, _ := envValue(env, envLab)
		command, ok := envValue(env, envRun)
		if lab != k.lab || !ok || !ofOurs(pid) {
			continue
		}
		if id, err := processNS(pid); err == nil {
			list = append(list, process{pid, command, id})
		}
	}
	return list, nil
}

// ofOurs tells whether a process is our user's, in our namespaces of users and of
// processes. Anybody can write into his environment that he is a program of the lab;
// what is believed may be started again, with our rights, if taking it away is undone.
func ofOurs(pid int) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil || int(st.Uid) != os.Geteuid() {
		return false
	}
	for _, ns := range []string{"ns/user", "ns/pid"} {
		if its, err := os.Readlink(filepath.Join(dir, ns)); err != nil || its != ownNS(ns) {
			return false
		}
	}
	return true
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
