package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// module is the prefix of the names of all packages.
const module = "github.com/vnet-lab/vnet"

// A test is the result of one test or of one package.
type test struct {
	name      string // package and test: rtnl.TestAltNames; rtnl is the package
	action    string // pass, fail or skip
	output    string
	isPackage bool // the result of a package, not of a test
}

// A run has the results of one kernel.
type run struct {
	kernel string
	tests  []test // by name
}

// readRun reads the output of go test -json. It ignores lines of other programs, such as
// the compiler: the result of the package covers them.
func readRun(kernel string, r io.Reader) (run, error) {
	output := map[string]*strings.Builder{}
	made := run{kernel: kernel}
	s := bufio.NewScanner(r)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		var e struct{ Action, Package, Test, Output string }
		if json.Unmarshal(s.Bytes(), &e) != nil || e.Package == "" {
			continue
		}
		name := shortName(e.Package, e.Test)
		if output[name] == nil {
			output[name] = &strings.Builder{}
		}
		switch e.Action {
		case "output":
			output[name].WriteString(e.Output)
		case "pass", "fail", "skip":
			made.tests = append(made.tests, test{name, e.Action, output[name].String(), e.Test == ""})
		}
	}
	if len(made.tests) == 0 && s.Err() == nil {
		return made, fmt.Errorf("no test ended")
	}
	slices.SortFunc(made.tests, func(a, b test) int { return strings.Compare(a.name, b.name) })
	return made, s.Err()
}

func shortName(pkg, test string) string {
	name := strings.TrimPrefix(strings.TrimPrefix(pkg, module), "/")
	if test != "" {
		name += "." + test
	}
	return name
}

// summary returns a line with the numbers of a run.
func (r run) summary() string {
	n := map[string]int{}
	for _, t := range r.tests {
		if !t.isPackage {
			n[t.action]++
		}
	}
	return fmt.Sprintf("%s: %d passed, %d failed, %d skipped", r.kernel, n["pass"], n["fail"], n["skip"])
}
