package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// helper has the functions that the changed files call.
//
//go:embed helper.go.tmpl
var helper string

// A listing is what go list says about the package.
type listing struct {
	Dir, Name, ImportPath string
	GoFiles               []string
}

// build returns the mutants of a package, and the test binaries with all of them: of the package, and of each of
// c.with. If the compiler refuses changes, it builds again without the changes of those lines.
func build(c config, work string) ([]mutant, []string, error) {
	m, files, l, err := load(c.dir)
	if err != nil {
		return nil, nil, err
	}
	for {
		m.found = nil
		if err := m.writeFiles(c, files, l, work); err != nil {
			return nil, nil, err
		}
		binaries, message := compile(c, work)
		if message == "" {
			return m.found, binaries, nil
		}
		if !m.refuse(message) {
			return nil, nil, fmt.Errorf("go test -c: %s", message)
		}
	}
}

// load reads the files of a package and their types.
func load(dir string) (m *mutator, files []*ast.File, l listing, err error) {
	out, err := exec.Command("go", "list", "-json=Dir,Name,ImportPath,GoFiles", dir).Output()
	if err == nil {
		err = json.Unmarshal(out, &l)
	}
	if err != nil {
		return nil, nil, l, fmt.Errorf("go list %s: %w", dir, err)
	}
	m = &mutator{fset: token.NewFileSet(), refused: map[string]bool{}, info: &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{},
	}}
	for _, name := range l.GoFiles {
		f, err := parser.ParseFile(m.fset, filepath.Join(l.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, nil, l, err
		}
		files = append(files, f)
	}
	types := types.Config{Importer: importer.ForCompiler(m.fset, "source", nil)}
	m.pkg, err = types.Check(l.ImportPath, m.fset, files, m.info)
	return m, files, l, err
}

// writeFiles writes the changed files, and the overlay that puts them in the place of the others.
func (m *mutator) writeFiles(c config, files []*ast.File, l listing, work string) error {
	overlay := map[string]string{}
	write := func(path string, text []byte) error {
		overlay[path] = filepath.Join(work, filepath.Base(path))
		return os.WriteFile(overlay[path], text, 0o600)
	}
	for _, f := range files {
		path := m.fset.Position(f.Pos()).Filename
		if c.exclude.MatchString(filepath.Base(path)) {
			continue
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := write(path, m.file(f, source)); err != nil {
			return err
		}
	}
	text := strings.Replace(helper, "PACKAGE", l.Name, 1)
	if err := write(filepath.Join(l.Dir, "mutants_helper.go"), []byte(text)); err != nil {
		return err
	}
	b, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(work, "overlay.json"), b, 0o600)
}

// compile builds the test binaries. It returns the compiler's message if that fails.
func compile(c config, work string) (binaries []string, message string) {
	for i, dir := range append([]string{c.dir}, c.with...) {
		path := filepath.Join(work, fmt.Sprintf("tests%d", i))
		cmd := exec.Command("go", "test", "-c", "-vet=off", "-gcflags=-e", "-overlay", filepath.Join(work, "overlay.json"),
			"-o", path, dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, string(out) + err.Error()
		}
		binaries = append(binaries, path)
	}
	return binaries, ""
}

var errorLine = regexp.MustCompile(`(?m)([\w.]+\.go:\d+):\d+: `)

// refuse notes the lines of a compiler's message. It returns false if it knows all of them.
func (m *mutator) refuse(message string) (more bool) {
	for _, at := range errorLine.FindAllStringSubmatch(message, -1) {
		more = more || !m.refused[at[1]]
		m.refused[at[1]] = true
	}
	return more
}
