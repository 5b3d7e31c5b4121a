// Package parallel shares work among goroutines.
package parallel

import (
	"sync"
	"sync/atomic"
)

// Each calls fn(0) … fn(n-1) from the given number of goroutines and waits for all.
func Each(goroutines, n int, fn func(i int)) {
	var queue Queue
	var wg sync.WaitGroup
	for range min(goroutines, n) {
		wg.Go(func() { queue.Run(n, fn) })
	}
	wg.Wait()
}

// A Queue gives each of the numbers 0 … n-1 to one of several goroutines.
type Queue struct{ next atomic.Int64 }

// Run calls fn with numbers below n that no other Run of the queue got, until none is left.
func (q *Queue) Run(n int, fn func(i int)) {
	for i := int(q.next.Add(1)) - 1; i < n; i = int(q.next.Add(1)) - 1 {
		fn(i)
	}
}
