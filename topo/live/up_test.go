package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/topo"
)

// afterStage calls then after the create stage of a kind.
func afterStage(kind topo.Kind, then func()) func(topo.Plan, topo.Do) topo.Do {
	return func(_ topo.Plan, do topo.Do) topo.Do {
		return func(ctx context.Context, stage []topo.Step) error {
			err := do(ctx, stage)
			if err == nil && stage[0].Object().Key().Kind == kind && stage[0].Op() == topo.Create {
				then()
			}
			return err
		}
	}
}

// If the kernel differs from the lab after all steps, Up undoes everything.
func TestUpChecksResult(t *testing.T) {
	labtest.NeedIP(t)
	unix.Mkdir("/run/etc-netns", 0o755)
	for _, c := range []struct {
		name, text, message string
		on                  topo.Kind
		then                func(t *testing.T, k *Kernel)
	}{
		{"another program changes an MTU",
			"hosts: {red: {}, blue: {}}\nlinks: [{endpoints: [red, blue], addresses: [10.0.0.1/30, 10.0.0.2/30]}]",
			"the kernel accepted all changes but still differs from the lab", topo.OfAddrGen,
			func(t *testing.T, _ *Kernel) { labtest.IP(t, "-n red link set eth0 mtu 1400") }},
		{"a command fails", "hosts: {red: {run: [sleep 1000, exit 3]}}",
			"exited with an error right after its start: + red: run exit 3", topo.OfProcess,
			func(t *testing.T, k *Kernel) { waitForExit(t, k, "exit 3") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			lab, want := labtest.Compiled(t, "name: proves\n"+c.text)
			k := openKernel(t, lab)
			before := machineState(t)
			plan, err := k.Up(t.Context(), want, afterStage(c.on, func() { c.then(t, k) }))
			var apply *topo.ApplyError
			var drift *DriftError
			if !errors.As(err, &apply) || !errors.As(err, &drift) || apply.Undo != nil || len(plan) > 0 {
				t.Fatalf("%v\n%s", err, plan)
			}
			undone := fmt.Sprintf("the %d steps before were undone", len(want))
			if !strings.Contains(err.Error(), c.message) || !strings.Contains(err.Error(), undone) {
				t.Error(err)
			}
			if left, err := k.Snapshot(nil); err != nil || len(left) != 0 {
				t.Errorf("left: %v\n%s", err, left)
			}
			if diff := cmp.Diff(before, machineState(t)); diff != "" {
				t.Errorf("the machine is not as before (-before +after):\n%s", diff)
			}
		})
	}
}

// waitForExit waits until a command has exited.
func waitForExit(t *testing.T, k *Kernel, command string) {
	t.Helper()
	procs, err := k.programs.Processes()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range procs {
		if p.Command != command {
			continue
		}
		fd, err := unix.PidfdOpen(p.PID, 0)
		if err != nil {
			continue
		}
		unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(soon/time.Millisecond))
		unix.Close(fd)
	}
}

// Down stops commands that run on, and processes that finished commands started.
func TestRun(t *testing.T) {
	labtest.NeedIP(t)
	unix.Mkdir("/run/etc-netns", 0o755)
	const done = "/run/run-was-here"
	if err := unix.Mkfifo(done, 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(done)
	lab, want := labtest.Compiled(t, "name: runs\nhosts: {red: {run: [sleep 1000, 'ip link show lo >"+done+
		"', 'sleep 999 & :']}, machine: {run: sleep 998}}")
	k := openKernel(t, lab)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(done); err != nil || !strings.Contains(string(b), "LOOPBACK") { // waits for the writer
		t.Errorf("%v: %s", err, b)
	}
	if again, err := k.Up(t.Context(), want, nil); err != nil || len(again) > 0 {
		t.Errorf("the second up has steps: %v\n%s", err, again)
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if procs, err := k.programs.Processes(); err != nil || len(procs) > 0 {
		t.Errorf("left: %v, %v", procs, err)
	}
}

// A host cannot adopt the machine's namespace nor that of another host.
func TestAdoptedTwice(t *testing.T) {
	unix.Mkdir("/run/etc-netns", 0o755)
	labtest.IP(t, "netns add box")
	t.Cleanup(func() { labtest.IP(t, "netns del box") })
	self := fmt.Sprintf("/proc/%d/ns/net", os.Getpid())
	for name, c := range map[string]struct{ hosts, message string }{
		"machine": {"red: {namespace: " + self + ", sysctls: {net.ipv4.conf.all.rp_filter: 2}}",
			"it is already the namespace of machine"},
		"other": {"red: {namespace: box}, blue: {namespace: /run/netns/box}", "it is already the namespace of "},
	} {
		t.Run(name, func(t *testing.T) {
			lab, want := labtest.Compiled(t, "name: twice\nhosts: {"+c.hosts+"}")
			k := openKernel(t, lab)
			before := machineState(t)
			_, err := k.Up(t.Context(), want, nil)
			if err == nil || !strings.Contains(err.Error(), c.message) {
				t.Error(err)
			}
			if diff := cmp.Diff(before, machineState(t)); diff != "" {
				t.Errorf("the machine is not as before (-before +after):\n%s", diff)
			}
		})
	}
}

// A second process logs that it waits, and continues when the first has finished.
func TestSecondProcessWaits(t *testing.T) {
	first, err := OpenKernel(t.Context(), "busy", nil)
	if err != nil {
		t.Fatal(err)
	}
	waits := make(chan string, 1)
	done := make(chan error)
	go func() {
		second, err := OpenKernel(t.Context(), "busy", slog.New(slog.NewTextHandler(lineWriter(waits), nil)))
		if err == nil {
			err = second.Close()
		}
		done <- err
	}()
	if line := <-waits; !strings.Contains(line, "lab busy: another vnet process is working on it") {
		t.Error(line)
	}
	if err := errors.Join(first.Close(), <-done); err != nil {
		t.Error(err)
	}
}

// A lineWriter sends each write to the channel.
type lineWriter chan string

func (l lineWriter) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

// TestDriftError checks that a program which still runs after down is not reported as one that failed to start.
func TestDriftError(t *testing.T) {
	program := topo.Process{NS: "red", Command: "sleep 1"}
	for step, want := range map[topo.Step]string{
		{Want: program}: "a command under run exited with an error right after its start: + red: run sleep 1",
		{Have: program}: "the kernel accepted all changes but still differs from the lab:\n- red: run sleep 1",
	} {
		if got := (&DriftError{topo.Plan{step}}).Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
