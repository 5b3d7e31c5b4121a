package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// banished lists the words that TestPlainWords does not allow: a regular expression per line.
const banished = "testdata/banished.txt"

// TestPlainWords checks that no banished word is in a string or comment of the module's Go files, or in its documents.
// Tests are exempt: they quote other programs.
func TestPlainWords(t *testing.T) {
	words := readBanished(t)
	for _, file := range goFiles(t) {
		findInGo(t, words, file)
	}
	pages, err := docPages()
	if err != nil {
		t.Fatal(err)
	}
	docs := []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "topo/lab/LAB.md"}
	for _, page := range pages {
		docs = append(docs, filepath.Join("docs", page))
	}
	for _, file := range docs {
		file = filepath.Join(root, file)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		reportWords(t, words, string(text), file, 1)
	}
}

// TestBanishedWords checks that the list finds whole words in any case, and only those.
func TestBanishedWords(t *testing.T) {
	words := readBanished(t)
	for text, want := range map[string]string{
		"the command line means nothing": "2 means nothing",
		"in\nMute, dumb":                 "3 Mute,3 dumb",
		"a cable, a Cable":               "2 cable",
		"cabled":                         "",
		"uncurious":                      "",
	} {
		got := strings.Join(findWords(words, text, 2), ",")
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// readBanished joins the list into one regular expression.
func readBanished(t *testing.T) *regexp.Regexp {
	t.Helper()
	text, err := os.ReadFile(banished)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if _, err := regexp.Compile(line); err != nil {
			t.Errorf("%s: %v", banished, err)
			continue
		}
		all = append(all, line)
	}
	return regexp.MustCompile(`(?i)\b(?:` + strings.Join(all, "|") + `)(?:\b|$)`)
}

// goFiles returns the Go files of the module and of bench, without tests.
func goFiles(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || len(d.Name()) > 2 && d.Name()[0] == '.'):
			return filepath.SkipDir
		case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"):
			files = append(files, path)
		}
		return nil
	})
	if err != nil || len(files) == 0 {
		t.Fatal("no Go files", err)
	}
	return files
}

// findInGo checks the comments and strings of a Go file.
func findInGo(t *testing.T, words *regexp.Regexp, path string) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range file.Comments {
		for _, c := range group.List {
			reportWords(t, words, c.Text, path, files.Position(c.Pos()).Line)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.BasicLit); ok && s.Kind == token.STRING {
			reportWords(t, words, s.Value, path, files.Position(s.Pos()).Line)
		}
		return true
	})
}

func reportWords(t *testing.T, words *regexp.Regexp, text, path string, line int) {
	t.Helper()
	for _, found := range findWords(words, text, line) {
		at, word, _ := strings.Cut(found, " ")
		t.Errorf("%s:%s: %q is in %s", strings.TrimPrefix(filepath.ToSlash(path), "../../"), at, word, banished)
	}
}

// findWords returns the line and the text of each banished word. first is the number of the text's first line.
func findWords(words *regexp.Regexp, text string, first int) (found []string) {
	for _, at := range words.FindAllStringIndex(text, -1) {
		found = append(found, fmt.Sprintf("%d %s", first+strings.Count(text[:at[0]], "\n"), text[at[0]:at[1]]))
	}
	return found
}
