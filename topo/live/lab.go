package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
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

// Error lists the steps still needed.
func (e *DriftError) Error() string {
	if only(e.Plan, topo.OfProcess) {
		return "exited with an error right after its start: " + strings.TrimSuffix(e.Plan.String(), "\n")
	}
	return "the kernel accepted all changes but still differs from the lab:\n" + strings.TrimSuffix(e.Plan.String(), "\n")
}

func only(p topo.Plan, kind topo.Kind) bool {
	return !slices.ContainsFunc(p, func(s topo.Step) bool { return s.Object().Key().Kind != kind })
}

// Up brings the lab to the state want, completely or not at all. Then it checks the
// result and waits until the links have carrier. If that fails or ctx ends, it undoes
// everything. It returns the plan it applied; an empty one means that nothing was to do.
// around may be nil. Otherwise Up passes each stage to the [topo.Do] that around returns, which
// can show progress or ask first.
func (k *Kernel) Up(ctx context.Context, want topo.State, around func(topo.Plan, topo.Do) topo.Do) (topo.Plan, error) {
	have, err := k.Snapshot(want)
	if err == nil {
		err = k.removeStale()
	}
	if err != nil {
		return nil, err
	}
	plan := topo.Diff(have, want)
	if k.waveSize != topo.WaveSize && len(have) == 0 {
		plan = plan.InWaves(k.waveSize)
	}
	if len(plan) == 0 {
		return nil, nil
	}
	if err := errors.Join(missingFeatures(plan), k.nameConflicts(plan), k.checkOpenFileLimit(plan)); err != nil {
		return nil, err
	}
	run := topo.Do(k.executor(plan, have, want).do)
	do := run
	if around != nil {
		do = around(plan, do)
	}
	if err := topo.Apply(ctx, plan, do); err != nil {
		return nil, err
	}
	if err := k.checkUp(ctx, want, plan); err != nil {
		undo := topo.ApplyAnyway(context.WithoutCancel(ctx), plan.Reverse(), run)
		return nil, &topo.ApplyError{Err: err, Undone: len(plan), Undo: undo}
	}
	return plan, nil
}

// checkUp reads the objects that the plan touched, compares them with want and waits for
// carrier. It does not read files again.
func (k *Kernel) checkUp(ctx context.Context, want topo.State, plan topo.Plan) error {
	started := slices.ContainsFunc(plan, func(s topo.Step) bool { return s.Object().Key().Kind == topo.OfProcess })
	have, err := k.snapshot(want, plan.Touched(), started)
	if err != nil {
		return err
	}
	if left := topo.Diff(have, want); len(left) > 0 {
		return &DriftError{left}
	}
	return k.waitForCarrier(ctx)
}

