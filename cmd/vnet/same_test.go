package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestSame runs each script of testdata/same with vnet in one world and with the real ip in another. After every line,
// exit code and output must be equal, and both worlds must have the same links, addresses, routes and neighbours in
// every namespace. With -short the states are compared less often, and commands that only print run in one world.
//
// A line is a command without its first word, ip or vnet. A line can begin with:
//
//	=     for commands that only print: run both tools in both worlds; their output must be equal byte by byte
//	since a version of iproute2: skip the line if ip is older
//	linux a version: skip the line if the kernel is older
//	$     a shell command that runs in both worlds
//	need  an ip command: skip the script if it fails; shell syntax such as && ip … is allowed
//	#     a comment
func TestSame(t *testing.T) {
	needTool(t, "ip")
	scripts, err := filepath.Glob("testdata/same/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sameScript(t, string(text))
		})
	}
}

// needTool skips a test if the machine does not have the tool.
func needTool(t *testing.T, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		t.Skipf("no %s on this machine to compare with", tool)
	}
}

// twins are two worlds that must stay equal.
type twins struct {
	ipRelease release
	ip, vnet  *world
	steps     int
}

// compareEvery is the number of steps between two comparisons with -short. One comparison runs six or more processes.
const compareEvery = 10

// compareNow reports whether the states are compared after this step.
func (w *twins) compareNow() bool {
	w.steps++
	return !testing.Short() || w.steps%compareEvery == 0
}

func newTwins(t *testing.T) *twins {
	t.Helper()
	return &twins{ipRelease: needIPRelease(t), ip: newWorld(t), vnet: newWorld(t)}
}

