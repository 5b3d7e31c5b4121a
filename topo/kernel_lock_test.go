//go:build linux

package topo

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"testing"
)

// TestLockGoes: of a lock that is given up nothing is left, and nevertheless one at a
// time holds it.
func TestLockGoes(t *testing.T) {
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
					t.Errorf("%d hold it", n)
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
		t.Errorf("something is left: %v", err)
	}
}

// TestLockNowhere: what is no folder, and leads to none, is not tried for ever.
func TestLockNowhere(t *testing.T) {
	if err := os.Symlink("/nowhere/at/all", lockDir); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(lockDir)
	if l, err := lockFile(t.Context(), "nowhere.lock", func() {}); err == nil {
		t.Errorf("locked %s", l.Name())
	}
}

// TestLockIsWaitedFor: whoever waits is told so once, and may give up.
func TestLockIsWaitedFor(t *testing.T) {
	first, err := lockFile(t.Context(), "wanted.lock", func() { t.Error("it is nobody's") })
	if err != nil {
		t.Fatal(err)
	}
	ctx, giveUp := context.WithCancel(t.Context())
	if l, err := lockFile(ctx, "wanted.lock", giveUp); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", l, err)
	}
	told := 0
	second, err := lockFile(t.Context(), "wanted.lock", func() { told++; first.Close() })
	if err != nil || told != 1 {
		t.Fatalf("told %d times, %v", told, err)
	}
	second.Close()
}
