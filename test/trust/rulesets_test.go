//go:build linux

package trust

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const rulesetsLab = `
name: beside
networks:
  sw: {subnets: [10.0.9.0/24, "fd00:9::/64"], nat: true}
hosts:
  red: {networks: [sw], ports: ["127.0.0.1:8080:80", "8443:443/udp"]}
`

// ownTable is the text of a table that vnet made.
var ownTable = regexp.MustCompile(`(?ms)^table (?:inet|bridge) vnet\S* \{$.*?^\}\n`)

// TestForeignRulesets loads the rules of other programs and checks that they stay the same, byte by byte, whatever vnet
// does beside them.
func TestForeignRulesets(t *testing.T) {
	needTools(t, "nft", "iptables-nft-restore")
	r := &row{t: t, what: "rulesets of Docker, firewalld, ufw, kube-proxy, libvirt and fail2ban, compared after up, " +
		"a changed up, a killed up, vnet nat and down", wrong: "bytes that changed"}
	files, err := filepath.Glob("testdata/rulesets/*")
	if err != nil || len(files) < 8 {
		t.Fatal(files, err)
	}
	first := writeFile(t, "first.yaml", rulesetsLab)
	second := writeFile(t, "second.yaml", strings.Replace(rulesetsLab, "8443:443/udp", "8444:443", 1))
	for _, file := range files {
		load := "nft -f "
		if strings.HasSuffix(file, ".iptables") {
			load = "iptables-nft-restore < "
		}
		shell(t, load+file)
		foreign := func() string { return ownTable.ReplaceAllString(shell(t, "nft -s list ruleset"), "") }
		before := foreign()
		for _, step := range []struct {
			what string
			run  func()
		}{
			{"up", func() { mustVnet(t, "up", first) }},
			{"a changed up", func() { mustVnet(t, "up", second) }},
			{"an up that is killed", func() {
				supervise(t, action{at: call{"sendto", 8}, kill: true}, "up", first)
			}},
			{"nat", func() {
				mustVnet(t, "nat", "add", "masquerade", "-s", "10.77.0.0/24")
				mustVnet(t, "nat", "del", "masquerade", "-s", "10.77.0.0/24")
			}},
			{"down", func() { mustVnet(t, "down", first) }},
		} {
			step.run()
			r.times++
			if changed := diff(before, foreign()); changed != "" {
				r.fail("%s after %s:\n%s", filepath.Base(file), step.what, changed)
			}
		}
		shell(t, "nft flush ruleset")
	}
	r.write()
}

// TestHostileInput gives vnet files and words that it must refuse, in bounded memory, before it changes anything.
func TestHostileInput(t *testing.T) {
	needTools(t, "ip", "nft")
	r := &row{t: t, what: "hostile lab files, batches and arguments",
		wrong: "accepted, or used more than 256 MB, or changed something"}
	big := strings.Repeat("a", 1<<20)
	bomb := "x0: &x0 [a, a, a, a, a, a, a, a, a]\n"
	for i := 1; i < 9; i++ {
		n, p := string(rune('0'+i)), string(rune('0'+i-1))
		bomb += "x" + n + ": &x" + n + " [" + strings.Repeat("*x"+p+", ", 9) + "]\n"
	}
	before := state(t)
	for name, text := range map[string]string{
		"empty": "", "not YAML": "\x00\x01", "not a map": "- a", "alias bomb": bomb + "name: a\nhosts: {h: *x8}\n",
		"deep": "name: " + strings.Repeat("[", 100000), "long name": "name: " + big,
		"escape": "name: \"\\e[31mred\"", "path as name": "name: ../../etc", "path as host": "name: a\nhosts: {../x: {}}",
		"many hosts":    "name: a\nnetworks: {n: {subnets: [10.0.0.0/30]}}\nhosts: {h: {repeat: 1000000, networks: [n]}}",
		"negative":      "name: a\nhosts: {h: {repeat: -1}}",
		"device":        "name: a\nnetworks: {\"a b\": {}}",
		"all Internet":  "name: a\nnetworks: {n: {subnets: [0.0.0.0/0]}}\nhosts: {h: {networks: [n]}}",
		"unknown key":   "name: a\nevil: true",
		"twice":         "name: a\nname: b",
		"sysctl path":   "name: a\nhosts: {h: {sysctls: {\"net/../../kernel/core_pattern\": x}}}",
		"sysctl kernel": "name: a\nhosts: {machine: {sysctls: {kernel.core_pattern: x}}}",
		"port": "name: a\nnetworks: {n: {subnets: [10.0.0.0/24], nat: true}}\n" +
			"hosts: {h: {networks: [n], ports: [\"0:99999\"]}}",
	} {
		r.refuses(name, before, "up", writeFile(t, "lab.yaml", text))
	}
	for name, args := range map[string][]string{
		"zeros as a lab":   {"up", "/dev/zero"},
		"zeros as a batch": {"-batch", "/dev/zero"},
		"a folder":         {"up", "/"},
		"name of a netns":  {"netns", "add", "../../etc/x"},
		"name with escape": {"netns", "add", "a\x1b[31m"},
		"name of a link":   {"link", "add", "a/b", "type", "dummy"},
		"long name":        {"link", "add", strings.Repeat("x", 200), "type", "dummy"},
		"huge number":      {"link", "add", "d0", "mtu", "99999999999999999999", "type", "dummy"},
		"prefix":           {"addr", "add", "10.0.0.1/99", "dev", "lo"},
		"port range":       {"nat", "add", "dnat", "-p", "tcp", "--dport", "9-1", "--to-destination", "10.0.0.2"},
		"down of a path":   {"down", "../../x"},
		"unknown word":     {"frobnicate"},
	} {
		r.refuses(name, before, args...)
	}
	r.write()
}

// refuses checks that vnet refuses the arguments with a message and has changed nothing.
func (r *row) refuses(name, before string, args ...string) {
	r.t.Helper()
	r.times++
	out, status := vnet(r.t, args...)
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &usage); err != nil {
		r.t.Fatal(err)
	}
	switch changed := diff(before, state(r.t)); {
	case status <= 0 || !strings.Contains(out, "error"):
		r.fail("%s: exit %d: %.200s", name, status, out)
	case strings.Contains(out, "goroutine ") || strings.Contains(out, "\x1b") || len(out) > 64<<10:
		r.fail("%s: output of %d bytes: %.200s", name, len(out), out)
	case usage.Maxrss > 256<<10: // in KiB, the largest of all so far
		r.fail("%s: %d KiB", name, usage.Maxrss)
	case changed != "":
		r.fail("%s changed\n%s", name, changed)
	}
}
