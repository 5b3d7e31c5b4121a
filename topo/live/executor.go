package live

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/vnet-lab/vnet/topo"
)

// An executor executes the stages of one plan.
type executor struct {
	*handleTable
	log      *slog.Logger
	calls    *kernelCalls
	files    *labFiles
	programs *programFinder
	requests *requestBuilder
	// ipv6Modes returns the IPv6 modes of the links that the plan creates or changes. They depend on
	// the addresses of the links, which are in later stages.
	ipv6Modes func() map[topo.Key]topo.IPv6Mode
	// nsids are the nsids in the machine's namespace for new namespaces; see descendingNSIDs.
	nsids map[string]int32
}

func (k *Kernel) newExecutor(modes func() map[topo.Key]topo.IPv6Mode) *executor {
	return &executor{
		handleTable: k.handleTable, log: k.log, calls: &k.calls, files: k.files, programs: k.programs,
		requests: &requestBuilder{handleTable: k.handleTable}, ipv6Modes: modes,
	}
}

// executor returns the executor of a plan that changes have into want.
func (k *Kernel) executor(plan topo.Plan, have, want topo.State) *executor {
	x := k.newExecutor(sync.OnceValue(func() map[topo.Key]topo.IPv6Mode { return plan.IPv6Modes(have, want) }))
	if len(have) == 0 {
		x.nsids = k.descendingNSIDs(plan, k.waveSize)
	}
	return x
}

// Do executes a stage completely; if a step fails, it undoes the others and returns an
// error. It implements [topo.Do]. A request cannot be cancelled, so Do checks ctx only at its start.
//
// The IPv6 mode of a link depends on all objects that the lab has on it, not only on those of the stage. Do takes it
// from the wanted state of the last [Kernel.Snapshot] or [Kernel.Plan], and reads a snapshot if there
// was none. So topo.Apply of a plan from [Kernel.Plan] does the same as [Kernel.Up], but checks nothing.
func (k *Kernel) Do(ctx context.Context, stage []topo.Step) error {
	if k.have == nil {
		if _, err := k.Snapshot(nil); err != nil {
			return err
		}
	}
	plan, have, want := topo.Plan(stage), k.have, k.want
	modes := func() map[topo.Key]topo.IPv6Mode {
		all := plan.IPv6Modes(have, plan.Applied(have)) // the links of the stage may not be in want
		maps.Copy(all, plan.IPv6Modes(nil, want))
		return all
	}
	return k.newExecutor(modes).do(ctx, stage)
}

// do executes a stage as [Kernel.Do] does.
func (x *executor) do(ctx context.Context, stage []topo.Step) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	start := time.Now()
	results := x.execute(stage, false)
	defer x.closeDropped()
	first := slices.IndexFunc(results, func(r result) bool { return r.err != nil })
	x.log.Debug("stage", "op", stage[0].Op().Name(), "kind", stage[0].Object().Key().Kind, "steps", len(stage),
		"took", time.Since(start), "failed", first >= 0)
	if first < 0 {
		return nil
	}
	failed := []error{&topo.StepError{Step: stage[first], Err: results[first].err}}
	for i := len(stage) - 1; i >= 0; i-- {
		if !results[i].touched {
			continue
		}
		back := stage[i].Reverse()
		if err := x.execute([]topo.Step{back}, true)[0].err; err != nil {
			failed = append(failed, fmt.Errorf("undo: %w", &topo.StepError{Step: back, Err: err}))
		}
	}
	return errors.Join(failed...)
}

// A result is the outcome of a step. A failed step may be partly done.
type result struct {
	err     error
	touched bool // the step changed something
}

// execute tries all steps of a stage. It is no error if the object to delete does not exist, or, while
// undoing, if the object to create exists.
func (x *executor) execute(stage []topo.Step, undoing bool) []result {
	results := make([]result, len(stage))
	switch kind := stage[0].Object().Key().Kind; {
	case kind == topo.OfNamespace:
		x.namespaceStage(stage, results)
	case kind == topo.OfNAT:
		x.natStage(stage, results)
	case kind == topo.OfLink && stage[0].Op() == topo.Delete:
		x.deleteLinks(stage, results)
	case kind == topo.OfLink:
		x.linkStage(stage, results)
	case kind == topo.OfProcess && stage[0].Op() == topo.Delete:
		x.stopStage(stage, results)
	case kind == topo.OfOffload:
		for i, s := range stage {
			results[i] = x.offloadStep(s)
		}
	case kind == topo.OfSysctl:
		x.sysctlStage(stage, results)
	case kind == topo.OfProcess:
		for i, s := range stage {
			results[i] = x.processStep(s)
		}
	default:
		x.linksAndFiles(stage, results)
	}
	for i, s := range stage {
		if s.Op() == topo.Delete && errors.Is(results[i].err, fs.ErrNotExist) ||
			undoing && s.Op() == topo.Create && errors.Is(results[i].err, fs.ErrExist) {
			results[i].err = nil
		}
	}
	return results
}
