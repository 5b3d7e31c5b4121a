package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestTestsAreSandboxed checks that each package whose code or tests work on namespaces runs its tests in a
// sandbox: without it, they would change the network of the machine.
func TestTestsAreSandboxed(t *testing.T) {
	needs, tests, sandboxed := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, root := range []string{"cmd", "nsfs", "rtnl", "nft", "topo", "internal", "examples"} {
		err := filepath.WalkDir(filepath.Join("..", "..", root), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
				return err
			}
			dir, isTest := filepath.Dir(path), strings.HasSuffix(path, "_test.go")
			tests[dir] = tests[dir] || isTest
			needs[dir] = needs[dir] || importsKernel(t, path)
			text, err := os.ReadFile(path)
			for _, call := range []string{"nsfs.Sandbox(", "topotest.Main(", "testmain.Run("} {
				sandboxed[dir] = sandboxed[dir] || isTest && strings.Contains(string(text), call)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for dir := range needs {
		if needs[dir] && tests[dir] && !sandboxed[dir] && dir != filepath.Join("..", "..", "nsfs") {
			t.Errorf("%s has no TestMain with a sandbox", dir)
		}
	}
	if len(sandboxed) < 5 {
		t.Errorf("only %d packages with a sandbox were found", len(sandboxed))
	}
}

// importsKernel reports whether a file imports a package that opens or enters namespaces.
func importsKernel(t *testing.T, path string) bool {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range file.Imports {
		name, _ := strconv.Unquote(i.Path.Value)
		switch strings.TrimPrefix(name, "github.com/vnet-lab/vnet/") {
		case "nsfs", "topo/live", "topo/verify", "topo/topotest":
			return true
		}
	}
	return false
}
