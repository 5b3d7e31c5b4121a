//go:build linux

package topo

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
	}{{"up", 89}, {"second up", 47}, {"one host more", 60}, {"down", 53}} {
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
	counts := filepath.Join(t.TempDir(), "counts")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("strace", "-f", "-c", "-o", counts, self)
	cmd.Env = append(os.Environ(), victim+"="+verb+" "+name+" whole")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", verb, lab, err, out)
	}
	text, err := os.ReadFile(counts)
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]int{}
	for _, line := range strings.Split(string(text), "\n") {
		// % time, seconds, usecs/call, calls, errors if there were any, syscall
		f := strings.Fields(line)
		if len(f) < 5 || runtimes[f[len(f)-1]] {
			continue
		}
		if n, err := strconv.Atoi(f[3]); err == nil {
			calls[f[len(f)-1]] = n
		}
	}
	if calls["openat"] == 0 {
		t.Fatalf("strace counted no openat:\n%s", text)
	}
	return calls
}

// runtimes are the calls by which Go's threads sleep, wake each other and have memory, and
// the last line of strace's table.
var runtimes = map[string]bool{
	"futex": true, "nanosleep": true, "clock_nanosleep": true, "sched_yield": true, "epoll_pwait": true, "clone": true, "clone3": true,
	"madvise": true, "mmap": true, "munmap": true, "rt_sigaction": true, "rt_sigprocmask": true, "rt_sigreturn": true,
	"sigaltstack": true, "tgkill": true, "getpid": true, "gettid": true, "restart_syscall": true, "total": true,
}
