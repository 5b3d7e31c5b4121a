package main

import (
	"regexp"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/topo"
)

// demoTitles say what the stages of the demo are about; what has none goes on with the one before.
var demoTitles = map[topo.Kind]string{
	topo.OfNamespace: "Namespaces: each is a host of its own",
	topo.OfLink:      "A switch, and cables from it into the namespaces",
	topo.OfSysctl:    "The machine forwards packets",
	topo.OfNAT:      "NAT: a forwarded port, and one address for all who go out",
	topo.OfUp:        "Up, with addresses and the way out",
	topo.OfFile:      "Names, for programs that vnet exec starts",
}

// demoView is what a script of commands comes down to: without marks, addresses of
// Ethernet, what is so anyway, and the contents of files; of nftables, what is looked
// up where.
func demoView(script string) []string {
	v := demoViewer{
		noise:  regexp.MustCompile(` (address [0-9a-f:]{17}|mtu 1500|alias vnet:\S+|proto 118|nodad|stp_state 0|vlan_filtering 0|hairpin (on|off)|isolated off)`),
		naught: regexp.MustCompile(`^(#.*|set -e|mkdir .*|(ip netns exec \S+ )?sysctl -eqw .*|ip .*altname vnet:.*|ip (-n \S+ )?link set dev \S+( type bridge_slave)?|)$`),
	}
	for line := range strings.Lines(script) {
		v.read(strings.TrimSpace(line))
	}
	return v.lines
}

type demoViewer struct {
	lines []string
	here  string // the command that reads what follows, up to a dot
	set   string // the set or map of nftables that the lines are in

	noise, naught *regexp.Regexp // what is left out of a command, and which commands are left out
}

func (v *demoViewer) read(line string) {
	command, heredoc := strings.CutSuffix(line, " <<'.'")
	switch {
	case heredoc:
		v.here = command
		if strings.HasPrefix(command, "cat ") {
			v.show(command)
		}
	case line == ".":
		v.here = ""
	case strings.HasPrefix(v.here, "cat "):
	case strings.HasPrefix(v.here, "nft "):
		v.rule(strings.ReplaceAll(line, " counter", ""))
	case strings.HasPrefix(v.here, "ip "):
		v.command("ip " + line)
	default:
		v.command(line)
	}
}

// show adds a line, but none twice.
func (v *demoViewer) show(line string) {
	if !slices.Contains(v.lines, line) {
		v.lines = append(v.lines, line)
	}
}

// command shows what is left of a command, if there is anything.
func (v *demoViewer) command(line string) {
	line = v.noise.ReplaceAllString(line, "")
	if !v.naught.MatchString(line) {
		v.show(strings.ReplaceAll(line, "sysctl -qw", "sysctl -w"))
	}
}

// rule shows a line of nft's words, if it tells what is looked up.
func (v *demoViewer) rule(line string) {
	if name, ok := strings.CutSuffix(line, " {"); ok {
		v.set = name
		if strings.HasPrefix(name, "table ") {
			v.show("nft add " + name)
		}
		return
	}
	told := strings.Contains(v.set, "dnat") || strings.Contains(v.set, "masquerade")
	if elements, ok := strings.CutPrefix(line, "elements = "); ok && told {
		v.show("    " + v.set + " " + elements)
	}
	if strings.Contains(line, "map @") && v.set == "chain prerouting" || strings.HasSuffix(line, " masquerade") && strings.Contains(line, "@masq") {
		v.show("    " + strings.TrimPrefix(line, "meta nfproto "))
	}
}
