// Mutants runs mutation tests: it changes one place of a package at a time, and at least one test must fail.
//
//	mutants [-with PACKAGE,…] [-sample N] [-exclude FILES] [-skip TESTS] PACKAGE
//
// It writes all changes into the package at once, and builds one test binary. The environment variable MUTANT chooses
// the change that has an effect. So each mutant costs only the tests that reach it, which a first run finds out: those
// of the package and of the packages of -with. The source files stay as they are; the go command reads the changed
// ones through -overlay.
//
// A change is: another operator (< to <=, == to !=, + to -, && to ||), a condition that is negated, a call, an
// assignment, a break or a continue that is left out, and a return of zero values. A mutant that no test reaches is
// alive; one that makes a test run too long is killed. The program prints the mutants that are alive, and fails if
// fewer than 85 % are killed.
package main

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
)

// A config has the values of the command line.
type config struct {
	dir           string   // the package, such as ./rtnl
	with          []string // more packages whose tests run
	exclude, skip *regexp.Regexp
	sample        int // the number of mutants to try; 0 means all
}

func main() {
	with := flag.String("with", "", "more `packages` whose tests run, separated by commas")
	exclude := flag.String("exclude", "^$", "files that stay as they are: a regular `expression`")
	skip := flag.String("skip", "^$", "tests that do not run: a regular `expression`")
	sample := flag.Int("sample", 0, "try `N` mutants, which do not change between runs; 0 means all")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	c := config{
		dir: flag.Arg(0), exclude: regexp.MustCompile(*exclude), skip: regexp.MustCompile(*skip), sample: *sample,
		with: strings.FieldsFunc(*with, func(r rune) bool { return r == ',' }),
	}
	killed, tried, err := run(c, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants: error:", err)
		os.Exit(2)
	}
	fmt.Printf("%s: %d of %d mutants killed, %.1f %%\n", c.dir, killed, tried, 100*float64(killed)/float64(max(tried, 1)))
	if killed*100 < tried*85 {
		os.Exit(1)
	}
}

// run tries the mutants of a package, and writes those that are alive to out.
func run(c config, out io.Writer) (killed, tried int, err error) {
	work, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(work)
	mutants, binaries, err := build(c, work)
	if err != nil {
		return 0, 0, err
	}
	tests, err := findTests(c, binaries, work, out)
	if err != nil {
		return 0, 0, err
	}
	for _, m := range chosen(mutants, c.sample) {
		tried++
		reaching := tests.reaching(m.number)
		if slices.ContainsFunc(reaching, func(t *test) bool { return t.fails(m.number) }) {
			killed++
			continue
		}
		fmt.Fprintf(out, "alive: %s (%d tests reach it)\n", m, len(reaching))
	}
	return killed, tried, nil
}

// chosen returns n of the mutants in their order, always the same ones; all if n is 0.
func chosen(all []mutant, n int) []mutant {
	if n == 0 || n >= len(all) {
		return all
	}
	order := rand.New(rand.NewPCG(1, 1)).Perm(len(all))[:n]
	slices.Sort(order)
	var some []mutant
	for _, i := range order {
		some = append(some, all[i])
	}
	return some
}
