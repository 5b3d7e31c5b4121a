//go:build linux

package topo

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// stranger makes a namespace that nobody took in, and writes a mark in it.
func stranger(t *testing.T, name, altName string) {
	t.Helper()
	ip(t, "netns add "+name)
	t.Cleanup(func() { ip(t, "netns del "+name) })
	ip(t, "-n "+name+" link property add dev lo altname "+altName)
}

// Whoever rules in a namespace can write there that a lab took it in, as any of its
// hosts or as the machine: what matters is what the machine remembers.
func TestAMarkInANamespaceIsNotBelievedAlone(t *testing.T) {
	lab, want := example(t, "container.yaml")
	for _, mark := range []string{"netns=box@x", "netns=client@x", "netns=@x"} {
		t.Run(mark, func(t *testing.T) {
			prepare(t, "container.yaml")
			stranger(t, "aaa", Mark(lab)+":"+mark)
			k := openKernel(t, lab)
			if have, err := k.Snapshot(want); err != nil || len(have) != 0 {
				t.Fatalf("before up there is %v, %v", have, err)
			}
			if _, err := k.Up(t.Context(), want, nil); err != nil {
				t.Fatal(err)
			}
			if links := ip(t, "-n aaa -br link"); strings.Count(links, "\n") != 1 {
				t.Errorf("the stranger got links:\n%s", links)
			}
			have, err := k.Snapshot(want)
			if err != nil || !have.Equal(want) {
				t.Errorf("%v; -want +got:\n%s", err, cmp.Diff(want.String(), have.String()))
			}
		})
	}
}

// A namespace taken in may end by itself. Then the machine's memory of it goes, too.
func TestATakenNamespaceThatEnds(t *testing.T) {
	lab, want := example(t, "container.yaml")
	before := machine(t)
	ip(t, "netns add box")
	k, err := OpenKernel(t.Context(), lab, nil)
	if err != nil {
		t.Fatal(err)
	}
	k.etc = "/run/etc-netns"
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	if names := ip(t, "link show lo"); !strings.Contains(names, takesMark(lab)) {
		t.Fatalf("the machine remembers nothing:\n%s", names)
	}
	ip(t, "netns del box")
	if err := k.Close(); err != nil { // its sockets keep the namespace
		t.Fatal(err)
	}
	k = openKernel(t, lab)
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, machine(t)); diff != "" {
		t.Errorf("the machine is not as before (-before +after):\n%s", diff)
	}
}

// If the namespace cannot be marked, the machine remembers nothing of it.
func TestTakingInIsWholeOrNotAtAll(t *testing.T) {
	const lab = "half"
	k := openKernel(t, lab)
	before := machine(t)
	n := Namespace{Name: "box", From: "/proc/thread-self/ns/net"}
	taken := takenRecord(lab, n)
	lo := k.spaces[""].conn
	if err := lo.Do(rtnl.AddAltNames(rtnl.LinkID{Name: "lo"}, taken)); err != nil { // a name that is in the way
		t.Fatal(err)
	}
	if err := k.takeIn(n); err == nil {
		t.Error("the namespace was taken in")
	}
	if err := lo.Do(rtnl.DeleteAltNames(rtnl.LinkID{Name: "lo"}, taken)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, machine(t)); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}

// Anybody may write into his environment that he is a program of the lab. Undoing
// what takes him away would start what stands there, as root.
func TestAProgramOfAnotherUserIsNotTheLabs(t *testing.T) {
	const lab = "red-blue"
	k := openKernel(t, lab)
	for name, attr := range map[string]*syscall.SysProcAttr{
		"namespace of users":     {Cloneflags: syscall.CLONE_NEWUSER},
		"namespace of processes": {Cloneflags: syscall.CLONE_NEWPID},
	} {
		t.Run("in another "+name, func(t *testing.T) {
			pretend(t, lab, attr)
			if procs, err := k.processes(); err != nil || len(procs) != 0 {
				t.Errorf("believed: %v, %v", procs, err)
			}
		})
	}
	t.Run("that is another's until it knows the password", func(t *testing.T) {
		setuid(t, "/run/su")
		as := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		pretendAs(t, lab, "/run/su", as)
		if procs, err := k.processes(); err != nil || len(procs) != 0 {
			t.Errorf("believed: %v, %v", procs, err)
		}
	})
	t.Run("our own", func(t *testing.T) {
		pid := pretend(t, lab, &syscall.SysProcAttr{})
		here, err := nsfs.Current()
		if err != nil {
			t.Fatal(err)
		}
		defer here.Close()
		id, err := nsfs.Identity(here)
		if err != nil {
			t.Fatal(err)
		}
		procs, err := k.processes()
		if diff := cmp.Diff([]process{{pid, "id", id}}, procs, cmp.AllowUnexported(process{})); err != nil || diff != "" {
			t.Errorf("%v; -want +got:\n%s", err, diff)
		}
	})
}

// setuid makes a program that waits for its input with root's rights, as su and sudo do.
func setuid(t *testing.T, path string) {
	t.Helper()
	if ids, err := os.ReadFile("/proc/self/uid_map"); err != nil || len(strings.Fields(string(ids))) != 3 || strings.Fields(string(ids))[2] == "1" {
		t.Skip("there is but one user here")
	}
	cat, err := exec.LookPath("cat")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(cat)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(path) })
	if err := os.WriteFile(path, text, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
}

// pretend starts a process that says it is a program of the lab, and ends with the test.
func pretend(t *testing.T, lab string, attr *syscall.SysProcAttr) (pid int) {
	t.Helper()
	return pretendAs(t, lab, "cat", attr)
}

func pretendAs(t *testing.T, lab, program string, attr *syscall.SysProcAttr) (pid int) {
	t.Helper()
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), envLab+"="+lab, envRun+"=id")
	cmd.SysProcAttr = attr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	return cmd.Process.Pid
}
