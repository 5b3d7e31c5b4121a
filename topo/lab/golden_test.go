package lab

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/vnet-lab/vnet/internal/golden"
)

// A goldenCase is a txtar file with input and expected output.
type goldenCase struct {
	t    *testing.T
	path string
	ar   *txtar.Archive
}

// eachCase runs test for each txtar file that matches glob. A new case needs no Go code.
func eachCase(t *testing.T, glob string, test func(c *goldenCase)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", glob))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in %s: %v", glob, err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			ar, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			c := &goldenCase{t, path, ar}
			test(c)
			if golden.Update() {
				if err := os.WriteFile(path, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// in returns a section's text.
func (c *goldenCase) in(name string) []byte {
	c.t.Helper()
	for _, f := range c.ar.Files {
		if f.Name == name {
			return f.Data
		}
	}
	c.t.Fatalf("%s has no section %s", c.path, name)
	return nil
}

// out compares got with a section of the file. With -update it rewrites the section.
func (c *goldenCase) out(name, got string) {
	c.t.Helper()
	for i := range c.ar.Files {
		if f := &c.ar.Files[i]; f.Name == name {
			if golden.Update() {
				f.Data = []byte(got)
			} else if diff := cmp.Diff(string(f.Data), got); diff != "" {
				c.t.Errorf("%s, section %s (-want +got):\n%s", c.path, name, diff)
			}
			return
		}
	}
	if !golden.Update() {
		c.t.Fatalf("%s has no section %s", c.path, name)
	}
	c.ar.Files = append(c.ar.Files, txtar.File{Name: name, Data: []byte(got)})
}
