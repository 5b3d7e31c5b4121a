//go:build linux

package labtest

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/nsfs"
)

// NeedIP skips a test on a machine without ip(8).
func NeedIP(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("no ip on this machine")
	}
}

// IP runs ip(8) with the words in args, and returns its output.
func IP(t testing.TB, args string) string {
	t.Helper()
	NeedIP(t)
	out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v\n%s", args, err, out)
	}
	return string(out)
}

// IPIn runs ip(8) in a namespace.
func IPIn(t testing.TB, ns *os.File, args string) {
	t.Helper()
	cmd := exec.Command("ip", strings.Fields(args)...)
	var out []byte
	err := nsfs.Do(ns, func() (err error) {
		out, err = cmd.CombinedOutput()
		return err
	})
	if err != nil {
		t.Fatalf("ip %s: %v\n%s", args, err, out)
	}
}
