//go:build linux

package topo

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCallsPerHost counts the system calls that a host more costs, which a slow machine
// does not change: a regression is seen at once. Those of the Go runtime, which depend on
// how its threads meet, do not count.
func TestCallsPerHost(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("no strace on this machine")
	}
	const few, many = 10, 60
	a, b := callsOf(t, few), callsOf(t, many)
	for i, c := range []struct {
		what string
		most float64 // just above what it is
	}{{"up", 80}, {"second up", 47}, {"one host more", 60}, {"down", 53}} {
		n := 0.0
		for call, count := range b[i] {
			n += float64(count-a[i][call]) / (many - few)
		}
		if t.Logf("%s: %.1f system calls a host", c.what, n); n > c.most {
			t.Errorf("%s: %.1f system calls a host, at most %.0f are meant\nof %d hosts: %v\nof %d: %v", c.what, n, c.most, few, a[i], many, b[i])
		}
	}
}

// callsOf are the system calls of the life of a star: up, up again, one host more, down.
func callsOf(t *testing.T, hosts int) (calls []map[string]int) {
	dir := t.TempDir()
	star := func(name string, hosts int) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(starOf(hosts)), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	lab, more := star("lab.yaml", hosts), star("more.yaml", hosts+1)
	for _, c := range [][2]string{{"up", lab}, {"up", lab}, {"up", more}, {"down", more}} {
		calls = append(calls, traced(t, c[0], c[1]))
	}
	return calls
}

// traced counts the system calls of a process that brings a lab up or takes it down.
func traced(t *testing.T, verb, lab string) map[string]int {
	t.Helper()
	examples, err := filepath.Abs("../examples")
	if err != nil {
		t.Fatal(err)
	}
	name, err := filepath.Rel(examples, lab)
	if err != nil {
		t.Fatal(err)
	}
	trace := filepath.Join(t.TempDir(), "trace")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("strace", "-f", "-y", "-s", "0", "-o", trace, self)
	cmd.Env = append(os.Environ(), victim+"="+verb+" "+name+" whole")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", verb, lab, err, out)
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]int{}
	for _, m := range begun.FindAllStringSubmatch(string(text), -1) {
		if !runtimes[m[1]] && !strings.HasSuffix(m[2], "<anon_inode:[eventfd]>") {
			calls[m[1]]++
		}
	}
	for _, m := range restarted.FindAllStringSubmatch(string(text), -1) {
		if !runtimes[m[1]] {
			calls[m[1]]--
		}
	}
	if calls["openat"] == 0 {
		t.Fatalf("strace saw no openat:\n%s", text)
	}
	return calls
}

// restarted is the end of a call that the kernel begins anew by itself, and begun another
// time: a write to /proc/sys/net does so as long as anybody has the lock of all links.
var restarted = regexp.MustCompile(`(?m)^\d+ +(?:<\.\.\. )?(\w+)[ (].* = \? ERESTART(?:SYS|NOINTR|NOHAND)\b`)

// begun is the beginning of a call in a trace, with its first argument: of a call that
// another thread interrupts, the end stands in a line of its own. By an event's file Go
// wakes the thread that waits for all others.
var begun = regexp.MustCompile(`(?m)^\d+ +(\w+)\(([^,)\n]*)`)

// runtimes are the calls by which Go's threads sleep, wake each other and have memory.
var runtimes = map[string]bool{
	"futex": true, "nanosleep": true, "clock_nanosleep": true, "sched_yield": true, "epoll_pwait": true, "clone": true, "clone3": true,
	"madvise": true, "mmap": true, "munmap": true, "rt_sigaction": true, "rt_sigprocmask": true, "rt_sigreturn": true,
	"sigaltstack": true, "tgkill": true, "getpid": true, "gettid": true, "restart_syscall": true,
}
