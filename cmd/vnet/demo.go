package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// demoLab is the world of vnet demo.
//
//go:embed demo.yaml
var demoLab []byte

func demoObject() object {
	return object{name: "demo", usage: "see it all work, without root and without harm", lab: &labCommand{run: (*session).demo, flags: []cli.Flag{boolean("keep", "open a shell in it")}}, help: `
vnet demo [--keep]

Makes a small world in a sandbox of its own: red and blue on a switch, the machine on it
too, and an outside beyond the machine. Shows each step with the commands of ip, nft
and sysctl that do the same; proves with real packets that all can reach whom they
should, through NAT and forwarded ports as well; and takes it all away. It needs no
root, and the machine's own network is not touched. --keep opens a shell in that
world before it is taken away.

   vnet demo
   vnet demo --keep
`}
}

// demo carries out vnet demo, in a sandbox.
func (s *session) demo(l labLine) error {
	code := nsfs.Sandbox(func() int {
		err := s.demoInside(l.Bool("keep"))
		if ferr := s.out.Flush(); err == nil {
			err = ferr
		}
		if err != nil {
			s.report(err)
			return exitCode(err)
		}
		return exitOK
	})
	return exitWith(code)
}

// exitWith ends a command with an exit code, everything being said.
func exitWith(code int) error {
	if code == exitOK {
		return nil
	}
	return exit(code, errReported)
}

// demoInside is the demo in its sandbox, whose own namespace plays the machine.
func (s *session) demoInside(keep bool) error {
	ctx, stop := interruptible()
	defer stop()
	lab, err := topo.Parse("demo.yaml", demoLab)
	if err != nil {
		return err
	}
	want, err := topo.Compile(lab)
	if err != nil {
		return err
	}
	up := rtnl.LinkConfig{}
	up.SetUp(true)
	if err := s.do(rtnl.SetLink(rtnl.LinkID{Name: "lo"}, up)); err != nil {
		return err
	}
	k, err := topo.OpenKernel(ctx, lab.Name, nil)
	if err != nil {
		return err
	}
	defer k.Close()
	begun := time.Now()
	if _, err := k.Up(ctx, want, s.demoSteps); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "\nIt took %s. Now the proof, with real packets:\n\n", time.Since(begun).Round(time.Millisecond))
	report := topo.Verify(ctx, lab, topo.Facts(lab))
	err = report.WriteText(s.out, s.colors())
	if keep {
		err = s.demoShell(lab)
	}
	gone, downErr := k.Down(context.WithoutCancel(ctx), nil)
	if downErr == nil {
		fmt.Fprintf(s.out, "\nTaken away again: %s. The machine's own network was never touched.\n", count(len(gone), "step"))
	}
	if !report.OK() {
		err = errors.Join(err, exit(exitFailed, errReported))
	}
	return errors.Join(err, downErr)
}

// demoSteps prints the commands that each stage stands for.
func (s *session) demoSteps(_ topo.Plan, do topo.Do) topo.Do {
	have := topo.State{}
	fmt.Fprint(s.out, "A world in a sandbox. What vnet does there, in the words of ip, nft and sysctl, without\nthe marks by which vnet finds it again:\n")
	said := ""
	return func(ctx context.Context, stage []topo.Step) error {
		for _, part := range titled(stage) {
			script, err := topo.Plan(part).Commands("demo", have, topo.NFTScript)
			if err != nil {
				return err
			}
			if title := demoTitles[part[0].Object().Key().Kind]; title != "" && title != said {
				fmt.Fprintf(s.out, "\n%s\n", s.bold(title))
				said = title
			}
			for _, line := range demoView(script) {
				fmt.Fprintf(s.out, "    %s\n", line)
			}
			for _, step := range part {
				if have[step.Object().Key()] = step.Want; step.Want == nil { // what failed is undone
					delete(have, step.Object().Key())
				}
			}
		}
		return do(ctx, stage)
	}
}

// titled cuts a stage where another title begins.
func titled(stage []topo.Step) (parts [][]topo.Step) {
	title := ""
	for i, step := range stage {
		next := demoTitles[step.Object().Key().Kind]
		if i == 0 || next != "" && next != title {
			title = next
			parts = append(parts, nil)
		}
		parts[len(parts)-1] = append(parts[len(parts)-1], step)
	}
	return parts
}

// demoShell lets the user look around.
func (s *session) demoShell(lab topo.Topology) error {
	fmt.Fprintf(s.out, "\nA shell on the machine of lab %s. Try: vnet netns; vnet -n red route; vnet exec red ip addr; exit\n", lab.Name)
	if err := s.out.Flush(); err != nil {
		return err
	}
	cmd := exec.Command(shell())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	var ended *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &ended) {
		return err // how the shell ended is nobody's business
	}
	return nil
}
