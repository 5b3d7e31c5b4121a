//go:build !urfave_cli_no_docs

package main

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const manual = "../../docs/vnet.8"

// TestManual holds docs/vnet.8 to the table that help is printed from.
func TestManual(t *testing.T) {
	s := newSession(nil, new(bytes.Buffer), new(bytes.Buffer))
	app := s.app()
	app.Name, app.Description = "vnet", "Options, before the object; any beginning of a word will do:\n\n"+optionList()+"\n"+exitCodes
	page, err := app.ToMan()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(manual, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), page); diff != "" {
		t.Errorf("docs/vnet.8 is not what the help says; go test ./cmd/vnet -run Manual -update makes it anew (-have +want):\n%s", diff)
	}
}
