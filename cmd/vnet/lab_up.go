package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/topo"
)

func checkObject() object {
	return object{name: "check", usage: "tell all mistakes of a lab file", lab: &labCommand{most: 1, run: (*session).check}, help: `
vnet check [FILE]

Tells every mistake at once, with its line and what to write instead, and exits
with 2; or says what the lab is made of. It needs no rights and asks no kernel.
FILE is vnet.yaml if it is left out, and - is standard input.

   vnet check lab.yaml
`}
}

func planObject() object {
	return object{name: "plan", usage: "show what up or down would do", lab: &labCommand{most: 1, run: (*session).plan, flags: []cli.Flag{
		boolean("down", "what vnet down would do"), boolean("commands", "as a script of ip, nft and sysctl"), boolean("json", "for programs"),
	}}, help: `
vnet plan [FILE] [--down] [--commands | --json]

Prints a line for each step from what is to what the file says: + makes, ~ changes,
- deletes. --down plans to take the lab down instead. --commands prints a script
that does the same with ip, nft and sysctl, --json the steps for programs.

   vnet plan lab.yaml
   vnet plan --commands lab.yaml | sh
`}
}

func upObject() object {
	return object{name: "up", usage: "make a lab true, whole or not at all", lab: &labCommand{most: 1, run: (*session).up}, help: `
vnet up [FILE]

Does what vnet plan shows, and waits until the lab can be used. If something fails,
or Ctrl-C is pressed, all that was done is undone. Again, it has nothing to do; with a
changed file it changes what differs, and nothing else.

   vnet up lab.yaml
   vnet verify lab.yaml
`}
}

func downObject() object {
	return object{name: "down", usage: "take a lab away", lab: &labCommand{most: 1, run: (*session).down, flags: []cli.Flag{boolean("all", "take every lab away")}}, help: `
vnet down [FILE | LAB]
vnet down --all

Removes all that carries the lab's mark, whether or not the file is there or has
changed. What cannot be removed is told at the end. --all takes every lab away.

   vnet down lab.yaml
   vnet down red-blue
`}
}

// check carries out vnet check.
func (s *session) check(l labLine) error {
	lab, want, err := s.compile(l.file())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s: %s, %s, %s, %s; %s in the kernel\n", lab.Name,
		count(len(lab.Networks), "network"), count(len(lab.Hosts), "host"), count(len(lab.Cables), "link"),
		count(len(lab.Expect), "fact"), count(len(want), "object"))
	return err
}

// plan carries out vnet plan.
func (s *session) plan(l labLine) error {
	lab, want, err := s.compile(l.file())
	if err != nil {
		return err
	}
	return s.withKernel(lab.Name, func(_ context.Context, k *topo.Kernel) error {
		have, err := k.Snapshot(want)
		if err != nil {
			return err
		}
		if l.Bool("down") {
			want = nil
		}
		p := topo.Diff(have, want)
		s.tellConflicts(k, p)
		return s.showPlan(lab.Name, have, p, l)
	})
}

// tellConflicts notes what a plan comes across that is not the lab's. It is only a
// note: that it cannot be found out is no reason not to go on.
func (s *session) tellConflicts(k *topo.Kernel, p topo.Plan) {
	found, err := k.Conflicts(p)
	if err != nil {
		s.note("what there is besides the lab cannot be read: %v", err)
	}
	for i, c := range found {
		if i == mostConflicts {
			s.note("and %d more", len(found)-i)
			return
		}
		s.note("%v", c)
	}
}

// mostConflicts is how many are told one by one.
const mostConflicts = 10

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
		script, err := p.Commands(lab, have, topo.NFTScript)
		if err != nil {
			return err
		}
		_, err = io.WriteString(s.out, script)
		return err
	}
	for _, step := range p {
		fmt.Fprintln(s.out, s.paintStep(step))
	}
	return s.conclude(p, "to be made", "to be changed", "to be deleted")
}

