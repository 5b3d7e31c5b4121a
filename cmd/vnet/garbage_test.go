package main

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// TestGarbageLies: until a process has collected so often that it needs more than it
// would hold; else it did nothing but that, as `verify` of forty thousand pairs.
func TestGarbageLies(t *testing.T) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		t.Skip("the user says how garbage is collected")
	}
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1)
	defer func() { debug.SetGCPercent(percent); debug.SetMemoryLimit(limit) }()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	letLie()
	for until := time.Now().Add(10 * time.Second); debug.SetMemoryLimit(-1) != math.MaxInt64; runtime.GC() {
		if time.Now().After(until) {
			t.Fatal("garbage lies for ever")
		}
	}
	runtime.ReadMemStats(&after)
	if n := after.NumGC - before.NumGC; n < mostLate {
		t.Errorf("it lay for %d collections", n)
	}
	if now := debug.SetGCPercent(100); now != 100 {
		t.Errorf("garbage is collected at %d %%", now)
	}
}
