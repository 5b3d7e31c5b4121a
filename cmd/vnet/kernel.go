package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// oldest is the oldest Linux on which the whole test suite passes. test/vm runs the suite on it.
const oldest = "5.10"

// anyKernel lists the objects that work on any kernel.
var anyKernel = []string{"check", "completion", "graph", "schema", "version"}

// checkKernel returns an error on a kernel that is too old, before anything is changed.
func checkKernel(object string, args []string) error {
	if slices.Contains(anyKernel, object) || slices.Contains(args, "help") || asksForHelp(args) {
		return nil
	}
	release, err := kernelRelease()
	if err != nil {
		return err
	}
	if before(release, oldest) {
		return &hinted{fmt.Errorf("this is Linux %s, but vnet needs %s or newer", release, oldest),
			"check, graph, schema and help work on any kernel"}
	}
	return nil
}

// kernelRelease returns the output of uname -r.
func kernelRelease() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", fmt.Errorf("uname: %w", err)
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}

// before reports whether a release such as 4.19.0-27-amd64 is older than a version. A release that does not begin
// with a version counts as new.
func before(release, version string) bool {
	have, ok := versionOf(release)
	least, _ := versionOf(version)
	return ok && slices.Compare(have[:], least[:]) < 0
}

// versionOf parses the version at the beginning of a release: 5.10 is 5 and 10.
func versionOf(release string) (v [2]int, ok bool) {
	major, rest, _ := strings.Cut(release, ".")
	if end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		rest = rest[:end]
	}
	var err1, err2 error
	v[0], err1 = strconv.Atoi(major)
	v[1], err2 = strconv.Atoi(rest)
	return v, err1 == nil && err2 == nil
}