// paintStep is a step's line, coloured on a terminal.
func (s *session) paintStep(step topo.Step) string {
	if !s.colors() {
		return step.String()
	}
	dye := map[topo.Op]string{topo.Create: "\x1b[32m", topo.Change: "\x1b[33m", topo.Delete: "\x1b[31m"}[step.Op()]
	return dye + step.String() + "\x1b[0m"
}

// conclude says how much a plan does.
func (s *session) conclude(p topo.Plan, made, changed, deleted string) error {
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

// up carries out vnet up.
func (s *session) up(l labLine) error {
	lab, err := s.readLab(l.file())
	if err != nil {
		return err
	}
	return s.withKernel(lab.Name, func(ctx context.Context, k *topo.Kernel) error {
		k.LookAhead()
		want, err := s.stateOf(lab)
		if err != nil {
			return err
		}
		done, err := k.Up(ctx, want, func(p topo.Plan, do topo.Do) topo.Do {
			s.tellConflicts(k, p)
			return s.progress(p, do)
		})
		if errors.Is(err, context.Canceled) {
			return fmt.Errorf("interrupted: %w", err)
		}
		if err != nil {
			return err
		}
		return s.conclude(done, "made", "changed", "deleted")
	})
}

// down carries out vnet down.
func (s *session) down(l labLine) error {
	var labs []string
	var err error
	if l.Bool("all") {
		if l.NArg() > 0 {
			return words.Errorf("--all and %q: one of them is too many", l.Args().First())
		}
		labs, err = topo.Labs()
	} else {
		var lab namedLab
		lab, err = s.fileOrLab(l.file())
		labs = append(labs, lab.name)
	}
	if err != nil {
		return err
	}
	var all topo.Plan
	var errs []error
	for _, lab := range labs {
		errs = append(errs, s.withKernel(lab, func(ctx context.Context, k *topo.Kernel) error {
			done, err := k.Down(ctx, s.progress)
			all = append(all, done...)
			return err
		}))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return s.conclude(all, "made", "changed", "deleted")
}

// A namedLab is a lab that is up and was called by its name, or one that a file
// describes.
type namedLab struct {
	name string
	file *topo.Topology // nil if only the name is known
}

// isFile tells the words that name a lab file and no lab, as long as it is there: a lab
// may be called lab.yaml, too.
func isFile(word string) bool {
	st, err := os.Stat(word)
	return strings.ContainsAny(word, "./") && err == nil && !st.IsDir()
}

// fileOrLab finds a lab: one that is up, or the one that a file describes.
func (s *session) fileOrLab(word string) (namedLab, error) {
	if !isFile(word) {
		if up, err := topo.IsUp(word); err == nil && up {
			return namedLab{name: word}, nil
		}
	}
	lab, readErr := s.readLab(word)
	if readErr == nil {
		return namedLab{lab.Name, &lab}, nil
	}
	labs, _ := topo.Labs() // for what is said
	var said *words.Error
	if errors.As(readErr, &said) && word != labFile {
		e := words.Unknown("lab", word, labs)
		e.Status = exitFailed
		if name := strings.TrimSuffix(filepath.Base(word), filepath.Ext(word)); slices.Contains(labs, name) {
			e.Hint = "there is no such file, but lab " + name + " is up: its name is enough"
		}
		if e.Hint == "" {
			e.Hint = "vnet ls lists those there are"
		}
		return namedLab{}, e
	}
	if len(labs) > 0 {
		hint := "a lab that is up is known by its name, too: " + strings.Join(labs[:min(len(labs), 10)], ", ")
		if said != nil {
			said.Hint = strings.TrimPrefix(said.Hint+"; "+hint, "; ")
		} else {
			s.hint("%s", hint)
		}
	}
	return namedLab{lab.Name, &lab}, readErr
}

// quietFor is how long a change may take before it shows how far it is.
const quietFor = 500 * time.Millisecond

// progress shows on a terminal how far a plan is, if it takes long.
func (s *session) progress(p topo.Plan, do topo.Do) topo.Do {
	if !s.onTerminal() {
		return do
	}
	begun, done := time.Now(), 0
	return func(ctx context.Context, stage []topo.Step) error {
		if time.Since(begun) > quietFor {
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
