package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// TestEscapes gives links, addresses, namespaces and labs names that control a terminal. No command prints them
// unchanged, with or without colours. JSON has the exact names.
func TestEscapes(t *testing.T) {
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s to make the names with", tool)
		}
	}
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "lab.yaml")
	const lab = "name: esc\nnetworks: {lan: {subnets: [10.9.0.0/24]}}\nhosts: {red: {networks: [lan]}}\n" +
		"expect: [\"red -> red: ping\"]\n"
	if err := os.WriteFile(file, []byte(lab), 0o600); err != nil {
		t.Fatal(err)
	}
	w.must("vnet", "up", file)
	w.must("sh", "-ec", `E=$(printf '\033[5m'); B=$(printf '\007\233')
	ip link add "$E$B" type bridge
	ip link property add dev "$E$B" altname "$E-an-alternative-name"
	ip link set "$E$B" alias "$(printf 'one\ntwo\t\033]0;title\007')" up
	ip link add "v$E" type veth peer name "p$E"
	ip link set "p$E" master "$E$B"
	ip addr add 10.8.0.1/24 dev "$E$B" label "$E$B:$E"
	ip -6 addr add fd00:8::1/64 dev "$E$B" nodad
	ip route add 10.88.0.0/16 nexthop via 10.8.0.2 dev "$E$B" onlink nexthop via 10.8.0.3 dev "$E$B" onlink
	ip neigh add 10.8.0.9 lladdr 2:0:0:0:0:9 dev "$E$B"
	ip link set lo alias "vnet:$E" || true
	ip -n red link add "h$E" type bridge
	ip -n red link set "h$E" alias "vnet:esc"
	ip -n red addr add 10.7.0.1/24 dev "h$E" label "h$E:$E"
	ip -n red link property add dev eth0 altname "vnet:esc:$E"
	ip netns add plain; touch "/run/netns/$E" "/run/netns/$(printf 'a\nb\033[5m')"
	mkdir /run/x; mount --bind /run/netns/plain "/run/netns/$E"; ip netns set plain 5
	ip link add "n$E" type veth peer name eth7 netns plain
	nft "add table inet vnet_esc2; add table inet vnet; add chain inet vnet x { type nat hook postrouting priority 99; }"
	nft add rule inet vnet x oifname "\"h$E\"" masquerade`)
	for _, command := range []string{
		"link", "-d link", "-s -d link", "-br link", "-o link", "link show type bridge", "addr", "-d addr",
		"-br addr", "-o addr",
		"route", "route show table all", "-o route", "route get 10.88.0.1", "neigh", "-br neigh", "-s neigh", "nat", "netns",
		"netns list-id", "netns identify", "netns pids red", "-n red link", "-n red addr", "ls", "status", "status esc",
		"plan FILE", "plan --down FILE", "plan --commands FILE", "export", "export esc", "graph esc",
		"graph FILE", "verify FILE",
		"link --complete", "link show --complete", "-n --complete", "netns exec --complete", "netns del nothing",
		"link set nothing up",
		"-all netns exec true", "exec nothing true", "up FILE", "down FILE", "-all netns del",
	} {
		for _, color := range []string{"-color=never", "-color=always"} {
			args := append([]string{"vnet", color}, strings.Fields(strings.ReplaceAll(command, "FILE", file))...)
			if strings.HasSuffix(command, "--complete") {
				args = append(args[:len(args)-1], "", completeFlag)
			}
			r := w.run(args...)
			for _, line := range strings.SplitAfter(withoutColors(r.Stdout)+r.Stderr, "\n") {
				if control := strings.IndexFunc(line, isControl); control >= 0 {
					t.Errorf("vnet %s %s prints %q", color, command, line)
				}
			}
		}
	}
	if alias := w.must("vnet", "-j", "link"); !strings.Contains(alias, `one\ntwo\t\u001b]0;title\u0007`) {
		t.Errorf("JSON does not have the exact alias: %s", alias)
	}
	if text := w.must("vnet", "link"); !strings.Contains(text, "alias one\\ntwo\\t\\x1b]0;title\\a") ||
		!strings.Contains(text, "altname \\x1b[5m-an-alternative-name") {
		t.Errorf("the names are not shown: %s", text)
	}
}

// isControl reports whether a character is not printable. A byte that is not UTF-8 is none.
func isControl(r rune) bool {
	return r == unicode.ReplacementChar || !unicode.IsPrint(r) && r != '\n' && r != '\t'
}

// withoutColors removes the colours that vnet uses. The names in the test blink.
func withoutColors(text string) string {
	return regexp.MustCompile(`\x1b\[(0|1|(1;)?[39][0-9])m`).ReplaceAllString(text, "")
}
