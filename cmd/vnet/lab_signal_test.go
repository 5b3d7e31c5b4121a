package main

import (
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// TestWhatInterrupts: Ctrl-C, kill(1) and the end of the terminal are heeded. A second signal
// at once, as timeout(1) sends it, is none of its own: it would end the program. The
// programs are others than this one, for any thread may be the one to hear of a signal,
// and it may be late.
func TestWhatInterrupts(t *testing.T) {
	if sig, ok := toBeSent(); ok {
		ctx, stop := interruptible()
		_ = stop // only with the program: the signal may be late
		for range 2 {
			if err := unix.Kill(unix.Getpid(), sig); err != nil {
				t.Fatal(err)
			}
			<-ctx.Done()
		}
		return
	}
	for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP} {
		if out, err := inAnother(t, sig); err != nil {
			t.Errorf("%s is not heeded, or twice: %v\n%s", sig, err, out)
		}
	}
}

// TestNohup: the end of the terminal is not heeded if nohup(1) is before the command.
func TestNohup(t *testing.T) {
	if sig, ok := toBeSent(); ok {
		signal.Ignore(sig)
		ctx, stop := interruptible()
		defer stop()
		if err := unix.Kill(unix.Getpid(), sig); err != nil || ctx.Err() != nil {
			t.Error("it is heeded", err)
		}
		return
	}
	if out, err := inAnother(t, unix.SIGHUP); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

const signalHint = "VNET_TEST_SIGNAL"

// toBeSent is the signal for the program that inAnother starts.
func toBeSent() (unix.Signal, bool) {
	n, err := strconv.Atoi(os.Getenv(signalHint))
	return unix.Signal(n), err == nil
}

// inAnother runs the test in a program of its own, which sends itself the signal. It heeds it
// even if these tests run behind nohup(1): only what is ignored is handed on, not what is
// listened to.
func inAnother(t *testing.T, sig unix.Signal) ([]byte, error) {
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, sig)
	defer signal.Stop(heard)
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), signalHint+"="+strconv.Itoa(int(sig)))
	return cmd.CombinedOutput()
}
