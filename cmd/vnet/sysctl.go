package main

import (
	"errors"
	"strings"

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
