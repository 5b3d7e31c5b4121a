package nsfs

import (
	"os"
	"path/filepath"
	"strconv"
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
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if got, err := statID(filepath.Join("/proc", name, "ns/net")); err == nil && got == id {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
