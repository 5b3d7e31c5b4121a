package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBadInput runs the wrong commands of testdata/bad. Each prints one line with the object and the reason, and
// sometimes a hint. The exit code is not zero, standard output is empty, and nothing changes.
func TestBadInput(t *testing.T) {
	const file = "testdata/bad/words.txt"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	for _, line := range []string{"netns add red", "link add br0 type bridge", "addr add 10.0.0.1/24 dev br0",
		"link set br0 addrgenmode none", "link set br0 up"} {
		w.must(append([]string{"vnet"}, strings.Fields(line)...)...)
	}
	before := w.objectState()
	look := func(line string) {
		if after := w.objectState(); after != before {
			t.Errorf("%schanges something (-before +after):\n%s", line, cmp.Diff(before, after))
			before = after
		}
	}
	var got strings.Builder
	for line := range strings.Lines(string(text)) {
		if command, ok := strings.CutPrefix(line, "$ vnet "); ok {
			got.WriteString(line + w.fails(strings.TrimSpace(command)))
			if !testing.Short() {
				look(line)
			}
		} else if strings.HasPrefix(line, "#") {
			got.WriteString(line)
		}
	}
	look("one of the commands ")
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(text), got.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// objectState prints the objects that a failed command must not change.
func (w *world) objectState() string {
	return w.must("sh", "-c", `printf 'netns\nlink\naddr\nroute show table all\nneigh\nnat\n' | vnet -j -batch -`)
}

// fails runs a command that must fail, and returns its exit code and error text.
func (w *world) fails(command string) string {
	w.t.Helper()
	r := w.run(append([]string{"vnet"}, fields(command)...)...)
	lines := strings.SplitAfter(r.Stderr, "\n")
	switch {
	case r.Status == 0:
		w.t.Errorf("vnet %s: exit 0", command)
	case r.Stdout != "":
		w.t.Errorf("vnet %s prints %q", command, r.Stdout)
	case !strings.HasPrefix(r.Stderr, "vnet: error: ") || len(lines) > 3 || len(lines) == 3 &&
		!strings.HasPrefix(lines[1], "vnet: hint: "):
		w.t.Errorf("vnet %s does not print one line and a hint:\n%s", command, r.Stderr)
	case r.Status == exitKernel:
		return "exit 2\n"
	}
	return "exit " + strconv.Itoa(r.Status) + "\n" + r.Stderr
}

// fields splits a command line at spaces, but not within double quotes.
func fields(line string) (words []string) {
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}

const (
	// readOnlySysctls makes /proc/sys read-only, as in a container.
	readOnlySysctls = "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro,nosuid,nodev,noexec /proc/sys && "
	bridgeFile      = `echo 'networks: {n.1: {subnets: ["fd00:9::/64"]}}' >/run/dad.yaml`
)

// TestBadMachine checks that an error names the file that the machine does not allow.
func TestBadMachine(t *testing.T) {
	for _, tt := range []struct {
		name, prepare, command, want string
		status                       int
	}{
		{
			"a full disk", "mount -t tmpfs -o nr_inodes=2 none /run && mkdir /run/netns",
			"netns add red", "no space left on device", exitFailed,
		},
		{
			"a disk that is read-only", "mkdir -p /run/netns && mount -t tmpfs -o ro none /run/netns",
			"netns add red", "/run/netns/red: read-only file system", exitFailed,
		},
		{
			"no folder can be made", "mount -t tmpfs -o ro none /run",
			"netns add red", "mkdir /run/netns: read-only file system", exitFailed,
		},
		{
			"a file where the folder should be", "rm -rf /run/netns && touch /run/netns",
			"netns add red", "mkdir /run/netns: not a directory", exitFailed,
		},
		{
			"a name with nothing mounted", "mkdir -p /run/netns && touch /run/netns/stale",
			"-n stale link set lo up", "open network namespace /run/netns/stale: not a network namespace", exitUsage,
		},
		{
			"a lab that is not there", "true",
			"up /nowhere/lab.yaml", "there is no file /nowhere/lab.yaml", exitFailed,
		},
		{
			"settings that are read-only",
			readOnlySysctls + `echo 'hosts: {machine: {sysctls: {net.ipv4.ip_default_ttl: 77}}, red: {}}' >/run/ttl.yaml`,
			"up /run/ttl.yaml", "start the container with --sysctl net.ipv4.ip_default_ttl=77\n", exitFailed,
		},
		{
			"settings of a link that are read-only", readOnlySysctls + bridgeFile,
			"up /run/dad.yaml", "type bridge: set net/ipv6/conf/n.1/", exitFailed,
		},
		{
			"the hint for settings of a link", readOnlySysctls + bridgeFile,
			"up /run/dad.yaml", "start the container with --sysctl net.ipv6.conf.default.", exitFailed,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.must("sh", "-c", tt.prepare)
			before := w.must("vnet", "-j", "link")
			if got := w.fails(tt.command); !strings.HasPrefix(got, fmt.Sprintf("exit %d\nvnet: error: ", tt.status)) ||
				!strings.Contains(got, tt.want) {
				t.Errorf("vnet %s: %swant exit %d and %q", tt.command, got, tt.status, tt.want)
			}
			if after := w.must("vnet", "-j", "link"); after != before {
				t.Errorf("links before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

// TestNoRights checks that commands without privileges print a hint and change nothing.
func TestNoRights(t *testing.T) {
	if _, err := exec.LookPath("setpriv"); err != nil {
		t.Skip("no setpriv on this machine")
	}
	w := newWorld(t)
	w.must("vnet", "netns", "add", "red")
	before := w.objectState()
	for _, command := range []string{
		"link add x type bridge", "link set lo up", "addr add 10.0.0.1/24 dev lo", "route add blackhole 10.0.0.0/8",
		"neigh add 10.0.0.2 lladdr 0:0:0:0:0:2 dev lo", "nat add masquerade -s 10.0.0.0/24", "netns add blue",
		"-n red link set lo up",
		"up " + exampleFile(t, "cable.yaml"),
	} {
		args := append([]string{"setpriv", "--bounding-set=-all", "--inh-caps=-all", "vnet"}, strings.Fields(command)...)
		r := w.run(args...)
		lines := strings.SplitAfter(r.Stderr, "\n")
		if r.Status == 0 || !strings.HasPrefix(r.Stderr, "vnet: error: ") || len(lines) != 3 ||
			!strings.HasPrefix(lines[1], "vnet: hint: this needs CAP_") {
			t.Errorf("vnet %s: exit %d\n%s", command, r.Status, r.Stderr)
		}
	}
	if after := w.objectState(); after != before {
		t.Errorf("-before +after:\n%s", cmp.Diff(before, after))
	}
}

// exampleFile returns the path of a file in examples/.
func exampleFile(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "examples", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}
