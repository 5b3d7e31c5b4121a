package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab"
	"github.com/vnet-lab/vnet/topo/live"
)

func lsObject() *object {
	return &object{name: "ls", usage: "list the labs that are up", lab: &labCommand{run: (*session).ls, flags: []cli.Flag{
		boolean("json", "print JSON"),
	}}, help: `
vnet ls [--json]

Lists the labs that have objects on the machine, and counts their hosts, links and NAT
rules. It finds them by their marks in the kernel and reads no file. Without root's
rights, it lists only their names.

   vnet ls
`}
}

func statusObject() *object {
	return &object{name: "status", usage: "show a lab's hosts, links, counters and drift",
		lab: &labCommand{maxArgs: 1, run: (*session).status, flags: []cli.Flag{
			boolean("watch", "show it again when the kernel reports a change"), boolean("json", "print JSON"),
		}}, help: `
vnet status [FILE | LAB] [--watch] [--json]

Shows each host of a lab with its links, addresses and traffic counters, and the NAT
rules with their connection counters. Each difference from the file is one line:
missing, extra or differs. If there is one, the exit code is 3. If only a lab's name is
given, drift is shown only if vnet.yaml describes that lab. Without an argument and
without vnet.yaml, all labs are shown.

   vnet status lab.yaml
   vnet status --watch red-blue
`}
}

// labLs is one line of vnet ls.
type labLs struct {
	Lab string `json:"lab"`
	*labCounts
}

// labCounts counts what a lab has on the machine.
type labCounts struct {
	Hosts int `json:"hosts"`
	Links int `json:"links"`
	Rules int `json:"rules"`
}

// ls runs vnet ls.
func (s *session) ls(l labLine) error {
	names, err := live.Labs()
	if err != nil {
		return err
	}
	list := []labLs{}
	for _, name := range names {
		counts, err := countLab(name)
		if err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
		list = append(list, labLs{name, counts})
	}
	if l.Bool("json") || s.JSON {
		return json.NewEncoder(s.out).Encode(list)
	}
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	if len(list) > 0 {
		fmt.Fprint(t, "LAB\tHOSTS\tLINKS\tRULES\n")
	}
	for _, lab := range list {
		if lab.labCounts == nil {
			fmt.Fprintf(t, "%s\t-\t-\t-\n", lab.Lab)
			continue
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\n", lab.Lab, lab.Hosts, lab.Links, lab.Rules)
	}
	return t.Flush()
}

// countLab counts a lab's objects. Without root's rights it returns nil and an error.
func countLab(name string) (*labCounts, error) {
	st, err := readStatus(name, nil)
	if err != nil {
		return nil, err
	}
	counts := &labCounts{Rules: len(st.Rules)}
	for _, h := range st.Hosts {
		if h.Name != topo.Machine {
			counts.Hosts++
		}
		for _, link := range h.Links {
			if link.Master == "" { // else it is the other end of a host's link
				counts.Links++
			}
		}
	}
	return counts, nil
}

// readStatus reads the status of a lab once. Only if the lab is up, this needs root's rights.
func readStatus(lab string, want topo.State) (live.Status, error) {
	o, err := live.Observe(lab)
	if err != nil {
		return live.Status{}, err
	}
	defer o.Close()
	st, err := o.Status(want)
	if errors.Is(err, fs.ErrPermission) && !mayBeUp(lab) {
		none := live.Status{Lab: lab, At: time.Now(), Hosts: []live.HostStatus{}, Rules: []live.NATStatus{}}
		none.Drift = topo.Diff(nil, want)
		return none, nil
	}
	return st, err
}

// mayBeUp reports whether a lab is up, or whether nobody can say.
func mayBeUp(lab string) bool {
	up, err := live.IsUp(lab)
	return up || err != nil
}

// A labToShow is a lab's name and its wanted state, which is nil without a file.
type labToShow struct {
	name string
	want topo.State
}

// status runs vnet status.
func (s *session) status(l labLine) error {
	labs, err := s.labsToShow(l)
	if err != nil {
		return err
	}
	asJSON := l.Bool("json") || s.JSON
	if l.Bool("watch") {
		if len(labs) != 1 {
			return words.Errorf("--watch needs exactly one lab, but there are %d", len(labs))
		}
		return s.watchLab(labs[0], asJSON)
	}
	drifted := false
	for i, lab := range labs {
		st, err := readStatus(lab.name, lab.want)
		if err != nil {
			return err
		}
		if i > 0 && !asJSON {
			fmt.Fprintln(s.out)
		}
		if err := s.showStatus(st, nil, lab, asJSON); err != nil {
			return err
		}
		drifted = drifted || len(st.Drift) > 0
	}
	if drifted {
		return exit(exitDrift, errReported)
	}
	return nil
}

// labsToShow returns the lab given by name or file, the lab of vnet.yaml, or all labs.
func (s *session) labsToShow(l labLine) ([]labToShow, error) {
	_, noFile := os.Stat(labFile)
	if l.NArg() == 0 && noFile != nil {
		up, err := live.Labs()
		var all []labToShow
		for _, name := range up {
			all = append(all, labToShow{name, nil})
		}
		return all, err
	}
	named, err := s.fileOrLab(l.file())
	if err != nil {
		return nil, err
	}
	if named.file == nil && noFile == nil {
		if lab, err := s.readLab(labFile); err == nil && lab.Name == named.name {
			named.file = &lab
		}
	}
	show := labToShow{name: named.name}
	if named.file != nil {
		show.want, err = lab.Compile(*named.file)
	}
	return []labToShow{show}, s.mistakes(err)
}

// showStatus prints a status, with rates since the status before.
func (s *session) showStatus(st live.Status, before *live.Status, lab labToShow, asJSON bool) error {
	if asJSON {
		return st.WriteJSON(s.out)
	}
	summary := "up"
	switch {
	case len(st.Hosts) == 0:
		summary = "not up"
	case len(st.Drift) > 0:
		summary = count(len(st.Drift), "difference")
	case lab.want != nil:
		summary = "no drift"
	}
	if _, err := fmt.Fprintf(s.out, "lab %s: %s\n", st.Lab, summary); err != nil || len(st.Hosts) == 0 {
		return err
	}
	return st.WriteText(s.out, before)
}

// clearScreen moves the cursor to the upper left corner and clears the screen.
const clearScreen = "\x1b[H\x1b[2J"

// watchLab shows a lab after each change until it is interrupted.
func (s *session) watchLab(lab labToShow, asJSON bool) error {
	ctx, stop := interruptible()
	defer stop()
	o, err := live.Observe(lab.name)
	if err != nil {
		return err
	}
	defer o.Close()
	var before *live.Status
	for {
		st, err := o.Status(lab.want)
		if err == nil {
			err = o.Watch()
		}
		if err != nil {
			return err
		}
		if before == nil || !asJSON || !st.Same(*before) {
			if isTerminal(os.Stdout) && !asJSON {
				fmt.Fprint(s.out, clearScreen)
			} else if before != nil && !asJSON {
				fmt.Fprintln(s.out)
			}
			if err := s.showStatus(st, before, lab, asJSON); err != nil {
				return err
			}
			if err := s.out.Flush(); err != nil {
				return err
			}
			before = &st
		}
		if err := o.Changed(ctx); errors.Is(err, context.Canceled) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
