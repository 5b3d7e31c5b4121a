package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the top folder of the repository.
const root = "../.."

// TestDocumentLinks checks the documents: files they link to or name exist, and so do
// the Makefile targets of the make commands they show.
func TestDocumentLinks(t *testing.T) {
	docs := []string{
		"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "topo/lab/LAB.md",
		".github/PULL_REQUEST_TEMPLATE.md", "examples/vagrant/README.md", "bench/NOTES.md", "bench/RESULTS.md",
	}
	pages, err := docPages()
	if err != nil || len(pages) == 0 {
		t.Fatal("no pages in docs", err)
	}
	for _, page := range pages {
		docs = append(docs, filepath.Join("docs", page))
	}
	tree := readRepoTree(t)
	for _, doc := range docs {
		t.Run(doc, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(root, doc))
			if err != nil {
				t.Fatal(err)
			}
			for _, problem := range tree.problems(filepath.Dir(doc), string(text)) {
				t.Error(problem)
			}
		})
	}
}

// TestDocumentLinksFindsMistakes checks the test above with documents that are wrong.
func TestDocumentLinksFindsMistakes(t *testing.T) {
	tree := readRepoTree(t)
	for text, bad := range map[string]string{
		"see [it](cmd/none.go)":                         "cmd/none.go",
		"see [it](cmd/vnet/main.go#L3), `cmd/vnet/`":    "",
		"see [it](https://example.org/none#none)":       "",
		"see [it](README.md#errors-and-exit-codes)":     "",
		"see [it](README.md#none)":                      "README.md#none",
		"see [it](#a-b-2)\n## A: `b` (2)":               "",
		"see [it](#none)":                               "#none",
		"in `topo/none*.go`":                            "topo/none*.go",
		"in `topo/object*.go`, `./topo`, `./cmd/...`":   "",
		"in `NONE.md`":                                  "NONE.md",
		"in `lab.yaml`, `/etc/hosts`, `a/b`":            "",
		"run `go test ./none`":                          "./none",
		"run `.ci/none x`":                              ".ci/none",
		"run `make none`":                               "none",
		"to make none of it":                            "",
		"    make lint ci && make none OUT=x  # a note": "none",
		"    test/vm/none.sh 6.1":                       "test/vm/none.sh",
		"```yaml\nscript: [make build, .ci/none]\n```":  ".ci/none",
		"in `bench/cpu.prof` and `test/vm/cache`":       "",
	} {
		problems := tree.problems(".", text)
		if bad == "" && len(problems) > 0 || bad != "" && (len(problems) != 1 || !strings.HasPrefix(problems[0], bad+": ")) {
			t.Errorf("%q: %q, want %q", text, problems, bad)
		}
	}
}

// A repoTree is what a document can name.
type repoTree struct {
	folders []string // in the top folder
	targets []string // of the Makefile
	ignored []string // patterns of .gitignore: files that a command makes
}

func readRepoTree(t *testing.T) repoTree {
	t.Helper()
	var tree repoTree
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			tree.folders = append(tree.folders, e.Name())
		}
	}
	makefile, err := os.ReadFile(root + "/Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^([a-z-]+):`).FindAllStringSubmatch(string(makefile), -1) {
		tree.targets = append(tree.targets, m[1])
	}
	ignore, err := os.ReadFile(root + "/.gitignore")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Fields(string(ignore)) {
		tree.ignored = append(tree.ignored, strings.Trim(line, "/"))
	}
	return tree
}

var (
	markdownLink = regexp.MustCompile(`\]\(([^)#\s]*)(?:#([^)\s]+))?\)`)
	heading      = regexp.MustCompile(`(?m)^(#+) (.*)$`)
	notInAnchor  = regexp.MustCompile(`[^\pL\pN _-]`)
	codeSpan     = regexp.MustCompile("`[^`]+`")
	makeCommand  = regexp.MustCompile(`(?:^|[;&|\[] *)make((?: +[A-Za-z0-9_=./-]+)+)`)
	targetName   = regexp.MustCompile(`^[a-z][a-z-]*$`)
	rootFile     = regexp.MustCompile(`^([A-Z]+\.md|[a-z0-9_]+_test\.go|Makefile|Vagrantfile|\.golangci\.yml)$`)
)

