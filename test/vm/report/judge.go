package main

import (
	"fmt"
	"regexp"
	"strings"
)

// A leave is a line of skips.txt: on these kernels these tests may be skipped with
// these words. Kernel and test are whole matches; the words may be a part.
type leave struct{ kernel, test, words *regexp.Regexp }

func parseLeaves(text string) ([]leave, error) {
	var all []leave
	for i, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 3 {
			return nil, fmt.Errorf("line %d: want KERNEL TEST WORDS", i+1)
		}
		var res [3]*regexp.Regexp
		for j, pattern := range []string{"^(" + f[0] + ")$", "^(" + f[1] + ")$", strings.Join(f[2:], " ")} {
			re, err := regexp.Compile(pattern)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			res[j] = re
		}
		all = append(all, leave{res[0], res[1], res[2]})
	}
	return all, nil
}

// judge returns a complaint for every failure and every skip without leave.
func judge(r run, allowed []leave) []string {
	var complaints []string
	for _, t := range r.tests {
		switch {
		case t.action == "fail":
			complaints = append(complaints, fmt.Sprintf("%s: %s failed\n%s", r.kernel, t.name, indent(t.output)))
		case t.action == "skip" && !t.whole && !maySkip(r.kernel, t, allowed):
			complaints = append(complaints, fmt.Sprintf("%s: %s was skipped, and skips.txt does not allow that\n%s", r.kernel, t.name, indent(t.output)))
		}
	}
	return complaints
}

func maySkip(kernel string, t test, allowed []leave) bool {
	for _, l := range allowed {
		if l.kernel.MatchString(kernel) && l.test.MatchString(t.name) && l.words.MatchString(t.output) {
			return true
		}
	}
	return false
}

func indent(s string) string {
	return "\t" + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n\t")
}
