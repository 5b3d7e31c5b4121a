package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestWithoutNAT checks a kernel without the NAT modules: commands that need NAT name the missing kernel option, all
// others work. test/vm/run.sh makes such a machine.
func TestWithoutNAT(t *testing.T) {
	w := newWorld(t)
	if r := w.run("vnet", "nat", "add", "masquerade", "-s", "10.0.0.0/24"); !strings.Contains(r.Stderr, "CONFIG_NFT_NAT") {
		t.Skip("this kernel has NAT")
	}
	w.compareRun("testdata/missing/without-nat.txt")
	if list := w.must("vnet", "-j", "nat"); strings.TrimSpace(list) != "[]" {
		t.Errorf("unexpected NAT rules: %s", list)
	}
}

// TestWithoutIPv6 checks a kernel without IPv6: IPv4 works, and commands that need IPv6 report that it is missing.
// test/vm/run.sh makes such a machine.
func TestWithoutIPv6(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if !errors.Is(err, unix.EAFNOSUPPORT) {
		unix.Close(fd)
		t.Skip("this kernel has IPv6")
	}
	w := newWorld(t)
	w.compareRun("testdata/missing/without-ipv6.txt")
	if four, six := w.must("vnet", "route"), w.must("vnet", "-6", "route"); four == "" || six != "" {
		t.Errorf("routes of IPv4:\n%s\nof IPv6:\n%s", four, six)
	}
}

// undone masks the number of undone steps in an error.
var undone = regexp.MustCompile(`the [0-9]+ steps before`)

// compareRun runs the commands of a file and compares their exit codes and standard error with the file.
func (w *world) compareRun(file string) {
	w.t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}
	var got strings.Builder
	for line := range strings.Lines(string(text)) {
		command, ok := strings.CutPrefix(line, "$ ")
		switch {
		case ok:
			r := w.run(strings.Fields(command)...)
			fmt.Fprintf(&got, "%sexit %d\n%s", line, r.Status, undone.ReplaceAllString(r.Stderr, "the N steps before"))
		case line == "\n" || strings.HasPrefix(line, "#"):
			got.WriteString(line)
		}
	}
	if diff := cmp.Diff(string(text), got.String()); diff != "" {
		w.t.Errorf("%s: -want +got:\n%s", file, diff)
	}
}
