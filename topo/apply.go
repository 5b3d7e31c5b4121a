package topo

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Do executes one stage, see [Plan.Stages]: all of its steps or, with an error,
// none. It is the interface between plans and the kernel. [live.Kernel.Do] executes
// stages in the kernel; other functions wrap it to show progress, to log, or to inject
// faults.
type Do func(ctx context.Context, stage []Step) error

// A StepError is the error of a step that failed.
type StepError struct {
	Step Step
	Err  error // the kernel's error
}

// Error is "add red: addr 10.0.0.1/24 dev eth0: file exists".
func (e *StepError) Error() string {
	return verbs[e.Step.Op()] + " " + e.Step.Object().String() + ": " + e.Err.Error()
}

var verbs = map[Op]string{Create: "add", Change: "change", Delete: "delete"}

// Unwrap returns Err.
func (e *StepError) Unwrap() error { return e.Err }

// An ApplyError says why a plan failed, and what was undone.
type ApplyError struct {
	// Err is the cause: in general a *[StepError], or the context's error.
	Err error
	// Undone is how many steps were executed before and then undone.
	Undone int
	// Undo has the errors of undoing; nil means that the former state is restored.
	Undo error
}

// Error returns the cause, what was undone, and the errors of undoing.
func (e *ApplyError) Error() string {
	switch {
	case e.Undo != nil:
		return fmt.Sprintf("%v; undoing the steps before failed too: %s", e.Err, oneLine(e.Undo))
	case e.Undone == 0:
		return fmt.Sprintf("%v; nothing was changed", e.Err)
	case e.Undone == 1:
		return fmt.Sprintf("%v; the 1 step before was undone", e.Err)
	}
	return fmt.Sprintf("%v; the %d steps before were undone", e.Err, e.Undone)
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// Unwrap returns Err and Undo.
func (e *ApplyError) Unwrap() []error {
	if e.Undo == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Undo}
}

// Apply executes a plan completely or not at all. If a stage fails, or ctx ends between
// two stages, it undoes the stages before and returns an *[ApplyError]. Undoing ignores
// the end of ctx, because it must not stop halfway.
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

// ApplyAnyway executes as much of a plan as possible and returns all errors together.
// If a stage fails, it tries the steps of the stage one by one. Use it to delete
// things, so that as little as possible remains. If a program cannot be stopped, it
// deletes nothing more: only the lab's namespaces show that the program belongs to the lab.
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
		failed := len(errs)
		if len(stage) == 1 {
			errs = append(errs, err)
		}
		for i := 0; len(stage) > 1 && i < len(stage); i++ {
			if err := do(ctx, stage[i:i+1]); err != nil {
				errs = append(errs, err)
			}
		}
		if len(errs) > failed && stage[0].Op() == Delete && stage[0].Have.Key().Kind == OfProcess {
			break
		}
	}
	return errors.Join(errs...)
}
