package nsfs_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
)

// inner runs in the sandboxes of TestSandbox.
func inner() int {
	switch os.Getenv("NSFS_INNER") {
	case "print":
		links, _ := os.ReadFile("/proc/self/net/dev")
		run, _ := os.ReadDir("/run")
		ns, _ := os.Readlink("/proc/self/ns/net")
		fmt.Println(os.Geteuid(), strings.Count(string(links), ":"), len(run), ns, nsfs.Add("red"), os.Args[1:],
			os.Getenv("VNET_SANDBOX") == "")
	case "outer": // an /etc without netns
		mounted := unix.Mount("tmpfs", "/etc", "tmpfs", 0, "")
		return nest("middle", mounted, os.WriteFile("/etc/hosts", []byte("10.0.0.1 here\n"), 0o644))
	case "middle": // /etc/netns is removed again
		return nest("innermost", os.Remove("/etc/netns"))
	case "innermost":
		hosts, err := os.ReadFile("/etc/hosts")
		entries, derr := os.ReadDir("/etc/netns")
		fmt.Printf("%s%v %d %v", hosts, err, len(entries), derr)
	case "orphan": // its parent ends, and it ignores the signals of a terminal
		cmd := exec.Command("/proc/self/exe", "wait")
		cmd.Env, cmd.SysProcAttr = append(os.Environ(), "NSFS_PROGRAM=1"), &syscall.SysProcAttr{Setsid: true}
		fmt.Print(cmd.Start())
	case "signal":
		heard := make(chan os.Signal, 1)
		signal.Notify(heard, unix.SIGTERM)
		unix.Kill(os.Getppid(), unix.SIGTERM)
		fmt.Print(<-heard)
	case "seven":
		return 7
	case "die":
		unix.Kill(os.Getpid(), syscall.SIGKILL)
	}
	return 0
}

// nest runs inner in a sandbox inside the sandbox, if the preparation had no error.
func nest(what string, prepared ...error) int {
	if err := errors.Join(prepared...); err != nil {
		fmt.Println(err)
		return 1
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "NSFS_INNER="+what)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return 1
	}
	return 0
}

// sandbox runs inner in a sandbox and returns its output and its exit code.
func sandbox(t *testing.T, what string, attr *syscall.SysProcAttr) (string, int) {
	t.Helper()
	var out strings.Builder
	cmd := exec.Command("/proc/self/exe", "an", "argument")
	cmd.Env = append(os.Environ(), "NSFS_INNER="+what)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &out, &out, attr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// TestSandbox: inside, the user is root over an empty network and an empty /run. Outside,
// nothing changes.
func TestSandbox(t *testing.T) {
	fresh(t)
	out, code := sandbox(t, "print", nil)
	fields := strings.Fields(out)
	if code != 0 || len(fields) != 8 {
		t.Fatalf("exit %d: %s", code, out)
	}
	fields[3] = map[bool]string{true: "same", false: "other"}[fields[3] == readlink(t, threadNS)]
	if got := strings.Join(fields, " "); got != "0 1 0 other <nil> [an argument] true" {
		t.Errorf("inside: %s", got)
	}
	if got := names(t); len(got) != 0 {
		t.Errorf("names outside: %v", got)
	}
	if _, code := sandbox(t, "seven", nil); code != 7 {
		t.Errorf("exit code %d, want 7", code)
	}
	if out, code := sandbox(t, "die", nil); code != 1 || out != "sandbox: signal: killed\n" {
		t.Errorf("killed inside: exit %d, %q", code, out)
	}
}

// TestSandboxLeavesNoProcess: a process that is left in a sandbox is killed. A signal for the
// process outside reaches the one inside.
func TestSandboxLeavesNoProcess(t *testing.T) {
	if out, code := sandbox(t, "orphan", nil); code != 0 || out != "<nil>" {
		t.Fatalf("exit %d: %s", code, out)
	}
	for _, p := range processes(t) {
		if env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.Pid)); strings.Contains(string(env), "NSFS_INNER=orphan") {
			t.Errorf("process %d is left", p.Pid)
		}
	}
	if out, code := sandbox(t, "signal", nil); code != 0 || out != "terminated" {
		t.Errorf("exit %d: %s", code, out)
	}
}

func processes(t *testing.T) []nsfs.Process {
	t.Helper()
	list, err := nsfs.Processes()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestSandboxProof: even with descriptors of other namespaces, a process in a network namespace
// that is in use gets a new sandbox.
func TestSandboxProof(t *testing.T) {
	fresh(t)
	ns, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	mounts, err := os.Open("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	defer mounts.Close()
	ip(t, "link set lo up")
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "NSFS_INNER=print", "VNET_SANDBOX=1")
	cmd.ExtraFiles = []*os.File{ns, mounts}
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	here := readlink(t, "/proc/self/ns/net")
	if fields := strings.Fields(string(out)); err != nil || len(fields) < 4 || fields[3] == here {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestSandboxNeedsNamespaces: the environment variable alone does not count as a sandbox, so
// nothing is mounted over the /run of the machine.
func TestSandboxNeedsNamespaces(t *testing.T) {
	fresh(t)
	network, mounts := readlink(t, "/proc/self/ns/net"), readlink(t, "/proc/self/ns/mnt")
	for _, value := range []string{"1", network + " " + mounts, "net:[1] " + mounts, network + " mnt:[1]"} {
		t.Setenv("VNET_SANDBOX", value)
		out, code := sandbox(t, "print", nil)
		if fields := strings.Fields(out); code != 0 || len(fields) != 8 || fields[3] == network {
			t.Errorf("with VNET_SANDBOX=%q: exit %d: %s", value, code, out)
		}
	}
}

// TestNestedSandboxes: nested sandboxes on a machine without /etc/netns see the machine's
// files, and each has its own empty /etc/netns.
func TestNestedSandboxes(t *testing.T) {
	if out, code := sandbox(t, "outer", nil); code != 0 || out != "10.0.0.1 here\n<nil> 0 <nil>" {
		t.Errorf("exit %d: %s", code, out)
	}
}

// TestSandboxRefused: if the user may not create namespaces, there is an error.
func TestSandboxRefused(t *testing.T) {
	// In a user namespace that may not create network namespaces.
	cmd := exec.Command("unshare", "-Ur", "sh", "-c", "echo 0 >/proc/sys/user/max_net_namespaces; exec /proc/self/fd/3")
	cmd.Env = append(os.Environ(), "NSFS_INNER=print")
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer exe.Close()
	cmd.ExtraFiles = []*os.File{exe}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Skipf("no unshare(1) to create a user namespace: %v", err)
	}
	if cmd.ProcessState.ExitCode() != 1 || !strings.HasPrefix(string(out), "sandbox: create namespaces: ") ||
		!strings.HasSuffix(string(out), "user.max_net_namespaces is 0: the machine allows no network namespaces\n") {
		t.Errorf("exit %d: %s", cmd.ProcessState.ExitCode(), out)
	}
}
