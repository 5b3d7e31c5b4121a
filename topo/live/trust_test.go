package live

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/program"
)

// makeForeignNamespace creates a namespace that no lab adopted, with a mark in it.
func makeForeignNamespace(t *testing.T, name, altName string) {
	t.Helper()
	labtest.IP(t, "netns add "+name)
	t.Cleanup(func() { labtest.IP(t, "netns del "+name) })
	labtest.IP(t, "-n "+name+" link property add dev lo altname "+altName)
}

// Root in a namespace can write there that a lab adopted it, as any of its hosts or as the
// machine. vnet trusts only the record in the machine's namespace.
func TestForgedAdoption(t *testing.T) {
	lab, want := example(t, "container.yaml")
	for _, alias := range []string{"netns=box@x", "netns=client@x", "netns=@x"} {
		t.Run(alias, func(t *testing.T) {
			prepareExample(t, "container.yaml")
			makeForeignNamespace(t, "aaa", mark.Of(lab)+":"+alias)
			k := openKernel(t, lab)
			if have, err := k.Snapshot(want); err != nil || len(have) != 0 {
				t.Fatalf("before up: %v, %v", have, err)
			}
			if _, err := k.Up(t.Context(), want, nil); err != nil {
				t.Fatal(err)
			}
			if links := labtest.IP(t, "-n aaa -br link"); strings.Count(links, "\n") != 1 {
				t.Errorf("the foreign namespace got links:\n%s", links)
			}
			have, err := k.Snapshot(want)
			if err != nil || !have.Equal(want) {
				t.Errorf("%v; -want +got:\n%s", err, cmp.Diff(want.String(), have.String()))
			}
		})
	}
}

// If an adopted namespace is deleted, Down also deletes the record in the machine's namespace.
func TestAdoptedNamespaceIsDeleted(t *testing.T) {
	lab, want := example(t, "container.yaml")
	before := machineState(t)
	labtest.IP(t, "netns add box")
	k, err := OpenKernel(t.Context(), lab, nil)
	if err != nil {
		t.Fatal(err)
	}
	k.table.Etc = "/run/etc-netns"
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	if names := labtest.IP(t, "link show lo"); !strings.Contains(names, mark.AdoptedIDPrefix(lab)) {
		t.Fatalf("the machine has no record:\n%s", names)
	}
	labtest.IP(t, "netns del box")
	if err := k.Close(); err != nil { // its sockets keep the namespace alive
		t.Fatal(err)
	}
	k = openKernel(t, lab)
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, machineState(t)); diff != "" {
		t.Errorf("the machine is not as before (-before +after):\n%s", diff)
	}
}

// If the namespace cannot be marked, the machine gets no record.
func TestAdoptionIsUndone(t *testing.T) {
	const lab = "half"
	k := openKernel(t, lab)
	before := machineState(t)
	n := topo.Namespace{Name: "box", From: "/proc/thread-self/ns/net"}
	record := mark.Adopted(lab, n.Name, n.From)
	lo := k.table.Handles[""].Conn
	if err := lo.Do(rtnl.AddAltNames(rtnl.LinkID{Name: "lo"}, record)); err != nil { // this name already exists
		t.Fatal(err)
	}
	if err := k.Do(t.Context(), []topo.Step{{Want: n}}); err == nil {
		t.Error("the namespace was adopted")
	}
	if err := lo.Do(rtnl.DeleteAltNames(rtnl.LinkID{Name: "lo"}, record)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, machineState(t)); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}

// Any user can start a program with the environment of a lab's program. If vnet trusted it,
// undoing a Delete would start that command as root.
func TestUntrustedPrograms(t *testing.T) {
	const lab = "red-blue"
	k := openKernel(t, lab)
	for name, attr := range map[string]*syscall.SysProcAttr{
		"user namespace": {Cloneflags: syscall.CLONE_NEWUSER},
		"PID namespace":  {Cloneflags: syscall.CLONE_NEWPID},
	} {
		t.Run("in another "+name, func(t *testing.T) {
			startFakeProgram(t, lab, attr)
			if procs, err := k.programs.Processes(); err != nil || len(procs) != 0 {
				t.Errorf("trusted: %v, %v", procs, err)
			}
		})
	}
	t.Run("that is set-user-ID", func(t *testing.T) {
		installSetuidCat(t, "/run/su")
		as := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		startFakeProgramAs(t, lab, "/run/su", as)
		if procs, err := k.programs.Processes(); err != nil || len(procs) != 0 {
			t.Errorf("trusted: %v, %v", procs, err)
		}
	})
	t.Run("our own", func(t *testing.T) {
		pid := startFakeProgram(t, lab, &syscall.SysProcAttr{})
		here, err := nsfs.Current()
		if err != nil {
			t.Fatal(err)
		}
		defer here.Close()
		id, err := nsfs.Identity(here)
		if err != nil {
			t.Fatal(err)
		}
		procs, err := k.programs.Processes()
		if diff := cmp.Diff([]program.Process{{PID: pid, Command: "id", NS: id}}, procs); err != nil || diff != "" {
			t.Errorf("%v; -want +got:\n%s", err, diff)
		}
	})
}

// installSetuidCat installs a set-user-ID program that waits for input, as su and sudo do.
func installSetuidCat(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/uid_map")
	if ids := strings.Fields(string(text)); err != nil || len(ids) != 3 || ids[2] == "1" {
		t.Skip("only one user ID is mapped")
	}
	cat, err := exec.LookPath("cat")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(cat)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(path) })
	if err := os.WriteFile(path, program, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
}

// startFakeProgram starts a process with the environment of a lab's program. It ends with the
// test.
func startFakeProgram(t *testing.T, lab string, attr *syscall.SysProcAttr) (pid int) {
	t.Helper()
	return startFakeProgramAs(t, lab, "cat", attr)
}

func startFakeProgramAs(t *testing.T, lab, program string, attr *syscall.SysProcAttr) (pid int) {
	t.Helper()
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), mark.EnvLab+"="+lab, mark.EnvRun+"=id")
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
