package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/topo/doctor"
	"github.com/vnet-lab/vnet/topo/lab"
	"github.com/vnet-lab/vnet/topo/live"
)

func doctorObject() *object {
	return &object{name: "doctor", usage: "find what keeps labs from working, and how to mend it",
		lab: &labCommand{maxArgs: 1, run: (*session).doctor, flags: []cli.Flag{boolean("json", "print JSON")}}, help: `
vnet doctor [FILE | LAB] [--json]

Examines the machine and prints each finding with commands that mend it, to be run as
root: missing capabilities, user namespaces, read-only settings, foreign firewalls,
rp_filter, a full connection table, udev and what is left of labs. With a lab file or a
lab, also what that lab needs: kernel features, limits of neighbour entries, packet
queues and open files, and whether NetworkManager or systemd-networkd configures its
links. It changes nothing. The exit code is 0 if there is nothing to mend, else 1.

   vnet doctor
   vnet doctor lab.yaml
`}
}

// doctor runs vnet doctor.
func (s *session) doctor(l labLine) error {
	e, err := s.examination(l)
	if err != nil {
		return err
	}
	findings := []doctor.Finding{}
	missing := missingCapabilities(s.neededCapabilities())
	if len(missing) > 0 {
		remedy := "sudo vnet doctor"
		if os.Geteuid() == 0 { // sudo gives root no more: here is a network in which it has them
			remedy = "unshare --map-root-user --net --mount vnet doctor"
		}
		findings = append(findings, doctor.Finding{Topic: "capabilities",
			Text:   "without " + strings.Join(missing, " and ") + ", labs cannot be made, and not everything is examined",
			Remedy: []string{remedy}})
	}
	found, err := e.Run()
	findings = append(findings, found...)
	if err != nil && (len(missing) == 0 || !errors.Is(err, fs.ErrPermission)) {
		s.note("cannot examine everything: %v", err)
	}
	if l.Bool("json") || s.JSON {
		err = json.NewEncoder(s.out).Encode(findings)
	} else {
		err = s.showFindings(findings)
	}
	if err == nil && len(findings) > 0 {
		return exit(exitFailed, errReported)
	}
	return err
}

// examination returns what to examine: the machine, and a lab if an argument or vnet.yaml gives one.
func (s *session) examination(l labLine) (e doctor.Examination, err error) {
	if _, noFile := os.Stat(labFile); l.NArg() == 0 && noFile != nil {
		return e, nil
	}
	named, err := s.fileOrLab(l.file())
	if err != nil {
		return e, err
	}
	e.Lab = named.name
	if named.file != nil {
		e.Want, err = lab.Compile(*named.file)
		return e, s.mistakes(err)
	}
	return e, s.withKernel(named.name, func(_ context.Context, k *live.Kernel) error {
		e.Want, err = k.Snapshot(nil)
		return err
	})
}

// showFindings prints each finding, and its remedy below it.
func (s *session) showFindings(findings []doctor.Finding) error {
	for _, f := range findings {
		fmt.Fprintf(s.out, "%s: %s\n", f.Topic, display.Escape(f.Text))
		for _, command := range f.Remedy {
			fmt.Fprintf(s.out, "    %s\n", display.Escape(command))
		}
	}
	if len(findings) > 0 {
		return nil
	}
	_, err := fmt.Fprintln(s.out, "nothing to mend")
	return err
}
