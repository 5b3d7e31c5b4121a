package netns

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"testing"
)

// A released lock leaves no file, and still only one holder at a time has it.
func TestLockIsRemoved(t *testing.T) {
	var holders, held atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				l, err := lockFile(t.Context(), "busy.lock", func() {})
				if err != nil {
					t.Error(err)
					return
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d holders at a time", n)
				}
				held.Add(1)
				holders.Add(-1)
				l.Close()
			}
		})
	}
	all.Wait()
	if held.Load() != 400 {
		t.Errorf("it was held %d times", held.Load())
	}
	if _, err := os.Stat(lockDir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the lock directory still exists: %v", err)
	}
}

// If the lock directory cannot be created, lockFile returns an error and does not loop.
func TestLockWithoutDir(t *testing.T) {
	if err := os.Symlink("/nowhere/at/all", lockDir); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(lockDir)
	if l, err := lockFile(t.Context(), "nowhere.lock", func() {}); err == nil {
		t.Errorf("locked %s", l.Name())
	}
}

// lockFile calls onWait once, and stops waiting when ctx ends.
func TestLockWaits(t *testing.T) {
	first, err := lockFile(t.Context(), "busy2.lock", func() { t.Error("the lock is free") })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if l, err := lockFile(ctx, "busy2.lock", cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", l, err)
	}
	waits := 0
	second, err := lockFile(t.Context(), "busy2.lock", func() { waits++; first.Close() })
	if err != nil || waits != 1 {
		t.Fatalf("onWait was called %d times, %v", waits, err)
	}
	second.Close()
}
