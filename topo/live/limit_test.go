package live

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/nsfs"
)

// limitFiles sets the limit of open files until the end of the test.
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

// Up reports a limit that is too low before it changes anything. Each host needs one file.
func TestTooFewFiles(t *testing.T) {
	const hosts = 60
	const needed = reservedFiles + 2 + hosts // 2: the machine's handle has a namespace file, too
	name, want := labtest.Compiled(t, starLab(hosts))
	k := openKernel(t, name)
	limitFiles(t, needed-1)
	_, err := k.Up(t.Context(), want, nil)
	text := fmt.Sprintf("need %d open files, but the limit is %d (ulimit -n);", needed, needed-1)
	if !errors.Is(err, unix.EMFILE) || !strings.Contains(err.Error(), text) {
		t.Fatalf("up with too few files: %v; want %q", err, text)
	}
	if names, err := nsfs.Names(); err != nil || len(names) > 0 {
		t.Errorf("it created %v, %v", names, err)
	}
	limitFiles(t, needed)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Errorf("up with as many files as it said: %v", err)
	}
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Errorf("second up: %v", err)
	}
}
