package main

import (
	"os/signal"
	"testing"

	"golang.org/x/sys/unix"
)

// TestWhatInterrupts: Ctrl-C, kill(1) and the end of the terminal are heeded, the last one
// unless nohup(1) is before the command.
func TestWhatInterrupts(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP} {
		ctx, stop := interruptible()
		if err := unix.Kill(unix.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ctx.Done():
		case <-t.Context().Done():
			t.Errorf("%s is not heeded", sig)
		}
		if err := unix.Kill(unix.Getpid(), sig); err != nil { // as timeout(1) does; it would end this program
			t.Fatal(err)
		}
		t.Cleanup(stop) // not at once: another thread may be hearing of it
	}
	signal.Ignore(unix.SIGHUP)
	defer signal.Reset(unix.SIGHUP)
	ctx, stop := interruptible()
	defer stop()
	if err := unix.Kill(unix.Getpid(), unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Error("nohup does not help")
	}
}