// problems returns a line for each file and Makefile target that the text of a document
// in folder names and that does not exist.
func (tree repoTree) problems(folder, text string) (problems []string) {
	for _, m := range markdownLink.FindAllStringSubmatch(text, -1) {
		switch path := filepath.Join(folder, m[1]); {
		case strings.Contains(m[1], ":"):
		case m[1] != "" && !exists(path):
			problems = append(problems, m[1]+": the link leads to no file")
		case !hasAnchor(path, text, m[1], m[2]):
			problems = append(problems, m[1]+"#"+m[2]+": the link leads to no heading")
		}
	}
	for _, code := range codeIn(text) {
		code, _, _ = strings.Cut(code, " #")
		for _, word := range strings.Fields(code) {
			if word = strings.Trim(word, `,:;()[]{}'"`); tree.looksLikePath(word) && !tree.has(folder, word) {
				problems = append(problems, word+": no such file")
			}
		}
		for _, m := range makeCommand.FindAllStringSubmatch(strings.TrimSpace(code), -1) {
			for _, word := range strings.Fields(m[1]) {
				if targetName.MatchString(word) && !slices.Contains(tree.targets, word) {
					problems = append(problems, word+": the Makefile has no such target")
				}
			}
		}
	}
	return problems
}

// hasAnchor reports whether the page that a link leads to has a heading with this anchor, as GitHub writes it. The
// name of the page is empty for a link inside the text.
func hasAnchor(path, text, name, anchor string) bool {
	if anchor == "" || name != "" && !strings.HasSuffix(name, ".md") {
		return true
	}
	if name != "" {
		page, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return false
		}
		text = string(page)
	}
	return slices.Contains(anchors(text, "#"), anchor)
}

// anchors returns the anchors of the headings of a page that begin with these #.
func anchors(text, level string) (all []string) {
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		if strings.HasPrefix(m[1], level) {
			all = append(all, strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(m[2]), ""), " ", "-"))
		}
	}
	return all
}

// TestDocsMap checks that docs/README.md links to each page, and docs/cookbook.md to each recipe.
func TestDocsMap(t *testing.T) {
	read := func(page string) string {
		text, err := os.ReadFile(filepath.Join(root, "docs", page))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	index, recipes := read("README.md"), read("cookbook.md")
	pages, err := docPages()
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		switch {
		case page == "README.md":
		case filepath.Dir(page) == "cookbook":
			for _, anchor := range anchors(read(page), "##") {
				if link := "(" + page + "#" + anchor + ")"; !strings.Contains(recipes, link) {
					t.Errorf("docs/cookbook.md has no link %s", link)
				}
			}
		case !strings.Contains(index, "("+page+")"):
			t.Errorf("docs/README.md has no link to %s", page)
		}
	}
}

// codeIn returns the code of a document: lines of code blocks, and spans in backquotes.
func codeIn(text string) (code []string) {
	fenced := false
	var prose strings.Builder
	for line := range strings.Lines(text) {
		switch fence := strings.HasPrefix(line, "```"); {
		case fence:
			fenced = !fenced
		case fenced, strings.HasPrefix(line, "    ") && !strings.Contains(line, "`"):
			code = append(code, line)
		default:
			prose.WriteString(line)
		}
	}
	for _, span := range codeSpan.FindAllString(prose.String(), -1) {
		code = append(code, strings.Trim(span, "`"))
	}
	return code
}

// looksLikePath reports whether a word is meant as a path in this repository: it begins
// with ./ or a top folder, or is the name of a file in the top folder.
func (tree repoTree) looksLikePath(word string) bool {
	first, _, slash := strings.Cut(strings.TrimPrefix(word, "./"), "/")
	inTree := slash && slices.Contains(tree.folders, first) || len(word) > 2 && strings.HasPrefix(word, "./")
	return inTree || rootFile.MatchString(word)
}

// has reports whether the path exists below the top folder or beside the document, or
// is a file that .gitignore names because a command makes it.
func (tree repoTree) has(folder, path string) bool {
	path = strings.TrimSuffix(strings.TrimSuffix(path, "..."), "/")
	path = strings.TrimPrefix(path, "./")
	for _, pattern := range tree.ignored {
		if ok, _ := filepath.Match(pattern, path); ok || strings.HasPrefix(path, pattern+"/") {
			return true
		}
	}
	return exists(path) || exists(filepath.Join(folder, path))
}

func exists(pattern string) bool {
	found, err := filepath.Glob(filepath.Join(root, pattern))
	return err == nil && len(found) > 0
}
