package main

import (
	"regexp"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/topo"
)

// demoTitles are the titles of the demo's stages. A kind without a title belongs to the stage before.
var demoTitles = map[topo.Kind]string{
	topo.OfNamespace: "Namespaces: each is a host of its own",
	topo.OfLink:      "A bridge, and veth pairs from the bridge into the namespaces",
	topo.OfSysctl:    "The machine forwards packets",
	topo.OfNAT:       "NAT: a forwarded port, and one source address for all hosts",
	topo.OfUp:        "Up, with addresses and default routes",
	topo.OfFile:      "Host names, for programs that vnet exec starts",
}

// demoView shortens a script of commands for the demo. It leaves out marks, MAC addresses, default values and the
// contents of files. Of nftables it keeps the NAT elements and the rules that look them up.
func demoView(script string) []string {
	v := demoViewer{
		noise: regexp.MustCompile(` (address [0-9a-f:]{17}|mtu 1500|` +
			`alias vnet:\S+|proto 118|nodad|stp_state 0|vlan_filtering 0|hairpin (on|off)|isolated off)`),
		hidden: regexp.MustCompile(`^(#.*|set -e|mkdir .*|(ip netns exec \S+ )?sysctl -eqw .*|` +
			`ip .*altname vnet:.*|ip (-n \S+ )?link set dev \S+( type bridge_slave)?|)$`),
	}
	for line := range strings.Lines(script) {
		v.read(strings.TrimSpace(line))
	}
	return v.lines
}

type demoViewer struct {
	lines []string
	here  string // the command that reads the here-document, which ends with a dot
	set   string // the nftables set or map that contains the lines

	noise, hidden *regexp.Regexp // the parts of a command and the whole commands that are left out
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

// show adds a line, unless it is there already.
func (v *demoViewer) show(line string) {
	if !slices.Contains(v.lines, line) {
		v.lines = append(v.lines, line)
	}
}

// command shows a command without the parts that are left out.
func (v *demoViewer) command(line string) {
	line = v.noise.ReplaceAllString(line, "")
	if !v.hidden.MatchString(line) {
		v.show(strings.ReplaceAll(line, "sysctl -qw", "sysctl -w"))
	}
}

// rule shows a line of nft's input if it is a NAT element or a rule that looks one up.
func (v *demoViewer) rule(line string) {
	if name, ok := strings.CutSuffix(line, " {"); ok {
		v.set = name
		if strings.HasPrefix(name, "table ") {
			v.show("nft add " + name)
		}
		return
	}
	isNAT := strings.Contains(v.set, "dnat") || strings.Contains(v.set, "masquerade")
	if elements, ok := strings.CutPrefix(line, "elements = "); ok && isNAT {
		v.show("    " + v.set + " " + elements)
	}
	if strings.Contains(line, "map @") && v.set == "chain prerouting" || strings.HasSuffix(line, " masquerade") &&
		strings.Contains(line, "@masq") {
		v.show("    " + strings.TrimPrefix(line, "meta nfproto "))
	}
}
