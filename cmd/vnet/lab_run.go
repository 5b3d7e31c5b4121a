package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab"
	"github.com/vnet-lab/vnet/topo/verify"
)

func verifyObject() *object {
	return &object{name: "verify", usage: "prove a lab's facts with real packets",
		lab: &labCommand{maxArgs: 1, run: (*session).verify, flags: []cli.Flag{
			boolean("all-pairs", "ping from every host to every other, instead of the file's facts"),
			boolean("json", "print JSON"), boolean("tap", "print the Test Anything Protocol"),
			text("junit", "also write a JUnit report to `FILE`"),
		}}, help: `
vnet verify [FILE] [--all-pairs] [--json | --tap] [--junit FILE]

Proves the facts of the file's expect list with ICMP, TCP and UDP packets from inside
the hosts, all at the same time. For each fact that does not hold, it prints where the
packets were lost. The hosts need no software and no running servers. --all-pairs pings
from every host to every other instead and prints only failures. Exits with 1 if a fact
does not hold.

   vnet up lab.yaml && vnet verify lab.yaml
   vnet verify lab.yaml --junit report.xml
`}
}

// verify runs vnet verify.
func (s *session) verify(l labLine) error {
	topology, err := s.readLab(l.file())
	if err != nil {
		return err
	}
	facts := lab.Facts(topology)
	if l.Bool("all-pairs") {
		facts = verify.AllPairs(topology)
	}
	if len(facts) == 0 && !l.Bool("all-pairs") {
		s.note("the file has no facts under expect; --all-pairs pings from every host to every other")
	}
	if report := l.Bool("json") || s.JSON || l.Bool("tap") || l.String("junit") != ""; !report && !isUp(topology) {
		return &hinted{fmt.Errorf("lab %q is not up", topology.Name), strings.TrimSpace("vnet up " + l.Args().First())}
	}
	ctx, stop := interruptible()
	defer stop()
	return s.showReport(verify.Verify(ctx, topology, facts), l)
}

// isUp reports whether a lab may be up: it has an adopted namespace or no host except the machine, a namespace with the
// name of one of its hosts exists, or the names cannot be read.
func isUp(topology lab.Topology) bool {
	names, err := nsfs.Names()
	return err != nil || slices.ContainsFunc(topology.Hosts, func(h lab.Host) bool {
		return h.Namespace != "" || slices.Contains(names, h.Name)
	}) || !slices.ContainsFunc(topology.Hosts, func(h lab.Host) bool { return h.Name != topo.Machine })
}

// showReport prints a report in the chosen format.
func (s *session) showReport(r verify.Report, l labLine) error {
	s.hintPermission(r)
	var err error
	switch {
	case l.Bool("json") || s.JSON:
		err = r.WriteJSON(s.out)
	case l.Bool("tap"):
		err = r.WriteTAP(s.out)
	case l.Bool("all-pairs"):
		err = r.WriteFailures(s.out, s.colors())
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
