//go:build linux

package topo

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
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
