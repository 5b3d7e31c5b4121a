package main

import (
	"os/exec"
	"strings"
	"testing"
)

func TestTooOld(t *testing.T) {
	for release, want := range map[string]bool{
		"2.6.72.117+deb13-cloud-amd64": true, "3.10.0-1160.el7": true, "4.19.0-27-amd64": true, "5.4.0": true, "5.9.16": true,
		"5.10.0-32-cloud-amd64": false, "5.10": false, "5.15.167.4-microsoft-standard-WSL2": false, "6.1.0-50": false,
		"6.12.117+deb13": false,
		"7.3.4":          false, "10.0": false, "": false, "rolling": false,
	} {
		if before(release, oldest) != want {
			t.Errorf("%q is too old: %v", release, !want)
		}
	}
}

// TestOldKernel checks that commands change nothing on a kernel that is too old, and that commands that need no kernel
// work. With personality(2), uname(2) reports Linux 2.6.
func TestOldKernel(t *testing.T) {
	if _, err := exec.LookPath("setarch"); err != nil {
		t.Skip("no setarch on this machine")
	}
	w := newWorld(t)
	vnet := func(command string) result {
		return w.run(append([]string{"setarch", "--uname-2.6", "vnet"}, strings.Fields(command)...)...)
	}
	const hint = "vnet: hint: check, graph, schema and help work on any kernel\n"
	for _, command := range []string{"link", "link add x type bridge", "netns add red", "nat",
		"up ../../examples/cable.yaml", "demo", "sandbox true"} {
		r := vnet(command)
		if r.Status != exitFailed || r.Stdout != "" || !strings.HasPrefix(r.Stderr, "vnet: error: this is Linux 2.6.") ||
			!strings.HasSuffix(r.Stderr, ", but vnet needs 5.10 or newer\n"+hint) {
			t.Errorf("vnet %s: exit %d\n%s%s", command, r.Status, r.Stdout, r.Stderr)
		}
	}
	for _, command := range []string{"help", "link help", "up --help", "-V", "check ../../examples/cable.yaml",
		"graph ../../examples/cable.yaml", "schema", "version"} {
		if r := vnet(command); strings.Contains(r.Stderr, "Linux") || r.Stdout+r.Stderr == "" {
			t.Errorf("vnet %s: exit %d\n%s", command, r.Status, r.Stderr)
		}
	}
	if links := w.must("vnet", "link"); strings.Contains(links, "x:") {
		t.Errorf("there are links:\n%s", links)
	}
}
