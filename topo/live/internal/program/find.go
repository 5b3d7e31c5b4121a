package program

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo"
)

// A Process is a trusted process of a program: it shows that the program runs.
type Process struct {
	PID     int
	Command string
	NS      nsfs.ID
}

// A Finder finds the programs of a lab in the lab's namespaces.
type Finder struct {
	lab        string
	namespaces iter.Seq2[string, nsfs.ID] // by their names in the lab
	Running    []Process                  // at the last Find
	// Claimed is true if other processes in the lab's namespaces had the environment of its programs at
	// that time: programs of the lab that changed their user, or fakes.
	Claimed bool
	// Foreign has the namespaces in which foreign programs ran at that time.
	Foreign map[nsfs.ID]bool
}

// NewFinder returns a finder for a lab. namespaces yields the lab's namespaces; the finder calls it
// for each search, because they change.
func NewFinder(lab string, namespaces iter.Seq2[string, nsfs.ID]) *Finder {
	return &Finder{lab: lab, namespaces: namespaces}
}

// ids returns the lab's namespaces.
func (f *Finder) ids() map[nsfs.ID]bool {
	ids := map[nsfs.ID]bool{}
	for _, id := range f.namespaces {
		ids[id] = true
	}
	return ids
}

// Processes returns the lab's programs in its namespaces.
func (f *Finder) Processes() ([]Process, error) {
	all, err := nsfs.Processes()
	list, _ := f.labProcesses(all)
	return list, err
}

// A program cannot be found for a moment while it calls execve, or while it exits and its child
// continues. If an expected program is missing, the processes are read again, up to rescans times. The kernel
// reports no event at the end of an execve, so this waits for a fixed time.
const (
	rescans     = 10
	rescanDelay = 10 * time.Millisecond
)

// Find sets Running to the lab's programs among all processes. It reads the processes again
// if a program of want is missing, but may be one that cannot be found for a moment.
func (f *Finder) Find(want topo.State, all []nsfs.Process) (err error) {
	for range rescans {
		var incomplete bool
		f.Running, incomplete = f.labProcesses(all)
		if !incomplete || !f.hasMissingProgram(want) {
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
func (f *Finder) hasMissingProgram(want topo.State) bool {
	running, ids := map[Program]bool{}, maps.Collect(f.namespaces)
	for _, p := range f.Running {
		running[Program{p.Command, p.NS}] = true
	}
	for _, o := range want {
		if p, ok := o.(topo.Process); ok {
			if id, exists := ids[p.NS]; exists && !running[Program{p.Command, id}] {
				return true
			}
		}
	}
	return false
}

// labProcesses returns the lab's programs among all processes. incomplete reports whether
// another process may be one of them but could not be read completely: it called execve or exited.
func (f *Finder) labProcesses(all []nsfs.Process) (list []Process, incomplete bool) {
	spaces := f.ids()
	f.Claimed, f.Foreign = false, map[nsfs.ID]bool{}
	for _, p := range all {
		if !spaces[p.ID] {
			continue
		}
		env := readEnviron(p.Pid)
		command, ok := f.commandIn(env, p.Pid)
		if ok {
			list = append(list, Process{p.Pid, command, p.ID})
			continue
		}
		f.Foreign[p.ID] = true
		f.Claimed = f.Claimed || command != ""
		incomplete = incomplete || len(env) == 0 || command != ""
	}
	return list, incomplete
}

// commandIn returns the lab's command that a process with the environment env runs. If the environment names
// a command but the process is not trusted, it returns the command and false.
func (f *Finder) commandIn(env []byte, pid int) (command string, ok bool) {
	command, ok = f.namedCommand(env)
	return command, ok && isTrusted(pid)
}

// namedCommand returns the lab's command that an environment names.
func (f *Finder) namedCommand(env []byte) (command string, ok bool) {
	if lab, _ := envValue(env, mark.EnvLab); lab != f.lab {
		return "", false
	}
	return envValue(env, mark.EnvRun)
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

// isTrusted reports whether a process has vnet's user ID, user namespace and PID namespace, and
// was not started with more rights than its parent. Otherwise its environment proves
// nothing: any user can start a program, such as su, with the variables of a lab. If vnet
// trusted it, undoing a deletion would start the command of that environment with vnet's rights.
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
	return !isSecure(pid)
}

// isSecure reports whether a process was started with more rights than its parent, or vnet may not read that. Any user
// can start su with any environment; vnet must not stop it for that user.
func isSecure(pid int) bool {
	auxv, err := os.ReadFile(fmt.Sprintf("/proc/%d/auxv", pid))
	return err != nil || isSecureExec(auxv)
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
