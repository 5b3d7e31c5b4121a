package nsfs_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
)

// TestInvalidNames: no name leads outside of the directory, and names that cause trouble
// later are not created.
func TestInvalidNames(t *testing.T) {
	fresh(t)
	ns := add(t, "red")
	outside := filepath.Join(filepath.Dir(nsfs.Dir), "outside")
	if err := os.WriteFile(outside, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(outside)
	for _, tt := range []struct{ name, want string }{
		{"", "not a name for a network namespace: it is empty"},
		{".", `not a name for a network namespace: "."`},
		{"..", `not a name for a network namespace: ".."`},
		{"../outside", `not a name for a network namespace: "../outside"`},
		{"/run/outside", `not a name for a network namespace: "/run/outside"`},
		{"red/", `not a name for a network namespace: "red/"`},
		{"a\x00b", `not a name for a network namespace: "a\x00b"`},
		{strings.Repeat("x", 256), `not a name for a network namespace: "` + strings.Repeat("x", 32) +
			`…" has 256 bytes, a name has at most 255`},
	} {
		_, openErr := nsfs.Open(tt.name)
		for what, err := range map[string]error{
			"Add": nsfs.Add(tt.name), "Attach": nsfs.Attach(ns, tt.name), "Remove": nsfs.Remove(tt.name),
			"Open": openErr, "Run": nsfs.Run(tt.name, command("pid")),
		} {
			if !errors.Is(err, nsfs.ErrName) || err.Error() != tt.want {
				t.Errorf("%s(%.40q): %v", what, tt.name, err)
			}
		}
	}
	// Other programs may create such names. So this package uses them, but does not create them.
	for _, name := range []string{"-n", "a b", "tab\t", "line\n", "\x1b[31mred", "bad\xffutf8", " "} {
		if err := nsfs.Add(name); !errors.Is(err, nsfs.ErrName) {
			t.Errorf("Add(%q): %v", name, err)
		}
	}
	dashed := filepath.Join(nsfs.Dir, "-n")
	if err := os.WriteFile(dashed, nil, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(ns.Name(), dashed, "none", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	again, err := nsfs.Open("-n")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if !names(t)["-n"] || identity(t, again) != identity(t, ns) {
		t.Error("a name with a dash is not listed, or is another namespace")
	}
	if err := nsfs.Remove("-n"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{strings.Repeat("x", 255), "ünïcode", "a.b", "a:b", "a=b", "..."} {
		if err := nsfs.Add(name); err != nil {
			t.Errorf("Add(%.20q): %v", name, err)
		}
	}
	if b, err := os.ReadFile(outside); string(b) != "precious" {
		t.Errorf("a file outside was changed: %q, %v", b, err)
	}
}

func TestExistingAndMissingNames(t *testing.T) {
	fresh(t)
	add(t, "red")
	for _, tt := range []struct {
		what string
		err  error
		is   error
		want string
	}{
		{"a second red", nsfs.Add("red"), fs.ErrExist, "create network namespace file /run/netns/red: file exists"},
		{"open a missing name", second(nsfs.Open("blue")), fs.ErrNotExist,
			"open network namespace /run/netns/blue: no such file or directory"},
		{"remove a missing name", nsfs.Remove("blue"), fs.ErrNotExist,
			"remove network namespace file /run/netns/blue: no such file or directory"},
		{"open a missing process", second(nsfs.OpenPid(1 << 30)), fs.ErrNotExist,
			"open network namespace /proc/1073741824/ns/net: no such file or directory"},
		{"name a plain file", attachFile(t, "/dev/null"), nsfs.ErrNotNamespace,
			"name network namespace /dev/null: not a network namespace"},
		{"open a mount namespace", second(nsfs.OpenPath("/proc/self/ns/mnt")), nsfs.ErrNotNamespace,
			"open network namespace /proc/self/ns/mnt: not a network namespace"},
	} {
		if !errors.Is(tt.err, tt.is) || tt.err.Error() != tt.want {
			t.Errorf("%s: %v\nwant %s", tt.what, tt.err, tt.want)
		}
	}
	if got := names(t); len(got) != 1 {
		t.Errorf("left: %v", got)
	}
}

func second(f *os.File, err error) error {
	if err == nil {
		f.Close()
	}
	return err
}

func attachFile(t *testing.T, path string) error {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return nsfs.Attach(f, "blue")
}

// TestStale: names without a namespace are listed as stale, and can be removed.
func TestStale(t *testing.T) {
	fresh(t)
	ns := add(t, "red")
	file := func(name string) string { return filepath.Join(nsfs.Dir, name) }
	if err := os.WriteFile(file("plain"), nil, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(file("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Mknod(file("socket"), unix.S_IFSOCK|0o600, 0), os.Mkdir(file("dir"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"loop": "loop", "below": "/proc/self/stat/x", "null": "/dev/null",
		"link": "/proc/self/ns/net", "uts": "/proc/self/ns/uts", "dangling": "/nowhere", "process": "/proc/1073741824/ns/net",
	} {
		if err := os.Symlink(target, file(name)); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]bool{"red": true, "link": true, "plain!": true, "fifo!": true, "uts!": true, "dangling!": true,
		"process!": true, "socket!": true, "dir!": true, "loop!": true, "below!": true, "null!": true}
	got := names(t)
	for name := range want {
		if !got[name] {
			t.Errorf("%s is not in the list %v", name, got)
		}
	}
	marks := make(chan map[string]string, 1)
	go func() { marks <- nsfs.Marks() }()
	select {
	case <-marks:
	case <-time.After(10 * time.Second):
		t.Fatal("Marks waits for an odd file")
	}
	names := []string{"plain", "fifo", "uts", "socket", "dir", "loop", "below", "null", "dangling", "process"}
	for _, name := range names {
		if _, err := nsfs.Open(name); !errors.Is(err, nsfs.ErrNotNamespace) {
			t.Errorf("Open(%s): %v", name, err)
		}
		if err := nsfs.Add(name); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Add(%s): %v", name, err)
		}
	}
	link, err := nsfs.Open("link")
	if err != nil {
		t.Fatalf("a symbolic link to a namespace: %v", err)
	}
	defer link.Close()
	if identity(t, link) == identity(t, ns) {
		t.Error("the link leads to red")
	}
	for _, name := range []string{"red", "link", "plain", "fifo", "uts", "dangling", "process", "socket", "loop", "below",
		"null"} {
		if err := nsfs.Remove(name); err != nil {
			t.Errorf("Remove(%s): %v", name, err)
		}
	}
	if err := nsfs.Remove("dir"); !errors.Is(err, unix.EISDIR) {
		t.Errorf("Remove of a directory: %v", err)
	}
	os.Remove(file("dir"))
	if _, err := os.Stat("/proc/self/ns/net"); err != nil {
		t.Errorf("the target of a symbolic link was changed: %v", err)
	}
}

// TestMountedTwice: Remove removes a name with several mounts on it.
func TestMountedTwice(t *testing.T) {
	fresh(t)
	ns := add(t, "red")
	path := filepath.Join(nsfs.Dir, "red")
	for range 3 {
		if err := unix.Mount(ns.Name(), path, "none", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := nsfs.Remove("red"); err != nil {
		t.Error(err)
	}
	if len(mounts(t)) != 1 || len(names(t)) != 0 {
		t.Errorf("left: %v %v", mounts(t), names(t))
	}
}

// TestRemoveFromReadOnlyDisk: if the file of a name cannot be removed, the name is still the
// namespace.
func TestRemoveFromReadOnlyDisk(t *testing.T) {
	fresh(t)
	ns := add(t, "red")
	if err := unix.Mount("", nsfs.Dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	err := nsfs.Remove("red")
	if !errors.Is(err, unix.EROFS) {
		t.Errorf("Remove: %v", err)
	}
	again, err := nsfs.Open("red")
	if err != nil {
		t.Fatalf("the name is no longer the namespace: %v", err)
	}
	defer again.Close()
	if identity(t, again) != identity(t, ns) {
		t.Error("the name is another namespace")
	}
	if err := unix.Mount("", nsfs.Dir, "", unix.MS_REMOUNT|unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if err := nsfs.Remove("red"); err != nil {
		t.Error(err)
	}
}

// TestFullDisk: if there is no space for the name, there is an error and nothing is left.
func TestFullDisk(t *testing.T) {
	fresh(t)
	run := filepath.Dir(nsfs.Dir)
	if err := unix.Mount("tmpfs", run, "tmpfs", 0, "nr_inodes=2"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(run, unix.MNT_DETACH)
	err := nsfs.Add("red") // the directory takes the last inode
	if !errors.Is(err, unix.ENOSPC) ||
		err.Error() != "create network namespace file /run/netns/red: no space left on device" {
		t.Errorf("Add: %v", err)
	}
	if got := names(t); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
	if len(mounts(t)) != 1 {
		t.Error("mounts left behind")
	}
	unix.Unmount(nsfs.Dir, unix.MNT_DETACH)
}

// TestNoPermission runs itself as root of another user namespace, which has no rights
// here.
func TestNoPermission(t *testing.T) {
	if os.Getenv("NSFS_UNPRIVILEGED") != "" {
		unprivileged(t)
		return
	}
	fresh(t)
	add(t, "red")
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestNoPermission$", "-test.v")
	cmd.Env = append(os.Environ(), "NSFS_UNPRIVILEGED=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if got := names(t); !got["red"] || len(got) != 1 {
		t.Errorf("left: %v", got)
	}
}

func unprivileged(t *testing.T) {
	add := nsfs.Add("blue")
	ns, openErr := nsfs.Open("red")
	if openErr != nil {
		t.Fatalf("red cannot be opened: %v", openErr)
	}
	defer ns.Close()
	for what, err := range map[string]error{
		"add": add, "remove": nsfs.Remove("red"), "run": nsfs.Run("red", command("pid")),
		"do": nsfs.Do(ns, func() error { return nil }),
	} {
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v is not fs.ErrPermission", what, err)
		}
	}
}
