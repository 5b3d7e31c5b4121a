package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo"
)

func execObject() object {
	return object{name: "exec", usage: "run a command in a host of a lab", run: (*session).exec, help: `
vnet exec [LAB/]HOST COMMAND ...

Runs a command in a host: with its network, its names in /etc/hosts, its servers in
/etc/resolv.conf. It exits as the command does.

   vnet exec red ping -c1 blue
   vnet exec red-blue/red ip addr
`}
}

func shellObject() object {
	return object{name: "shell", usage: "open a shell in a host of a lab", run: (*session).shell, help: `
vnet shell [LAB/]HOST

Opens $SHELL, or sh, in a host, as vnet exec does.
`}
}

func verifyObject() object {
	return object{name: "verify", usage: "prove a lab's facts with real packets", lab: &labCommand{most: 1, run: (*session).verify, flags: []cli.Flag{
		boolean("all-pairs", "let every host ping every other one, instead of what the file expects"),
		boolean("json", "print JSON"), boolean("tap", "print the Test Anything Protocol"), text("junit", "write a JUnit report to `FILE` too"),
	}}, help: `
vnet verify [FILE] [--all-pairs] [--json | --tap] [--junit FILE]

Proves what the file's expect lists, with ICMP, TCP and UDP from inside the hosts, all
at once, and says of each fact that does not hold where its packets were lost. Nothing
has to be installed, or to listen, in the hosts. --all-pairs lets every host ping every
other one instead. Exits with 1 if a fact does not hold.

   vnet up lab.yaml && vnet verify lab.yaml
   vnet verify lab.yaml --junit report.xml
`}
}

// exec carries out vnet exec.
func (s *session) exec(args []string) error {
	if len(args) < 2 {
		return words.Errorf("exec needs a host and a command")
	}
	return s.execIn(args[0], args[1:])
}

// shell carries out vnet shell.
func (s *session) shell(args []string) error {
	if len(args) != 1 {
		return words.Errorf("shell needs a host")
	}
	shell := os.Getenv("SHELL")
	if shell == "" {
		shell = "sh"
	}
	return s.execIn(args[0], []string{shell})
}

func (s *session) execIn(host string, argv []string) error {
	host = host[strings.LastIndex(host, "/")+1:]
	if err := s.out.Flush(); err != nil {
		return err
	}
	return noNetns(host, exitFailed, nsfs.Exec(host, argv, os.Environ()))
}

// verify carries out vnet verify.
func (s *session) verify(l labLine) error {
	lab, err := s.readLab(l.file())
	if err != nil {
		return err
	}
	facts := topo.Facts(lab)
	if l.Bool("all-pairs") {
		facts = topo.AllPairs(lab)
	}
	ctx, stop := interruptible()
	defer stop()
	return s.showReport(topo.Verify(ctx, lab, facts), l)
}

// showReport prints a report in the way that is asked for.
func (s *session) showReport(r topo.Report, l labLine) error {
	var err error
	switch {
	case l.Bool("json") || s.JSON:
		err = r.WriteJSON(s.out)
	case l.Bool("tap"):
		err = r.WriteTAP(s.out)
	default:
		err = r.WriteText(s.out, s.colors())
	}
	if file := l.String("junit"); file != "" {
		err = errors.Join(err, writeFile(file, r.WriteJUnit))
	}
	if err == nil && !r.OK() {
		return exit(exitFailed, errReported)
	}
	return err
}

func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
