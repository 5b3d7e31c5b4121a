package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/topo/lab"
)

// TestCheckFiles: check goes through all files, one that cannot be read too, and fails if any of them is wrong.
func TestCheckFiles(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	right, wrong := filepath.Join(dir, "right.yaml"), filepath.Join(dir, "wrong.yaml")
	absent := filepath.Join(dir, "absent.yaml")
	for file, text := range map[string]string{
		right: "name: right\nhosts: {red: {}}\n",
		wrong: "name: wrong\nhosts: {red: {color: 1}}\nnetworks: {n: {nat: yes}}\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := w.run("vnet", "check", wrong, absent, right)
	if r.Status == 0 || !strings.HasPrefix(r.Stdout, "right: 0 networks, 1 host") ||
		!strings.Contains(r.Stderr, "wrong.yaml:2:15: unknown key") || !strings.Contains(r.Stderr, absent) {
		t.Errorf("exit %d\n%s%s", r.Status, r.Stdout, r.Stderr)
	}
	r = w.run("vnet", "check", "--json", wrong, right)
	var got lab.Mistakes
	if err := json.Unmarshal([]byte(r.Stdout), &got); err != nil {
		t.Fatalf("%v in %q", err, r.Stdout)
	}
	if r.Status != exitMistakes || r.Stderr != "" || len(got) != 2 || got[0].File != wrong || got[0].Line != 2 ||
		got[1].Line != 3 || got[1].Hint != "write true" {
		t.Errorf("exit %d, %+v, %s", r.Status, got, r.Stderr)
	}
	if list := w.must("vnet", "check", "--json", right); list != "[]\n" {
		t.Errorf("no mistakes are %q, want an empty list", list)
	}
	w.must("vnet", "check", right, right)
}
