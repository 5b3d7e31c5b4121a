package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/topo"
)

func lsObject() object {
	return object{name: "ls", usage: "list the labs that are up", lab: &labCommand{run: (*session).ls, flags: []cli.Flag{
		boolean("json", "print JSON"),
	}}, help: `
vnet ls [--json]

Lists the labs of which there is something on the machine, and what they have. Their
marks in the kernel say so: no file is asked.

   vnet ls
`}
}

func statusObject() object {
	return object{name: "status", usage: "show a lab's hosts, links, counters and drift", lab: &labCommand{most: 1, run: (*session).status, flags: []cli.Flag{
		boolean("watch", "show it again whenever the kernel tells of a change"), boolean("json", "print JSON"),
	}}, help: `
vnet status [FILE | LAB] [--watch] [--json]

Shows each host of a lab with its links, their addresses, what they received and sent,
the rules and how many connections they began. What is not as the file says is told line
by line, as missing, extra or differing, and then it exits with 3. Of a lab that is only
named, nobody knows what it should be, unless vnet.yaml describes it. If nothing is said
and there is no vnet.yaml, all labs are shown.

   vnet status lab.yaml
   vnet status --watch red-blue
`}
}

// labLs is a lab in vnet ls.
type labLs struct {
	Lab   string `json:"lab"`
	Hosts int    `json:"hosts"`
	Links int    `json:"links"`
	Rules int    `json:"rules"`
}

// ls carries out vnet ls.
func (s *session) ls(l labLine) error {
	names, err := topo.Labs()
	if err != nil {
		return err
	}
	list := []labLs{}
	for _, name := range names {
		st, err := lookAt(name, nil)
		if err != nil {
			return err
		}
		lab := labLs{Lab: name, Rules: len(st.Rules)}
		for _, h := range st.Hosts {
			if h.Name != topo.Machine {
				lab.Hosts++
			}
			for _, link := range h.Links {
				if link.On == "" { // else it is the far end of a host's
					lab.Links++
				}
			}
		}
		list = append(list, lab)
	}
	if l.Bool("json") || s.JSON {
		return json.NewEncoder(s.out).Encode(list)
	}
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	if len(list) > 0 {
		fmt.Fprint(t, "LAB\tHOSTS\tLINKS\tRULES\n")
	}
	for _, lab := range list {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\n", lab.Lab, lab.Hosts, lab.Links, lab.Rules)
	}
	return t.Flush()
}

// lookAt looks at a lab once.
func lookAt(lab string, want topo.State) (topo.Status, error) {
	o, err := topo.Observe(lab)
	if err != nil {
		return topo.Status{}, err
	}
	defer o.Close()
	return o.Status(want)
}

// A labToShow is a lab by its name, and what it should be; nil if no file says so.
type labToShow struct {
	name string
	want topo.State
}

// status carries out vnet status.
func (s *session) status(l labLine) error {
	labs, err := s.labsToShow(l)
	if err != nil {
		return err
	}
	asJSON := l.Bool("json") || s.JSON
	if l.Bool("watch") {
		if len(labs) != 1 {
			return words.Errorf("--watch needs a lab: there are %d", len(labs))
		}
		return s.watchLab(labs[0], asJSON)
	}
	drifted := false
	for i, lab := range labs {
		st, err := lookAt(lab.name, lab.want)
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

// labsToShow are the lab that is named, the one that vnet.yaml describes, or all.
func (s *session) labsToShow(l labLine) ([]labToShow, error) {
	_, noFile := os.Stat(labFile)
	if l.NArg() == 0 && noFile != nil {
		up, err := topo.Labs()
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
		show.want, err = topo.Compile(*named.file)
	}
	return []labToShow{show}, s.mistakes(err)
}

// showStatus prints a status, with rates since the one before.
func (s *session) showStatus(st topo.Status, before *topo.Status, lab labToShow, asJSON bool) error {
	if asJSON {
		return st.WriteJSON(s.out)
	}
	said := "up"
	switch {
	case len(st.Hosts) == 0:
		said = "not up"
	case len(st.Drift) > 0:
		said = count(len(st.Drift), "difference")
	case lab.want != nil:
		said = "no drift"
	}
	if _, err := fmt.Fprintf(s.out, "lab %s: %s\n", st.Lab, said); err != nil || len(st.Hosts) == 0 {
		return err
	}
	return st.WriteText(s.out, before)
}

// clearScreen goes to the screen's upper left corner and clears it.
const clearScreen = "\x1b[H\x1b[2J"

// watchLab shows a lab again and again, until it is interrupted.
func (s *session) watchLab(lab labToShow, asJSON bool) error {
	ctx, stop := interruptible()
	defer stop()
	o, err := topo.Observe(lab.name)
	if err != nil {
		return err
	}
	defer o.Close()
	var before *topo.Status
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