// Down deletes everything that has the lab's mark. After an error it goes on; it joins
// all errors. It returns the plan it applied. For around, see [Kernel.Up].
func (k *Kernel) Down(ctx context.Context, around func(topo.Plan, topo.Do) topo.Do) (topo.Plan, error) {
	k.goingDown = true
	defer func() { k.goingDown = false }()
	plan, err := k.Plan(nil)
	if err == nil {
		err = k.removeStale()
	}
	if err != nil || len(plan) == 0 {
		return nil, err
	}
	steps := plan.WithoutImpliedDeletes(k.hasForeignPrograms)
	do := topo.Do(k.executor(plan, k.have, nil).do)
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

// hasForeignPrograms reports whether a foreign program runs in a namespace, as of the last
// Snapshot, or the namespace is unknown.
func (k *Kernel) hasForeignPrograms(ns string) bool {
	h, err := k.handle(ns)
	return err != nil || h.foreignPrograms
}

// waitForCarrier waits for the links that had no carrier at the last Snapshot although
// they and their peers were up.
func (k *Kernel) waitForCarrier(ctx context.Context) error {
	for _, w := range k.withoutCarrier {
		if err := w.wait(ctx); err != nil {
			return err
		}
	}
	k.withoutCarrier = nil
	return nil
}

func (w carrierWait) wait(ctx context.Context) error {
	events, err := w.handle.watch(rtnl.GroupLink)
	if err != nil {
		return err
	}
	defer events.Close()
	for {
		l, err := w.handle.conn.Link(rtnl.LinkID{Index: w.index})
		if err != nil || l.Flags&unix.IFF_LOWER_UP != 0 {
			return err
		}
		if _, err := events.Next(ctx); err != nil {
			return fmt.Errorf("wait for %slink %s to have carrier: %w", display.In(w.handle.name), l.Name, err)
		}
	}
}

// Labs lists the labs that have an object on the machine. It looks for marks in the
// machine's namespace and in all named namespaces.
func Labs() ([]string, error) {
	labs, err := findLabs("")
	if err != nil {
		return nil, err
	}
	return slices.SortedFunc(maps.Keys(labs), naming.Compare), nil
}

// IsUp reports whether a lab has an object on the machine. It looks into the machine's
// namespace first and stops at the first mark of the lab.
func IsUp(lab string) (bool, error) {
	if !naming.IsLab(lab) {
		return false, nil
	}
	labs, err := findLabs(lab)
	return labs[lab], err
}

// labNames are the labs named in marks. Root in a namespace can write any mark there, so
// invalid names are ignored.
type labNames map[string]bool

func (l labNames) add(name string) {
	if naming.IsLab(name) {
		l[name] = true
	}
}

// findLabs finds the labs with a mark. It stops when it finds the given one; for "" it
// finds all.
func findLabs(lab string) (labs labNames, err error) {
	here, err := nsfs.Current()
	if err != nil {
		return nil, err
	}
	defer here.Close()
	labs = labNames{}
	conn, err := rtnl.Dial(here)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := readLinkMarks(conn, labs); err != nil || labs[lab] {
		return labs, err
	}
	if err := readTableMarks(labs); err != nil || labs[lab] {
		return labs, err
	}
	entries, err := nsfs.List()
	if err != nil {
		return nil, err
	}
	notes := nsfs.Marks()
	for _, e := range entries {
		if noted, ok := strings.CutPrefix(cmp.Or(notes[e.Name], nsfs.StaleMark(e.Name)), mark.Of("")); ok {
			labs.add(noted)
		} else if err := readNamespaceMarks(e.Name, labs); err != nil {
			return labs, err
		}
		if labs[lab] {
			break
		}
	}
	return labs, nil
}

// readNamespaceMarks adds the labs named on lo of a named namespace. It ignores names
// without a namespace.
func readNamespaceMarks(name string, labs labNames) error {
	ns, err := nsfs.Open(name)
	if err != nil {
		return nil // deleted, stale, or no permission
	}
	defer ns.Close()
	conn, err := rtnl.Dial(ns)
	if err != nil {
		return err
	}
	defer conn.Close()
	lo, err := conn.Link(rtnl.LinkID{Index: 1})
	labs.addMarks(lo)
	return err
}

func readLinkMarks(conn *rtnl.Conn, labs labNames) error {
	links, err := conn.Links(rtnl.LinkFilter{NoStats: true})
	for _, l := range links {
		labs.addMarks(l)
	}
	return err
}

func (l labNames) addMarks(link rtnl.Link) {
	for _, text := range append(link.AltNames, link.Alias) {
		if mark, ok := strings.CutPrefix(text, mark.Of("")); ok {
			lab, _, _ := strings.Cut(mark, ":")
			l.add(lab)
		}
	}
}

func readTableMarks(labs labNames) error {
	conn, err := nft.Dial(nil)
	if err != nil {
		if errors.Is(err, errors.ErrUnsupported) {
			return nil
		}
		return err
	}
	defer conn.Close()
	tables, err := conn.Tables()
	for _, t := range tables {
		if lab, ok := strings.CutPrefix(t, topo.TableName("")); ok {
			labs.add(lab)
		}
	}
	return err
}
