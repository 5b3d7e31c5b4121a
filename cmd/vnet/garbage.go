package main

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
)

const (
	// lateMemoryLimit is the memory limit in bytes while collection is delayed.
	lateMemoryLimit = 36 << 20
	// lateCollections is the number of collections after which Go's defaults apply again.
	lateCollections = 8
)

// collectLate delays garbage collection in short runs: until the process holds 36 MiB (lateMemoryLimit) or five
// times its live heap. A process that needs more, or runs long, collects several times; after lateCollections of
// them Go's defaults apply, also for the following lines of a batch. If the user sets GOGC or GOMEMLIMIT, nothing is
// changed.
var collectLate = sync.OnceFunc(setLateCollection)

func setLateCollection() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(lateMemoryLimit)
	afterCollections(lateCollections, func() {
		debug.SetGCPercent(100)
		debug.SetMemoryLimit(math.MaxInt64)
	})
}

// afterCollections calls fn after n garbage collections.
func afterCollections(n int, fn func()) {
	if n == 0 {
		fn()
		return
	}
	garbage := new(*byte) // a pointer, so that it is not allocated together with other small objects
	runtime.SetFinalizer(garbage, func(**byte) { afterCollections(n-1, fn) })
}
