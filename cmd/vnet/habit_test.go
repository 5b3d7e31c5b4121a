package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHabits types commands as people do who are used to other programs. Each hint is a command that works.
func TestHabits(t *testing.T) {
	w := newWorld(t)
	for _, typed := range []string{
		"netns create red",
		"link add v-net-0 bridge",
		"link add veth-red veth peer name veth-red-br",
		"netns red exec true",
		"link v-net-0 up",
		"link up veth-red",
		"link veth-red-br master v-net-0",
		"addr add 192.168.15.1/24 v-net-0",
		"addr add fd00:15::1/64 v-net-0",
		"default gw 192.168.15.2",
		"route add -net 10.0.0.0/8 gw 192.168.15.2 v-net-0",
		"nat add -s 192.168.15.0/24",
		"nat add -p tcp --dport 80 --to-destination 192.168.15.2:80",
		"link remove veth-red",
		"-n red link lo up",
		"netns rm red",
	} {
		r := w.run(append([]string{"vnet"}, strings.Fields(typed)...)...)
		_, hint, found := strings.Cut(r.Stderr, "vnet: hint: vnet ")
		if r.Status == 0 || !found {
			t.Errorf("vnet %s: exit %d, no command as a hint:\n%s", typed, r.Status, r.Stderr)
			continue
		}
		w.must(append([]string{"vnet"}, strings.Fields(hint)...)...)
	}
	quoted := w.run("vnet", "link", "create", "br 0", "type", "bridge")
	if strings.Contains(quoted.Stderr, "hint: vnet") && strings.Contains(quoted.Stderr, "br 0") {
		t.Errorf("the hint has a name that a shell splits:\n%s", quoted.Stderr)
	}
}

// TestVerifyNotUp: verify of a lab that is not up says so in one line. Reports for programs list the facts.
func TestVerifyNotUp(t *testing.T) {
	w := newWorld(t)
	const lab = "name: pair\nnetworks: {n: {subnets: [10.0.0.0/24]}}\n" +
		"hosts: {red: {networks: [n]}, blue: {networks: [n]}}\n" +
		"expect: [\"red -> blue: ping\"]\n"
	path := filepath.Join(t.TempDir(), "pair.yaml")
	if err := os.WriteFile(path, []byte(lab), 0o600); err != nil {
		t.Fatal(err)
	}
	r := w.run("vnet", "verify", path)
	want := "vnet: error: lab \"pair\" is not up\nvnet: hint: vnet up " + path + "\n"
	if r.Status != exitFailed || r.Stderr != want || r.Stdout != "" {
		t.Errorf("exit %d, printed %q and %q; want %q", r.Status, r.Stdout, r.Stderr, want)
	}
	if r := w.run("vnet", "verify", path, "--tap"); r.Status != exitFailed || !strings.Contains(r.Stdout, "not ok 1") {
		t.Errorf("--tap: exit %d, printed %q", r.Status, r.Stdout)
	}
	w.must("vnet", "up", path)
	w.must("vnet", "verify", path)
}
