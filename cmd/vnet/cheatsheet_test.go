package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// between are commands that are not in the cheat sheet, by the line after which they run. NAME stands for the tool.
// Some lines of the cheat sheet are only for one end of a veth pair; these are for the other end.
var between = map[string][]string{
	"make a namespace": {"NAME netns add blue", "NAME netns add out"},
	"move one end":     {"NAME link set veth-blue netns blue"},
	"add an address":   {"NAME -n blue addr add 192.168.15.2/24 dev veth-blue"},
	"set it up": {
		"NAME -n blue link set veth-blue up",
		"talk ping red 192.168.15.2", "talk ping blue 192.168.15.1", // line 9: both hosts reach each other
	},
	"a bridge": {
		// The network outside: a host behind the machine's eth0.
		"NAME link add eth0 type veth peer name eth0 netns out", "NAME link set eth0 up", "NAME -n out link set eth0 up",
		"NAME addr add 192.168.1.10/24 dev eth0", "NAME -n out addr add 192.168.1.20/24 dev eth0",
	},
	"set the bridge up": {
		"NAME link add veth-red type veth peer name veth-red-br", "NAME link set veth-red netns red",
		"NAME link add veth-blue type veth peer name veth-blue-br", "NAME link set veth-blue netns blue",
	},
	"add a port to it": {
		"NAME link set veth-blue-br master v-net-0", "NAME link set veth-red-br up", "NAME link set veth-blue-br up",
		"NAME -n red addr add 192.168.15.1/24 dev veth-red", "NAME -n red link set veth-red up",
		"NAME -n blue addr add 192.168.15.2/24 dev veth-blue", "NAME -n blue link set veth-blue up",
		"talk ping red 192.168.15.2",
	},
	"an address on it": {"talk ping - 192.168.15.1", "talk ping blue 192.168.15.5"},
	"masquerade": {
		"sysctl -qw net.ipv4.ip_forward=1",
		"talk ping red 192.168.1.20", "talk tcp red 192.168.1.20:80 out 192.168.1.20:80",
		"talk udp red 192.168.1.20:53 out 192.168.1.20:53",
	},
	"forward a port": {"talk tcp out 192.168.1.10:80 red 192.168.15.1:80"},
	// eth0 is a port of the bridge, so the outside is on the private network. Only pings: with br_netfilter, the
	// iptables rule masquerades packets inside the network, too; vnet's rule does not.
	"add an uplink": {
		"NAME -n out addr add 192.168.15.100/24 dev eth0", "talk ping out 192.168.15.1", "talk ping out 192.168.15.2",
	},
}

// TestCheatsheet runs the table of `vnet help cheatsheet` twice: by hand in one world, with vnet in another. The same
// packets arrive, and at the end both worlds have the same links, addresses, routes and neighbours.
func TestCheatsheet(t *testing.T) {
	for _, tool := range []string{"ip", "iptables", "sysctl"} {
		needTool(t, tool)
	}
	w := newTwins(t)
	for _, line := range cheatsheet {
		w.both(t, line.byHand, line.vnet)
		for _, l := range between[line.what] {
			w.both(t, strings.ReplaceAll(l, "NAME", "ip"), strings.ReplaceAll(l, "NAME", "vnet"))
		}
	}
	w.samePermanent(t, "at the end")
}

// permanentState returns the state without neighbours that packets add. All MAC addresses are masked: the ports'
// addresses are random, and a bridge has the least of them.
func (w *world) permanentState() string {
	look := strings.Replace(stateScript, `\nneigh\n`, `\nneigh show nud permanent\n`, 1)
	return records.ReplaceAllString(numbered.ReplaceAllString(w.look(look), "mac"), "")
}

// records are what vnet saves of settings that rules by hand need. ip has no such thing.
var records = regexp.MustCompile(`,?\s*"altnames": \[ "vnet:@hand:[^]]*\]`)

var numbered = regexp.MustCompile(`\bmac[0-9]+\b`)

// both runs a step by hand in one world and with vnet in the other.
func (w *twins) both(t *testing.T, byHand, vnet string) {
	t.Helper()
	tool := strings.Fields(byHand)
	if slices.Contains(tool, "route") && !slices.Contains(tool, "add") || slices.Contains(tool, "arp") {
		w.vnet.must(strings.Fields(vnet)...) // net-tools print in another format
		return
	}
	if diff := cmp.Diff(maskRandom(w.ip.must(tool...)), maskRandom(w.vnet.must(strings.Fields(vnet)...))); diff != "" {
		t.Errorf("%s: different output (-by hand +vnet):\n%s", vnet, diff)
	}
	if w.compareNow() {
		w.samePermanent(t, vnet)
	}
}

func (w *twins) samePermanent(t *testing.T, at string) {
	t.Helper()
	if diff := soon(func() string { return cmp.Diff(w.ip.permanentState(), w.vnet.permanentState()) }); diff != "" {
		t.Fatalf("%s: different state (-by hand +vnet):\n%s", at, diff)
	}
}
