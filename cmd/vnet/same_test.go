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

// TestSame runs each script of testdata/same through vnet in one world and
// through the real ip in another. After every line both have to have exited
// alike, printed alike, and left the same links, addresses, routes and
// neighbours in every namespace; with -short that is looked at less often, and what
// only prints is run in one world.
//
// A line is a command without its first word, ip or vnet. Before it may stand:
//
//	=     only print: run both tools in both worlds; their output is equal to the byte
//	since a version of iproute2, from which on ip does the same as vnet with what follows
//	linux a version, from which on the kernel knows what follows
//	$     a shell command, to be run in both worlds
//	need  an ip command that the kernel has to be able to do, or the script is skipped;
//	      it may go on as a shell's does: && ip …
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

// needTool skips a test that compares with a tool the machine does not have.
func needTool(t *testing.T, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		t.Skipf("no %s on this machine to compare with", tool)
	}
}

// twins are two worlds that have to stay alike.
type twins struct {
	judge    release
	ip, vnet *world
	steps    int
}

// lookEvery is after how many steps -short looks at the state of both: a look is six
// processes and more.
const lookEvery = 10

// due tells whether the state is to be looked at after this step.
func (w *twins) due() bool {
	w.steps++
	return !testing.Short() || w.steps%lookEvery == 0
}

func newTwins(t *testing.T) *twins {
	t.Helper()
	return &twins{judge: needJudge(t), ip: newWorld(t), vnet: newWorld(t)}
}

func sameScript(t *testing.T, script string) {
	t.Helper()
	w := newTwins(t)
	for i, line := range strings.Split(script, "\n") {
		line, judged := w.judge.since(t, strings.TrimSpace(line))
		if !judged {
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
			return // what follows would fail for the same reason
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

// step runs one command by either tool, each in its world.
func (w *twins) step(t *testing.T, at string, args []string) {
	t.Helper()
	by := w.ip.run(append([]string{"ip"}, args...)...)
	our := w.vnet.run(append([]string{"vnet"}, args...)...)
	if by.Status != our.Status {
		t.Errorf("%s: exit status %d, ip's is %d\nvnet: %s\nip: %s", at, our.Status, by.Status, our.Stderr, by.Stderr)
	}
	if diff := cmp.Diff(settle(by.Stdout), settle(asOlder(w.judge, our.Stdout))); diff != "" {
		t.Errorf("%s: prints otherwise (-ip +vnet):\n%s", at, diff)
	}
	if w.due() && !w.sameState(t, at) {
		t.Logf("vnet said: %s\nip said: %s", our.Stderr, by.Stderr)
	}
}

// sameState holds what both worlds have against each other.
func (w *twins) sameState(t *testing.T, at string) bool {
	t.Helper()
	diff := soon(func() string { return cmp.Diff(w.ip.state(), w.vnet.state()) })
	if diff != "" {
		t.Errorf("%s: leaves another state (-ip +vnet):\n%s", at, diff)
	}
	return diff == ""
}

// samePrint compares the two tools where nothing differs but the tool. What the
// clock changes between the two runs is masked, nothing else.
func (w *twins) samePrint(t *testing.T, in *world, at, line string) {
	t.Helper()
	args := strings.Fields(line)
	var by, our result
	diff := soon(func() string {
		by, our = in.run(append([]string{"ip"}, args...)...), in.run(append([]string{"vnet"}, args...)...)
		return cmp.Diff(maskClock(by.Stdout), maskClock(asOlder(w.judge, our.Stdout)))
	})
	if by.Status != our.Status {
		t.Errorf("%s: exit status %d, ip's is %d\nvnet: %s\nip: %s", at, our.Status, by.Status, our.Stderr, by.Stderr)
	}
	if diff != "" {
		t.Errorf("%s: prints otherwise (-ip +vnet):\n%s", at, diff)
	}
}

// soon looks for a difference again and again until there is none, or it is clear
// that it stays: the kernel tells of carrier and duplicate addresses on its own
// time, up to a second later, and an emulated processor takes long to look.
func soon(diff func() string) string { return soonWithin(30*time.Second, diff) }

func soonWithin(patience time.Duration, diff func() string) string {
	for until := time.Now().Add(patience); ; {
		d := diff()
		if d == "" || time.Now().After(until) {
			return d
		}
	}
}

// state is what the real ip sees in every namespace of a world.
func (w *world) state() string { return w.look(lookAround) }

func (w *world) look(script string) string {
	return settle(routeLists.ReplaceAllStringFunc(w.must("sh", "-c", script), sortObjects))
}

// routeLists are the lists in ip's pretty JSON, of routes and neighbours.
var routeLists = regexp.MustCompile(`(?s)\[ \{\n        "(?:type|dst|unreachable)".*?\n    \} \]\n`)

// lookAround takes one process a namespace: it is done after every line.
const lookAround = `
look() {
	echo "$@"
	printf 'link\naddr\nroute show table all\nneigh\nneigh show proxy\n' | ip "$@" -d -j -p -force -batch - 2>&1 || true
}
look
for name in $(ls /run/netns 2>/dev/null); do look -n $name; done`

// sortObjects gives ip's pretty JSON an order of its own: the kernel's goes by
// the address, and link-local ones are made of random MACs.
func sortObjects(list string) string {
	list = strings.TrimSuffix(strings.TrimPrefix(linkLocals.ReplaceAllString(list, "fe80::mac"), "[ {"), "\n    } ]\n")
	objects := strings.Split(list, "\n    },{")
	slices.Sort(objects)
	return strings.Join(objects, "\n    },{")
}

var (
	macs = regexp.MustCompile(`\b[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}\b`)
	// Link-local addresses are made of MACs.
	linkLocals = regexp.MustCompile(`\bfe80::[0-9a-f:]+\b`)
	clock      = regexp.MustCompile(`("(?:valid_life_time|preferred_life_time|used|confirmed|updated|expires|fdb_n_learned|[a-z_]+_timer)": ?)[0-9.]+|((?:valid_lft|preferred_lft|expires|used|fdb_n_learned|[a-z_]+_timer) ) *[0-9./]+(sec)?`)
	// Duplicate address detection and learning go on beside the commands.
	beside = regexp.MustCompile(`(?m)^ *"tentative": true,?\n|"tentative":true,`)
)

// settle masks what two equal machines differ in: random MACs, numbered in the
// order in which they appear, what is made of them, and the clock.
func settle(s string) string {
	seen := map[string]string{}
	s = macs.ReplaceAllStringFunc(s, func(mac string) string {
		mac = padZeros(mac)
		if mac == "00:00:00:00:00:00" || mac == "ff:ff:ff:ff:ff:ff" || mac[1] != '2' && mac[1] != '6' && mac[1] != 'a' && mac[1] != 'e' {
			return mac // not a random one
		}
		if seen[mac] == "" {
			seen[mac] = fmt.Sprintf("mac%d", len(seen)+1)
		}
		return seen[mac]
	})
	s = linkLocals.ReplaceAllString(s, "fe80::mac")
	s = beside.ReplaceAllString(s, "")
	// Which of the two depends on when the kernel looked for the far end.
	s = strings.ReplaceAll(s, `"LOWERLAYERDOWN"`, `"DOWN"`)
	return maskClock(s)
}

// padZeros gives each byte both digits; the ids of bridges are without.
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
