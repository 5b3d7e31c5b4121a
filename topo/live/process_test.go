package live

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo"
)

// vnet sends SIGTERM to all programs before it waits for one: that of red exits only after
// that of blue got the signal.
func TestAllProgramsGetSIGTERMAtOnce(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"word", "ready", "never"} {
		if err := unix.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lab, want := labtest.Compiled(t, `
name: ending
hosts:
  red: {run: "trap '' TERM; echo >`+dir+`/ready; cat `+dir+`/word && touch `+dir+`/exited"}
  blue: {run: "trap 'echo >`+dir+`/word; exit' TERM; exec 3<>`+dir+`/never; echo >`+dir+`/ready; read x <&3"}
`)
	k := openKernel(t, lab)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	// Also for writing, so that there is always a writer.
	ready, err := os.OpenFile(filepath.Join(dir, "ready"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	if _, err := io.ReadFull(ready, make([]byte, 2)); err != nil { // a line from each
		t.Fatal(err)
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "exited")); err != nil {
		t.Error("red was killed: ", err)
	}
	if procs, err := k.programs.processes(); err != nil || len(procs) != 0 {
		t.Errorf("left: %v, %v", procs, err)
	}
}

// A program that ignores SIGTERM is killed.
func TestProgramIsKilled(t *testing.T) {
	lab, want := labtest.Compiled(t, "name: ending\nhosts: {red: {run: \"trap '' TERM; sleep 1000\"}}\n")
	k := openKernel(t, lab)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// A program that calls execve all the time is found as the lab's or as moving, never as
// foreign.
func TestProgramThatCallsExec(t *testing.T) {
	lab, want := labtest.Compiled(t, "name: relay\nhosts: {red: {}}\n")
	k := openKernel(t, lab)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(t.TempDir(), "again")
	if err := os.WriteFile(again, []byte("exec sh \"$0\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", again)
	cmd.Env = append(os.Environ(), mark.EnvLab+"="+lab, mark.EnvRun+"=again")
	if err := doIn("red", cmd.Start); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	found, missed := 0, 0
	for range 3000 {
		list, moving := k.programs.labProcesses([]nsfs.Process{{Pid: cmd.Process.Pid, ID: k.handles["red"].id}})
		switch {
		case len(list) == 1:
			found++
		case moving:
			missed++
		default:
			t.Fatal("the program is taken for a foreign one")
		}
	}
	t.Logf("found %d times, missed %d times", found, missed)
	want.Put(topo.Process{NS: "red", Command: "again"})
	for range 20 {
		if plan, err := k.Plan(want); err != nil || len(plan) > 0 {
			t.Fatalf("the program is missing: %v%v", plan, err)
		}
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Error("Down did not stop it: ", err)
	}
}

// vnet does not signal another process that has got the same process ID.
func TestReusedProcessID(t *testing.T) {
	k := openKernel(t, "ending")
	e := k.newExecutor(nil).openToStop(member{pid: os.Getpid(), start: "1"})
	defer e.close()
	if stopAll([]*stoppingProcess{e}); !e.ended || e.err != nil {
		t.Errorf("another process: %+v", e)
	}
	e = k.newExecutor(nil).openToStop(member{pid: 1 << 30})
	if e.err == nil && !e.ended || errors.Is(e.err, unix.EPERM) {
		t.Errorf("unused ID: %+v", e)
	}
}

// The script of Down stops the lab's programs on the machine, and no others.
func TestCommandsStopPrograms(t *testing.T) {
	labtest.NeedIP(t)
	up := func(name string) (*Kernel, process) {
		lab, want := labtest.Compiled(t, "name: "+name+"\nhosts: {machine: {run: sleep 1000}}\n")
		k := openKernel(t, lab)
		if _, err := k.Up(t.Context(), want, nil); err != nil {
			t.Fatal(err)
		}
		procs, err := k.programs.processes()
		if err != nil || len(procs) == 0 {
			t.Fatalf("%v, %v", procs, err)
		}
		return k, procs[0]
	}
	one, first := up("one")
	two, second := up("two")
	fd, err := unix.PidfdOpen(first.pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	have, err := one.Snapshot(nil)
	if err != nil {
		t.Fatal(err)
	}
	down, err := topo.Diff(have, nil).Commands(one.lab, have, NATScript())
	if err != nil {
		t.Fatal(err)
	}
	shell(t, down)
	ended := &stoppingProcess{pid: first.pid, fd: fd}
	if ended.wait(time.Now().Add(grace)); !ended.ended {
		t.Errorf("the program still runs after\n%s", down)
	}
	if procs, err := two.programs.processes(); err != nil || !slices.Contains(procs, second) {
		t.Errorf("lab two has %v, %v, want %v", procs, err, second)
	}
}
