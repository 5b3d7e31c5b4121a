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

func checkObject() *object {
	return &object{name: "check", usage: "list all mistakes of a lab file",
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

// showCounts prints what a lab has. The hosts and links are those that vnet ls counts when the lab is up.
func (s *session) showCounts(l lab.Topology, objects topo.State) {
	hosts, links := countHosts(objects)
	fmt.Fprintf(s.out, "%s: %s, %s, %s, %s; up makes %s\n", l.Name, count(len(l.Networks), "network"),
		count(hosts, "host"), count(links, "link"), count(len(lab.Facts(l)), "fact"), count(len(objects), "object"))
}

// countHosts counts the namespaces, and the links in them that are not the other end of a host's link.
func countHosts(objects topo.State) (hosts, links int) {
	counted := map[topo.Key]bool{}
	for _, o := range objects {
		switch o := o.(type) {
		case topo.Namespace:
			hosts++
		case topo.LinkObject:
			for _, link := range o.Links() {
				counted[link.Key()] = link.Master == ""
			}
		}
	}
	for _, o := range objects {
		if a, ok := o.(topo.Address); ok { // on lo, or on a link that the lab did not make
			key := topo.LinkKey(a.NS, a.Link)
			if _, known := counted[key]; !known {
				counted[key] = true
			}
		}
	}
	for _, isCounted := range counted {
		if isCounted {
			links++
		}
	}
	return hosts, links
}
