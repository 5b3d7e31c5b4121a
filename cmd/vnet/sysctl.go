package main

import (
	"errors"
	"strings"

	"github.com/vnet-lab/vnet/nsfs"
)

// sysctlHint returns the hint for a sysctl that cannot be written because /proc/sys is read-only, as in containers.
func sysctlHint(err error) string {
	const elsewhere = "/proc/sys is read-only here, as in containers: "
	var e *nsfs.SysctlError
	if !errors.As(err, &e) {
		return elsewhere + "start the container with the setting, or with /proc/sys writable"
	}
	if strings.Contains(e.Key, "/") {
		return elsewhere + "start the container with " + e.Key + " set to " + e.Value
	}
	return elsewhere + "start the container with --sysctl " + e.Key + "=" + e.Value
}
