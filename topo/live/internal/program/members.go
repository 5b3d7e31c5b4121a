package program

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"github.com/vnet-lab/vnet/nsfs"
)

// A Program is a command of the lab in a namespace. Several processes may belong to it.
type Program struct {
	Command string
	NS      nsfs.ID
}

// A member is a process of a program.
type member struct {
	pid     int
	start   string // see processInfo
	program Program
}

// members returns all processes of the lab's programs: more than [Finder.Processes]. A member is a process
// in a namespace of the lab that
//
//   - has the environment of a program, whatever its user and its PID namespace are. Root's daemons change both.
//     Somebody who fakes the environment harms only this process; see isSecure.
//   - or descends from a trusted program. It may have another environment. If vnet may not read its namespace, it
//     is taken to be that of its parent.
//
// Other processes, such as those of vnet exec and ip netns exec, are not members.
func (f *Finder) members() ([]member, error) {
	all, err := readProcesses()
	if err != nil {
		return nil, err
	}
	spaces, found, inTree := f.ids(), map[int]member{}, map[int]bool{}
	for _, p := range all {
		if !spaces[p.ns] {
			continue
		}
		if command, ok := f.namedCommand(readEnviron(p.pid)); ok && !isSecure(p.pid) {
			found[p.pid] = member{p.pid, p.start, Program{command, p.ns}}
			inTree[p.pid] = isTrusted(p.pid)
		}
	}
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if inTree[p.pid] || !inTree[p.parent] || !p.isIn(spaces) {
				continue
			}
			inTree[p.pid], grown = true, true
			if _, is := found[p.pid]; !is {
				found[p.pid] = member{p.pid, p.start, found[p.parent].program}
			}
		}
	}
	list := make([]member, 0, len(found))
	for _, p := range all {
		if m, is := found[p.pid]; is {
			list = append(list, m)
		}
	}
	return list, nil
}

// processInfo is what /proc shows of a process to everybody, and its namespace.
type processInfo struct {
	pid, parent int
	// start is when it was started, in the kernel's units. A later process with the same ID has another one.
	start string
	ns    nsfs.ID // zero if vnet may not read it
}

// isIn reports whether the process is in one of the namespaces, or vnet may not read where it is.
func (p processInfo) isIn(spaces map[nsfs.ID]bool) bool {
	return p.ns == nsfs.ID{} || spaces[p.ns]
}

// readProcesses returns all processes that run, except this one.
func readProcesses() (all []processInfo, err error) {
	readable, err := nsfs.Processes()
	if err != nil {
		return nil, err
	}
	spaces := make(map[int]nsfs.ID, len(readable))
	for _, p := range readable {
		spaces[p.Pid] = p.ID
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if p, ok := readProcess(pid); ok {
			p.ns = spaces[pid]
			all = append(all, p)
		}
	}
	return all, nil
}

// readProcess reads /proc/PID/stat; see proc_pid_stat(5). ok is false if the process has ended, also if its
// parent has not waited for it.
func readProcess(pid int) (p processInfo, ok bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p, false
	}
	// PID (NAME) STATE PPID …; the name may contain anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 || bytes.ContainsAny(fields[0], "ZXx") {
		return p, false
	}
	parent, err := strconv.Atoi(string(fields[1]))
	return processInfo{pid: pid, parent: parent, start: string(fields[19])}, err == nil
}
