package nsfs_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
)

// TestOpenPrivate: a file is used only if no other user can have made or changed it.
func TestOpenPrivate(t *testing.T) {
	const dir, name = "/run/private", "a.lock"
	path := filepath.Join(dir, name)
	outside := filepath.Join(t.TempDir(), "outside")
	for _, tt := range []struct {
		what    string
		prepare func() error
	}{
		{"", func() error { return nil }},
		{"a directory of everybody", func() error { return os.Chmod(dir, 0o777) }},
		{"a directory of a group", func() error { return os.Chmod(dir, 0o775) }},
		{"a link in place of the directory", func() error {
			return errors.Join(os.Rename(dir, dir+".real"), os.Symlink(dir+".real", dir))
		}},
		{"a file in place of the directory", func() error {
			return errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600))
		}},
		{"a link in place of the file", func() error { return os.Symlink(outside, path) }},
		{"a second name of another file", func() error {
			return errors.Join(os.WriteFile(dir+"/other", nil, 0o600), os.Link(dir+"/other", path))
		}},
		{"a file of everybody", func() error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o666)) }},
		{"a FIFO", func() error { return unix.Mkfifo(path, 0o600) }},
		{"a directory in place of the file", func() error { return os.Mkdir(path, 0o700) }},
		{"a directory of another user", func() error { return os.Chown(dir, 65534, 65534) }},
	} {
		os.RemoveAll(dir)
		os.RemoveAll(dir + ".real")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := tt.prepare(); err != nil {
			t.Logf("%s: %v", tt.what, err) // only one user ID is mapped
			continue
		}
		f, err := nsfs.OpenPrivate(dir, name)
		if err == nil {
			f.Close()
		}
		if tt.what == "" && err != nil || tt.what != "" && !errors.Is(err, nsfs.ErrUntrusted) {
			t.Errorf("%s: %v", tt.what, err)
		}
	}
	os.RemoveAll(dir)
	if _, err := os.Stat(outside); err == nil {
		t.Error("a symbolic link was followed")
	}
	f, err := nsfs.OpenPrivate(dir, name)
	if err != nil {
		t.Fatalf("a directory that does not exist: %v", err)
	}
	f.Close()
	os.RemoveAll(dir)
}

// TestOpenPrivateInUserNamespace: the file of a user outside is not trusted, whatever its mode.
func TestOpenPrivateInUserNamespace(t *testing.T) {
	if dir := os.Getenv("NSFS_PRIVATE"); dir != "" {
		f, err := nsfs.OpenPrivate(dir, "a.lock")
		if err == nil {
			f.Close()
		}
		if !errors.Is(err, nsfs.ErrUntrusted) {
			t.Errorf("%v", err)
		}
		return
	}
	cmd := exec.Command("unshare", "-U", "/proc/self/fd/3", "-test.run=^"+t.Name()+"$") // no user ID is mapped
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer exe.Close()
	dir := t.TempDir()
	cmd.Env, cmd.ExtraFiles = append(os.Environ(), "NSFS_PRIVATE="+dir), []*os.File{exe}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Skipf("no unshare(1) to create a user namespace: %v", err)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
