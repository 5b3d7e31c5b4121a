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

// runners are the files that may start programs, and the programs.
var runners = map[string]string{
	"nsfs/exec.go":                          "the program of vnet exec and vnet netns exec",
	"nsfs/sandbox.go":                       "itself, in a sandbox",
	"nsfs/sandbox_end.go":                   "the type of the sandbox's own process",
	"topo/live/internal/execute/calls.go":   "the type of the program of run: in a lab",
	"topo/live/internal/execute/process.go": "the program of run: in a lab",
	"cmd/vnet/demo.go":                      "the shell of --keep",
	"cmd/vnet/lab_exec.go":                  "the program of vnet exec",
	"cmd/vnet/netns.go":                     "the program of vnet netns exec",
	"cmd/vnet/internal/plugin/ipam.go":      "the IPAM plugin that a CNI configuration names",
}

// TestRunsNoOtherProgram checks that vnet starts no program that the user did not name, so that a machine needs only
// vnet.
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
