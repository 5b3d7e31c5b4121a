// Package golden compares output with golden files and lists the example labs. Only tests import it.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Update reports whether the tests rewrite the golden files: go test ./topo -update.
func Update() bool { return *update }

// File compares got with a whole file. With -update it rewrites the file.
func File[text string | []byte](t testing.TB, path string, got text) {
	t.Helper()
	if Update() {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs from the output; check the difference, then run with -update (-want +got)\n%s", path, diff)
	}
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
