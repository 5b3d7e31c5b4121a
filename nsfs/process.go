package nsfs

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Identify returns the names of the namespace that a process is in; none if it
// has no name.
func Identify(pid int) ([]string, error) {
	id, err := statID(filepath.Join("/proc", strconv.Itoa(pid), "ns/net"))
	if err != nil {
		return nil, err
	}
	entries, err := List()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.Stale && e.ID == id {
			names = append(names, e.Name)
		}
	}
	return names, nil
}

// Pids returns the processes whose first thread is inside ns, in the order of
// /proc. Those that may not be looked at are left out, as ip-netns(8) does.
func Pids(ns *os.File) ([]int, error) {
	id, err := Identity(ns)
	if err != nil {
		return nil, err
	}
	all, err := Processes()
	var pids []int
	for _, p := range all {
		if p.ID == id {
			pids = append(pids, p.Pid)
		}
	}
	return pids, err
}

// A Process is a process, and the namespace that its first thread is in.
type Process struct {
	Pid int
	ID  ID
}

// Processes returns all that there are, in the order of /proc, but for those that may not
// be looked at.
func Processes() ([]Process, error) {
	own, err := statID("/proc/self/ns/net") // on the device that all are on
	if err != nil {
		return nil, err
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	all := make([]Process, 0, len(names))
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		// The text of the link says the number, net:[4026531840]. To follow the link has the
		// kernel make a file of the namespace, which takes ten times as long.
		link, _ := os.Readlink("/proc/" + name + "/ns/net")
		number, _ := strings.CutPrefix(link, "net:[")
		if n, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64); err == nil {
			all = append(all, Process{pid, ID{own.Dev, n}})
		}
	}
	return all, nil
}
