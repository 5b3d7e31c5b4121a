package parallel

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// TestEach: every number is given once, by no more goroutines than asked for, and Each returns only after
// all calls have.
func TestEach(t *testing.T) {
	for _, n := range []int{0, 1, 3, 100} {
		for _, goroutines := range []int{1, 4} {
			var mu sync.Mutex
			var got []int
			var running, most atomic.Int64
			Each(goroutines, n, func(i int) {
				now := running.Add(1)
				mu.Lock()
				most.Store(max(most.Load(), now))
				got = append(got, i)
				mu.Unlock()
				running.Add(-1)
			})
			slices.Sort(got)
			if len(got) != n || n > 0 && (got[0] != 0 || got[n-1] != n-1 || len(slices.Compact(got)) != n) {
				t.Errorf("%d goroutines, %d numbers: %v", goroutines, n, got)
			}
			if most.Load() > int64(goroutines) {
				t.Errorf("%d calls at once, want at most %d", most.Load(), goroutines)
			}
		}
	}
}
