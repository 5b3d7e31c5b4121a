package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/topo/lab"
)

// manFolder has the manual pages. Each is generated from the help texts or from the reference of the lab file.
const manFolder = "../../docs/man/"

// manPages are the generators of the pages.
var manPages = map[string]func(*testing.T) string{
	"vnet.8": manCommands, "vnet-nat.8": manNAT, "vnet.5": manLabFile,
}

// TestManual checks that the manual pages are equal to the texts that they are generated from.
func TestManual(t *testing.T) {
	for name, generate := range manPages {
		page := generate(t)
		if *update {
			if err := os.WriteFile(manFolder+name, []byte(page), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(manFolder + name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(have), page); diff != "" {
			t.Errorf("docs/man/%s differs; go test ./cmd/vnet -run Manual -update rewrites it (-have +want):\n%s", name, diff)
		}
	}
}

// TestManualIsComplete checks that the pages, as man shows them, name every object, option and key.
func TestManualIsComplete(t *testing.T) {
	shown := map[string]string{}
	for name := range manPages {
		// man widens spaces to fill lines.
		shown[name] = regexp.MustCompile(`(\S) +`).ReplaceAllString(showManual(t, name), "$1 ")
	}
	wanted := map[string][]string{"vnet-nat.8": natWords, "vnet.5": labKeys(t)}
	for _, o := range objects() {
		wanted["vnet.8"] = append(wanted["vnet.8"], o.name+": "+strings.Fields(o.usage)[0])
		if o.lab != nil {
			for _, f := range o.lab.flags {
				wanted["vnet.8"] = append(wanted["vnet.8"], "--"+f.Names()[0])
			}
		}
	}
	for _, o := range words.OptionTable {
		wanted["vnet.8"] = append(wanted["vnet.8"], "-"+o.Name)
	}
	for name, list := range wanted {
		if len(list) == 0 {
			t.Errorf("%s: nothing to look for", name)
		}
		for _, word := range list {
			padded := strings.Join(strings.Fields(shown[name]), " ") // man pads lines with spaces
			if !strings.Contains(shown[name], word) && !strings.Contains(padded, word) {
				t.Errorf("%s does not have %q", name, word)
			}
		}
	}
}

// natWords are the commands of vnet nat, its kinds of rules and their options.
var natWords = []string{"[show]", "add", "del", "flush", "masquerade", "dnat", "snat", "-s", "-o", "-p", "-d", "-i",
	"--dport", "--to-destination", "--to-source"}

// labKeys returns the keys of the lab file with the indentation that man gives a term.
func labKeys(t *testing.T) (keys []string) {
	t.Helper()
	type object struct{ Properties map[string]any }
	var schema struct {
		object
		Defs map[string]object `json:"$defs"`
	}
	if err := json.Unmarshal([]byte(lab.Schema()), &schema); err != nil {
		t.Fatal(err)
	}
	for key := range schema.Properties {
		keys = append(keys, "\n       "+key)
	}
	for _, def := range schema.Defs {
		for key := range def.Properties {
			keys = append(keys, "\n       "+key)
		}
	}
	return keys
}

// showManual returns a page as man prints it on a terminal. Warnings of man fail the test, and those of mandoc if it is
// installed.
func showManual(t *testing.T, name string) string {
	t.Helper()
	if _, err := exec.LookPath("man"); err != nil {
		t.Skip("no man on this machine")
	}
	cmd := exec.Command("man", "--warnings", "--local-file", "-Tutf8", manFolder+name)
	cmd.Env = append(os.Environ(), "MANWIDTH=100", "LC_ALL=C.UTF-8")
	var warnings bytes.Buffer
	cmd.Stderr = &warnings
	out, err := cmd.Output()
	if err != nil || warnings.Len() > 0 {
		t.Errorf("man %s: %v\n%s", name, err, &warnings)
	}
	if _, err := exec.LookPath("mandoc"); err == nil {
		lint, _ := exec.Command("mandoc", "-Tlint", "-Wwarning", manFolder+name).CombinedOutput()
		for line := range strings.Lines(string(lint)) {
			if !strings.Contains(line, "missing date") { // pages have no date, so that they are reproducible
				t.Error(line)
			}
		}
	}
	var plain strings.Builder // bold and underlined letters are written twice, with a backspace between
	for _, r := range string(out) {
		if r == '\b' {
			text := []rune(plain.String())
			plain.Reset()
			plain.WriteString(string(text[:len(text)-1]))
			continue
		}
		plain.WriteRune(r)
	}
	return plain.String()
}
