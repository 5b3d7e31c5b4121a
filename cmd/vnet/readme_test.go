package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestREADME does what the README shows, in its order: it has to work as it stands.
func TestREADME(t *testing.T) {
	readme := readREADME(t)
	t.Run("by hand", func(t *testing.T) {
		w := newWorld(t)
		lines := commandsAfter(t, readme, "By hand, with the words you know from ip(8):")
		if len(lines) < 6 {
			t.Fatalf("only %q", lines)
		}
		for _, line := range lines {
			w.must("sh", "-ec", line)
		}
		w.says("192.168.15.1/24", w.must("vnet", "-n", "red", "addr"))
		w.says("8080", w.must("vnet", "nat"))
		again := w.run("sh", "-ec", lines[3]).Stderr
		if shown := lineWith(readme, "dev veth-red: "); again != shown && !strings.HasSuffix(again, "dev veth-red: file exists\n") { // so says a kernel before 6.3
			t.Errorf("%q, but the README has %q", again, shown)
		}
		w.says(w.run("vnet", "-n", "rde", "addr").Stderr, strings.ReplaceAll(readme, "\n    ", "\n"))
	})
	t.Run("lab", func(t *testing.T) {
		w := newWorld(t)
		w.must("vnet", "link", "set", "lo", "up")
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, labFile), []byte(labIn(t, readme)), 0o644); err != nil {
			t.Fatal(err)
		}
		lines := commandsAfter(t, readme, "  - blue -> red tcp 22: refused\n```")
		if len(lines) < 5 {
			t.Fatalf("only %q", lines)
		}
		for _, line := range lines {
			w.must("sh", "-ec", "cd "+dir+"; "+line)
		}
		w.says("", w.must("vnet", "ls"))
	})
	t.Run("files", func(t *testing.T) {
		for _, name := range regexp.MustCompile(`[A-Za-z]+/[a-z0-9./]+[a-z0-9]|[A-Z]+\.md`).FindAllString(readme, -1) {
			top, _, _ := strings.Cut(name, "/")
			if _, err := os.Stat("../../" + top); err != nil && strings.Contains(name, "/") {
				continue // no path of ours
			}
			if _, err := os.Stat("../../" + name); err != nil {
				t.Errorf("the README speaks of %s: %v", name, err)
			}
		}
	})
}

func readREADME(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// commandsAfter are the indented lines of the block that follows.
func commandsAfter(t *testing.T, text, heading string) (lines []string) {
	t.Helper()
	_, rest, ok := strings.Cut(text, heading)
	if !ok {
		t.Fatalf("the README does not have %q", heading)
	}
	for line := range strings.Lines(strings.TrimLeft(rest, "\n")) {
		line, indented := strings.CutPrefix(strings.TrimRight(line, "\n"), "    ")
		if !indented {
			return lines
		}
		lines = append(lines, line)
	}
	return lines
}

// lineWith is the indented line that has the words.
func lineWith(text, words string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "    vnet: ") && strings.Contains(line, words) {
			return strings.TrimPrefix(line, "    ")
		}
	}
	return ""
}

func labIn(t *testing.T, text string) string {
	t.Helper()
	_, rest, begins := strings.Cut(text, "```yaml\n")
	lab, _, ends := strings.Cut(rest, "```")
	if !begins || !ends {
		t.Fatal("the README has no lab")
	}
	return lab
}
