package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab"
	"github.com/vnet-lab/vnet/topo/live"
)

func planObject() *object {
	return &object{name: "plan", usage: "show what up or down would do",
		lab: &labCommand{maxArgs: 1, run: (*session).plan, flags: []cli.Flag{
			boolean("down", "show what vnet down would do"), boolean("commands", "print a script of ip, nft and sysctl"),
			boolean("json", "print JSON"),
		}}, help: `
vnet plan [FILE] [--down] [--commands | --json]

Prints one line for each step from the current state to the state in the file: + makes,
~ changes, - deletes. --down shows the steps of vnet down. --commands prints a script
of ip, nft and sysctl that does the same. --json prints the steps as JSON. If up would
fail because somebody else has a name that the lab needs, plan says so and exits with 1.

   vnet plan lab.yaml
   vnet plan --commands lab.yaml | sh
`}
}

func upObject() *object {
	return &object{name: "up", usage: "bring a lab up, completely or not at all",
		lab: &labCommand{maxArgs: 1, run: (*session).up}, help: `
vnet up [FILE]

Runs the steps that vnet plan shows and waits until the lab is ready. If a step fails or
Ctrl-C is pressed, everything is undone. If the lab is already up, it changes only what
differs from the file.

   vnet up lab.yaml
   vnet verify lab.yaml
`}
}

func downObject() *object {
	return &object{name: "down", usage: "remove a lab",
		lab: &labCommand{maxArgs: 1, run: (*session).down, flags: []cli.Flag{boolean("all", "remove every lab")}}, help: `
vnet down [FILE | LAB]
vnet down --all

Removes everything that has the lab's mark, even if the file has changed or is gone.
Errors are listed at the end. --all removes every lab.

   vnet down lab.yaml
   vnet down red-blue
`}
}

// plan runs vnet plan.
func (s *session) plan(l labLine) error {
	lab, want, err := s.compile(l.file())
	if err != nil {
		return err
	}
	if l.Bool("down") {
		want = nil // also for the snapshot: down leaves settings that the lab did not change
	}
	err = s.withKernel(lab.Name, func(_ context.Context, k *live.Kernel) error {
		have, err := k.Snapshot(want)
		if err != nil {
			return err
		}
		p := topo.Diff(have, want)
		s.noteConflicts(k, p)
		conflicts := k.NameConflicts(p)
		if conflicts != nil && l.Bool("commands") {
			return conflicts // the script would fail halfway
		}
		return errors.Join(s.showPlan(lab.Name, have, p, l), conflicts)
	})
	if errors.Is(err, fs.ErrPermission) && !mayBeUp(lab.Name) && !isUp(lab) {
		s.note("without root's rights, vnet cannot read the machine's settings and rules; the plan assumes that it has none")
		return s.showPlan(lab.Name, nil, topo.Diff(nil, want), l)
	}
	return err
}

// noteConflicts prints a plan's conflicts as notes. If the check fails, it prints that as a note too: up can continue.
func (s *session) noteConflicts(k *live.Kernel, p topo.Plan) {
	found, err := k.Conflicts(p)
	if err != nil {
		s.note("cannot check for conflicts: %v", err)
	}
	for i, c := range found {
		if i == maxConflicts {
			s.note("and %d more", len(found)-i)
			return
		}
		s.note("%v", c)
	}
}

// maxConflicts limits the number of conflicts that are listed.
const maxConflicts = 10

func (s *session) showPlan(lab string, have topo.State, p topo.Plan, l labLine) error {
	switch {
	case l.Bool("json") || s.JSON:
		b, err := p.JSON()
		if err != nil {
			return err
		}
		_, err = s.out.Write(b)
		return err
	case l.Bool("commands"):
		script, err := p.Commands(lab, have, live.NATScript())
		if err != nil {
			return err
		}
		_, err = io.WriteString(s.out, script)
		return err
	}
	for _, step := range p {
		fmt.Fprintln(s.out, s.formatStep(step))
	}
	return s.printSummary(p, "to be made", "to be changed", "to be deleted")
}

// formatStep formats a step, with colours on a terminal.
func (s *session) formatStep(step topo.Step) string {
	if !s.colors() {
		return step.String()
	}
	color := map[topo.Op]string{topo.Create: "\x1b[32m", topo.Change: "\x1b[33m", topo.Delete: "\x1b[31m"}[step.Op()]
	return color + step.String() + "\x1b[0m"
}

// printSummary prints how many objects a plan makes, changes and deletes.
func (s *session) printSummary(p topo.Plan, made, changed, deleted string) error {
	var parts []string
	n, c, d := p.Count()
	for _, x := range []struct {
		n    int
		what string
	}{{n, made}, {c, changed}, {d, deleted}} {
		if x.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", x.n, x.what))
		}
	}
	if len(parts) == 0 {
		parts = []string{"nothing to do"}
	}
	_, err := fmt.Fprintln(s.out, strings.Join(parts, ", "))
	return err
}

