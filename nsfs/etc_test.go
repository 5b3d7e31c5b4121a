package nsfs_test

import (
	"bufio"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
)

// makeEtc mounts an /etc with a few files, for the machine and for red.
func makeEtc(t *testing.T) {
	t.Helper()
	if err := unix.Mount("tmpfs", "/etc", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount("/etc", unix.MNT_DETACH) })
	for path, text := range map[string]string{
		"/etc/netns/red/resolv.conf": "red\n", "/etc/netns/red/hosts": "red\n", "/etc/netns/red/new": "red\n",
		"/etc/hosts": "machine\n", "/etc/passwd": "machine\n", "/etc/ssl/cert": "machine\n", "/run/linked": "machine\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"/etc/mine": "../run/linked", "/etc/ssl/mine": "../../run/linked"} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
}

// A host has its own resolv.conf, also if the machine has none, or a symbolic link that leads
// nowhere. The machine's /etc does not change.
func TestEtcWithoutTarget(t *testing.T) {
	links := map[string]string{"absent": "", "dangling": "/run/nowhere/resolv.conf", "linked": "/run/linked"}
	for name, link := range links {
		t.Run(name, func(t *testing.T) {
			fresh(t)
			add(t, "red")
			makeEtc(t)
			if link != "" {
				if err := os.Symlink(link, "/etc/resolv.conf"); err != nil {
					t.Fatal(err)
				}
			}
			const own, machine = "red\n", "machine\n"
			got := output(t, "red", "cat", "/etc/resolv.conf", "/etc/hosts", "/etc/new",
				"/etc/passwd", "/etc/mine", "/etc/ssl/cert", "/etc/ssl/mine")
			if got != own+own+own+machine+machine+machine+machine {
				t.Errorf("red has %q", got)
			}
			if _, err := os.Stat("/etc/new"); err == nil {
				t.Error("the machine has the file of red")
			}
			if to, _ := os.Readlink("/etc/resolv.conf"); to != link {
				t.Errorf("resolv.conf of the machine is now a link to %q", to)
			}
		})
	}
}

// In a sandbox, /etc may consist of links to the machine's files. A host has its own files there, too, and programs see
// the machine's.
func TestEtcInSandbox(t *testing.T) {
	fresh(t)
	add(t, "red")
	makeEtc(t)
	if err := os.Mkdir("/etc/.machine", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/etc/.machine/shells", []byte("machine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(".machine/shells", "/etc/shells"); err != nil {
		t.Fatal(err)
	}
	if got := output(t, "red", "cat", "/etc/resolv.conf", "/etc/shells"); got != "red\nmachine\n" {
		t.Errorf("red has %q", got)
	}
}

// A running program keeps its own resolv.conf when another program replaces the target of the
// machine's symbolic link.
func TestEtcTargetIsReplaced(t *testing.T) {
	fresh(t)
	add(t, "red")
	makeEtc(t)
	if err := os.Symlink("/run/linked", "/etc/resolv.conf"); err != nil {
		t.Fatal(err)
	}
	cmd := command("hold-cat", "/etc/resolv.conf")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	// Not StdoutPipe: Run waits for the program, which closes that pipe before all of it is read.
	stdout, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	defer w.Close()
	cmd.Stdout = w
	done := make(chan error, 1)
	go func() { done <- nsfs.Run("red", cmd) }()
	out := bufio.NewReader(stdout)
	if line, err := out.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if err := os.WriteFile("/run/other", []byte("other\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename("/run/other", "/run/linked"); err != nil {
		t.Fatal(err)
	}
	stdin.Close()
	if line, err := out.ReadString('\n'); err != nil || line != "red\n" {
		t.Errorf("the program reads %q, %v", line, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
