//go:build linux

package topo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// A Kernel reads and changes what a lab has in the kernel. It keeps a socket in
// each namespace that it has met.
//
//	machine's socket ─▶ bridges, near ends of cables (far ends are born in
//	                    their namespaces, under their names)
//	red's socket     ─▶ up, addresses, routes: one sendmsg a stage
//
// What it makes is marked with the lab's name where it is made, in the same
// system call where that is possible, so that [Kernel.Snapshot] finds it again
// whatever became of the process.
type Kernel struct {
	lab  string
	log  *slog.Logger
	lock *lock
	etc  string // where files that stand in for those of /etc are

	// ipv6 is whether the kernel speaks it.
	ipv6 bool
	// counts says that links are listed with their counters; see linksOf.
	counts atomic.Bool

	buffers sync.Pool // for files, of []byte
	mu      sync.Mutex
	texts   map[string]string // of files, by themselves
	spaces  map[string]*space // by the lab's names
	width   int               // of the table of open files, as far as it was asked for
	lent    []*os.File        // namespaces that requests name, open until they are sent
	orphan  []*space          // spaces of deleted namespaces, open until the stage is over
	// ahead are the names that there are, if they were looked up ahead of the discovery.
	ahead <-chan namedDoors
	// unready are links that wait for carrier, as of the last Snapshot.
	unready []waiting
	// programs are those that ran when they were read last.
	programs []process
	// stale are names of the lab with nothing behind them, as of the last Snapshot.
	stale []string

	// leaving says that the lab is to go: a namespace of its own goes whole, even if
	// what is in it cannot be read. Who rules there can see to that.
	leaving bool

	// wave is how many namespaces of a new lab are made at a time, and ids are those that they
	// get in the machine's if they are more; see fallingIDs.
	wave int
	ids  map[string]int32

	// voices are what links are told of IPv6 that are made or changed.
	voices map[Key]voice

	// fault, for tests, refuses the request of a number.
	fault    func(n int) error
	requests int
}

