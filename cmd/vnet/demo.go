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
	"github.com/vnet-lab/vnet/topo/lab"
	"github.com/vnet-lab/vnet/topo/live"
	"github.com/vnet-lab/vnet/topo/verify"
)

// demoLab is the lab file of vnet demo.
//
//go:embed demo.yaml
var demoLab []byte

func demoObject() *object {
	return &object{name: "demo", usage: "show all features in a sandbox, without root",
		lab: &labCommand{run: (*session).demo, flags: []cli.Flag{boolean("keep", "open a shell in the lab")}}, help: `
vnet demo [--keep]

Makes a small lab in a sandbox: the hosts red and blue on a bridge, the machine on the
same bridge, and a host named outside behind the machine. Shows each step with the
commands of ip, nft and sysctl that do the same. Proves with real packets which hosts
reach each other, also through NAT and forwarded ports. Then removes the lab. It needs
no root and does not touch the machine's own network. --keep opens a shell in the lab
before the lab is removed.

   vnet demo
   vnet demo --keep
`}
}

// demo runs vnet demo, in a sandbox.
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

// exitWith returns the error for an exit code when everything is already printed.
func exitWith(code int) error {
	if code == exitOK {
		return nil
	}
	return exit(code, errReported)
}

// demoInside runs the demo in its sandbox. The sandbox's namespace is the lab's machine.
func (s *session) demoInside(keep bool) error {
	ctx, stop := interruptible()
	defer stop()
	topology, err := lab.Parse("demo.yaml", demoLab)
	if err != nil {
		return err
	}
	if err := topology.Fill(live.Machine{}); err != nil {
		return err
	}
	want, err := lab.Compile(topology)
	if err != nil {
		return err
	}
	up := rtnl.LinkConfig{}
	up.SetUp(true)
	if err := s.do(rtnl.SetLink(rtnl.LinkID{Name: "lo"}, up)); err != nil {
		return err
	}
	k, err := live.OpenKernel(ctx, topology.Name, nil)
	if err != nil {
		return err
	}
	defer k.Close()
	begun := time.Now()
	if _, err := k.Up(ctx, want, s.demoSteps); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "\nThis took %s. Now the facts are proved with real packets:\n\n",
		time.Since(begun).Round(time.Millisecond))
	report := verify.Verify(ctx, topology, lab.Facts(topology))
	err = report.WriteText(s.out, s.colors())
	if keep {
		err = s.demoShell(topology)
	}
	gone, downErr := k.Down(context.WithoutCancel(ctx), nil)
	if downErr == nil {
		fmt.Fprintf(s.out, "\nThe lab is removed: %s. The machine's own network was not touched.\n", count(len(gone), "step"))
	}
	if !report.OK() {
		err = errors.Join(err, exit(exitFailed, errReported))
	}
	return errors.Join(err, downErr)
}

// demoSteps prints the commands that do the same as each stage.
func (s *session) demoSteps(_ topo.Plan, do topo.Do) topo.Do {
	have := topo.State{}
	fmt.Fprint(s.out,
		"A lab in a sandbox. These commands of ip, nft and sysctl do the same as vnet, without\nthe marks by which vnet "+
			"finds its objects again:\n")
	last := ""
	return func(ctx context.Context, stage []topo.Step) error {
		for _, part := range splitByTitle(stage) {
			script, err := topo.Plan(part).Commands("demo", have, live.NATScript())
			if err != nil {
				return err
			}
			if title := demoTitles[part[0].Object().Key().Kind]; title != "" && title != last {
				fmt.Fprintf(s.out, "\n%s\n", s.bold(title))
				last = title
			}
			for _, line := range demoView(script) {
				fmt.Fprintf(s.out, "    %s\n", line)
			}
			for _, step := range part {
				if have[step.Object().Key()] = step.Want; step.Want == nil { // a delete, also when up undoes a failed stage
					delete(have, step.Object().Key())
				}
			}
		}
		return do(ctx, stage)
	}
}

// splitByTitle splits a stage before each step that has a new title.
func splitByTitle(stage []topo.Step) (parts [][]topo.Step) {
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

// demoShell opens a shell in the lab.
func (s *session) demoShell(lab lab.Topology) error {
	fmt.Fprintf(s.out,
		"\nA shell on the machine of lab %s. Try: vnet netns; vnet -n red route; vnet exec red ip addr; exit\n", lab.Name)
	if err := s.out.Flush(); err != nil {
		return err
	}
	cmd := exec.Command(shell())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	var ended *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &ended) {
		return err // the shell's own exit code does not matter
	}
	return nil
}
