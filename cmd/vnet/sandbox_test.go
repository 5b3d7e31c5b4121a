package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSandboxCommand checks that a command in a sandbox is root, has lo and an empty /run, and changes nothing outside.
func TestSandboxCommand(t *testing.T) {
	w := newWorld(t)
	w.must("vnet", "netns", "add", "red")
	before := w.objectState()
	for _, tt := range []struct {
		name, script, want string
		status             int
	}{
		{"root, lo and an empty /run", "id -u; ls /run; vnet -br link",
			"0\nlo               UNKNOWN        00:00:00:00:00:00 <LOOPBACK,UP,LOWER_UP> \n", 0},
		{"changes inside", "vnet netns add blue && vnet -n blue link set lo up && vnet -n blue -br addr && vnet netns",
			"lo               UNKNOWN        127.0.0.1/8 ::1/128 \nblue\n", 0},
		{"exit code", "exit 7", "", 7},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if r := w.run("vnet", "sandbox", "sh", "-c", tt.script); r.Stdout != tt.want || r.Status != tt.status {
				t.Errorf("exit %d\n%s%s", r.Status, r.Stdout, r.Stderr)
			}
		})
	}
	if r := w.run("vnet", "sandbox", "echo", "-h"); r.Stdout != "-h\n" {
		t.Errorf("the command's own -h: exit %d\n%s%s", r.Status, r.Stdout, r.Stderr)
	}
	if got := w.fails("sandbox nonsuch"); !strings.HasPrefix(got, "exit 1\nvnet: error: ") ||
		!strings.Contains(got, `"nonsuch"`) {
		t.Error(got)
	}
	if diff := cmp.Diff(before, w.objectState()); diff != "" {
		t.Errorf("outside, -before +after:\n%s", diff)
	}
}
