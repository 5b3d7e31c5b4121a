//go:build linux

package trust

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// vnet runs the program and returns its output and exit status.
func vnet(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(os.Getenv(binaryEnv), args...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// mustVnet is vnet for a command that must succeed.
func mustVnet(t *testing.T, args ...string) string {
	t.Helper()
	out, status := vnet(t, args...)
	if status != 0 {
		t.Fatalf("vnet %q: exit %d: %s", args, status, out)
	}
	return out
}

// shell runs a script of tools other than vnet. It must succeed.
func shell(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", "set -e\n"+script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// needTools skips the test if a tool is missing.
func needTools(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s on this machine", tool)
		}
	}
}

// volatile are the parts of a state that change by themselves.
var volatile = regexp.MustCompile(`(valid|preferred)_lft \S+|,?(NO-CARRIER|LOWER_UP)|` +
	`state (UP|DOWN|UNKNOWN|LOWERLAYERDOWN)|gc_timer +\S+|(tcn|topology_change|hello)_timer +\S+|packets \d+ bytes \d+`)

// state returns what the tools and files tell about the sandbox: links, addresses, routes, neighbours, rules,
// namespaces, nftables, settings of forwarding, and files of vnet. It leaves out empty folders, which nobody can mark.
func state(t *testing.T) string {
	t.Helper()
	text := shell(t, `ip -d -batch - <<end
addr
route show table all
rule
neigh show nud permanent
end
ip -d -6 route show table all; ls /run/netns 2>/dev/null || :; nft list ruleset
find /etc/netns -mindepth 1 ! \( -type d -empty \) 2>/dev/null || :
cd /proc/sys/net; grep . ipv4/ip_forward ipv4/conf/*/forwarding ipv4/conf/*/route_localnet \
	ipv4/conf/*/accept_redirects ipv4/conf/*/rp_filter ipv6/conf/*/forwarding ipv6/conf/*/accept_ra`)
	return volatile.ReplaceAllString(text, "")
}

// writeFile writes a file that is removed after the test, and returns its path.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// diff returns the lines that only one of two states has.
func diff(before, after string) string {
	has := func(lines []string) map[string]bool {
		set := map[string]bool{}
		for _, l := range lines {
			set[l] = true
		}
		return set
	}
	old, now := strings.Split(before, "\n"), strings.Split(after, "\n")
	inOld, inNow := has(old), has(now)
	var b strings.Builder
	for _, l := range old {
		if !inNow[l] {
			b.WriteString("-" + l + "\n")
		}
	}
	for _, l := range now {
		if !inOld[l] {
			b.WriteString("+" + l + "\n")
		}
	}
	return b.String()
}
