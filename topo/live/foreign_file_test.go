package live

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/nsfs"
)

// TestForeignDirectories: up and down leave what others have made in the place of the directories of a lab's files. Up
// fails where there is no directory.
func TestForeignDirectories(t *testing.T) {
	const etc, red = "/run/foreign/etc", "/run/foreign/etc/red"
	real := t.TempDir()
	mkdir := func(path string) func() error { return func() error { return os.MkdirAll(path, 0o755) } }
	inEtc := func(mk func() error) func() error { return func() error { return errors.Join(mkdir(etc)(), mk()) } }
	for name, tt := range map[string]struct {
		foreign string // what others have made
		make    func() error
		fails   bool
	}{
		"nothing":           {etc, func() error { return nil }, false},
		"parent":            {etc, mkdir(etc), false},
		"link as parent":    {etc, func() error { return os.Symlink(real, etc) }, false},
		"directory":         {red, mkdir(red), false},
		"another directory": {etc + "/x", mkdir(etc + "/x"), false},
		"link":              {red, inEtc(func() error { return os.Symlink(real, red) }), true},
		"dangling link":     {red, inEtc(func() error { return os.Symlink("no", red) }), true},
		"file":              {red, inEtc(func() error { return os.WriteFile(red, nil, 0o644) }), true},
		"fifo":              {red, inEtc(func() error { return unix.Mkfifo(red, 0o644) }), true},
	} {
		t.Run(name, func(t *testing.T) {
			if err := errors.Join(os.MkdirAll(filepath.Dir(etc), 0o755), tt.make()); err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(filepath.Dir(etc))
			before, beforeErr := os.Lstat(tt.foreign)
			lab, want := labtest.Compiled(t, "name: dirs\nhosts: {red: {dns: {servers: [10.0.0.1, \"fd00::1\"]}}}\n")
			k := openKernel(t, lab)
			k.table.Etc = etc
			if _, err := k.Up(t.Context(), want, nil); (err != nil) != tt.fails || tt.fails && !errors.Is(err, unix.ENOTDIR) {
				t.Errorf("up returned %v", err)
			}
			if _, err := k.Down(t.Context(), nil); err != nil {
				t.Error(err)
			}
			after, err := os.Lstat(tt.foreign)
			if beforeErr != nil {
				if !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s is left", tt.foreign)
				}
				return
			}
			if err != nil || after.Mode() != before.Mode() {
				t.Errorf("%s: it was %v, it is %v, %v", tt.foreign, before, after, err)
			}
		})
	}
}

// TestFilesForForeignNamespace: another program replaces a host's namespace by one of the same name. Labs finds the lab
// by its files, and Down removes them. It leaves the namespace and its other files.
func TestFilesForForeignNamespace(t *testing.T) {
	lab, want := labtest.Compiled(t, "name: replaced\nhosts: {red: {dns: {servers: [10.0.0.1, \"fd00::1\"]}}}\n")
	k := openKernel(t, lab)
	k.table.Etc = nsfs.EtcDir
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(nsfs.Remove("red"), nsfs.Add("red")); err != nil {
		t.Fatal(err)
	}
	defer nsfs.Remove("red")
	dir := filepath.Join(nsfs.EtcDir, "red")
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "services"), []byte("theirs\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if labs, err := Labs(); err != nil || !slices.Contains(labs, lab) {
		t.Errorf("Labs is %q, %v", labs, err)
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Error(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 || files[0].Name() != "services" {
		t.Errorf("there are %v, %v", files, err)
	}
	if labs, err := Labs(); err != nil || slices.Contains(labs, lab) {
		t.Errorf("after down, Labs is %q, %v", labs, err)
	}
	if _, err := nsfs.Stat("red"); err != nil {
		t.Error(err)
	}
}
