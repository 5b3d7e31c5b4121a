package netns

import (
	"errors"
	"sync"

	"github.com/vnet-lab/vnet/internal/parallel"
	"github.com/vnet-lab/vnet/nsfs"
)

// Workers is the number of goroutines that call the kernel at the same time. More
// would not help: the kernel holds one lock (RTNL) for most of this work.
const Workers = 2

// SmallBatch is the number of items for which a second thread saves no time.
const SmallBatch = 4

// WithThreads is like [parallel.Each], on threads that may enter namespaces. A small n gets
// only one thread.
func WithThreads(n int, fn func(t nsfs.Thread, i int)) error {
	var queue parallel.Queue
	var wg sync.WaitGroup
	errs := make([]error, min(Workers, (n+SmallBatch-1)/SmallBatch))
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
