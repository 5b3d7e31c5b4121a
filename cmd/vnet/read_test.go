package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEndlessInput checks that a file that is too large, or has no end, is refused by its name and the limit.
func TestEndlessInput(t *testing.T) {
	w := newWorld(t)
	large := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(large, []byte("name: x\n#"+strings.Repeat("x", maxLabFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	const file = " has more than 1 MiB, the maximum for a lab file\n"
	for command, want := range map[string]string{
		"vnet check /dev/zero":            "/dev/zero" + file,
		"vnet up /dev/zero":               "/dev/zero" + file,
		"vnet check " + large:             large + file,
		"vnet check - </dev/zero":         "standard input" + file,
		"vnet -batch /dev/zero":           "/dev/zero:1: the line has more than 128 KiB\n",
		"vnet -force -batch - </dev/zero": "-:1: the line has more than 128 KiB\n",
	} {
		r := w.run("timeout", "30", "sh", "-c", command)
		if r.Status != exitFailed || r.Stdout != "" || r.Stderr != "vnet: error: "+want {
			t.Errorf("%s: exit %d: %s%s", command, r.Status, r.Stderr, r.Stdout)
		}
	}
}

// TestBatchOfNamespaces checks that a batch may name more namespaces than a process may have open files.
func TestBatchOfNamespaces(t *testing.T) {
	w := newWorld(t)
	w.must("sh", "-c", `vnet netns add box; vnet link add name v type veth peer name w
		for i in $(seq 100); do echo "link set v netns /proc/self/ns/net"; done >/run/batch
		ulimit -n 40; vnet -batch /run/batch`)
}
