package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExecWhichHost checks that a host is found by its name. If two labs have a host of that name, the lab's name is
// required.
func TestExecWhichHost(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	for _, lab := range []string{"one", "two"} {
		w.must("vnet", "netns", "add", "box-"+lab)
		text := "name: " + lab + "\nhosts: {box: {namespace: box-" + lab + "}, " + lab + ": {}}\n"
		file := filepath.Join(dir, lab+".yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		w.must("vnet", "up", file)
	}
	for _, command := range []string{"exec --help", "exec help", "shell -h"} {
		if help := w.must(append([]string{"vnet"}, strings.Fields(command)...)...); !strings.Contains(help, "[LAB/]HOST") {
			t.Errorf("vnet %s: %s", command, help)
		}
	}
	for _, tt := range []struct{ command, want string }{
		{"exec box true",
			"exit 1\nvnet: error: there is a host \"box\" in each of the labs one, two\nvnet: hint: name the lab: vnet exec " +
				"one/box\n"},
		{"exec two/one true",
			"exit 1\nvnet: error: there is no host \"one\" in lab two\nvnet: hint: the hosts are box, two\n"},
		{"exec tow true", "exit 1\nvnet: error: there is no host \"tow\"\nvnet: hint: did you mean \"two\"?\n"},
	} {
		if got := w.fails(tt.command); got != tt.want {
			t.Errorf("vnet %s:\n%swant\n%s", tt.command, got, tt.want)
		}
	}
	for _, command := range []string{"exec one/box -- vnet netns identify", "exec one/box vnet netns identify",
		"exec one vnet netns identify"} {
		want := map[bool]string{true: "box-one", false: "one"}[strings.Contains(command, "/")]
		if got := strings.TrimSpace(w.must(append([]string{"vnet"}, strings.Fields(command)...)...)); got != want {
			t.Errorf("vnet %s is in %q, want %q", command, got, want)
		}
	}
}
