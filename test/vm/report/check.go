package main

import (
	"fmt"
	"regexp"
	"strings"
)

// An allowedSkip is a line of skips.txt: on these kernels, these tests may skip with
// this output. kernel and test match whole names; output may match a part.
type allowedSkip struct{ kernel, test, output *regexp.Regexp }

func parseAllowedSkips(text string) ([]allowedSkip, error) {
	var all []allowedSkip
	for i, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 3 {
			return nil, fmt.Errorf("line %d: expected KERNEL TEST OUTPUT", i+1)
		}
		var res [3]*regexp.Regexp
		for j, pattern := range []string{"^(" + f[0] + ")$", "^(" + f[1] + ")$", strings.Join(f[2:], " ")} {
			re, err := regexp.Compile(pattern)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			res[j] = re
		}
		all = append(all, allowedSkip{res[0], res[1], res[2]})
	}
	return all, nil
}

// check returns a message for each failure, and for each skip that is not allowed.
func check(r run, allowed []allowedSkip) []string {
	var problems []string
	for _, t := range r.tests {
		switch {
		case t.action == "fail":
			problems = append(problems, fmt.Sprintf("%s: %s failed\n%s", r.kernel, t.name, indent(t.output)))
		case t.action == "skip" && !t.isPackage && !isAllowedSkip(r.kernel, t, allowed):
			problems = append(problems, fmt.Sprintf("%s: %s was skipped, but skips.txt does not allow it\n%s",
				r.kernel, t.name, indent(t.output)))
		}
	}
	return problems
}

func isAllowedSkip(kernel string, t test, allowed []allowedSkip) bool {
	for _, l := range allowed {
		if l.kernel.MatchString(kernel) && l.test.MatchString(t.name) && l.output.MatchString(t.output) {
			return true
		}
	}
	return false
}

func indent(s string) string {
	return "\t" + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n\t")
}
