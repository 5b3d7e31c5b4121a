//go:build linux

package topo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// Plan is what to do so that the lab becomes what is wanted; nothing, for nil,
// which takes it down.
func (k *Kernel) Plan(want State) (Plan, error) {
	have, err := k.Snapshot(want)
	if err != nil {
		return nil, err
	}
	return Diff(have, want), nil
}

// A DriftError says that a lab is not what it should be after all was done.
type DriftError struct {
	Plan Plan // what is still to be done
}

// Error lists what differs.
func (e *DriftError) Error() string {
	if only(e.Plan, OfProcess) {
		return "failed as soon as it was started: " + strings.TrimSuffix(e.Plan.String(), "\n")
	}
	return "the kernel does not have what it was asked for:\n" + strings.TrimSuffix(e.Plan.String(), "\n")
}

func only(p Plan, kind Kind) bool {
	return !slices.ContainsFunc(p, func(s Step) bool { return s.Object().Key().Kind != kind })
}

// Up makes the lab what is wanted, whole or not at all, and looks whether it is;
// it waits until links have carrier. What fails in that, or ends ctx, undoes all. It returns what it did, nothing if there was
// nothing to do. around, if it is not nil, stands between the plan and the
// kernel: it shows progress, or asks first.
func (k *Kernel) Up(ctx context.Context, want State, around func(Plan, Do) Do) (Plan, error) {
	have, err := k.Snapshot(want)
	if err == nil {
		err = k.sweep()
	}
	if err != nil {
		return nil, err
	}
	plan := diff(have, want, k.wave)
	if len(plan) == 0 {
		return nil, nil
	}
	if err := errors.Join(lacks(plan), k.taken(plan), k.makeWay(plan)); err != nil {
		return nil, err
	}
	k.voices = plan.voices(have, want)
	if k.ids = nil; len(have) == 0 {
		k.ids = k.fallingIDs(plan)
	}
	do := Do(k.Do)
	if around != nil {
		do = around(plan, do)
	}
	if err := Apply(ctx, plan, do); err != nil {
		return nil, err
	}
	if err := k.proves(ctx, want, plan); err != nil {
		undo := ApplyAnyway(context.WithoutCancel(ctx), plan.Reverse(), k.Do)
		return nil, &ApplyError{Err: err, Undone: len(plan), Undo: undo}
	}
	return plan, nil
}

// proves looks whether the lab is what is wanted, wherever the plan has changed
// something, and waits until it can be used. Files it takes for what was written.
func (k *Kernel) proves(ctx context.Context, want State, plan Plan) error {
	started := slices.ContainsFunc(plan, func(s Step) bool { return s.Object().Key().Kind == OfProcess })
	have, err := k.snapshot(want, plan.touches(), started)
	if err != nil {
		return err
	}
	if left := Diff(have, want); len(left) > 0 {
		return &DriftError{left}
	}
	return k.waitForCarrier(ctx)
}

// Down takes away all that carries the lab's mark, as far as that is possible,
// and returns what it did. All errors come together.
func (k *Kernel) Down(ctx context.Context, around func(Plan, Do) Do) (Plan, error) {
	k.leaving = true
	defer func() { k.leaving = false }()
	plan, err := k.Plan(nil)
	if err == nil {
		err = k.sweep()
	}
	if err != nil || len(plan) == 0 {
		return nil, err
	}
	do, brief := Do(k.Do), plan.brief(k.held)
	if around != nil {
		do = around(brief, do)
	}
	if err := ApplyAnyway(ctx, brief, do); err != nil {
		return plan, err
	}
	left, err := k.Plan(nil)
	if err == nil && len(left) > 0 {
		err = &DriftError{left}
	}
	return plan, err
}

// held tells whether somebody else's program is in a namespace, or was when it was read.
func (k *Kernel) held(ns string) bool {
	s, err := k.space(ns)
	return err != nil || s.guests
}

// waitForCarrier waits for the links that had none when they were read last,
// although both they and their peers are up.
func (k *Kernel) waitForCarrier(ctx context.Context) error {
	for _, w := range k.unready {
		if err := w.wait(ctx); err != nil {
			return err
		}
	}
	k.unready = nil
	return nil
}

func (w waiting) wait(ctx context.Context) error {
	events, err := w.space.watch(rtnl.GroupLink)
	if err != nil {
		return err
	}
	defer events.Close()
	for {
		l, err := w.space.conn.Link(rtnl.LinkID{Index: w.index})
		if err != nil || l.Flags&unix.IFF_LOWER_UP != 0 {
			return err
		}
		if _, err := events.Next(ctx); err != nil {
			return fmt.Errorf("wait for %slink %s to have carrier: %w", in(w.space.name), l.Name, err)
		}
	}
}

// Labs lists the labs of which there is something on the machine, by the marks in
// its namespace and in those with a name.
func Labs() ([]string, error) {
	labs, err := labsUntil("")
	if err != nil {
		return nil, err
	}
	return slices.SortedFunc(maps.Keys(labs), compareNames), nil
}

// IsUp tells whether there is something of a lab on the machine. It looks into the
// machine's own namespace first, and no further than it has to.
func IsUp(lab string) (bool, error) {
	if !isLabName(lab) {
		return false, nil
	}
	labs, err := labsUntil(lab)
	return labs[lab], err
}

// labNames are the labs that some mark tells of. Anybody may have written it who rules in
// a namespace: what cannot be a lab's name is none.
type labNames map[string]bool

func (l labNames) add(name string) {
	if isLabName(name) {
		l[name] = true
	}
}

// labsUntil finds labs, all of them or until it has found one.
func labsUntil(lab string) (labs labNames, err error) {
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
	if err := marksIn(conn, labs); err != nil || labs[lab] {
		return labs, err
	}
	if err := tablesIn(labs); err != nil || labs[lab] {
		return labs, err
	}
	entries, err := nsfs.List()
	if err != nil {
		return nil, err
	}
	notes := nsfs.Notes()
	for _, e := range entries {
		if noted, ok := strings.CutPrefix(or(notes[e.Name], nsfs.Note(e.Name)), Mark("")); ok {
			labs.add(noted)
		} else if err := marksOf(e.Name, labs); err != nil {
			return labs, err
		}
		if labs[lab] {
			break
		}
	}
	return labs, nil
}

// marksOf looks at lo of a named namespace, if there is one behind the name: it may be
// somebody else's, who does there what he wants.
func marksOf(name string, labs labNames) error {
	ns, err := nsfs.Open(name)
	if err != nil {
		return nil // gone, stale, or none of ours to look at
	}
	defer ns.Close()
	conn, err := rtnl.Dial(ns)
	if err != nil {
		return err
	}
	defer conn.Close()
	lo, err := conn.Link(rtnl.LinkID{Index: 1})
	labs.marksOn(lo)
	return err
}

func marksIn(conn *rtnl.Conn, labs labNames) error {
	links, err := conn.Links(rtnl.LinkFilter{NoStats: true})
	for _, l := range links {
		labs.marksOn(l)
	}
	return err
}

func (l labNames) marksOn(link rtnl.Link) {
	for _, text := range append(link.AltNames, link.Alias) {
		if mark, ok := strings.CutPrefix(text, Mark("")); ok {
			lab, _, _ := strings.Cut(mark, ":")
			l.add(lab)
		}
	}
}

func tablesIn(labs labNames) error {
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
		if lab, ok := strings.CutPrefix(t, RuleTable("")); ok {
			labs.add(lab)
		}
	}
	return err
}
