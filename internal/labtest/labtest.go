// Package labtest has what the tests of several packages share: they parse and compile labs,
// compare golden files, and run ip(8). Only tests import it.
package labtest

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// MustParse parses a lab file. The test fails if the file has mistakes.
func MustParse[text string | []byte](t testing.TB, file string, content text) lab.Topology {
	t.Helper()
	parsed, err := lab.Parse(file, []byte(content))
	if err != nil {
		t.Fatalf("Parse:\n%v", err)
	}
	return parsed
}

// Compiled returns a lab's name and its state.
func Compiled(t testing.TB, text string) (name string, want topo.State) {
	t.Helper()
	parsed := MustParse(t, "lab.yaml", text)
	want, err := lab.Compile(parsed)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Name, want
}

// Examples returns the example labs by their file names. The working directory is that of a
// package two levels below the root, such as topo/draw.
func Examples(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("../../examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	all := map[string][]byte{}
	for _, path := range files {
		if testing.Short() && filepath.Base(path) == "thousand.yaml" {
			continue // the other examples contain the same keys
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(path)] = text
	}
	return all
}

// Golden compares got with a whole file. With -update it rewrites the file.
func Golden(t testing.TB, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s differs from the output; check the difference, then run with -update\n%s",
			path, cmp.Diff(string(want), string(got)))
	}
}

// PublishedLab has a host that reaches its own published port through its gateway.
const PublishedLab = `
name: published
networks: {sw: {subnets: [10.0.5.0/24, "fd00:5::/64"], nat: true}}
hosts:
  red: {networks: [sw], ports: ["8080:80"]}
expect:
  - red -> 10.0.5.1 tcp 8080: as 10.0.5.1
  - red -> fd00:5::1 tcp 8080: as fd00:5::1
`
