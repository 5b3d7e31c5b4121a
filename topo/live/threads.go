package live

import (
	"errors"
	"sync"

	"github.com/vnet-lab/vnet/internal/parallel"
	"github.com/vnet-lab/vnet/nsfs"
)

// workers is the number of goroutines that call the kernel at the same time. More
// would not help: the kernel holds one lock (RTNL) for most of this work.
const workers = 2

// smallBatch is the number of items for which another thread does not pay off.
const smallBatch = 4

// withThreads is like Each, on threads that may enter namespaces. A small n gets
// only one thread.
func withThreads(n int, fn func(t nsfs.Thread, i int)) error {
	var queue parallel.Queue
	var wg sync.WaitGroup
	errs := make([]error, min(workers, (n+smallBatch-1)/smallBatch))
	for w := range errs {
		wg.Go(func() {
			errs[w] = nsfs.WithThread(func(t nsfs.Thread) error {
				queue.Run(n, func(i int) { fn(t, i) })
				return nil
			})
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
