//go:build linux

package trust

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The errors that system calls fail with.
var injected = []unix.Errno{unix.EPERM, unix.ENOMEM, unix.ENOBUFS, unix.EBUSY, unix.EINTR, unix.ENOSPC,
	unix.EMFILE, unix.EROFS}

const faultsLab = `
name: faults
networks:
  sw: {subnets: [10.0.9.0/24, "fd00:9::/64"], nat: true, isolate: true}
hosts:
  red: {networks: [sw], ports: ["127.0.0.1:8080:80"], routes: [10.9.0.0/16 via 10.0.9.1]}
  blue: {networks: [sw], %s}
`

// A command is a command whose system calls fail. Its states are compared as text.
type command struct {
	name           string
	args           []string
	prepare, clear func(t *testing.T) // make the state before the command; undo all
	// left returns what is wrong after the command failed, done what is wrong after its success; "" if nothing is.
	left, done func(t *testing.T) string
}

func commands(t *testing.T) []command {
	first, second := writeFile(t, "first.yaml", fmt.Sprintf(faultsLab, "")), writeFile(t, "second.yaml",
		fmt.Sprintf(faultsLab, `ports: ["8081:81"], sysctls: {net.ipv4.ip_default_ttl: "33"}`))
	run := func(args ...string) func(*testing.T) {
		return func(t *testing.T) { t.Helper(); mustVnet(t, args...) }
	}
	nothing := func(*testing.T) {}
	empty := state(t)
	isEmpty := func(t *testing.T) string { t.Helper(); return diff(empty, state(t)) }
	is := func(file string) func(*testing.T) string {
		return func(t *testing.T) string {
			t.Helper()
			if out, status := vnet(t, "status", file); status != 0 {
				return out
			}
			return ""
		}
	}
	rule := []string{"-p", "tcp", "--dport", "8080", "--to-destination", "10.0.0.2:80"}
	add, remove := append([]string{"nat", "add", "dnat"}, rule...), append([]string{"nat", "del", "dnat"}, rule...)
	mustVnet(t, add...)
	added := state(t)
	mustVnet(t, remove...)
	isAdded := func(t *testing.T) string { t.Helper(); return diff(added, state(t)) }
	flush := run("nat", "flush")
	hasNamespace := func(t *testing.T) string {
		t.Helper()
		if mustVnet(t, "netns", "list") != "red\n" || mustVnet(t, "-n", "red", "link", "show", "lo") == "" {
			return "no namespace red"
		}
		return ""
	}
	return []command{
		{"up", []string{"up", first}, nothing, run("down", first), isEmpty, is(first)},
		{"up of a changed lab", []string{"up", second}, run("up", first), run("down", first), is(first), is(second)},
		{"down", []string{"down", first}, run("up", first), run("down", first), func(t *testing.T) string {
			t.Helper()
			mustVnet(t, "down", first)
			return isEmpty(t)
		}, isEmpty},
		{"nat add", add, nothing, flush, isEmpty, isAdded},
		{"nat del", remove, run(add...), flush, isAdded, isEmpty},
		{"netns add", []string{"netns", "add", "red"}, nothing, func(t *testing.T) { vnet(t, "netns", "del", "red") },
			isEmpty, hasNamespace},
		{"netns del", []string{"netns", "del", "red"}, run("netns", "add", "red"),
			func(t *testing.T) { vnet(t, "netns", "del", "red") }, hasNamespace, isEmpty},
	}
}

// calls returns the calls that a command makes, in an order that is the same each time.
func (c command) calls(t *testing.T) (all []call) {
	t.Helper()
	c.prepare(t)
	o := supervise(t, action{}, c.args...)
	if o.status != 0 {
		t.Fatalf("%s: exit %d: %s", c.name, o.status, o.output)
	}
	c.clear(t)
	for _, s := range supervisedCalls {
		for n := range o.counts[s.name] {
			all = append(all, call{s.name, n})
		}
	}
	return all
}

