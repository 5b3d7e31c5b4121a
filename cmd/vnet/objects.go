package main

import (
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
)

// An object is the first word behind the options, and what happens to the words
// behind it.
type object struct {
	name string
	// short says that any beginning of the name will do, as with ip(8)'s own.
	short bool
	// usage is one line, help the rest: the grammar, and examples.
	usage, help string
	// verbs are the words that can follow first, for completion.
	verbs []string
	// One of these two does the work: ip's words are read by internal/words, the
	// options of lab commands by urfave/cli.
	run func(s *session, args []string) error
	lab *labCommand
}

// objects are tried in this order, which is ip(8)'s where it has them: the first
// one that a word abbreviates is meant.
func objects() []object {
	return []object{
		addrObject(), routeObject(), neighObject("neighbor"), neighObject("neighbour"), linkObject(), netnsObject(), natObject(),
		checkObject(), planObject(), upObject(), downObject(),
		lsObject(), statusObject(), execObject(), shellObject(), verifyObject(),
		exportObject(), graphObject(), schemaObject(), demoObject(), sandboxObject(), completionObject(),
	}
}

// worksInside are the objects that heed -netns.
var worksInside = []string{"address", "route", "neighbor", "neighbour", "link", "netns", "nat"}

// object finds the object that the first word names and hands it the rest.
func (s *session) object(args []string) error {
	if len(args) == 0 || s.Help {
		return s.help(args)
	}
	for _, o := range objects() {
		if args[0] == o.name || o.short && words.Short(args[0], o.name) {
			return o.do(s, args[1:])
		}
	}
	if args[0] == "help" {
		return s.help(args[1:])
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
		e.Hint = "vnet help lists what there is"
	}
	return exit(exitFailed, e)
}

// do carries out the words behind the object.
func (o object) do(s *session, args []string) error {
	if err := needKernel(o.name, args); err != nil {
		return err
	}
	if s.Netns != "" && !slices.Contains(worksInside, o.name) {
		return words.Errorf("-netns is not for %s, which is about the machine", o.name)
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

func (s *session) version() error {
	_, err := fmt.Fprintln(s.out, "vnet", version())
	return err
}

// version is the module's, as the Go toolchain stamped it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
