package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A test is a test of a binary.
type test struct {
	binary, dir, name string
	took              time.Duration
	reached           map[int]bool // numbers of mutants
}

type testList []*test

// reaching returns the tests that reach a mutant, the fastest first.
func (list testList) reaching(number int) (found testList) {
	for _, t := range list {
		if t.reached[number] {
			found = append(found, t)
		}
	}
	slices.SortStableFunc(found, func(a, b *test) int { return cmp.Compare(a.took, b.took) })
	return found
}

// run runs the test with one more variable in its environment. It reports whether the test passes within the time.
func (t *test) run(variable string, limit time.Duration) bool {
	seconds := strconv.FormatFloat(limit.Seconds(), 'f', 1, 64)
	cmd := exec.Command("timeout", "--kill-after=1", seconds, t.binary, "-test.short", "-test.run", "^"+t.name+"$")
	cmd.Dir, cmd.Env = t.dir, append(os.Environ(), variable)
	return cmd.Run() == nil
}

// fails reports whether the test kills a mutant. A test that takes six times as long as without mutants fails, too.
func (t *test) fails(number int) bool {
	return !t.run("MUTANT="+strconv.Itoa(number), max(3*time.Second, 6*t.took))
}

var testName = regexp.MustCompile(`^(Test|Example|Fuzz)`)

// findTests runs each test without a mutant, and finds out which mutants it reaches. Tests that fail are left out.
func findTests(c config, binaries []string, work string, out io.Writer) (list testList, err error) {
	for i, dir := range append([]string{c.dir}, c.with...) {
		dir, err = filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		names := exec.Command(binaries[i], "-test.list", ".")
		names.Dir = dir
		text, err := names.Output()
		if err != nil {
			return nil, fmt.Errorf("%s -test.list: %w", dir, err)
		}
		for _, name := range strings.Fields(string(text)) {
			if !testName.MatchString(name) || c.skip.MatchString(name) {
				continue
			}
			t := &test{binary: binaries[i], dir: dir, name: name}
			if !t.findReached(filepath.Join(work, "reached")) {
				fmt.Fprintln(out, "left out, because it fails without a mutant:", name)
				continue
			}
			list = append(list, t)
		}
	}
	return list, nil
}

// findReached runs the test and notes which mutants it reaches. It returns false if the test fails.
func (t *test) findReached(path string) bool {
	_ = os.Remove(path)
	start := time.Now()
	if !t.run("MUTANT_REACHED="+path, 5*time.Minute) {
		return false
	}
	t.took, t.reached = time.Since(start), map[int]bool{}
	text, _ := os.ReadFile(path) // there is none if the test reaches no mutant
	for _, line := range strings.Fields(string(text)) {
		n, _ := strconv.Atoi(line)
		t.reached[n] = true
	}
	return true
}