// OpenKernel prepares to work on a lab of the machine whose namespace the process
// is in. One process at a time can: another one waits, until ctx ends. log is told
// of each stage, and as warnings that it waits, and of connections that go on by rules
// that are no more; it may be nil.
func OpenKernel(ctx context.Context, lab string, log *slog.Logger) (*Kernel, error) {
	if !isLabName(lab) {
		return nil, fmt.Errorf("%q is no name of a lab", lab)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	lock, err := lockLab(ctx, lab, log)
	if err != nil {
		return nil, err
	}
	k := &Kernel{lab: lab, log: log, lock: lock, etc: nsfs.EtcDir, ipv6: speaksIPv6(), wave: waveHosts, spaces: map[string]*space{}}
	ns, err := nsfs.Current()
	if err == nil {
		_, err = k.enter("", ns, false)
	}
	if err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

// Close gives up the lab's lock and all sockets.
func (k *Kernel) Close() error {
	spaces := slices.Collect(maps.Values(k.spaces))
	inParallel(workers, len(spaces), func(i int) { spaces[i].close() })
	k.forgetOrphans()
	if k.lock == nil {
		return nil
	}
	return k.lock.Close()
}

// Do carries out a stage: all of it, or with an error none. It implements [Do]. A
// request cannot be broken off, so ctx is only looked at before.
func (k *Kernel) Do(ctx context.Context, stage []Step) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	start := time.Now()
	results := k.carryOut(stage, false)
	defer k.forgetOrphans()
	first := -1
	for i, r := range results {
		if r.err != nil {
			first = i
			break
		}
	}
	k.log.Debug("stage", "op", opNames[stage[0].Op()], "kind", stage[0].Object().Key().Kind, "steps", len(stage),
		"took", time.Since(start), "failed", first >= 0)
	if first < 0 {
		return nil
	}
	failed := []error{&StepError{stage[first], results[first].err}}
	for i := len(stage) - 1; i >= 0; i-- {
		if !results[i].touched {
			continue
		}
		back := stage[i].Reverse()
		if err := k.carryOut([]Step{back}, true)[0].err; err != nil {
			failed = append(failed, fmt.Errorf("undo: %w", &StepError{back, err}))
		}
	}
	return errors.Join(failed...)
}

// A result is what became of a step. One that failed may have been done in part.
type result struct {
	err     error
	touched bool // something was changed
}

// carryOut does what it can of a stage. In undoing, what is there already, or no
// longer, is as good as done.
func (k *Kernel) carryOut(stage []Step, undoing bool) []result {
	results := make([]result, len(stage))
	switch kind := stage[0].Object().Key().Kind; {
	case kind == OfNamespace:
		k.namespaces(stage, results)
	case kind == OfNAT:
		k.ruleStage(stage, results)
	case kind == OfLink && stage[0].Op() == Delete:
		k.deleteLinks(stage, results)
	case kind == OfLink:
		k.linkStage(stage, results)
	case kind == OfProcess && stage[0].Op() == Delete:
		k.stopStage(stage, results)
	case kind == OfOffload:
		for i, s := range stage {
			results[i] = k.offloadStep(s)
		}
	case kind == OfSysctl:
		k.settings(stage, results)
	case kind == OfProcess:
		for i, s := range stage {
			results[i] = k.hostStep(s)
		}
	default:
		k.linksAndFiles(stage, results)
	}
	for i, s := range stage {
		if s.Op() == Delete && errors.Is(results[i].err, fs.ErrNotExist) || undoing && s.Op() == Create && errors.Is(results[i].err, fs.ErrExist) {
			results[i].err = nil
		}
	}
	return results
}

// A task is the requests of a step to one namespace's socket; the first is the
// one that counts, the others complete it.
type task struct {
	step  int
	space *space
	reqs  []rtnl.Request
	done  func() // if all went well
}

// mostRequests is how many go into one sendmsg at most. A step's are never
// parted: a process that is killed is not stopped within a system call.
const mostRequests = 128

// run carries tasks out in their order, consecutive ones of a namespace together.
func (k *Kernel) run(tasks []task, results []result) {
	for from := 0; from < len(tasks); {
		to, n := from, 0
		for to < len(tasks) && tasks[to].space == tasks[from].space && (n == 0 || n+len(tasks[to].reqs) <= mostRequests) {
			n += len(tasks[to].reqs)
			to++
		}
		k.send(tasks[from:to], results)
		from = to
	}
}

// workers is how many go to the kernel at once: it does most of this under one
// lock.
const workers = 2

// runApart carries tasks out namespace by namespace, several at once; in each in
// their order.
func (k *Kernel) runApart(stage []Step, tasks []task, results []result) {
	order := byLastUp(stage, tasks)
	of := make(map[*space][]task, len(order))
	for _, t := range tasks {
		of[t.space] = append(of[t.space], t)
	}
	inParallel(workers, len(order), func(i int) { k.run(of[order[i]], results) })
}

// byLastUp are the namespaces of tasks in the order in which the last of their links comes up:
// that of bridges is after all hosts; see places. Where none does comes first.
func byLastUp(stage []Step, tasks []task) (order []*space) {
	met := map[*space]bool{}
	for _, others := range []bool{false, true} { // from the end
		for _, t := range slices.Backward(tasks) {
			if !met[t.space] && (others || stage[t.step].Object().Key().Kind == OfUp) {
				met[t.space] = true
				order = append(order, t.space)
			}
		}
	}
	slices.Reverse(order)
	return order
}

// inParallel calls fn for 0 … n-1 from so many goroutines, and waits.
func inParallel(goroutines, n int, fn func(i int)) {
	var turns turns
	var wg sync.WaitGroup
	for range min(goroutines, n) {
		wg.Go(func() { turns.take(n, fn) })
	}
	wg.Wait()
}

// fewVisits are not worth a thread of their own.
const fewVisits = 4

// travelling is inParallel on threads that go from namespace to namespace: one, where they
// are few.
func travelling(n int, fn func(t nsfs.Traveller, i int)) error {
	var turns turns
	var wg sync.WaitGroup
	errs := make([]error, min(workers, (n+fewVisits-1)/fewVisits))
	for w := range errs {
		wg.Go(func() {
			errs[w] = nsfs.Travel(func(t nsfs.Traveller) error {
				turns.take(n, func(i int) { fn(t, i) })
				return nil
			})
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// turns shares out work among those that take them.
type turns struct{ next atomic.Int64 }

func (t *turns) take(n int, fn func(i int)) {
	for i := int(t.next.Add(1)) - 1; i < n; i = int(t.next.Add(1)) - 1 {
		fn(i)
	}
}

// send carries out tasks of one namespace in one system call.
func (k *Kernel) send(tasks []task, results []result) {
	var reqs []rtnl.Request
	for _, t := range tasks {
		reqs = append(reqs, t.reqs...)
	}
	failed := k.do(tasks[0].space, reqs)
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
				break // what should complete it can only have met something else, or nothing
			}
		}
		at += len(t.reqs)
		if r.err == nil && t.done != nil {
			t.done()
		}
	}
}

// do sends requests and returns the refusals by their places.
func (k *Kernel) do(s *space, reqs []rtnl.Request) map[int]error {
	failed := map[int]error{}
	sent := make([]rtnl.Request, 0, len(reqs))
	place := make([]int, 0, len(reqs))
	for i, r := range reqs {
		if err := k.faulty(); err != nil {
			failed[i] = err
			continue
		}
		sent, place = append(sent, r), append(place, i)
	}
	if len(sent) == 0 {
		return failed
	}
	for _, err := range parts(s.conn.Do(sent...)) {
		var e *rtnl.Error
		var refused unix.Errno
		if errors.As(err, &e) && errors.As(e.Err, &refused) {
			failed[place[e.Index]] = err
			continue
		}
		for _, i := range place { // nothing was sent; or the socket itself broke, and nobody knows
			failed[i] = err
		}
	}
	return failed
}

// parts takes joined errors apart.
func parts(err error) []error {
	if err == nil {
		return nil
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}

// faulty is the error that a test wants the next request to fail with.
func (k *Kernel) faulty() error {
	if k.fault == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.requests++
	return k.fault(k.requests - 1)
}
