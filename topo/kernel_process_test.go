//go:build linux

package topo

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

	"github.com/vnet-lab/vnet/nsfs"
)

// All programs are asked to end before vnet waits for one: that of red ends in peace
// only once that of blue was asked.
func TestAllProgramsAreAskedAtOnce(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"word", "ready", "never"} {
		if err := unix.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lab, want := compiled(t, `
name: ending
hosts:
  red: {run: "trap '' TERM; echo >`+dir+`/ready; cat `+dir+`/word && touch `+dir+`/peace"}
  blue: {run: "trap 'echo >`+dir+`/word; exit' TERM; exec 3<>`+dir+`/never; echo >`+dir+`/ready; read x <&3"}
`)
	k := openKernel(t, lab)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	ready, err := os.OpenFile(filepath.Join(dir, "ready"), os.O_RDWR, 0) // for writing, too: there is always a writer
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
	if _, err := os.Stat(filepath.Join(dir, "peace")); err != nil {
		t.Error("red was not let end: ", err)
	}
	if procs, err := k.processes(); err != nil || len(procs) != 0 {
		t.Errorf("there are still %v, %v", procs, err)
	}
}

// What will not end is made to.
func TestAProgramIsMadeToEnd(t *testing.T) {
	lab, want := compiled(t, "name: ending\nhosts: {red: {run: \"trap '' TERM; sleep 1000\"}}\n")
	k := openKernel(t, lab)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// A program that begins another is the lab's all the same, or one that is not to be seen
// for a moment: never somebody else's.
func TestAProgramThatBeginsAnother(t *testing.T) {
	lab, want := compiled(t, "name: relay\nhosts: {red: {}}\n")
	k := openKernel(t, lab)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(t.TempDir(), "again")
	if err := os.WriteFile(again, []byte("exec sh \"$0\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", again)
	cmd.Env = append(os.Environ(), envLab+"="+lab, envRun+"=again")
	if err := doIn("red", cmd.Start); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	seen, missed := 0, 0
	for range 3000 {
		list, moving := k.ownAmong([]nsfs.Process{{Pid: cmd.Process.Pid, ID: k.spaces["red"].id}})
		switch {
		case len(list) == 1:
			seen++
		case moving:
			missed++
		default:
			t.Fatal("it is somebody else's")
		}
	}
	t.Logf("seen %d times, missed %d times", seen, missed)
	want.put(Process{"red", "again"})
	for range 20 {
		if plan, err := k.Plan(want); err != nil || len(plan) > 0 {
			t.Fatalf("it is not found: %v%v", plan, err)
		}
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Error("it is not ended: ", err)
	}
}

// A number that has become another process's is not signalled.
func TestAnotherProcessOfThatNumberGoesOn(t *testing.T) {
	k := openKernel(t, "ending")
	e := k.ending(process{pid: os.Getpid(), command: "sleep 1000"})
	defer e.close()
	if endAll([]*ending{e}); !e.ended || e.err != nil {
		t.Errorf("it is %+v", e)
	}
	if e := k.ending(process{pid: 1 << 30}); e.err == nil && !e.ended || errors.Is(e.err, unix.EPERM) {
		t.Errorf("nobody's is %+v", e)
	}
}

// The script that takes a lab down ends what the lab runs on the machine, and no other's.
func TestCommandsEndPrograms(t *testing.T) {
	needIP(t)
	up := func(name string) (*Kernel, process) {
		lab, want := compiled(t, "name: "+name+"\nhosts: {machine: {run: sleep 1000}}\n")
		k := openKernel(t, lab)
		if _, err := k.Up(t.Context(), want, nil); err != nil {
			t.Fatal(err)
		}
		procs, err := k.processes()
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
	down, err := Diff(have, nil).Commands(one.lab, have, NFTScript)
	if err != nil {
		t.Fatal(err)
	}
	shell(t, down)
	ended := &ending{pid: first.pid, fd: fd}
	if ended.wait(time.Now().Add(grace)); !ended.ended {
		t.Errorf("it goes on in spite of\n%s", down)
	}
	if procs, err := two.processes(); err != nil || !slices.Contains(procs, second) {
		t.Errorf("of lab two there is %v, %v, not %v", procs, err, second)
	}
}