// only selects cases by their text, such as "up: recvmmsg .*: ENOMEM". All cases that match run, not a sample.
var only = flag.String("only", "", "run all cases that match this `regexp`")

// part selects one part of all cases, so that several processes can share the work: 1/2 and 2/2 are the halves.
var part = flag.String("part", "1/1", "with all cases, run only the part `N/M` of the failed calls")

// inPart reports whether the case with an index belongs to the part.
func inPart(index int) bool {
	var n, m int
	if _, err := fmt.Sscanf(*part, "%d/%d", &n, &m); err != nil || m < 1 || n < 1 || n > m {
		panic("-part " + *part + ": want N/M")
	}
	return index%m == n-1
}

// onceWrong are cases that vnet got wrong before. Each sample has them.
var onceWrong = regexp.MustCompile(`^(up: (socket 0: EPERM|unshare 0: EPERM|recvmmsg 1[12]: ENOBUFS)|` +
	`netns del: unlinkat 1: EBUSY)$`)

// sample returns all elements, or so many at random, always the same ones, and those of onceWrong.
func sample(command string, list []action, n int) []action {
	if *only != "" {
		match := regexp.MustCompile(*only)
		return slices.DeleteFunc(list, func(a action) bool { return !match.MatchString(command + ": " + a.String()) })
	}
	if all() || len(list) <= n {
		return list
	}
	var chosen []action
	for _, a := range list {
		if onceWrong.MatchString(command + ": " + a.String()) {
			chosen = append(chosen, a)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	list = slices.Clone(list)
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return append(chosen, list[:n]...)
}

// TestFailedCalls makes each system call of the commands fail, one at a time. A command that fails changes nothing;
// after a failed down, the next down takes away all. A command that says that it succeeded has done all.
func TestFailedCalls(t *testing.T) {
	needTools(t, "ip", "nft")
	between := &row{t: t, what: "system calls of up, down, nat and netns that fail, one in each run",
		wrong: "runs that left a state between before and wanted"}
	silent := &row{t: t, what: "the same", wrong: "runs that said done and were not, or did not end"}
	for _, c := range commands(t) {
		var actions []action
		for _, at := range c.calls(t) {
			for _, e := range injected {
				actions = append(actions, action{at: at, errno: e})
			}
		}
		for i, do := range sample(c.name, actions, 8) {
			if !inPart(i) {
				continue
			}
			c.prepare(t)
			o := supervise(t, do, c.args...)
			between.times++
			silent.times++
			what := fmt.Sprintf("%s: %s: exit %d: %s", c.name, do, o.status, strings.TrimSpace(o.output))
			switch {
			case o.hung || o.panicked():
				silent.fail("%s\nhung or panicked", what)
			case o.status == 0:
				if wrong := c.done(t); wrong != "" {
					silent.fail("%s\n%s", what, wrong)
				}
			default:
				if wrong := c.left(t); wrong != "" && c.done(t) != "" {
					between.fail("%s\n%s", what, wrong)
				}
			}
			c.clear(t)
		}
	}
	between.write()
	silent.write()
}

// TestKilled kills the commands before each of their system calls. After that, down takes away all, and up works.
func TestKilled(t *testing.T) {
	needTools(t, "ip", "nft")
	residue := &row{t: t, what: "commands killed (kill -9) before a system call",
		wrong: "left something after the next command"}
	empty := state(t)
	for _, c := range commands(t) {
		var kills []action
		for _, at := range c.calls(t) {
			kills = append(kills, action{at: at, kill: true})
		}
		for _, do := range sample(c.name, kills, 5) {
			c.prepare(t)
			o := supervise(t, do, c.args...)
			residue.times++
			if o.status < 128 && o.status != 0 {
				residue.fail("%s: %s: exit %d: %s", c.name, do, o.status, o.output)
			}
			c.clear(t)
			if left := diff(empty, state(t)); left != "" {
				residue.fail("%s: %s: left\n%s", c.name, do, left)
			}
		}
	}
	residue.write()
}
