package nsfs_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
)

// output runs [program] in a named namespace and returns what it prints.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	var out strings.Builder
	cmd := command(args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := nsfs.Run(name, cmd); err != nil {
		t.Fatalf("%v: %v: %s", args, err, out.String())
	}
	return out.String()
}

// TestRunInside: the program runs in the namespace, and so do its children.
func TestRunInside(t *testing.T) {
	fresh(t)
	ns := add(t, "red")
	var inside string
	if err := nsfs.Do(ns, func() error { inside = readlink(t, threadNS); return nil }); err != nil {
		t.Fatal(err)
	}
	if got := output(t, "red", "where"); got != inside+" <nil>\n" {
		t.Errorf("the program is in %s, red is %s", got, inside)
	}
	if got := output(t, "red", "ls", "/sys/class/net"); got != "lo\n" {
		t.Errorf("/sys/class/net shows %q", got)
	}
}

// TestRunInCurrent: /sys shows the current namespace already, so it cannot be mounted again.
func TestRunInCurrent(t *testing.T) {
	fresh(t)
	current, err := nsfs.Current()
	if err != nil {
		t.Fatal(err)
	}
	defer current.Close()
	if err := nsfs.Attach(current, "current"); err != nil {
		t.Fatal(err)
	}
	if got := output(t, "current", "ls", "/sys/class/net"); got != "lo\n" {
		t.Errorf("/sys/class/net shows %q", got)
	}
}

func TestRunErrors(t *testing.T) {
	fresh(t)
	add(t, "red")
	var exit *exec.ExitError
	if err := nsfs.Run("red", command("seven")); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("exit status: %v", err)
	}
	if err := nsfs.Run("red", exec.Command("no-such-program")); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("no such program: %v", err)
	}
	if err := nsfs.Run("blue", command("pid")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such namespace: %v", err)
	}
	if err := nsfs.Exec("blue", []string{"/proc/self/exe"}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Exec in no such namespace: %v", err)
	}
	if err := nsfs.Exec("red", []string{"no-such-program"}, nil); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("Exec of no such program: %v", err)
	}
	if got := readlink(t, threadNS); got != readlink(t, "/proc/self/ns/net") {
		t.Error("a failed Exec leaves its thread in the namespace")
	}
}

// TestExecReplaces: the program has the process ID of the caller.
func TestExecReplaces(t *testing.T) {
	if name := os.Getenv("NSFS_EXEC"); name != "" {
		env := []string{"NSFS_PROGRAM=1", "GOCOVERDIR=" + os.Getenv("GOCOVERDIR")}
		t.Fatal(nsfs.Exec(name, []string{"/proc/self/exe", "pid"}, env))
	}
	fresh(t)
	add(t, "red")
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestExecReplaces$")
	// NSFS_EXEC: no new sandbox, which would not have the name. GOCOVERDIR: without it, a
	// binary built with coverage prints a warning.
	cmd.Env = append(os.Environ(), "NSFS_EXEC=red", "GOCOVERDIR="+t.TempDir())
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 || strings.TrimSpace(out.String()) != strconv.Itoa(cmd.Process.Pid) {
		t.Errorf("%v, pid %d: %s", err, cmd.Process.Pid, out.String())
	}
}

