package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// oldest is the oldest Linux on which the whole suite passes; test/vm asks.
const oldest = "5.10"

// askNoKernel are the objects that work on any kernel, as help does.
var askNoKernel = []string{"check", "completion", "graph", "schema"}

// needKernel refuses a kernel that is too old before anything is done halfway.
func needKernel(object string, args []string) error {
	if slices.Contains(askNoKernel, object) || slices.Contains(args, "help") || asksForHelp(args) {
		return nil
	}
	release, err := kernelRelease()
	if err != nil {
		return err
	}
	if before(release, oldest) {
		return &hinted{fmt.Errorf("this is Linux %s, and vnet needs %s or newer", release, oldest),
			"check, graph, schema and help work here, too"}
	}
	return nil
}

// kernelRelease is what uname -r prints.
func kernelRelease() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", fmt.Errorf("uname: %w", err)
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}

// before tells whether a release such as 4.19.0-27-amd64 is before a version. What
// names no version is taken for a new one.
func before(release, version string) bool {
	have, ok := versionOf(release)
	least, _ := versionOf(version)
	return ok && slices.Compare(have[:], least[:]) < 0
}

// versionOf is what a release begins with: 5.10 is 5 and 10.
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
