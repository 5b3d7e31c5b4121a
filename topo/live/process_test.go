package live

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/program"
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
	if procs, err := k.programs.Processes(); err != nil || len(procs) != 0 {
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

// A program that calls execve all the time is found: Up does not start another one, and Down stops it.
func TestLabWithProgramThatCallsExec(t *testing.T) {
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

// The script of Down stops the lab's programs on the machine, and no others.
func TestCommandsStopPrograms(t *testing.T) {
	labtest.NeedIP(t)
	up := func(name string) (*Kernel, program.Process) {
		lab, want := labtest.Compiled(t, "name: "+name+"\nhosts: {machine: {run: sleep 1000}}\n")
		k := openKernel(t, lab)
		if _, err := k.Up(t.Context(), want, nil); err != nil {
			t.Fatal(err)
		}
		procs, err := k.programs.Processes()
		if err != nil || len(procs) == 0 {
			t.Fatalf("%v, %v", procs, err)
		}
		return k, procs[0]
	}
	one, first := up("one")
	two, second := up("two")
	program := openTestProcess(t, first.PID)
	have, err := one.Snapshot(nil)
	if err != nil {
		t.Fatal(err)
	}
	down, err := topo.Diff(have, nil).Commands(one.table.Lab, have, NATScript())
	if err != nil {
		t.Fatal(err)
	}
	shell(t, down)
	if !program.hasEnded(soon) {
		t.Errorf("the program still runs after\n%s", down)
	}
	if procs, err := two.programs.Processes(); err != nil || !slices.Contains(procs, second) {
		t.Errorf("lab two has %v, %v, want %v", procs, err, second)
	}
}

// TestUpSeesProgramsThatFail: up notices a program that fails at its start, each time.
func TestUpSeesProgramsThatFail(t *testing.T) {
	unix.Mkdir("/run/etc-netns", 0o755)
	lab, want := labtest.Compiled(t, "name: failing\nhosts: {red: {run: [sleep 1000, cat /no/such/file]}}")
	k := openKernel(t, lab)
	for range 5 {
		_, err := k.Up(t.Context(), want, nil)
		var drift *DriftError
		if !errors.As(err, &drift) || len(drift.Plan) != 1 {
			t.Fatalf("%v", err)
		}
	}
	if left, err := k.Snapshot(nil); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
}
