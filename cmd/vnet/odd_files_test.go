package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOddFiles checks that a file in /run/netns that is no namespace stops no command, and that a lab whose host has
// the name of such a file gets an error that names it. Each must end: opening a FIFO may wait.
func TestOddFiles(t *testing.T) {
	const prepare = `mkdir -p /run/netns; cd /run/netns; mkfifo fifo; mkdir dir; ln -s /nowhere dangling; ln -s loop loop
		ln -s /proc/self/stat/x below; ln -s /dev/null null; echo text >text`
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "lab.yaml")
	if err := os.WriteFile(file, []byte("name: odd\nhosts: {red: {}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.must("sh", "-c", prepare)
	must := func(command string) string {
		return w.must(append([]string{"timeout", "20", "vnet"}, fields(command)...)...)
	}
	for _, command := range []string{"up " + file, "ls", "status odd", "plan " + file, "netns", "netns identify", "export",
		"netns pids red", "-all netns exec true", "exec red true", "link", "down odd"} {
		must(command)
	}
	for _, name := range []string{"fifo", "dir", "dangling", "loop", "below", "null", "text"} {
		lab := strings.ReplaceAll("name: odd\nhosts: {NAME: {}}\n", "NAME", name)
		if err := os.WriteFile(file, []byte(lab), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := w.fails("up " + file); !strings.Contains(got, name) {
			t.Errorf("a host named like %s: %s", name, got)
		}
	}
	if r := w.run("vnet", "-all", "netns", "del"); r.Status != 1 || strings.Count(r.Stderr, "error:") != 1 ||
		!strings.Contains(r.Stderr, "/run/netns/dir") {
		t.Errorf("-all netns del: exit %d: %s", r.Status, r.Stderr)
	}
	if left := w.must("ls", "/run/netns"); left != "dir\n" {
		t.Errorf("left: %s", left)
	}
}
