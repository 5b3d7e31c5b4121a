package main

import (
	"errors"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo"
)

// sysctlHint returns the hint for a sysctl that cannot be written because /proc/sys is read-only, as in containers.
// For the sysctl of a link, the hint sets the value for new links: when the container starts, the link does not exist.
func sysctlHint(err error) string {
	const readOnly = "/proc/sys is read-only here, as in containers: "
	var e *nsfs.SysctlError
	if !errors.As(err, &e) {
		return readOnly + "start the container with the setting, or with /proc/sys writable"
	}
	path := topo.Sysctl{Name: e.Key}.Path()
	if len(path) == 5 && path[2] == "conf" && path[3] != "all" {
		path[3] = "default"
	}
	return readOnly + "start the container with --sysctl " + strings.Join(path, ".") + "=" + e.Value
}

// sharedSysctlHint returns the hint for a sysctl that this network namespace does not have, or that it only shows: many
// belong to the whole machine. It returns "" for other errors.
func sharedSysctlHint(err error) string {
	var path *fs.PathError
	if !errors.As(err, &path) || path.Op == "write" || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EACCES) {
		return ""
	}
	name, is := strings.CutPrefix(path.Path, "/proc/sys/")
	if !is {
		return ""
	}
	what := "only shows "
	if errors.Is(err, fs.ErrNotExist) {
		what = "does not have "
	}
	key := topo.Normalize(topo.Sysctl{Name: name}).(topo.Sysctl).Name
	return "this network namespace " + what + key + "; if it belongs to the whole machine, remove it from the lab, " +
		"and set it there: sysctl -w " + key + "=VALUE"
}
