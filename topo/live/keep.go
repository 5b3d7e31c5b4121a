package live

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/convert"
)

// KeepOptions connect a running [Keep] with its caller. All may be nil, but Alive only without Beat.
type KeepOptions struct {
	// Again makes Keep ask for the wanted state and compare the lab with it, as after a change.
	Again <-chan struct{}
	// Report is called after each comparison. It gets the steps that were applied, none if the lab was as wanted. After
	// an error, it gets the error.
	Report func(topo.Plan, error)
	// Beat and Alive are for a watchdog: while Keep waits for changes, it calls Alive for each value of Beat. It does
	// not while it compares.
	Beat  <-chan time.Time
	Alive func()
	// Log gets messages of each stage; see [OpenKernel].
	Log *slog.Logger
}

// Keep brings a lab up and stays until ctx ends: after each change that the kernel reports, it compares the lab with
// what want returns, and brings it up again. It sees changes of links, addresses, routes, policy rules, permanent
// neighbours, impairments and nftables' rules in the lab's namespaces, of settings that the kernel reports (forwarding,
// rp_filter, proxy_arp, proxy_ndp, ignore_routes_with_linkdown), and new and deleted names of namespaces. It does not
// see changes of other settings, of files and of programs, and repairs them when it sees another change. It does not
// poll. After an error it tries again in a second, then after twice that time, and so on up to a minute, because the
// kernel may not report that the cause of the error is gone.
//
// After each comparison, Keep waits: it uses at most a fifth of a processor, however many changes there are.
//
// Keep returns nil when ctx ends, and then the lab stays up. It returns an error if it may not change the lab, or
// cannot watch the machine. It holds the lab's lock only while it compares.
func Keep(ctx context.Context, lab string, want func() (topo.State, error), opt KeepOptions) error {
	o, err := Observe(lab)
	if err != nil {
		return err
	}
	defer o.Close()
	open := func() (*Kernel, error) { return OpenKernel(ctx, lab, opt.Log) }
	k := &keeper{Observer: o, KeepOptions: opt, want: want, open: open, minRetry: time.Second}
	return k.run(ctx)
}

// A keeper is a running [Keep].
type keeper struct {
	*Observer
	KeepOptions
	want     func() (topo.State, error)
	open     func() (*Kernel, error)
	minRetry time.Duration            // between the first error and the next attempt
	rulesets map[nsfs.ID]*nft.Watcher // of the namespaces in which the lab has rules
}

// maxRetry is the longest time between an error and the next attempt.
const maxRetry = time.Minute

// run compares after each change, until ctx ends.
func (k *keeper) run(ctx context.Context) error {
	k.rulesets = map[nsfs.ID]*nft.Watcher{}
	defer k.closeRulesets()
	if err := k.Watch(); err != nil {
		return err
	}
	for retry := k.minRetry; ; {
		before := processorTime()
		err := k.compare(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, fs.ErrPermission) {
			return err
		}
		next := time.Now().Add(4 * (processorTime() - before))
		if !k.wait(ctx, err != nil, retry) || !k.pause(ctx, time.Until(next)) {
			return nil
		}
		if retry = min(2*retry, max(k.minRetry, maxRetry)); err == nil {
			retry = k.minRetry
		}
	}
}

// processorTime returns the CPU time that the process has used, in the kernel too.
func processorTime() time.Duration {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// pause waits for a time that may be zero or less. It reports false when ctx ends.
func (k *keeper) pause(ctx context.Context, d time.Duration) bool {
	end := time.NewTimer(d)
	defer end.Stop()
	for {
		select {
		case <-end.C:
			return true
		case <-k.Beat:
			k.Alive()
		case <-ctx.Done():
			return false
		}
	}
}

func (k *keeper) closeRulesets() {
	for _, w := range k.rulesets {
		w.Close()
	}
}

// compare brings the lab up, and watches the namespaces that it has then.
func (k *keeper) compare(ctx context.Context) error {
	want, err := k.want()
	var plan topo.Plan
	if err == nil {
		plan, err = k.up(ctx, want)
	}
	if drift := (*DriftError)(nil); errors.As(err, &drift) {
		// The lab changed while Up worked: the kernel reports that a link goes down before it deletes its addresses.
		plan, err = k.up(ctx, want)
	}
	if err == nil {
		err = k.watch(want)
	}
	if k.Report != nil && ctx.Err() == nil {
		k.Report(plan, err)
	}
	return err
}

func (k *keeper) up(ctx context.Context, want topo.State) (topo.Plan, error) {
	kernel, err := k.open()
	if err != nil {
		return nil, err
	}
	plan, err := kernel.Up(ctx, want, nil)
	return plan, errors.Join(err, kernel.Close())
}

// watch subscribes to changes in the lab's namespaces. If there are new namespaces, the next wait ends at once: they
// may have changed since Up.
func (k *keeper) watch(want topo.State) error {
	if err := k.discover(nil, nil); err != nil {
		return err
	}
	if err := k.Watch(); err != nil {
		return err
	}
	filtered := map[string]bool{}
	for _, o := range want {
		if rule, err := convert.Rule(o); rule != nil && err == nil {
			filtered[o.Key().NS] = true
		}
	}
	watched := map[nsfs.ID]bool{}
	for name, h := range k.table.Handles {
		if !filtered[name] {
			continue
		}
		watched[h.ID] = true
		if k.rulesets[h.ID] != nil {
			continue
		}
		if err := h.WithFile(func(ns *os.File) error { return k.watchRuleset(h.ID, ns) }); err != nil {
			return err
		}
	}
	for id, w := range k.rulesets {
		if !watched[id] {
			w.Close()
			delete(k.rulesets, id)
		}
	}
	return nil
}

func (k *keeper) watchRuleset(id nsfs.ID, ns *os.File) error {
	w, err := nft.Watch(ns)
	if err != nil {
		return err
	}
	k.rulesets[id] = w
	k.notify() // it may have changed since Up
	go k.forwardEvents(w.Next)
	return nil
}

// wait waits for a change, for Again, or after an error until it is time to retry. It reports false when ctx ends.
func (k *keeper) wait(ctx context.Context, failed bool, retry time.Duration) bool {
	var due <-chan time.Time
	if failed {
		timer := time.NewTimer(retry)
		defer timer.Stop()
		due = timer.C
	}
	for {
		select {
		case <-k.changes:
			return true
		case <-k.Again:
			return true
		case <-due:
			return true
		case <-k.Beat:
			k.Alive()
		case <-ctx.Done():
			return false
		}
	}
}
