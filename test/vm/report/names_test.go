package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const repo = "../../.."

// TestPatternsMatchTests: every pattern of tests in the files and scripts matches at least
// one test of the repository. Otherwise the test has been renamed.
func TestPatternsMatchTests(t *testing.T) {
	names := testNames(t)
	for file, pattern := range map[string]string{
		"test/vm/features.txt":  `(?m)^[^#\n].*\t(.+)$`,
		"test/vm/skips.txt":     `(?m)^[^#\s]\S*\t(\S+)`,
		"test/vm/some.sh":       `-skip '\^(.*)\$'`,
		"test/vm/processors.sh": `others='\^(.*)\$'`,
		"test/vm/vagrant.sh":    `(?:repeated|many)='(.*)'`,
		".ci/skips":             `(?m)^(.+)$`,
		".ci/test":              `-skip '\^(.*)\$'`,
	} {
		text, err := os.ReadFile(filepath.Join(repo, file))
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1)
		if len(found) == 0 {
			t.Errorf("%s: no patterns", file)
		}
		for _, m := range found {
			for _, p := range alternatives(m[1]) {
				if file == "test/vm/vagrant.sh" {
					p = "Test" + p
				}
				re, err := regexp.Compile(`^(.*\.)?(` + withoutSubtest(p) + `)$`)
				if err != nil {
					t.Fatalf("%s: %v", file, err)
				}
				if !slices.ContainsFunc(names, re.MatchString) {
					t.Errorf("%s: %s matches no test", file, p)
				}
			}
		}
	}
}

var alternation = regexp.MustCompile(`\(([^()]*)\)`)

// alternatives expands (a|b) and a|b to patterns without alternatives.
func alternatives(pattern string) (all []string) {
	if i := alternation.FindStringSubmatchIndex(pattern); i != nil {
		rest := pattern[i[1]:]
		if optional, ok := strings.CutPrefix(rest, "?"); ok {
			rest = optional
		}
		for _, a := range strings.Split(pattern[i[2]:i[3]], "|") {
			all = append(all, alternatives(pattern[:i[0]]+a+rest)...)
		}
		return all
	}
	return strings.Split(pattern, "|")
}

// withoutSubtest cuts a pattern at the slash after the name of the test.
func withoutSubtest(pattern string) string {
	test := max(strings.Index(pattern, "Test"), 0)
	name, _, _ := strings.Cut(pattern[test:], "/")
	return pattern[:test] + name
}

// testNames returns all tests of the repository, such as rtnl.TestAttr.
func testNames(t *testing.T) (names []string) {
	t.Helper()
	function := regexp.MustCompile(`(?m)^func ((?:Test|Example)\w*)\(`)
	err := filepath.WalkDir(repo, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && d.Name() == "cache" {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		folder := strings.TrimPrefix(filepath.Dir(path), repo+"/")
		for _, m := range function.FindAllStringSubmatch(string(text), -1) {
			names = append(names, folder+"."+m[1])
		}
		return err
	})
	if err != nil || len(names) == 0 {
		t.Fatal("no tests", err)
	}
	return names
}
