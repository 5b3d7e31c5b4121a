package live

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCallsPerHost limits the system calls per additional host. Their number does not depend on
// the speed of the machine, so it shows a regression at once. Calls of the Go runtime vary with
// thread scheduling and are not counted.
func TestCallsPerHost(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("no strace on this machine")
	}
	const few, many = 10, 60
	a, b := countCalls(t, few), countCalls(t, many)
	for i, c := range []struct {
		what string
		most float64 // slightly above the measured value
	}{{"up", 84}, {"second up", 48}, {"one host more", 61}, {"down", 55}} {
		n := 0.0
		for call, count := range b[i] {
			n += float64(count-a[i][call]) / (many - few)
		}
		if t.Logf("%s: %.1f system calls per host", c.what, n); n > c.most {
			t.Errorf("%s: %.1f system calls per host, want at most %.0f\n%d hosts: %v\n%d hosts: %v",
				c.what, n, c.most, few, a[i], many, b[i])
		}
	}
}

// countCalls returns the system calls of each step in a star's life: up, up again, one host more,
// down.
func countCalls(t *testing.T, hosts int) (calls []map[string]int) {
	dir := t.TempDir()
	star := func(name string, hosts int) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(starLab(hosts)), 0o600); err != nil {
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

// TestNFTRequests limits the requests for nftables of a small lab with NAT, a forward and a guard. A transaction that
// is refused or only checked waits for an RCU grace period, and so does the end of a process after each transaction
// that deletes something.
func TestNFTRequests(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("no strace on this machine")
	}
	lab := filepath.Join(t.TempDir(), "lab.yaml")
	text := "name: small\nnetworks: {sw: {subnets: [10.0.0.0/16], nat: true}}\n" +
		"hosts: {h0: {networks: [sw], ports: ['8080:80']}, h1: {networks: [sw]}}\n"
	if err := os.WriteFile(lab, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		verb                   string
		transactions, requests int
	}{
		// up reads two tables of the lab and one of the guard, between two requests for the generation. It asks for the
		// generation before each transaction, and twice to check the result.
		{"up", 2, 9},
		// A second up reads two tables of the lab and one of the guard. For each that exists, it asks once for the rules.
		{"up", 0, 15},
		// down reads them once. Later it asks for the generation only.
		{"down", 2, 18},
	} {
		trace := strings.Join(nftRequest.FindAllString(traceOf(t, c.verb, lab), -1), "\n")
		transactions := strings.Count(trace, "NFNL_MSG_BATCH_BEGIN")
		requests := strings.Count(trace, "NFT_MSG_GET")
		t.Logf("%s: %d transactions, %d requests", c.verb, transactions, requests)
		if transactions > c.transactions || requests > c.requests {
			t.Errorf("%s: %d transactions and %d requests, want at most %d and %d:\n%s",
				c.verb, transactions, requests, c.transactions, c.requests, trace)
		}
	}
}

// nftRequest matches the beginning of a call that sends a request for nftables.
var nftRequest = regexp.MustCompile(
	`(?m)^.*(sendto|sendmsg|write)\(.*nlmsg_type=NFNL_(MSG_BATCH_BEGIN|SUBSYS_NFTABLES<<8\|NFT_MSG_GET\w+)`)

// traced counts the system calls of a process that brings a lab up or takes it down.
func traced(t *testing.T, verb, lab string) map[string]int {
	t.Helper()
	text := traceOf(t, verb, lab)
	calls := map[string]int{}
	for _, m := range callBegin.FindAllStringSubmatch(text, -1) {
		if !runtimeCalls[m[1]] && !strings.HasSuffix(m[2], "<anon_inode:[eventfd]>") { // Go wakes its poller by an eventfd
			calls[m[1]]++
		}
	}
	for _, m := range callRestart.FindAllStringSubmatch(text, -1) {
		if !runtimeCalls[m[1]] {
			calls[m[1]]--
		}
	}
	if calls["openat"] == 0 {
		t.Fatalf("strace saw no openat:\n%s", text)
	}
	return calls
}

// traceOf returns the trace of a process that brings a lab up or takes it down.
func traceOf(t *testing.T, verb, lab string) string {
	t.Helper()
	examples, err := filepath.Abs("../../examples")
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
	cmd := exec.Command("strace", "-f", "-y", "-s", "1", "-o", trace, self)
	cmd.Env = append(os.Environ(), killTestEnv+"="+verb+" "+name+" whole")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", verb, lab, err, out)
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// callRestart matches the end of a call that the kernel restarts by itself; strace then shows the
// call again. A write to /proc/sys/net is restarted as long as another thread holds the RTNL lock.
var callRestart = regexp.MustCompile(`(?m)^\d+ +(?:<\.\.\. )?(\w+)[ (].* = \? ERESTART(?:SYS|NOINTR|NOHAND)\b`)

// callBegin matches the beginning of a call in a trace, with its first argument. If another thread
// interrupts the call, its end is in a line of its own.
var callBegin = regexp.MustCompile(`(?m)^\d+ +(\w+)\(([^,)\n]*)`)

// runtimeCalls are the calls with which Go's threads sleep, wake each other and allocate memory.
var runtimeCalls = map[string]bool{
	"futex": true, "nanosleep": true, "clock_nanosleep": true, "sched_yield": true, "epoll_pwait": true,
	"clone": true, "clone3": true,
	"madvise": true, "mmap": true, "munmap": true, "rt_sigaction": true, "rt_sigprocmask": true, "rt_sigreturn": true,
	"sigaltstack": true, "tgkill": true, "getpid": true, "gettid": true, "restart_syscall": true,
}
