package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestREADME runs the README's commands in their order.
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
		w.contains("192.168.15.1/24", w.must("vnet", "-n", "red", "addr"))
		w.contains("8080", w.must("vnet", "nat"))
		again := w.run("sh", "-ec", lines[3]).Stderr
		// the message before Linux 6.3
		if shown := lineWith(readme, "dev veth-red: "); again != shown &&
			!strings.HasSuffix(again, "dev veth-red: file exists\n") {
			t.Errorf("%q, but the README has %q", again, shown)
		}
		w.contains(w.run("vnet", "-n", "rde", "addr").Stderr, strings.ReplaceAll(readme, "\n    ", "\n"))
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
		w.contains("", w.must("vnet", "ls"))
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

// commandsAfter returns the indented lines after a heading.
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

// lineWith returns the first indented message that contains the words.
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

// TestInstallREADME checks that the packages have the files that the README's section Install names.
// packaging/test/run runs its commands in real systems.
func TestInstallREADME(t *testing.T) {
	contents, err := os.ReadFile("../../packaging/contents")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(readREADME(t), "\n## Install\n")
	section, _, _ = strings.Cut(section, "Test results")
	paths := regexp.MustCompile(`/(?:usr/share|etc/init\.d)/[\w./]*\w`).FindAllString(section, -1)
	if len(paths) < 4 {
		t.Fatalf("only %q", paths)
	}
	for _, path := range paths {
		if example := filepath.Base(path); exists("examples/" + example) {
			continue
		}
		path = strings.TrimSuffix(path, ".web") // the link to the script
		if !strings.Contains(string(contents), path[1:]) {
			t.Errorf("no package has %s", path)
		}
	}
}
