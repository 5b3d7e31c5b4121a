package live

import (
	"errors"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/parallel"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// A task holds a step's requests to one namespace's socket. If the first request
// fails, the results of the others do not matter.
type task struct {
	step      int
	handle    *netnsHandle
	reqs      []rtnl.Request
	onSuccess func() // called if all requests succeeded
}

// maxRequests is the maximum number of requests in one sendmsg. The requests of a
// task are never split: a kill cannot interrupt a process inside the system call.
const maxRequests = 128

// runTasks executes tasks in order. It sends consecutive tasks of a namespace together.
func (x *executor) runTasks(tasks []task, results []result) {
	for from := 0; from < len(tasks); {
		to, n := from, 0
		for to < len(tasks) && tasks[to].handle == tasks[from].handle &&
			(n == 0 || n+len(tasks[to].reqs) <= maxRequests) {
			n += len(tasks[to].reqs)
			to++
		}
		x.send(tasks[from:to], results)
		from = to
	}
}

// runPerNamespace executes the tasks of several namespaces in parallel. In each
// namespace it keeps their order.
func (x *executor) runPerNamespace(stage []topo.Step, tasks []task, results []result) {
	order := orderByLastUp(stage, tasks)
	of := make(map[*netnsHandle][]task, len(order))
	for _, t := range tasks {
		of[t.handle] = append(of[t.handle], t)
	}
	parallel.Each(workers, len(order), func(i int) { x.runTasks(of[order[i]], results) })
}

// orderByLastUp returns the namespaces of tasks, ordered by when their last link is set
// up; those without such a link come first. So a namespace with bridges comes after the hosts.
func orderByLastUp(stage []topo.Step, tasks []task) (order []*netnsHandle) {
	seen := map[*netnsHandle]bool{}
	for _, others := range []bool{false, true} { // in reverse order
		for _, t := range slices.Backward(tasks) {
			if !seen[t.handle] && (others || stage[t.step].Object().Key().Kind == topo.OfUp) {
				seen[t.handle] = true
				order = append(order, t.handle)
			}
		}
	}
	slices.Reverse(order)
	return order
}

// send executes tasks of one namespace in one system call.
func (x *executor) send(tasks []task, results []result) {
	var reqs []rtnl.Request
	for _, t := range tasks {
		reqs = append(reqs, t.reqs...)
	}
	failed := x.sendRequests(tasks[0].handle, reqs)
	at := 0
	for _, t := range tasks {
		r := &results[t.step]
		for j := range t.reqs {
			err := failed[at+j]
			switch {
			case err == nil:
				r.touched = true
			case r.err == nil:
				r.err = err
			}
			if j == 0 && err != nil {
				break // the results of the other requests do not matter
			}
		}
		at += len(t.reqs)
		if r.err == nil && t.onSuccess != nil {
			t.onSuccess()
		}
	}
}

// sendRequests sends requests and returns the errors by the requests' indexes.
func (x *executor) sendRequests(h *netnsHandle, reqs []rtnl.Request) map[int]error {
	failed := map[int]error{}
	if len(reqs) == 0 {
		return failed
	}
	for _, err := range splitErrors(x.calls.send(h.conn, reqs...)) {
		var e *rtnl.Error
		var refused unix.Errno
		if errors.As(err, &e) && errors.As(e.Err, &refused) {
			failed[e.Index] = err
			continue
		}
		for i := range reqs { // nothing was sent, or the socket failed and the result is unknown
			failed[i] = err
		}
	}
	return failed
}

// splitErrors returns the errors that were joined.
func splitErrors(err error) []error {
	if err == nil {
		return nil
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}

// workers is the number of goroutines that call the kernel at the same time. More
// would not help: the kernel holds one lock (RTNL) for most of this work.
const workers = 2

// smallBatch is the number of items for which a second thread saves no time.
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
