package main

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// TestWhatInterrupts checks that SIGINT, SIGTERM, SIGHUP and SIGQUIT cancel the context. A second signal immediately
// after the first, as from timeout(1), must not end the program. Each signal is tested in a separate process, because a
// signal can arrive late and in any thread.
func TestWhatInterrupts(t *testing.T) {
	if sig, ok := toBeSent(); ok {
		ctx, stop := interruptible()
		_ = stop // not called: the signal may arrive late
		for range 2 {
			if err := unix.Kill(unix.Getpid(), sig); err != nil {
				t.Fatal(err)
			}
			<-ctx.Done()
		}
		return
	}
	for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT} {
		if out, err := inAnother(t, sig); err != nil {
			t.Errorf("%s is ignored, or the second one ends the program: %v\n%s", sig, err, out)
		}
	}
}

// TestNohup checks that SIGHUP is ignored under nohup(1).
func TestNohup(t *testing.T) {
	if sig, ok := toBeSent(); ok {
		signal.Ignore(sig)
		ctx, stop := interruptible()
		defer stop()
		if err := unix.Kill(unix.Getpid(), sig); err != nil || ctx.Err() != nil {
			t.Error("SIGHUP cancels the context", err)
		}
		return
	}
	if out, err := inAnother(t, unix.SIGHUP); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

const signalHint = "VNET_TEST_SIGNAL"

// toBeSent returns the signal to send in the process that inAnother starts.
func toBeSent() (unix.Signal, bool) {
	n, err := strconv.Atoi(os.Getenv(signalHint))
	return unix.Signal(n), err == nil
}

// inAnother runs the test in another process, which sends the signal to itself. signal.Notify is for tests under
// nohup(1): a child process inherits ignored signals, but not handled ones.
func inAnother(t *testing.T, sig unix.Signal) ([]byte, error) {
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, sig)
	defer signal.Stop(heard)
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), signalHint+"="+strconv.Itoa(int(sig)))
	return cmd.CombinedOutput()
}

// TestInterruptedDown checks that the error of an interrupted down names what is left and the command that removes it.
func TestInterruptedDown(t *testing.T) {
	for _, tt := range []struct {
		left        []string
		error, hint string
	}{
		{[]string{"one"}, "interrupted: lab one is not removed completely: context canceled",
			"vnet down one removes the rest"},
		{[]string{"one", "two"}, "interrupted: 2 labs are not removed completely: context canceled",
			"vnet down --all removes the rest"},
	} {
		err := interruptedDown(tt.left, context.Canceled)
		if hint := (&session{}).hintOf(err); err.Error() != tt.error || hint != tt.hint {
			t.Errorf("%v: %v; %s", tt.left, err, hint)
		}
	}
}
