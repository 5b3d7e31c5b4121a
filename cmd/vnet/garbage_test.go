package main

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// TestLateCollection checks that Go's defaults apply again after some collections. Otherwise a process that needs more
// than the memory limit, such as verify of 40 000 pairs, would only collect garbage.
func TestLateCollection(t *testing.T) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		t.Skip("GOGC or GOMEMLIMIT is set")
	}
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1)
	defer func() { debug.SetGCPercent(percent); debug.SetMemoryLimit(limit) }()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	setLateCollection()
	for until := time.Now().Add(10 * time.Second); debug.SetMemoryLimit(-1) != math.MaxInt64; runtime.GC() {
		if time.Now().After(until) {
			t.Fatal("the defaults are not restored")
		}
	}
	runtime.ReadMemStats(&after)
	if n := after.NumGC - before.NumGC; n < lateCollections {
		t.Errorf("the defaults are restored after %d collections", n)
	}
	if now := debug.SetGCPercent(100); now != 100 {
		t.Errorf("GC percent is %d", now)
	}
}
