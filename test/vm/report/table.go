package main

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// A feature is a line of features.txt: a name, a tab, and a pattern of its tests.
type feature struct {
	name  string
	tests *regexp.Regexp
}

func parseFeatures(text string) ([]feature, error) {
	var all []feature
	for i, line := range strings.Split(text, "\n") {
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, pattern, ok := strings.Cut(line, "\t")
		if !ok {
			return nil, fmt.Errorf("line %d: expected a name, a tab, a pattern of tests", i+1)
		}
		re, err := regexp.Compile("^(" + strings.TrimSpace(pattern) + ")$")
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		all = append(all, feature{name, re})
	}
	return all, nil
}

// table returns a Markdown table: a row for each feature, a column for each kernel. A
// feature without a test in any run is an error: its tests have probably been renamed.
func table(features []feature, runs []run) (string, error) {
	columns := byKernel(runs)
	var b strings.Builder
	b.WriteString("| |")
	for _, r := range columns {
		b.WriteString(" " + r.kernel + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat(":-:|", len(columns)) + "\n")
	for _, f := range features {
		b.WriteString("| " + f.name + " |")
		found := false
		for _, r := range columns {
			cell := cellText(f, r)
			found = found || cell != "?"
			b.WriteString(" " + cell + " |")
		}
		if !found {
			return "", fmt.Errorf("no run has a test of %q: %s", f.name, f.tests)
		}
		b.WriteString("\n")
	}
	return b.String(), nil
}

// byKernel merges the runs of a kernel, with those that lack something
// (6.1-without-nat).
func byKernel(runs []run) []run {
	var all []run
	index := map[string]int{}
	for _, r := range runs {
		name, _, _ := strings.Cut(r.kernel, "-")
		i, found := index[name]
		if !found {
			i = len(all)
			index[name] = i
			all = append(all, run{kernel: name})
		}
		all[i].tests = append(all[i].tests, r.tests...)
	}
	return all
}

// cellText returns yes if a test of the feature passed and none failed, no if one failed,
// a dash if all skipped, a question mark if there was none.
func cellText(f feature, r run) string {
	cell := "?"
	for _, t := range r.tests {
		if !f.tests.MatchString(t.name) {
			continue
		}
		switch {
		case t.action == "fail":
			return "no"
		case t.action == "pass":
			cell = "yes"
		case cell == "?":
			cell = "–"
		}
	}
	return cell
}

const (
	begin = "<!-- kernels: made by make test-vm-all -->\n"
	end   = "<!-- /kernels -->\n"
)

// replace replaces the table between the markers of a page.
func replace(page []byte, made string) ([]byte, error) {
	before, rest, ok := bytes.Cut(page, []byte(begin))
	_, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		return nil, errors.New("no markers " + strings.TrimSpace(begin) + " and " + strings.TrimSpace(end))
	}
	return []byte(string(before) + begin + "\n" + made + "\n" + end + string(after)), nil
}
