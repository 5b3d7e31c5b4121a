package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/urfave/cli/v2"

	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab"
	"github.com/vnet-lab/vnet/topo/live"
)

func checkObject() object {
	return object{name: "check", usage: "list all mistakes of a lab file",
		lab: &labCommand{maxArgs: math.MaxInt, run: (*session).check, flags: []cli.Flag{
			boolean("json", "print a list of the mistakes as JSON"),
		}}, help: `
vnet check [FILE]... [--json]

Lists all mistakes with their lines and a correction, and exits with 2. If there are no
mistakes, it prints how many networks, hosts, links and facts the lab has. It needs no
privileges and changes nothing. FILE defaults to vnet.yaml; - is standard input.

   vnet check lab.yaml
   vnet check --json labs/*.yaml
`}
}

// check runs vnet check. If a file cannot be read, check reports this and continues with the other files.
func (s *session) check(l labLine) error {
	files := l.Args().Slice()
	if len(files) == 0 {
		files = []string{labFile}
	}
	asJSON := l.Bool("json") || s.JSON
	found := lab.Mistakes{}
	var failed error
	for _, file := range files {
		topology, objects, err := s.checkFile(file)
		var mistakes lab.Mistakes
		switch {
		case errors.As(err, &mistakes):
			found = append(found, mistakes...)
			failed = exit(exitMistakes, errReported)
			if !asJSON {
				failed = s.mistakes(mistakes)
			}
		case err != nil:
			s.report(err)
			failed = exit(exitCode(err), errReported)
		case !asJSON:
			s.showCounts(topology, objects)
		}
	}
	if asJSON {
		return errors.Join(json.NewEncoder(s.out).Encode(found), failed)
	}
	return failed
}

// checkFile reads and compiles a lab file, and prints nothing.
func (s *session) checkFile(file string) (topology lab.Topology, objects topo.State, err error) {
	if topology, err = s.parse(file); err != nil {
		return topology, nil, err
	}
	if err := topology.Fill(live.Machine{}); err != nil {
		return topology, nil, err
	}
	objects, err = lab.Compile(topology)
	return topology, objects, err
}

// showCounts prints what a lab has.
func (s *session) showCounts(l lab.Topology, objects topo.State) {
	fmt.Fprintf(s.out, "%s: %s, %s, %s, %s; %s in the kernel\n", l.Name,
		count(len(l.Networks), "network"), count(len(l.Hosts), "host"), count(len(l.Links), "link"),
		count(len(l.Expect), "fact"), count(len(objects), "object"))
}
