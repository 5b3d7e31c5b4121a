package hostfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/mark"
)

// TestEach: Each lists the files of real directories. What cannot be read is an error; what does not exist is none.
func TestEach(t *testing.T) {
	etc := t.TempDir()
	err := errors.Join(os.Mkdir(filepath.Join(etc, "closed"), 0), os.Mkdir(filepath.Join(etc, "empty"), 0o755))
	for _, dir := range []string{"red", "skipped"} {
		err = errors.Join(err, os.Mkdir(filepath.Join(etc, dir), 0o755),
			os.WriteFile(filepath.Join(etc, dir, "hosts"), []byte(mark.FileMark("x")), 0o644))
	}
	err = errors.Join(err, os.Symlink("red", filepath.Join(etc, "link")),
		os.WriteFile(filepath.Join(etc, "file"), nil, 0o644))
	if err != nil {
		t.Fatal(err)
	}
	each := func(etc string) (paths []string, err error) {
		err = Each(etc, func(name string) bool { return name == "skipped" }, func(path string) error {
			paths = append(paths, path)
			return nil
		})
		return paths, err
	}
	asOthers(t, func() {
		paths, err := each(etc)
		if !errors.Is(err, fs.ErrPermission) || !slices.Equal(paths, []string{filepath.Join(etc, "red", "hosts")}) {
			t.Errorf("%q, %v", paths, err)
		}
		if paths, err := each(filepath.Join(etc, "closed")); !errors.Is(err, fs.ErrPermission) || len(paths) > 0 {
			t.Errorf("closed: %q, %v", paths, err)
		}
		if paths, err := each(filepath.Join(etc, "missing")); err != nil || len(paths) > 0 {
			t.Errorf("missing: %q, %v", paths, err)
		}
	})
}

// TestLabOf: the lab in the mark of a file. A file that cannot be read is an error.
func TestLabOf(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	err := errors.Join(
		os.WriteFile(path("lab"), []byte(mark.FileMark("x")+"nameserver 10.0.0.1\n"), 0o644),
		os.WriteFile(path("other"), []byte("nameserver fd00::1\n"), 0o644), os.WriteFile(path("empty"), nil, 0o644),
		os.WriteFile(path("closed"), []byte(mark.FileMark("x")), 0), os.Symlink("lab", path("link")),
		unix.Mkfifo(path("fifo"), 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
	asOthers(t, func() {
		for name, want := range map[string]string{
			"lab": "x", "other": "", "empty": "", "link": "", "fifo": "", "missing": "", "closed": "",
		} {
			lab, err := LabOf(path(name))
			if lab != want || (err != nil) != (name == "closed") {
				t.Errorf("%s: %q, %v", name, lab, err)
			}
		}
	})
}

// asOthers calls fn in a thread without the right to read all files.
func asOthers(t *testing.T, fn func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		err := unix.Capset(&header, &none[0])
		if err == nil {
			fn()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestReadDir: the names do not fit into one answer of the kernel.
func TestReadDir(t *testing.T) {
	dir, want := t.TempDir(), []string(nil)
	for i := range 300 {
		want = append(want, fmt.Sprintf("file-%03d", i))
		if err := os.WriteFile(filepath.Join(dir, want[i]), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	names, err := readDir(dir)
	slices.Sort(names)
	if err != nil || !slices.Equal(names, want) {
		t.Errorf("%q, %v", names, err)
	}
}

// TestReadDirThatGoes reads a directory that another process makes and removes at the same time, as that of another
// lab's host.
func TestReadDirThatGoes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "red")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 1000 {
			_ = os.Mkdir(dir, 0o755)
			_ = os.Remove(dir)
		}
	}()
	for {
		if names, err := readDir(dir); err != nil || len(names) > 0 {
			t.Fatal(names, err)
		}
		select {
		case <-done:
			return
		default:
		}
	}
}
