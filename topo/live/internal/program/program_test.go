package program

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nsfs"
)

// A program that calls execve all the time is found as the lab's or as moving, never as
// foreign.
func TestProgramThatCallsExec(t *testing.T) {
	here, err := nsfs.Current()
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	id, err := nsfs.Identity(here)
	if err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(t.TempDir(), "again")
	if err := os.WriteFile(again, []byte("exec sh \"$0\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", again)
	cmd.Env = append(os.Environ(), mark.EnvLab+"=relay", mark.EnvRun+"=again")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	f := NewFinder("relay", maps.All(map[string]nsfs.ID{"red": id}))
	found, missed := 0, 0
	for range 3000 {
		list, moving := f.labProcesses([]nsfs.Process{{Pid: cmd.Process.Pid, ID: id}})
		switch {
		case len(list) == 1:
			found++
		case moving:
			missed++
		default:
			t.Fatal("the program is taken for a foreign one")
		}
	}
	if t.Logf("found %d times, missed %d times", found, missed); found == 0 {
		t.Error("it was never found")
	}
}

// vnet does not signal another process that has got the same process ID.
func TestReusedProcessID(t *testing.T) {
	e := openToStop(member{pid: os.Getpid(), start: "1"}, unix.PidfdSendSignal)
	defer e.close()
	if stopAll([]*stoppingProcess{e}); !e.ended || e.err != nil {
		t.Errorf("another process: %+v", e)
	}
	e = openToStop(member{pid: 1 << 30}, unix.PidfdSendSignal)
	if e.err == nil && !e.ended || errors.Is(e.err, unix.EPERM) {
		t.Errorf("unused ID: %+v", e)
	}
}
