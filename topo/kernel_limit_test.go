//go:build linux

package topo

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
)

// limitFiles lets the process have so many files open until the test is over.
func limitFiles(t *testing.T, files uint64) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: files, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	})
}

// TestTooFewFiles: it is said before anything is touched, and hosts take a file each.
func TestTooFewFiles(t *testing.T) {
	const hosts = 60
	const needed = otherFiles + 2 + hosts // the machine's has its file, too
	name, want := compiled(t, starOf(hosts))
	k := openKernel(t, name)
	limitFiles(t, needed-1)
	_, err := k.Up(t.Context(), want, nil)
	if says := fmt.Sprintf("take %d open files, and the limit is %d;", needed, needed-1); !errors.Is(err, unix.EMFILE) || !strings.Contains(err.Error(), says) {
		t.Fatalf("up with too few files: %v; want %q", err, says)
	}
	if names, err := nsfs.Names(); err != nil || len(names) > 0 {
		t.Errorf("it made %v, %v", names, err)
	}
	limitFiles(t, needed)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Errorf("up with as many files as it said: %v", err)
	}
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Errorf("second up: %v", err)
	}
}
