package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/internal/parallel"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// A Kernel reads and changes the objects of a lab in the kernel. It keeps a netlink
// socket open in each namespace of the lab.
//
//	machine's socket ─▶ bridges, near ends of veth pairs (the kernel creates far
//	                    ends directly in their namespaces, with their names)
//	red's socket     ─▶ up, addresses, routes: one sendmsg per stage
//
// It writes the lab's mark on each object it creates, in the same system call if
// possible. So [Kernel.Snapshot] finds the object again, even if the process was killed.
type Kernel struct {
	lab  string
	log  *slog.Logger
	lock *lock
	etc  string // directory of the hosts' files for /etc

	// ipv6 is true if the kernel supports IPv6.
	ipv6 bool
	// withCounters means that links are listed with their counters; see readLinks.
	withCounters atomic.Bool

	buffers      sync.Pool // for files, of []byte
	mu           sync.Mutex
	fileTexts    map[string]string       // texts of files, to keep equal ones once
	handles      map[string]*netnsHandle // by the lab's names of the namespaces
	fdTableSize  int                     // size to which growFDTable grew the table
	requestFiles []*os.File              // namespaces in requests, open until these are sent
	dropped      []*netnsHandle          // of deleted namespaces, open until the stage ends
	// prefetched delivers the names of namespaces if PrefetchNames was called.
	prefetched <-chan namedCandidates
	// withoutCarrier are the links without carrier at the last Snapshot.
	withoutCarrier []carrierWait
	// programs are the lab's programs that ran at the last read of the processes.
	programs []process
	// staleNames are the lab's namespace names without a namespace, at the last Snapshot.
	staleNames []string

	// goingDown is set during Down. Then a namespace of the lab is deleted even if it
	// cannot be read: root inside it could prevent reading.
	goingDown bool

	// waveSize is the number of namespaces in a wave.
	waveSize int

	// have and want are the result and the argument of the last Snapshot.
	have, want topo.State

	// fault makes request n fail; for tests.
	fault    func(n int) error
	requests int
}

// OpenKernel locks a lab on the machine, which is the namespace of the process. Only
// one process at a time can hold the lock; another one waits until ctx ends. log may be
// nil. It gets each stage as a debug message, and a warning when OpenKernel waits for the
// lock or when conntrack entries of deleted NAT rules remain.
func OpenKernel(ctx context.Context, lab string, log *slog.Logger) (*Kernel, error) {
	if !naming.IsLab(lab) {
		return nil, fmt.Errorf("%q is not a valid lab name", lab)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	lock, err := lockLab(ctx, lab, log)
	if err != nil {
		return nil, err
	}
	k := &Kernel{
		lab: lab, log: log, lock: lock, etc: nsfs.EtcDir, ipv6: hasIPv6(), waveSize: topo.WaveSize,
		handles: map[string]*netnsHandle{},
	}
	ns, err := nsfs.Current()
	if err == nil {
		_, err = k.openHandle("", ns, false)
	}
	if err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

// Close releases the lab's lock and closes all sockets.
func (k *Kernel) Close() error {
	spaces := slices.Collect(maps.Values(k.handles))
	parallel.Each(workers, len(spaces), func(i int) { spaces[i].close() })
	k.closeDropped()
	if k.lock == nil {
		return nil
	}
	return k.lock.Close()
}

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
func (k *Kernel) runTasks(tasks []task, results []result) {
	for from := 0; from < len(tasks); {
		to, n := from, 0
		for to < len(tasks) && tasks[to].handle == tasks[from].handle &&
			(n == 0 || n+len(tasks[to].reqs) <= maxRequests) {
			n += len(tasks[to].reqs)
			to++
		}
		k.send(tasks[from:to], results)
		from = to
	}
}

// workers is the number of goroutines that call the kernel at the same time. More
// would not help: the kernel holds one lock (RTNL) for most of this work.
const workers = 2

// runPerNamespace executes the tasks of several namespaces in parallel. In each
// namespace it keeps their order.
func (k *Kernel) runPerNamespace(stage []topo.Step, tasks []task, results []result) {
	order := orderByLastUp(stage, tasks)
	of := make(map[*netnsHandle][]task, len(order))
	for _, t := range tasks {
		of[t.handle] = append(of[t.handle], t)
	}
	parallel.Each(workers, len(order), func(i int) { k.runTasks(of[order[i]], results) })
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

// send executes tasks of one namespace in one system call.
func (k *Kernel) send(tasks []task, results []result) {
	var reqs []rtnl.Request
	for _, t := range tasks {
		reqs = append(reqs, t.reqs...)
	}
	failed := k.sendRequests(tasks[0].handle, reqs)
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
func (k *Kernel) sendRequests(h *netnsHandle, reqs []rtnl.Request) map[int]error {
	failed := map[int]error{}
	sent := make([]rtnl.Request, 0, len(reqs))
	place := make([]int, 0, len(reqs))
	for i, r := range reqs {
		if err := k.injectedFault(); err != nil {
			failed[i] = err
			continue
		}
		sent, place = append(sent, r), append(place, i)
	}
	if len(sent) == 0 {
		return failed
	}
	for _, err := range splitErrors(h.conn.Do(sent...)) {
		var e *rtnl.Error
		var refused unix.Errno
		if errors.As(err, &e) && errors.As(e.Err, &refused) {
			failed[place[e.Index]] = err
			continue
		}
		for _, i := range place { // nothing was sent, or the socket failed and the result is unknown
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

// injectedFault returns the error with which a test makes the next request fail.
func (k *Kernel) injectedFault() error {
	if k.fault == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.requests++
	return k.fault(k.requests - 1)
}
