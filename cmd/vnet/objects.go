package main

import (
	"slices"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
)

// An object is the first word after the options: its help, and the function that handles the words after it.
type object struct {
	name string
	// short allows abbreviations of the name, as for ip(8)'s objects.
	short bool
	// usage is one line; help is the syntax and examples.
	usage, help string
	// verbs are the words that can follow the object, for completion.
	verbs []string
	// Exactly one of these is set. run handles ip(8)'s syntax with internal/words, lab handles lab commands with
	// urfave/cli.
	run func(s *session, args []string) error
	lab *labCommand
}

// An objectGroup is a part of the help.
type objectGroup struct {
	title   string
	objects []*object
}

// objectGroups returns the objects in groups. Those of ip(8) are first and in its order: an abbreviation means the
// first object that it fits.
func objectGroups() []objectGroup {
	return []objectGroup{
		{"Networks by hand, with the words of ip(8)", []*object{
			addrObject(), routeObject(), ruleObject(), neighObject(otherNeighbor), neighObject("neighbour"), linkObject(),
			netnsObject(), natObject(),
		}},
		{"Labs in a file", []*object{
			checkObject(), planObject(), upObject(), keepObject(), downObject(), exportObject(), graphObject(), schemaObject(),
		}},
		{"Labs that are up", []*object{
			lsObject(), statusObject(), execObject(), shellObject(), verifyObject(),
		}},
		{"Single namespaces on a network", []*object{attachObject(), detachObject(), membersObject()}},
		{"Other", []*object{doctorObject(), demoObject(), sandboxObject(), completionObject(), versionObject()}},
	}
}

// objects returns all objects.
func objects() (all []*object) {
	for _, g := range objectGroups() {
		all = append(all, g.objects...)
	}
	return all
}

// netnsObjects lists the objects that support -netns.
var netnsObjects = []string{"address", "route", "rule", "neighbor", "neighbour", "link", "netns", "nat"}

// object finds the object of the first word and passes the other words to it.
func (s *session) object(args []string) error {
	if len(args) == 0 || s.Help {
		return s.helpAs(args)
	}
	for _, o := range objects() {
		if args[0] == o.name || o.short && words.Short(args[0], o.name) {
			return o.do(s, args[1:])
		}
	}
	if args[0] == "help" {
		return s.helpAs(args[1:])
	}
	return s.unknownObject(args[0])
}

func (s *session) unknownObject(word string) error {
	var names []string
	for _, o := range objects() {
		names = append(names, o.name)
	}
	e := words.Unknown("object", word, names)
	if e.Hint == "" {
		e.Hint = "vnet help lists the objects"
	}
	if s.asIP || s.Batch != "" {
		return exit(exitFailed, e) // ip(8)'s exit code, which does not stop a batch with -force
	}
	return e
}

// do runs the object with the words after it.
func (o *object) do(s *session, args []string) error {
	if err := checkKernel(o.name, args); err != nil {
		return err
	}
	s.current = o.name
	if s.Netns != "" && !slices.Contains(netnsObjects, o.name) {
		return words.Errorf("%s does not support -netns", o.name)
	}
	if o.lab == nil {
		return o.run(s, args)
	}
	if asksForHelp(args) {
		return s.objectHelp(o)
	}
	line, err := o.lab.read(args)
	if err != nil {
		return err
	}
	return o.lab.run(s, line)
}
