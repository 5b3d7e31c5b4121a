package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// labA and labB are two labs that can be up side by side, but for a port that both
// publish.
const labA = `networks:
  lan: {subnets: [10.1.0.0/24, "fd00:1::/64"], nat: true}
hosts:
  a1: {networks: [lan], ports: ["8080:80"]}
  a2: {networks: [lan]}
`

var labB = strings.NewReplacer("10.1", "10.2", "fd00:1", "fd00:2", "lan", "lan2", "a1", "b1", "a2", "b2").Replace(labA)

// A labStep is a command, how it exits and what it says: a part of it, of either stream.
type labStep struct {
	args   string
	status int
	says   string
}

// TestLabs: how lab commands are used, and misused, with two labs side by side.
func TestLabs(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a, b := write("a.yaml", labA), write("b.yaml", labB)
	clash := write("clash.yaml", "name: clash\nhosts: {a1: {}}")
	w.must("vnet", "link", "set", "lo", "up")
	before := w.machine()
	for _, step := range []labStep{
		{"up " + a, 0, "31 made"},
		{"up " + a, 0, "nothing to do"},
		{"up " + b, 0, "lab a forwards it already: tcp dport 8080 dnat ip to 10.1.0.2:80"},
		{"ls", 0, "a    2      3      4\nb    2      3      4\n"},
		{"up " + clash, 1, "netns a1: there is a namespace a1 already, which is lab a's"},
		{"status " + a, 0, "lab a: no drift"},
		{"status a", 0, "lab a: up"},
		{"status", 0, "lab b: up"},
		{"status nosuch", 1, `lab "nosuch" is unknown`},
		{"status --watch", 255, "--watch needs a lab: there are 2"},
		{"verify " + a, 0, "note: the file expects nothing; --all-pairs lets every host ping every other"},
		{"verify --all-pairs " + a, 0, "4 facts hold"},
		{"exec a1 true", 0, ""},
		{"exec a/a1 false", 1, ""},
		{"exec b/a1 true", 1, `there is no host "a1" in lab b`},
		{"exec a3 true", 1, "did you mean"},
		{"-n a1 link set eth0 down", 0, ""},
		{"status " + a, 3, "missing  a1: link eth0 up"},
		{"plan " + a, 0, "+ a1: link eth0 up"},
		{"plan --json " + a, 0, `"op": "create"`},
		{"up " + a, 0, "4 made"},
		{"down --all a", 255, "one of them is too many"},
	} {
		w.step(step)
	}
	if err := os.Remove(a); err != nil {
		t.Fatal(err)
	}
	write("b.yaml", "hosts: {x: {colour: red}}")
	for _, step := range []labStep{
		{"down " + a, 1, "there is no such file, but lab a is up: its name is enough"},
		{"down a", 0, "31 deleted"},
		{"down " + b, 2, "a lab that is up is known by its name, too: b"},
		{"plan --json " + write("mac.yaml", "hosts: {x: {}, y: {}}\nlinks: [{endpoints: [x, y], macs: [02:00:00:00:00:01, 02:00:00:00:00:02]}]"), 0, `"MAC": "02:00:00:00:00:01"`},
		{"down --all", 0, "31 deleted"},
		{"down --all", 0, "nothing to do"},
	} {
		w.step(step)
	}
	if after := w.machine(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func (w *world) step(s labStep) {
	w.t.Helper()
	r := w.run(append([]string{"vnet"}, strings.Fields(s.args)...)...)
	if r.Status != s.status || !strings.Contains(r.Stdout+r.Stderr, s.says) {
		w.t.Errorf("vnet %s: exit %d, not %d, without %q:\n%s%s", s.args, r.Status, s.status, s.says, r.Stdout, r.Stderr)
	}
}

// TestWatch: a status is shown again when something changes, and Ctrl-C ends that.
func TestWatch(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "lab.yaml")
	if err := os.WriteFile(file, []byte(labA), 0o644); err != nil {
		t.Fatal(err)
	}
	w.must("vnet", "up", file)
	r := w.run("sh", "-c", `cd `+dir+`; vnet status --watch lab.yaml >out & P=$!
		until grep -q 'no drift' out; do kill -0 $P || exit; done
		vnet -n a1 link set eth0 down
		until grep -q 'missing  a1: link eth0 up' out; do kill -0 $P || exit; done
		kill -INT $P; wait $P`)
	if r.Status != 0 {
		t.Errorf("exit %d: %s%s", r.Status, r.Stdout, r.Stderr)
	}
	w.must("vnet", "down", file)
}
