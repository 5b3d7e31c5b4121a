package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// labA and labB are two labs that can be up at the same time, except for a port that both forward.
const labA = `networks:
  lan: {subnets: [10.1.0.0/24, "fd00:1::/64"], nat: true}
hosts:
  a1: {networks: [lan], ports: ["8080:80"]}
  a2: {networks: [lan]}
`

var labB = strings.NewReplacer("10.1", "10.2", "fd00:1", "fd00:2", "lan", "lan2", "a1", "b1", "a2", "b2").Replace(labA)

// A labStep is a command, its exit code and a part of its output or error text.
type labStep struct {
	args   string
	status int
	says   string
}

// TestLabs runs lab commands, valid and invalid, with two labs at the same time.
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
	objects := "34"
	if _, err := os.Stat("/proc/sys/net/bridge"); err == nil {
		objects = "35" // one more rule for the host with a port
	}
	before := w.machine()
	for _, step := range []labStep{
		{"up " + a, 0, objects + " made"},
		{"up " + a, 0, "nothing to do"},
		{"up " + b, 0, "lab a already forwards this port: tcp dport 8080 dnat ip to 10.1.0.2:80"},
		{"ls", 0, "a    2      3      4\nb    2      3      4\n"},
		{"up " + clash, 1, "netns a1: namespace a1 already exists and belongs to lab a"},
		{"plan " + clash, 1, "netns a1: namespace a1 already exists and belongs to lab a"},
		{"plan " + clash, 1, "3 to be made"},
		{"status " + a, 0, "lab a: no drift"},
		{"status a", 0, "lab a: up"},
		{"status", 0, "lab b: up"},
		{"status nosuch", 1, `lab "nosuch" is unknown`},
		{"status --watch", 255, "--watch needs exactly one lab, but there are 2"},
		{"verify " + a, 0, "note: the file has no facts under expect; --all-pairs pings from every host to every other"},
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
		{"down --all a", 255, "--all cannot be combined with \"a\""},
	} {
		w.step(step)
	}
	if r := w.run("vnet", "plan", "--commands", clash); r.Status != 1 || r.Stdout != "" {
		t.Errorf("a script that would fail: exit %d\n%s", r.Status, r.Stdout)
	}
	if err := os.Remove(a); err != nil {
		t.Fatal(err)
	}
	write("b.yaml", "hosts: {x: {colour: red}}")
	for _, step := range []labStep{
		{"down " + a, 1, "there is no such file, but lab a is up; use that name"},
		{"down a", 0, objects + " deleted"},
		{"down " + b, 2, "these labs are up and can be given by name: b"},
		{"plan --json " +
			write("mac.yaml",
				"hosts: {x: {}, y: {}}\nlinks: [{endpoints: [x, y], macs: [02:00:00:00:00:01, 02:00:00:00:00:02]}]"), 0,
			`"MAC": "02:00:00:00:00:01"`},
		{"down --all", 0, objects + " deleted"},
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

// TestWatch checks that status --watch prints the status again after a change, until Ctrl-C.
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

// TestPlanDown checks that plan --down shows what down does, and that its script runs to the end, if others turned on
// what the lab needs, too.
func TestPlanDown(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "lab.yaml")
	if err := os.WriteFile(file, []byte(labA), 0o644); err != nil {
		t.Fatal(err)
	}
	w.must("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
	before := w.machine()
	w.must("vnet", "up", file)
	planned := w.must("vnet", "plan", "--down", file)
	if n := strings.Count(planned, "\n- ") + 1; !strings.HasSuffix(planned, fmt.Sprintf("\n%d to be deleted\n", n)) {
		t.Errorf("%d deletions in\n%s", n, planned)
	}
	done := w.must("vnet", "down", file)
	if !strings.HasSuffix(strings.Replace(planned, "to be ", "", 1), "\n"+done) {
		t.Errorf("planned\n%sdone: %s", planned, done)
	}
	w.must("vnet", "up", file)
	script := w.must("vnet", "plan", "--down", "--commands", file)
	w.must("sh", "-e", "-c", script)
	if after := w.machine(); after != before {
		t.Errorf("before\n%safter\n%s", before, after)
	}
}

// TestPlanDownRestores checks that the script of plan --down restores the sysctls that the kernel and vnet change
// together with forwarding, and leaves no records.
func TestPlanDownRestores(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "lab.yaml")
	if err := os.WriteFile(file, []byte(labA), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{
		"ip link set lo up", "ip link add near type veth peer name far",
		// Without link-local addresses: they are tentative for a second.
		"ip link set near addrgenmode none", "ip link set far addrgenmode none", "ip link set near up", "ip link set far up",
		"sysctl -qw net.ipv4.conf.all.accept_redirects=0 net.ipv4.conf.near.forwarding=1",
		"sysctl -eqw net.ipv6.conf.near.force_forwarding=1", // since Linux 6.17
		"ip addr add fd09::1/64 dev near nodad", "ip route add fd0a::/16 via fd09::2 proto ra dev near",
	} {
		w.must(strings.Fields(args)...)
	}
	// A worker of the kernel handles the carrier, and then adds routes.
	w.must("sh", "-ec", `until ip link show far | grep -q 'state UP' && ip link show near | grep -q 'state UP' &&
		test $(ip -6 route show table local | grep -c -e 'fd09::1 dev near' -e 'ff00::/8 dev') = 3
		do :; done`)
	sysctls := func() string {
		return w.must("sysctl", "-e", "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding",
			"net.ipv4.conf.all.accept_redirects", "net.ipv4.conf.near.forwarding", "net.ipv6.conf.near.force_forwarding",
			"net.ipv6.conf.near.accept_ra")
	}
	values, machine := sysctls(), w.machine()
	w.must("vnet", "up", file)
	if sysctls() == values {
		t.Error("the lab does not change the sysctls")
	}
	script := w.must("vnet", "plan", "--down", "--commands", file)
	w.must("sh", "-e", "-c", script)
	if after := sysctls(); after != values {
		t.Errorf("before\n%safter\n%s%s", values, after, script)
	}
	if after := w.machine(); after != machine {
		t.Errorf("before\n%safter\n%s", machine, after)
	}
}