// up runs vnet up.
func (s *session) up(l labLine) error {
	lab, err := s.readLab(l.file())
	if err != nil {
		return err
	}
	return s.withKernel(lab.Name, func(ctx context.Context, k *live.Kernel) error {
		k.PrefetchNames()
		want, err := s.stateOf(lab)
		if err != nil {
			return err
		}
		done, err := k.Up(ctx, want, func(p topo.Plan, do topo.Do) topo.Do {
			s.noteConflicts(k, p)
			return s.progress(p, do)
		})
		if errors.Is(err, context.Canceled) {
			return fmt.Errorf("interrupted: %w", err)
		}
		if err != nil {
			return err
		}
		return s.printSummary(done, "made", "changed", "deleted")
	})
}

// down runs vnet down.
func (s *session) down(l labLine) error {
	var labs []string
	var err error
	if l.Bool("all") {
		if l.NArg() > 0 {
			return words.Errorf("--all cannot be combined with %q", l.Args().First())
		}
		labs, err = live.Labs()
	} else {
		var lab namedLab
		lab, err = s.nameOrFile(l.file())
		labs = append(labs, lab.name)
	}
	if err != nil {
		return err
	}
	var all topo.Plan
	var errs []error
	for i, lab := range labs {
		errs = append(errs, s.withKernel(lab, func(ctx context.Context, k *live.Kernel) error {
			done, err := k.Down(ctx, s.progress)
			all = append(all, done...)
			if errors.Is(err, context.Canceled) {
				return interruptedDown(labs[i:], err)
			}
			return err
		}))
		if errors.Is(errs[i], context.Canceled) {
			break
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return s.printSummary(all, "made", "changed", "deleted")
}

// interruptedDown returns the error of a down that was interrupted: which labs are left, and how to remove them.
func interruptedDown(left []string, err error) error {
	what, command := "lab "+left[0]+" is", "vnet down "+left[0]
	if len(left) > 1 {
		what, command = fmt.Sprintf("%d labs are", len(left)), "vnet down --all"
	}
	return &hinted{fmt.Errorf("interrupted: %s not removed completely: %w", what, err), command + " removes the rest"}
}

// A namedLab is a lab that is up and was given by name, or a lab that a file describes.
type namedLab struct {
	name string
	file *lab.Topology // nil if only the name is known
}

// isFile reports whether a word with a dot or slash is an existing file. A lab can also have the name lab.yaml.
func isFile(word string) bool {
	st, err := os.Stat(word)
	return strings.ContainsAny(word, "./") && err == nil && !st.IsDir()
}

// fileOrLab finds a lab that is up by name, or reads the lab from a file.
func (s *session) fileOrLab(word string) (namedLab, error) {
	named, err := s.nameOrFile(word)
	if err == nil && named.file != nil {
		err = named.file.Fill(live.Machine{})
	}
	return named, err
}

// nameOrFile does the same without asking the machine what the lab depends on.
func (s *session) nameOrFile(word string) (namedLab, error) {
	if !isFile(word) {
		if up, err := live.IsUp(word); err == nil && up {
			return namedLab{name: word}, nil
		}
	}
	lab, readErr := s.parseLab(word)
	if readErr == nil {
		return namedLab{lab.Name, &lab}, nil
	}
	labs, _ := live.Labs() // for the hints
	var wordErr *words.Error
	if errors.As(readErr, &wordErr) && word != labFile {
		e := words.Unknown("lab", word, labs)
		e.Status = exitFailed
		if name := strings.TrimSuffix(filepath.Base(word), filepath.Ext(word)); slices.Contains(labs, name) {
			e.Hint = "there is no such file, but lab " + name + " is up; use that name"
		}
		if missing := missingCapabilities(s.neededCapabilities()); len(missing) > 0 {
			e.Hint = s.permissionHint(fs.ErrPermission) // vnet could not look into namespaces
		}
		if e.Hint == "" {
			e.Hint = "vnet ls lists the labs that are up"
		}
		return namedLab{}, e
	}
	if len(labs) > 0 {
		hint := "these labs are up and can be given by name: " + strings.Join(labs[:min(len(labs), 10)], ", ")
		if wordErr != nil {
			wordErr.Hint = strings.TrimPrefix(wordErr.Hint+"; "+hint, "; ")
		} else {
			s.hint("%s", hint)
		}
	}
	return namedLab{lab.Name, &lab}, readErr
}

// progressDelay is the time after which up and down begin to show progress.
const progressDelay = 500 * time.Millisecond

// progress shows the progress of a slow plan on a terminal.
func (s *session) progress(p topo.Plan, do topo.Do) topo.Do {
	if !s.onTerminal() {
		return do
	}
	begun, done := time.Now(), 0
	return func(ctx context.Context, stage []topo.Step) error {
		if time.Since(begun) > progressDelay {
			fmt.Fprintf(s.err, "\r\x1b[K%d of %d: %s", done, len(p), clipped(stage[0].String(), 60))
		}
		err := do(ctx, stage)
		if done += len(stage); done >= len(p) || err != nil {
			fmt.Fprint(s.err, "\r\x1b[K")
		}
		return err
	}
}

func clipped(s string, n int) string {
	if len(s) > n {
		return s[:n-1] + "…"
	}
	return s
}