func sameScript(t *testing.T, script string) {
	t.Helper()
	w := newTwins(t)
	for i, line := range strings.Split(script, "\n") {
		line, supported := w.ipRelease.since(t, strings.TrimSpace(line))
		if !supported {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		if word == "linux" {
			version, what, _ := strings.Cut(rest, " ")
			if before(mustRelease(t), version) {
				continue
			}
			word, rest, _ = strings.Cut(what, " ")
			line = what
		}
		at := fmt.Sprintf("line %d: %s", i+1, line)
		switch word {
		case "", "#":
		case "need":
			if r := newWorld(t).run("sh", "-c", "ip "+rest); r.Status != 0 {
				t.Skipf("the kernel cannot do this: ip %s: %s", rest, strings.TrimSpace(r.Stderr))
			}
		case "$":
			w.ip.must("sh", "-c", rest)
			w.vnet.must("sh", "-c", rest)
		case "=":
			w.samePrint(t, w.vnet, at, rest)
			if !testing.Short() {
				w.samePrint(t, w.ip, at, rest)
			}
		default:
			w.step(t, at, strings.Fields(line))
		}
		if t.Failed() {
			return // the following lines would fail for the same reason
		}
	}
	w.sameState(t, "at the end")
}

func mustRelease(t *testing.T) string {
	t.Helper()
	release, err := kernelRelease()
	if err != nil {
		t.Fatal(err)
	}
	return release
}

// step runs one command with each tool in its world.
func (w *twins) step(t *testing.T, at string, args []string) {
	t.Helper()
	by := w.ip.run(append([]string{"ip"}, args...)...)
	our := w.vnet.run(append([]string{"vnet"}, args...)...)
	if !sameStatus(by, our) {
		t.Errorf("%s: exit status %d, ip's is %d\nvnet: %s\nip: %s", at, our.Status, by.Status, our.Stderr, by.Stderr)
	}
	if diff := cmp.Diff(maskRandom(by.Stdout), maskRandom(asOlder(w.ipRelease, our.Stdout))); diff != "" {
		t.Errorf("%s: different output (-ip +vnet):\n%s", at, diff)
	}
	if w.compareNow() && !w.sameState(t, at) {
		t.Logf("vnet: %s\nip: %s", our.Stderr, by.Stderr)
	}
}

// sameStatus reports whether both tools exited with the same status. An object that does not exist is a usage error for
// vnet (255); called as ip, vnet exits with ip's 1, which TestAsIP checks.
func sameStatus(by, our result) bool {
	unknown := by.Status == exitFailed && strings.HasPrefix(our.Stderr, "vnet: error: object ")
	return by.Status == our.Status || unknown && our.Status == exitUsage
}

// sameState compares the states of both worlds.
func (w *twins) sameState(t *testing.T, at string) bool {
	t.Helper()
	diff := soon(func() string { return cmp.Diff(w.ip.state(), w.vnet.state()) })
	if diff != "" {
		t.Errorf("%s: different state (-ip +vnet):\n%s", at, diff)
	}
	return diff == ""
}

// samePrint compares the output of both tools in the same world. Only values that change with time are masked.
func (w *twins) samePrint(t *testing.T, in *world, at, line string) {
	t.Helper()
	args := strings.Fields(line)
	var by, our result
	diff := soon(func() string {
		by, our = in.run(append([]string{"ip"}, args...)...), in.run(append([]string{"vnet"}, args...)...)
		return cmp.Diff(maskClock(by.Stdout), maskClock(asOlder(w.ipRelease, our.Stdout)))
	})
	if !sameStatus(by, our) {
		t.Errorf("%s: exit status %d, ip's is %d\nvnet: %s\nip: %s", at, our.Status, by.Status, our.Stderr, by.Stderr)
	}
	if diff != "" {
		t.Errorf("%s: different output (-ip +vnet):\n%s", at, diff)
	}
}

// soon calls diff until there is no difference, for at most 30 seconds. Carrier changes and duplicate address detection
// take up to a second in the kernel, and an emulated processor is slow.
func soon(diff func() string) string { return soonWithin(30*time.Second, diff) }

func soonWithin(patience time.Duration, diff func() string) string {
	for until := time.Now().Add(patience); ; {
		d := diff()
		if d == "" || time.Now().After(until) {
			return d
		}
	}
}

// state returns what the real ip prints for every namespace of a world.
func (w *world) state() string { return w.look(stateScript) }

func (w *world) look(script string) string {
	return maskRandom(routeLists.ReplaceAllStringFunc(w.must("sh", "-c", script), sortObjects))
}

// routeLists matches the lists of routes and neighbours in ip's pretty JSON.
var routeLists = regexp.MustCompile(`(?s)\[ \{\n        "(?:type|dst|unreachable)".*?\n    \} \]\n`)

// stateScript runs only one process per namespace, because it runs after every line.
const stateScript = `
look() {
	echo "$@"
	printf 'link\naddr\nroute show table all\nneigh\nneigh show proxy\nrule\n' |
		ip "$@" -d -j -p -force -batch - 2>&1 || true
}
look
for name in $(ls /run/netns 2>/dev/null); do look -n $name; done`

// sortObjects sorts a list in ip's pretty JSON. The kernel sorts by address, and link-local addresses come from random
// MAC addresses.
func sortObjects(list string) string {
	list = strings.TrimSuffix(strings.TrimPrefix(linkLocals.ReplaceAllString(list, "fe80::mac"), "[ {"), "\n    } ]\n")
	objects := strings.Split(list, "\n    },{")
	slices.Sort(objects)
	return strings.Join(objects, "\n    },{")
}

var (
	macs = regexp.MustCompile(`\b[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}\b`)
	// Link-local addresses come from MAC addresses.
	linkLocals = regexp.MustCompile(`\bfe80::[0-9a-f:]+\b`)
	clock      = regexp.MustCompile(`("(?:valid_life_time|preferred_life_time|used|confirmed|updated|expires|` +
		`fdb_n_learned|[a-z_]+_timer)": ?)[0-9.]+|` +
		`((?:valid_lft|preferred_lft|expires|used|fdb_n_learned|[a-z_]+_timer) ) *[0-9./]+(sec)?`)
	// Duplicate address detection runs at the same time as the commands.
	concurrent = regexp.MustCompile(`(?m)^ *"tentative": true,?\n|"tentative":true,`)
)

// maskRandom masks values that differ between equal machines: random MAC addresses, which it numbers in their order,
// addresses made from them, and times.
func maskRandom(s string) string {
	seen := map[string]string{}
	s = macs.ReplaceAllStringFunc(s, func(mac string) string {
		mac = padZeros(mac)
		if mac == "00:00:00:00:00:00" || mac == "ff:ff:ff:ff:ff:ff" || mac[1] != '2' && mac[1] != '6' && mac[1] != 'a' &&
			mac[1] != 'e' {
			return mac // not random
		}
		if seen[mac] == "" {
			seen[mac] = fmt.Sprintf("mac%d", len(seen)+1)
		}
		return seen[mac]
	})
	s = linkLocals.ReplaceAllString(s, "fe80::mac")
	s = concurrent.ReplaceAllString(s, "")
	// The state depends on when the kernel checked the peer.
	s = strings.ReplaceAll(s, `"LOWERLAYERDOWN"`, `"DOWN"`)
	return maskClock(s)
}

// padZeros writes each byte with two digits. Bridge ids have no leading zeros.
func padZeros(mac string) string {
	parts := strings.Split(mac, ":")
	for i, p := range parts {
		if len(p) == 1 {
			parts[i] = "0" + p
		}
	}
	return strings.Join(parts, ":")
}

func maskClock(s string) string { return clock.ReplaceAllString(s, "${1}${2}T") }
