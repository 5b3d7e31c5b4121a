package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// runners are the files that may start programs, and which.
var runners = map[string]string{
	"nsfs/exec.go":           "what vnet exec and vnet netns exec are given",
	"nsfs/sandbox.go":        "itself, in a sandbox",
	"topo/kernel_process.go": "what run: of a lab names",
	"cmd/vnet/demo.go":       "the shell of --keep",
	"cmd/vnet/lab_exec.go":   "what vnet exec is given",
	"cmd/vnet/netns.go":      "what vnet netns exec is given",
}

// TestRunsNoOtherProgram: vnet is all that a machine needs. Nothing in it starts a
// program that its user did not name.
func TestRunsNoOtherProgram(t *testing.T) {
	for _, dir := range []string{"cmd", "nsfs", "rtnl", "nft", "topo"} {
		err := filepath.WalkDir(filepath.Join("..", "..", dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			return importsNoExec(t, path)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func importsNoExec(t *testing.T, path string) error {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		return err
	}
	name := strings.TrimPrefix(filepath.ToSlash(path), "../../")
	for _, i := range file.Imports {
		if pkg, _ := strconv.Unquote(i.Path.Value); pkg == "os/exec" && runners[name] == "" {
			t.Errorf("%s imports %s", name, pkg)
		}
	}
	return nil
}
