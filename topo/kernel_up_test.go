//go:build linux

package topo

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
)

// afterStage does something when the stage of a kind is through.
func afterStage(kind Kind, then func()) func(Plan, Do) Do {
	return func(_ Plan, do Do) Do {
		return func(ctx context.Context, stage []Step) error {
			err := do(ctx, stage)
			if err == nil && stage[0].Object().Key().Kind == kind && stage[0].Op() == Create {
				then()
			}
			return err
		}
	}
}

// A lab that is not what it should be when all is done is no half: it is undone.
func TestUpProvesItself(t *testing.T) {
	needIP(t)
	unix.Mkdir("/run/etc-netns", 0o755)
	for _, c := range []struct {
		name, text, says string
		on               Kind
		then             func(t *testing.T, k *Kernel)
	}{
		{"somebody meddles", "hosts: {red: {}, blue: {}}\nlinks: [{endpoints: [red, blue], addresses: [10.0.0.1/30, 10.0.0.2/30]}]",
			"the kernel does not have what it was asked for", OfQuiet,
			func(t *testing.T, _ *Kernel) { ip(t, "-n red addr add 10.0.9.1/24 dev eth0") }},
		{"a command fails", "hosts: {red: {run: [sleep 1000, exit 3]}}",
			"failed as soon as it was started: + red: run exit 3", OfProcess,
			func(t *testing.T, k *Kernel) { failed(t, k, "exit 3") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			lab, want := compiled(t, "name: proves\n"+c.text)
			k := openKernel(t, lab)
			before := machine(t)
			plan, err := k.Up(t.Context(), want, afterStage(c.on, func() { c.then(t, k) }))
			var apply *ApplyError
			var drift *DriftError
			if !errors.As(err, &apply) || !errors.As(err, &drift) || apply.Undo != nil || len(plan) > 0 {
				t.Fatalf("%v\n%s", err, plan)
			}
			if !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), fmt.Sprintf("the %d steps before were undone", len(want))) {
				t.Error(err)
			}
			if left, err := k.Snapshot(nil); err != nil || len(left) != 0 {
				t.Errorf("left are %v\n%s", err, left)
			}
			if diff := cmp.Diff(before, machine(t)); diff != "" {
				t.Errorf("the machine is not as before (-before +after):\n%s", diff)
			}
		})
	}
}

// failed waits until a command has ended.
func failed(t *testing.T, k *Kernel, command string) {
	t.Helper()
	procs, err := k.processes()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range procs {
		if p.command != command {
			continue
		}
		fd, err := unix.PidfdOpen(p.pid, 0)
		if err != nil {
			continue
		}
		unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(soon/time.Millisecond))
		unix.Close(fd)
	}
}

// Commands that go on, and commands that have done their work: both are there until
// down, which ends them and what they started.
func TestRun(t *testing.T) {
	needIP(t)
	unix.Mkdir("/run/etc-netns", 0o755)
	const done = "/run/run-was-here"
	if err := unix.Mkfifo(done, 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(done)
	lab, want := compiled(t, "name: runs\nhosts: {red: {run: [sleep 1000, 'ip link show lo >"+done+"', 'sleep 999 & :']}, machine: {run: sleep 998}}")
	k := openKernel(t, lab)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(done); err != nil || !strings.Contains(string(b), "LOOPBACK") { // as soon as it has written
		t.Errorf("%v: %s", err, b)
	}
	if again, err := k.Up(t.Context(), want, nil); err != nil || len(again) > 0 {
		t.Errorf("the second up has something to do: %v\n%s", err, again)
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if procs, err := k.processes(); err != nil || len(procs) > 0 {
		t.Errorf("left are %v, %v", procs, err)
	}
}

// A namespace is one host's: not the machine's own, nor another one's.
func TestTakenTwice(t *testing.T) {
	unix.Mkdir("/run/etc-netns", 0o755)
	ip(t, "netns add box")
	t.Cleanup(func() { ip(t, "netns del box") })
	self := fmt.Sprintf("/proc/%d/ns/net", os.Getpid())
	for name, c := range map[string]struct{ hosts, says string }{
		"machine": {"red: {namespace: " + self + ", sysctls: {net.ipv4.conf.all.rp_filter: 2}}", "it is the namespace of machine already"},
		"other":   {"red: {namespace: box}, blue: {namespace: /run/netns/box}", "it is the namespace of "},
	} {
		t.Run(name, func(t *testing.T) {
			lab, want := compiled(t, "name: twice\nhosts: {"+c.hosts+"}")
			k := openKernel(t, lab)
			before := machine(t)
			_, err := k.Up(t.Context(), want, nil)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Error(err)
			}
			if diff := cmp.Diff(before, machine(t)); diff != "" {
				t.Errorf("the machine is not as before (-before +after):\n%s", diff)
			}
		})
	}
}

// Who comes second is told that it waits, and goes on when the first has finished.
func TestTheSecondIsToldToWait(t *testing.T) {
	first, err := OpenKernel(t.Context(), "busy", nil)
	if err != nil {
		t.Fatal(err)
	}
	waits := make(chan string, 1)
	done := make(chan error)
	go func() {
		second, err := OpenKernel(t.Context(), "busy", slog.New(slog.NewTextHandler(lines(waits), nil)))
		if err == nil {
			err = second.Close()
		}
		done <- err
	}()
	if said := <-waits; !strings.Contains(said, "lab busy: somebody else is at work on it") {
		t.Error(said)
	}
	if err := errors.Join(first.Close(), <-done); err != nil {
		t.Error(err)
	}
}

// lines hands over what is written.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}
