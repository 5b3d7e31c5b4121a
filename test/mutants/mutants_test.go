package main

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRun tries all mutants of a package whose tests have gaps.
func TestRun(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go on this machine")
	}
	none := regexp.MustCompile("^$")
	var out strings.Builder
	killed, tried, err := run(config{dir: "./testdata/sample", exclude: none, skip: none}, &out)
	if err != nil {
		t.Fatal(err)
	}
	want := `left out, because it fails without a mutant: TestFails
alive: sample.go:6: < at its boundary (1 tests reach it)
alive: sample.go:12: >= at its boundary (1 tests reach it)
alive: sample.go:35: returns zero values (0 tests reach it)
alive: sample.go:35: && is the other one (0 tests reach it)
alive: sample.go:35: negated (0 tests reach it)
alive: sample.go:36: negated (0 tests reach it)
`
	if diff := cmp.Diff(want, out.String()); diff != "" || tried-killed != strings.Count(want, "alive:") || killed != 17 {
		t.Errorf("%d of %d killed (-want +got):\n%s", killed, tried, diff)
	}
}

// TestChosen: a sample is always the same, and in order.
func TestChosen(t *testing.T) {
	all := make([]mutant, 9)
	for i := range all {
		all[i].number = i + 1
	}
	for n, want := range map[int]int{0: 9, 4: 4, 9: 9, 10: 9} {
		some, again := chosen(all, n), chosen(all, n)
		if len(some) != want || !cmp.Equal(some, again, cmp.AllowUnexported(mutant{})) {
			t.Errorf("%d of 9: %v, then %v", n, some, again)
		}
	}
}
