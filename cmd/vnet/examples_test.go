package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestExamples runs all lab commands on each example, each in its own world. It checks the output, and that down
// leaves nothing behind.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../../examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no examples", err)
	}
	for _, file := range append(files, "../../examples/vagrant/lab.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			if filepath.Base(file) == "thousand.yaml" && (testing.Short() || raceDetector) {
				t.Skip("a thousand hosts take a while: -short or -race")
			}
			w := newWorld(t)
			if filepath.Base(file) == "container.yaml" {
				w.must("vnet", "netns", "add", "box") // the example's adopted namespace
			}
			w.must("vnet", "link", "set", "lo", "up") // as on every machine
			before := w.machine()
			w.runLab(file)
			if diff := cmp.Diff(before, w.machine()); diff != "" {
				t.Errorf("the machine has changed (-before +after):\n%s", diff)
			}
		})
	}
}

// runLab runs all lab commands on a lab.
func (w *world) runLab(file string) {
	w.t.Helper()
	checked := w.must("vnet", "check", file)
	w.contains("to be made", w.must("vnet", "plan", file))
	up := w.run("vnet", "up", file)
	if strings.Contains(up.Stderr, "this kernel") {
		w.t.Skip(strings.TrimSpace(up.Stderr))
	}
	if up.Status != 0 {
		w.t.Fatalf("up: exit %d: %s", up.Status, up.Stderr)
	}
	w.contains("nothing to do", w.must("vnet", "up", file))
	v := w.run("vnet", "verify", file)
	if v.Status != 0 {
		w.t.Errorf("verify: exit %d: %s%s", v.Status, v.Stdout, v.Stderr)
		again := w.run("vnet", "verify", file)
		dropped, _ := os.ReadFile("/proc/net/softnet_stat")
		w.t.Logf("verify again: exit %d; packets and dropped packets by CPU:\n%s", again.Status, dropped)
	}
	w.sameCounts(checked, up.Stdout, v.Stdout)
	w.must("vnet", "status")
	w.checkExport()
	for _, format := range []string{"mermaid", "dot", "svg", "ascii"} {
		w.must("vnet", "graph", "--format", format, file)
	}
	w.must("vnet", "down", file)
	w.contains("", w.must("vnet", "ls"))
	if again := w.run("vnet", "up", file); again.Status != 0 {
		w.t.Fatalf("up directly after down: exit %d: %s", again.Status, again.Stderr)
	}
	w.must("vnet", "down", w.lab()) // by name, without the file
}

// sameCounts checks that check, up, ls and verify count the same.
func (w *world) sameCounts(checked, up, verified string) {
	w.t.Helper()
	f := strings.Fields(w.must("vnet", "ls"))
	counted := func(n, what string) string {
		if n == "1" {
			return n + " " + what
		}
		return n + " " + what + "s"
	}
	made, _, _ := strings.Cut(up, " ")
	w.contains(fmt.Sprintf(", %s, %s, ", counted(f[5], "host"), counted(f[6], "link")), checked)
	w.contains("up makes "+counted(made, "object"), checked)
	last := verified[strings.LastIndexByte(strings.TrimSpace(verified), '\n')+1:] // 17 facts hold (4ms)
	facts, _, _ := strings.Cut(last, " ")
	w.contains(", "+counted(facts, "fact")+";", checked)
}

// lab returns the name of the only lab.
func (w *world) lab() string {
	w.t.Helper()
	words := strings.Fields(w.must("vnet", "ls")) // LAB HOSTS LINKS RULES, then one line for each lab
	if len(words) != 8 {
		w.t.Fatalf("want one lab: %q", words)
	}
	return words[4]
}

// checkExport checks that export writes a valid lab file.
func (w *world) checkExport() {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "exported.yaml")
	if err := os.WriteFile(file, []byte(w.must("vnet", "export")), 0o644); err != nil {
		w.t.Fatal(err)
	}
	w.must("vnet", "check", file)
}

// contains checks that the output contains want.
func (w *world) contains(want, got string) {
	w.t.Helper()
	if !strings.Contains(got, want) {
		w.t.Errorf("no %q in:\n%s", want, got)
	}
}

// machine returns the machine's state as ip, nft and sysctl print it, without values that change with time.
func (w *world) machine() string {
	w.t.Helper()
	var b strings.Builder
	for _, command := range []string{
		"ip -j -d link", "ip -j addr", "ip -j route show table all", "ip -j -6 route show table all",
		"ip -j neigh show nud permanent", "ls /run/netns", "nft -j list ruleset",
		"sysctl -a --pattern ^net\\.(ipv4|ipv6)\\.(conf|ip_|ping)",
	} {
		b.WriteString("## " + command + "\n" + strings.ReplaceAll(w.run(strings.Fields(command)...).Stdout, "},{", "},\n{") +
			"\n")
	}
	return b.String()
}

// TestInterrupted checks that Ctrl-C during up undoes all changes.
func TestInterrupted(t *testing.T) {
	if testing.Short() {
		t.Skip("a thousand hosts take a while: -short")
	}
	w := newWorld(t)
	before := w.machine()
	after := 300 * time.Millisecond
	for range 12 {
		r := w.run("timeout", "--preserve-status", "-s", "INT", fmt.Sprint(after.Seconds()), "vnet", "up",
			"../../examples/thousand.yaml")
		switch {
		case r.Status == 0: // too late
			w.must("vnet", "down", "--all")
			after /= 2
			continue
		// too early, perhaps before the signal handler was installed
		case strings.Contains(r.Stderr, "nothing was changed"), r.Stderr == "":
			after += after / 2
			continue
		}
		t.Logf("after %s: exit %d: %s", after, r.Status, r.Stderr)
		w.contains("undone", r.Stderr)
		if diff := cmp.Diff(before, w.machine()); diff != "" {
			t.Errorf("the machine has changed (-before +after):\n%s", diff)
		}
		w.contains("", w.must("vnet", "ls"))
		return
	}
	t.Error("never interrupted")
}