// TestEtcFiles: the files of /etc/netns/red replace those of /etc in red only.
func TestEtcFiles(t *testing.T) {
	fresh(t)
	add(t, "red")
	add(t, "blue")
	if err := unix.Mount("tmpfs", "/etc", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount("/etc", unix.MNT_DETACH)
	for path, text := range map[string]string{
		"/etc/resolv.conf": "nameserver 127.0.0.53\n", "/etc/netns/red/resolv.conf": "nameserver 10.0.0.1\n",
		"/etc/hosts": "127.0.0.1 machine\n", "/etc/netns/red/absent": "text\n",
		"/etc/netns/blue": "a file instead of a directory\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := output(t, "red", "cat", "/etc/resolv.conf",
		"/etc/hosts"); got != "nameserver 10.0.0.1\n127.0.0.1 machine\n" {
		t.Errorf("red has %q", got)
	}
	if got := output(t, "blue", "cat", "/etc/resolv.conf"); got != "nameserver 127.0.0.53\n" {
		t.Errorf("blue has %q", got)
	}
	if b, _ := os.ReadFile("/etc/resolv.conf"); string(b) != "nameserver 127.0.0.53\n" {
		t.Errorf("the machine has %q", b)
	}
}

// TestRunWithoutSysfs: in a user namespace in which a part of /sys is hidden, the kernel
// refuses to mount a new sysfs. Programs run nevertheless.
func TestRunWithoutSysfs(t *testing.T) {
	if os.Getenv("NSFS_NOSYS") != "" {
		fresh(t)
		add(t, "red")
		if err := unix.Mount("tmpfs", t.TempDir(), "sysfs", 0, ""); !errors.Is(err, fs.ErrPermission) {
			t.Skipf("the kernel mounts sysfs here: %v", err)
		}
		if got := output(t, "red", "ls", nsfs.Dir); got != "red\n" {
			t.Errorf("got %q", got)
		}
		return
	}
	if err := unix.Mount("tmpfs", "/sys/fs", "tmpfs", 0, ""); err != nil {
		t.Skipf("cannot hide a part of /sys: %v", err)
	}
	defer unix.Unmount("/sys/fs", unix.MNT_DETACH)
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestRunWithoutSysfs$", "-test.v")
	cmd.Env = append(os.Environ(), "NSFS_NOSYS=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// TestRunKeepsMountsBelowSys: a new sysfs hides what is mounted below /sys, so it is mounted again, with what is
// mounted below it.
func TestRunKeepsMountsBelowSys(t *testing.T) {
	fresh(t)
	add(t, "red")
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/bpf", "/sys/kernel/debug"} {
		if _, err := os.Stat(dir); err != nil {
			t.Logf("this kernel has no %s", dir)
			continue
		}
		mountWithDir(t, dir, "outer")
		mountWithDir(t, filepath.Join(dir, "outer"), "inner")
		for path, want := range map[string]string{dir: "outer\n", filepath.Join(dir, "outer"): "inner\n"} {
			if got := output(t, "red", "ls", path); got != want {
				t.Errorf("%s has %q, want %q", path, got, want)
			}
		}
	}
	if got := output(t, "red", "ls", "/sys/class/net"); got != "lo\n" {
		t.Errorf("/sys/class/net shows %q", got)
	}
}

// mountWithDir mounts a file system with one directory.
func mountWithDir(t *testing.T, at, name string) {
	t.Helper()
	if err := unix.Mount("tmpfs", at, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(at, unix.MNT_DETACH) })
	if err := os.Mkdir(filepath.Join(at, name), 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestPidsAndIdentify: Pids and Identify find the same processes as ip(8).
func TestPidsAndIdentify(t *testing.T) {
	fresh(t)
	ns := add(t, "red")
	cmd := command("hold")
	hold, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := nsfs.Do(ns, cmd.Start); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer hold.Close()
	pids, err := nsfs.Pids(ns)
	if err != nil || !slices.Equal(pids, []int{cmd.Process.Pid}) {
		t.Errorf("Pids = %v, %v; want %d", pids, err, cmd.Process.Pid)
	}
	found, err := nsfs.Identify(cmd.Process.Pid)
	if err != nil || !slices.Equal(found, []string{"red"}) {
		t.Errorf("Identify = %v, %v", found, err)
	}
	if found, err := nsfs.Identify(os.Getpid()); len(found) != 0 || err != nil {
		t.Errorf("Identify of a process in a namespace without name = %v, %v", found, err)
	}
	if _, err := nsfs.Identify(1 << 30); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Identify of a missing process: %v", err)
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return // nothing to compare with
	}
	if got := strings.TrimSpace(ip(t, "netns pids red")); got != strconv.Itoa(cmd.Process.Pid) {
		t.Errorf("ip finds %s", got)
	}
}

// TestSysctl: each namespace has its own values, and keys outside of net are refused.
func TestSysctl(t *testing.T) {
	fresh(t)
	ns := add(t, "red")
	const key = "net.ipv4.ip_forward"
	if err := nsfs.Do(ns, func() error { return nsfs.SetSysctl(key, "1") }); err != nil {
		t.Fatal(err)
	}
	var inside string
	if err := nsfs.Do(ns, func() (err error) { inside, err = nsfs.Sysctl(key); return err }); err != nil {
		t.Fatal(err)
	}
	outside, err := nsfs.Sysctl(key)
	if inside != "1" || outside != "0" || err != nil {
		t.Errorf("inside %q, outside %q, %v", inside, outside, err)
	}
	if v, err := nsfs.Sysctl("net/ipv4/conf/lo/forwarding"); v != "0" || err != nil {
		t.Errorf("with slashes: %q, %v", v, err)
	}
	if _, err := nsfs.Sysctl("net.ipv4.no_such_thing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such key: %v", err)
	}
	for _, key := range []string{
		"kernel.hostname", "net/../kernel/hostname", "/etc/passwd", "", "net", "../../etc/passwd",
		"net/ipv4/../../kernel/hostname",
	} {
		if _, err := nsfs.Sysctl(key); err == nil {
			t.Errorf("Sysctl(%q) has no error", key)
		}
		if err := nsfs.SetSysctl(key, "x"); err == nil {
			t.Errorf("SetSysctl(%q) has no error", key)
		}
	}
}
