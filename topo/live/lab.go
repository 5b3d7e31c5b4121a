package live

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/program"
)

// Plan returns the steps that bring the lab to the state want. A nil want takes the lab down.
func (k *Kernel) Plan(want topo.State) (topo.Plan, error) {
	have, err := k.Snapshot(want)
	if err != nil {
		return nil, err
	}
	return topo.Diff(have, want), nil
}

// A DriftError reports that the kernel still differs from the wanted state after the plan
// was applied.
type DriftError struct {
	Plan topo.Plan // the steps still needed
}

// Error lists the steps still needed, or says that a program did not stay up.
func (e *DriftError) Error() string {
	if startsProgramsOnly(e.Plan) {
		return "a command under run exited with an error right after its start: " + strings.TrimSuffix(e.Plan.String(), "\n")
	}
	return "the kernel accepted all changes but still differs from the lab:\n" + strings.TrimSuffix(e.Plan.String(), "\n")
}

func startsProgramsOnly(p topo.Plan) bool {
	return !slices.ContainsFunc(p, func(s topo.Step) bool {
		return s.Object().Key().Kind != topo.OfProcess || s.Op() != topo.Create
	})
}

// Up brings the lab to the state want, completely or not at all. Then it checks the
// result and waits until the links have carrier and the ports of a spanning tree forward. If that
// fails or ctx ends, it undoes everything. It returns the plan it applied; an empty plan means that
// the lab was up already. around may be nil. Otherwise Up passes each stage to the [topo.Do] that
// around returns, which can show progress or ask first.
func (k *Kernel) Up(ctx context.Context, want topo.State, around func(topo.Plan, topo.Do) topo.Do) (topo.Plan, error) {
	have, plan, err := k.planUp(want)
	if err != nil {
		return nil, err
	}
	if len(plan) == 0 {
		return nil, errors.Join(k.restoreLinkLocal(), k.waitForSpanningTrees(ctx))
	}
	run := topo.Do(k.executor(plan, have, want).Do)
	do := run
	if around != nil {
		do = around(plan, do)
	}
	stale := k.knownOtherwise(plan) // before checkUp reads another snapshot
	if err := topo.Apply(ctx, plan, do); err != nil {
		return nil, k.restore(ctx, have, want, err)
	}
	if err := k.checkUp(ctx, want, plan); err != nil {
		undo := topo.ApplyAnyway(context.WithoutCancel(ctx), plan.Reverse(), run)
		return nil, k.restore(ctx, have, want, &topo.ApplyError{Err: err, Undone: len(plan), Undo: undo})
	}
	k.announce(plan.Announcements(have, want, stale))
	return plan, nil
}

// restore brings the lab to the state have after a plan failed and its steps were undone. The step that failed may have
// been done all the same, if only the kernel's answer was lost, and undoing may have failed. So restore reads the lab
// again and changes what differs. It returns the cause, with the errors of what is still not undone.
func (k *Kernel) restore(ctx context.Context, have, want topo.State, cause error) error {
	var failed *topo.ApplyError
	if !errors.As(cause, &failed) {
		return cause
	}
	now, err := k.Snapshot(want)
	if err == nil {
		err = k.cleaner().removeStale()
	}
	if err != nil {
		failed.Undo = errors.Join(failed.Undo, err)
		return cause
	}
	back := topo.Diff(now, have)
	failed.Undo = topo.ApplyAnyway(context.WithoutCancel(ctx), back, k.executor(back, now, have).Do)
	return cause
}

// planUp reads the lab, removes what a crash left, and returns the plan of Up if it has no conflicts.
func (k *Kernel) planUp(want topo.State) (have topo.State, plan topo.Plan, err error) {
	if have, err = k.Snapshot(want); err != nil {
		return nil, nil, err
	}
	if err := k.cleaner().removeStale(); err != nil {
		return nil, nil, err
	}
	plan = topo.Diff(have, want)
	if k.waveSize != 0 && len(have) == 0 {
		plan = plan.InWaves(k.waveSize)
	}
	if len(plan) == 0 {
		return have, nil, nil
	}
	conflicts := conflictFinder{k.table}.nameConflicts(plan)
	return have, plan, errors.Join(missingFeatures(plan), conflicts, k.checkOpenFileLimit(plan))
}

// programTime is how long up waits for started programs to fail. The kernel does not report that a program works; most
// that fail at their start, because a file or a command is missing, do so in a few milliseconds.
const programTime = 100 * time.Millisecond

// waitForPrograms gives the programs that a plan started time to fail.
func waitForPrograms(ctx context.Context) error {
	select {
	case <-time.After(programTime):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// checkUp reads the objects that the plan touched, compares them with want and waits until the lab
// can be used. It does not read files again.
func (k *Kernel) checkUp(ctx context.Context, want topo.State, plan topo.Plan) error {
	started := slices.ContainsFunc(plan, func(s topo.Step) bool {
		return s.Object().Key().Kind == topo.OfProcess && s.Op() == topo.Create
	})
	if started {
		if err := waitForPrograms(ctx); err != nil {
			return err
		}
	}
	have, err := k.snapshot(want, touchedBy(plan), started)
	if err != nil {
		return err
	}
	if left := topo.Diff(have, want); len(left) > 0 {
		return &DriftError{left}
	}
	if err := k.waitForCarrier(ctx); err != nil {
		return err
	}
	if err := k.waitForSpanningTrees(ctx); err != nil {
		return err
	}
	return k.waitForLinkLocal(ctx)
}

// Down deletes everything that has the lab's mark. After an error it continues, unless a program
// cannot be stopped; it joins all errors. It returns the plan it applied. For around, see [Kernel.Up].
func (k *Kernel) Down(ctx context.Context, around func(topo.Plan, topo.Do) topo.Do) (topo.Plan, error) {
	k.goingDown = true
	defer func() { k.goingDown = false }()
	plan, err := k.Plan(nil)
	if err == nil {
		err = k.cleaner().removeStale()
	}
	if err == nil {
		err = k.stopClaimed(ctx)
	}
	if err != nil || len(plan) == 0 {
		return nil, err
	}
	steps := plan.WithoutImpliedDeletes(k.hasForeignPrograms).RulesLast()
	do := topo.Do(k.executor(plan, k.have, nil).Do)
	if around != nil {
		do = around(steps, do)
	}
	if err := topo.ApplyAnyway(ctx, steps, do); err != nil {
		return plan, err
	}
	left, err := k.Plan(nil)
	if err == nil && len(left) > 0 {
		err = &DriftError{left}
	}
	return plan, err
}

// stopClaimed stops all processes of the lab's programs if some are not trusted, as those of a daemon that has a
// user of its own. The plan stops them only if a trusted process of the same program still runs.
func (k *Kernel) stopClaimed(ctx context.Context) error {
	if !k.programs.Claimed || ctx.Err() != nil {
		return ctx.Err()
	}
	failed, err := k.programs.Stop(func(program.Program) bool { return true }, k.calls.Signal)
	return errors.Join(append(slices.Collect(maps.Values(failed)), err)...)
}

// hasForeignPrograms reports whether a foreign program runs in a namespace, as of the last
// Snapshot, or the namespace is unknown.
func (k *Kernel) hasForeignPrograms(ns string) bool {
	h, err := k.table.Handle(ns)
	return err != nil || k.programs.Foreign[h.ID]
}
