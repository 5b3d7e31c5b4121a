package nsfs

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Identify returns the names of the namespace that the first thread of a process is
// in; nil if the namespace has no name. For the ID of a namespace, see [Identity].
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

// Pids returns the IDs of the processes whose first thread is inside ns, in the
// order of /proc. Like ip-netns(8), it leaves out processes that the caller may not
// inspect.
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

// A Process is a process and the namespace that its first thread is in.
type Process struct {
	Pid int
	ID  ID
}

// Processes returns all processes that the caller may inspect, in the order of
// /proc.
func Processes() ([]Process, error) {
	own, err := statID("/proc/self/ns/net") // all namespaces are on this device
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
		// The text of the link contains the inode number: net:[4026531840]. Following the
		// link takes ten times as long, because the kernel then creates a file.
		link, _ := os.Readlink("/proc/" + name + "/ns/net")
		number, _ := strings.CutPrefix(link, "net:[")
		if n, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64); err == nil {
			all = append(all, Process{pid, ID{own.Dev, n}})
		}
	}
	return all, nil
}
