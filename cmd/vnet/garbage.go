package main

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
)

const (
	// enough is how much memory a process may hold, in bytes, whose garbage lies.
	enough = 36 << 20
	// mostLate is after how many collections it lies no more.
	mostLate = 8
)

// collectLate lets garbage lie until the process holds enough, or five times of what it
// needs. What needs more than enough, or goes on for long, has it collected again and again,
// and from then on as usual, also for the lines of a batch that follow. So it is if the user
// says how.
var collectLate = sync.OnceFunc(letLie)

func letLie() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(enough)
	afterCollections(mostLate, func() {
		debug.SetGCPercent(100)
		debug.SetMemoryLimit(math.MaxInt64)
	})
}

// afterCollections calls fn once garbage was collected so many times.
func afterCollections(n int, fn func()) {
	if n == 0 {
		fn()
		return
	}
	garbage := new(*byte) // a pointer, so that it is collected by itself
	runtime.SetFinalizer(garbage, func(**byte) { afterCollections(n-1, fn) })
}
