package topo

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Do carries out one stage, see [Plan.Stages]: all of its steps or, with
// an error, none. It is the seam between plans and the kernel: [Kernel.Do] is
// one, and what shows progress, keeps a log, injects faults or only pretends is
// one around another.
type Do func(ctx context.Context, stage []Step) error

// A StepError is a step that was refused.
type StepError struct {
	Step Step
	Err  error // the kernel's words
}

// Error is "add red: addr 10.0.0.1/24 dev eth0: file exists".
func (e *StepError) Error() string {
	return verbs[e.Step.Op()] + " " + e.Step.Object().String() + ": " + e.Err.Error()
}

var verbs = map[Op]string{Create: "add", Change: "change", Delete: "delete"}

// Unwrap returns the reason.
func (e *StepError) Unwrap() error { return e.Err }

// An ApplyError says why a plan was not carried out, and what became of it.
type ApplyError struct {
	// Err is the reason: in general a *[StepError], or the context's error.
	Err error
	// Undone is how many steps had been done and were undone.
	Undone int
	// Undo are the errors met in undoing; nil says that all is as it was before.
	Undo error
}

// Error names the reason and what was undone, and all that could not be.
func (e *ApplyError) Error() string {
	switch {
	case e.Undo != nil:
		return fmt.Sprintf("%v; undoing what was done before met errors too: %s", e.Err, oneLine(e.Undo))
	case e.Undone == 0:
		return fmt.Sprintf("%v; nothing was changed", e.Err)
	case e.Undone == 1:
		return fmt.Sprintf("%v; the 1 step before was undone", e.Err)
	}
	return fmt.Sprintf("%v; the %d steps before were undone", e.Err, e.Undone)
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// Unwrap returns the reason, and what was met in undoing.
func (e *ApplyError) Unwrap() []error {
	if e.Undo == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Undo}
}

// Apply carries out a plan, whole or not at all: if a stage fails, or ctx ends
// between two, what was done before is undone, and the error is an *[ApplyError].
// Undoing does not heed ctx: who asks for it must get it.
func Apply(ctx context.Context, p Plan, do Do) error {
	done := 0
	for _, stage := range p.Stages() {
		err := ctx.Err()
		if err == nil {
			err = do(ctx, stage)
		}
		if err != nil {
			undo := ApplyAnyway(context.WithoutCancel(ctx), p[:done].Reverse(), do)
			return &ApplyError{Err: err, Undone: done, Undo: undo}
		}
		done += len(stage)
	}
	return nil
}

// ApplyAnyway carries out a plan as far as it goes, past all errors, and returns
// them together. Of a stage that fails, the steps are tried one by one. That is
// how to take away: what is left over should be as little as can be.
func ApplyAnyway(ctx context.Context, p Plan, do Do) error {
	var errs []error
	for _, stage := range p.Stages() {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		err := do(ctx, stage)
		if err == nil {
			continue
		}
		if len(stage) == 1 {
			errs = append(errs, err)
			continue
		}
		for i := range stage {
			if err := do(ctx, stage[i:i+1]); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}
