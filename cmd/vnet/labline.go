package main

import (
	"flag"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
)

// A labCommand is an object that takes options and files, not ip's words.
type labCommand struct {
	flags []cli.Flag
	most  int // how many words there may be besides the options
	run   func(*session, labLine) error
}

// A labLine is what stands behind a lab command: options, anywhere, and the rest.
type labLine struct{ *cli.Context }

// file is the lab file that is named, or [labFile].
func (l labLine) file() string {
	if l.NArg() > 0 {
		return l.Args().First()
	}
	return labFile
}

// read reads the words behind a lab command.
func (c *labCommand) read(args []string) (labLine, error) {
	set := flag.NewFlagSet("", flag.ContinueOnError)
	set.SetOutput(io.Discard) // mistakes are told as all others are
	for _, f := range c.flags {
		if err := f.Apply(set); err != nil {
			return labLine{}, err
		}
	}
	var rest []string
	for len(args) > 0 {
		if err := set.Parse(args); err != nil {
			return labLine{}, c.mistake(set, args[len(args)-set.NArg()-1], err)
		}
		if set.NArg() > 0 { // flag stops at a word, but options may stand behind it
			rest = append(rest, set.Arg(0))
			args = set.Args()[1:]
		} else {
			args = nil
		}
	}
	if len(rest) > c.most {
		return labLine{}, words.Errorf("%q is one word too many", rest[c.most])
	}
	// The context looks for the words in the set.
	if err := set.Parse(append([]string{"--"}, rest...)); err != nil {
		return labLine{}, err
	}
	return labLine{cli.NewContext(nil, set, nil)}, nil
}

// mistake says what is wrong with an option.
func (c *labCommand) mistake(set *flag.FlagSet, word string, err error) error {
	name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
	if set.Lookup(name) != nil {
		if !strings.Contains(word, "=") {
			return words.Errorf("--%s needs a value behind it", name)
		}
		return words.Errorf("%s: %v", word, err)
	}
	var known []string
	for _, f := range c.flags {
		known = append(known, "--"+f.Names()[0])
	}
	e := words.Unknown("option", word, known)
	if e.Hint == "" && len(known) > 0 {
		e.Hint = "there are " + strings.Join(known, ", ")
	}
	return e
}

// asksForHelp says whether a lab command is only asked what it does.
func asksForHelp(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool { return a == "-h" || a == "-help" || a == "--help" }) ||
		len(args) == 1 && args[0] == "help"
}

// boolean is an option without a value.
func boolean(name, usage string) cli.Flag {
	return &cli.BoolFlag{Name: name, Usage: usage, DisableDefaultText: true}
}

// text is an option with a value, which usage names between backquotes.
func text(name, usage string) cli.Flag { return &cli.StringFlag{Name: name, Usage: usage} }
