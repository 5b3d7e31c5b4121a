package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// between are the steps that the cheat sheet leaves to its reader, by the line of
// the table they follow; NAME stands for the tool. Some lines are shown with one end
// of a cable; this is what happens at the other.
var between = map[string][]string{
	"make a namespace": {"NAME netns add blue", "NAME netns add out"},
	"plug it in":       {"NAME link set veth-blue netns blue"},
	"address it":       {"NAME -n blue addr add 192.168.15.2/24 dev veth-blue"},
	"raise it": {
		"NAME -n blue link set veth-blue up",
		"talk ping red 192.168.15.2", "talk ping blue 192.168.15.1", // line 9: they reach each other
	},
	"a switch": {
		// And the outside: a network beyond the machine.
		"NAME link add eth0 type veth peer name eth0 netns out", "NAME link set eth0 up", "NAME -n out link set eth0 up",
		"NAME addr add 192.168.1.10/24 dev eth0", "NAME -n out addr add 192.168.1.20/24 dev eth0",
	},
	"raise the switch": {
		"NAME link add veth-red type veth peer name veth-red-br", "NAME link set veth-red netns red",
		"NAME link add veth-blue type veth peer name veth-blue-br", "NAME link set veth-blue netns blue",
	},
	"one end on the switch": {
		"NAME link set veth-blue-br master v-net-0", "NAME link set veth-red-br up", "NAME link set veth-blue-br up",
		"NAME -n red addr add 192.168.15.1/24 dev veth-red", "NAME -n red link set veth-red up",
		"NAME -n blue addr add 192.168.15.2/24 dev veth-blue", "NAME -n blue link set veth-blue up",
		"talk ping red 192.168.15.2",
	},
	"the machine joins": {"talk ping - 192.168.15.1", "talk ping blue 192.168.15.5"},
	"outside answers": {
		"sysctl -qw net.ipv4.ip_forward=1",
		"talk ping red 192.168.1.20", "talk tcp red 192.168.1.20:80 out 192.168.1.20:80", "talk udp red 192.168.1.20:53 out 192.168.1.20:53",
	},
	"forward a port": {"talk tcp out 192.168.1.10:80 red 192.168.15.1:80"},
	// Way one of line 18: eth0 in the switch; the outside is on the private network.
	// Pings only: where a machine filters what its switches pass on, the iptables
	// rule masquerades even what stays inside, and vnet's does not.
	"expose the network": {
		"NAME -n out addr add 192.168.15.100/24 dev eth0", "talk ping out 192.168.15.1", "talk ping out 192.168.15.2",
	},
}

// TestCheatsheet runs the table of `vnet help cheatsheet` twice: by hand in one
// world, with vnet in another. What is sent arrives alike, and both are left with
// the same links, addresses, routes and neighbours.
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
	w.sameLasting(t, "at the end")
}

// lasting is the state without what comes and goes by itself: the neighbours that
// packets found. It makes no difference between MACs either: a switch takes the
// least of its ports', and theirs are random.
func (w *world) lasting() string {
	look := strings.Replace(lookAround, `\nneigh\n`, `\nneigh show nud permanent\n`, 1)
	return numbered.ReplaceAllString(w.look(look), "mac")
}

var numbered = regexp.MustCompile(`\bmac[0-9]+\b`)

// both does a step by hand in one world and with vnet in the other.
func (w *twins) both(t *testing.T, byHand, vnet string) {
	t.Helper()
	tool := strings.Fields(byHand)
	if slices.Contains(tool, "route") && !slices.Contains(tool, "add") || slices.Contains(tool, "arp") {
		w.vnet.must(strings.Fields(vnet)...) // net-tools only print, and in another way
		return
	}
	if diff := cmp.Diff(settle(w.ip.must(tool...)), settle(w.vnet.must(strings.Fields(vnet)...))); diff != "" {
		t.Errorf("%s: prints otherwise (-by hand +vnet):\n%s", vnet, diff)
	}
	if w.due() {
		w.sameLasting(t, vnet)
	}
}

func (w *twins) sameLasting(t *testing.T, at string) {
	t.Helper()
	if diff := soon(func() string { return cmp.Diff(w.ip.lasting(), w.vnet.lasting()) }); diff != "" {
		t.Fatalf("%s: leaves another state (-by hand +vnet):\n%s", at, diff)
	}
}
