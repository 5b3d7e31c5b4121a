package main

import (
	"flag"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
)

// A labCommand is an object that takes options and files instead of ip(8)'s keywords.
type labCommand struct {
	flags   []cli.Flag
	maxArgs int // maximum number of arguments besides the options
	run     func(*session, labLine) error
}

// A labLine holds the arguments of a lab command: options at any place, and the rest.
type labLine struct{ *cli.Context }

// file returns the lab file argument, or [labFile].
func (l labLine) file() string {
	if l.NArg() > 0 {
		return l.Args().First()
	}
	return labFile
}

// read parses the arguments of a lab command.
func (c *labCommand) read(args []string) (labLine, error) {
	set := flag.NewFlagSet("", flag.ContinueOnError)
	set.SetOutput(io.Discard) // errors are printed by session.report
	for _, f := range c.flags {
		if err := f.Apply(set); err != nil {
			return labLine{}, err
		}
	}
	var rest []string
	for len(args) > 0 {
		if err := set.Parse(args); err != nil {
			return labLine{}, c.optionError(set, args[len(args)-set.NArg()-1], err)
		}
		if set.NArg() > 0 { // package flag stops at the first argument, but options may follow
			rest = append(rest, set.Arg(0))
			args = set.Args()[1:]
		} else {
			args = nil
		}
	}
	if len(rest) > c.maxArgs {
		return labLine{}, words.Errorf("%q is one argument too many", rest[c.maxArgs])
	}
	// cli.Context takes the arguments from the set.
	if err := set.Parse(append([]string{"--"}, rest...)); err != nil {
		return labLine{}, err
	}
	return labLine{cli.NewContext(nil, set, nil)}, nil
}

// optionError returns the error for a wrong option.
func (c *labCommand) optionError(set *flag.FlagSet, word string, err error) error {
	name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
	if set.Lookup(name) != nil {
		if !strings.Contains(word, "=") {
			return words.Errorf("--%s needs a value", name)
		}
		return words.Errorf("%s: %v", word, err)
	}
	var known []string
	for _, f := range c.flags {
		known = append(known, "--"+f.Names()[0])
	}
	e := words.Unknown("option", word, known)
	if e.Hint == "" && len(known) > 0 {
		e.Hint = "the options are " + strings.Join(known, ", ")
	}
	return e
}

// asksForHelp reports whether the arguments ask for help.
func asksForHelp(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool { return a == "-h" || a == "-help" || a == "--help" }) ||
		len(args) == 1 && args[0] == "help"
}

// boolean is an option without a value.
func boolean(name, usage string) cli.Flag {
	return &cli.BoolFlag{Name: name, Usage: usage, DisableDefaultText: true}
}

// text is an option with a value. The value's name is between backquotes in usage.
func text(name, usage string) cli.Flag { return &cli.StringFlag{Name: name, Usage: usage} }
