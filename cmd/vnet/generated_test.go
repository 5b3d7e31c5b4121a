package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Run TestGenerated longer: go test ./cmd/vnet -run Generated -generated 500 -seed 1000
var (
	generated = flag.Int("generated", 8, "how many sequences of commands to generate")
	firstSeed = flag.Uint64("seed", 1, "the seed of the first sequence; the next has the next number")
)

// TestGenerated generates random sequences of valid and invalid commands. ip runs them in one world, vnet in another.
// Exit codes and output must be equal, and both worlds must have the same state at the end. A sequence that fails is
// reduced to the commands that are necessary.
func TestGenerated(t *testing.T) {
	needTool(t, "ip")
	if testing.Short() {
		*generated = min(*generated, 2)
	}
	for n := range *generated {
		seed := *firstSeed + uint64(n)
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			lines := writeCommands(rand.New(rand.NewPCG(seed, 0)), 14)
			if diff := tryCommands(t, lines, 30*time.Second); diff != "" {
				lines, diff = shrink(t, lines, diff)
				t.Errorf("seed %d: these differ:\n\t%s\n%s", seed, strings.Join(lines, "\n\t"), diff)
			}
		})
	}
}

// shrink removes all commands that are not necessary for a difference.
func shrink(t *testing.T, lines []string, diff string) ([]string, string) {
	for i := len(lines) - 1; i >= 0; i-- {
		fewer := slices.Delete(slices.Clone(lines), i, i+1)
		if d := tryCommands(t, fewer, 3*time.Second); d != "" {
			lines, diff = fewer, d
		}
	}
	return lines, diff
}

// tryCommands runs the lines in new twins and returns the first difference.
func tryCommands(t *testing.T, lines []string, patience time.Duration) (diff string) {
	t.Helper()
	t.Run("try", func(t *testing.T) { // the worlds end with it
		w := newTwins(t)
		for _, line := range lines {
			args := strings.Fields(line)
			by := w.ip.run(append([]string{"ip"}, args...)...)
			our := w.vnet.run(append([]string{"vnet"}, args...)...)
			if !sameStatus(by, our) {
				diff = fmt.Sprintf("%s: exit status %d, ip's is %d\nvnet: %s\nip: %s", line, our.Status, by.Status, our.Stderr,
					by.Stderr)
				return
			}
		}
		within := func(look func() string) string { return soonWithin(patience, look) }
		if diff = within(func() string { return cmp.Diff(w.ip.state(), w.vnet.state()) }); diff != "" {
			diff = "different state (-ip +vnet):\n" + diff
			return
		}
		for _, line := range printers {
			line, supported := w.ipRelease.since(t, line)
			if !supported {
				continue
			}
			args := strings.Fields(line)
			if diff = within(func() string {
				by, our := w.vnet.run(append([]string{"ip"}, args...)...), w.vnet.run(append([]string{"vnet"}, args...)...)
				return cmp.Diff(maskClock(by.Stdout), maskClock(asOlder(w.ipRelease, our.Stdout)))
			}); diff != "" {
				diff = line + ": different output (-ip +vnet):\n" + diff
				return
			}
		}
	})
	return diff
}

// printers are the commands that print the state after a sequence.
var printers = []string{
	"link", "-d link", "-j -d link", "-br link", "-o link", "-s link", "-s -j link",
	"addr", "-j addr", "-d addr", "-4 addr", "since 7.3 -6 addr", "-br addr", "-o addr", "-br -j addr",
	"route", "-j route", "-d route", "-6 route", "-6 -j route", "route show table all", "-j -d route show table all",
	"rule", "-j rule", "-d -6 rule",
	"neigh", "-j neigh", "-br neigh", "-n red addr", "-n red -j route", "netns", "-j netns",
	"-c=always link", "-c=always -d addr", "-c=always -br addr", "-c=always route show table all", "-c=always neigh",
}

// grammar generates the commands. Each word in angle brackets stands for one of its choices. Some choices name objects
// that do not exist.
var grammar = map[string][]string{
	"command": {
		"<link> add <dev> type <kind>", "<link> add <dev> up mtu <mtu> type <kind>",
		"<link> add <dev> type veth peer name <dev>",
		"<link> add <dev> type veth peer <dev> netns red", "<link> set <dev> up", "<link> set up dev <dev>",
		"<link> set <dev> <set>",
		"<link> set <dev> <set> <set>", "<link> set <dev> <set>", "<link> del <dev>",
		"<link> add link <dev> name <dev> type <upper>",
		"<addr> add <prefix> dev <dev> <addrword>", "<addr> add dev <dev> <prefix>",
		"<addr> replace <prefix> dev <dev> <addrword>",
		"<addr> change <prefix> dev <dev> <addrword>", "<addr> del <prefix> dev <dev>", "<addr> flush dev <dev>",
		"<addr> add <ip> peer <prefix> dev <dev>", "-n red addr add <prefix> dev <dev>", "-n red link set <dev> <set>",
		"<route> <change> <dst> <hop> <routeword>", "<route> <change> <dst> <hop> <routeword>",
		"<route> <change> <kindofroute> <dst> <routeword>",
		"<route> <change> <dst> <routeword> nexthop <hop> nexthop <hop> weight 3", "<route> del <dst>", "<route> get <ip>",
		"<route> flush <dst>", "<neigh> <change> <ip> lladdr 02:00:00:00:00:0<n> dev <dev> <nud>",
		"<neigh> del <ip> dev <dev>", "<neigh> add proxy <ip> dev <dev>", "<neigh> flush dev <dev>",
		"<rule> add <selector> <selector> pref <n> <action>", "<rule> add <selector> <action>",
		"-6 rule add <selector> <action>", "<rule> del <selector>", "<rule> del pref <n>", "<rule> show <selector>",
		"<rule> flush <selector>",
		"netns add <ns>", "netns del blue", "netns add red", "<typo>",
	},
	"link":  {"link", "link", "l", "li", "link"},
	"addr":  {"addr", "a", "address", "ad", "addr"},
	"route": {"route", "r", "ro", "route", "route"},
	"neigh": {"neigh", "n", "neighbor", "neighbour", "nei"},
	"rule":  {"rule", "ru", "rule"},
	"selector": {
		"from <dst>", "to <dst>", "iif <dev>", "oif <dev>", "fwmark 0x<n>/0xff", "fwmark <n>", "tos 0x1<n>", "ipproto tcp",
		"ipproto udp dport <n>", "sport <n>-9", "uidrange <n>-9", "not", "table 10<n>", "pref <n>", "proto static", "bogus 1",
	},
	"action": {"table 10<n>", "lookup main", "prohibit", "blackhole", "goto 9", "nop", "sup_pl <n> ta 7", "nonsense", ""},
	"dev":    {"v0", "v0", "v1", "v1", "b0", "b0", "d0", "lo", "nope"},
	"ns":     {"red", "blue", "a/b"},
	"n":      {"1", "2", "3"},
	"mtu":    {"1400", "1500", "9000", "1", "x"},
	"kind": {
		"bridge", "bridge vlan_filtering 1", "bridge stp_state 1 ageing_time 2000", "bridge mcast_snooping 0",
		"bridge bogus 1", "veth",
		"dummy", "ifb", "vrf table 7", "macvlan", "vxlan id 7 dstport 4789",
		"vxlan id 9 local 10.0.0.1 remote 10.0.0.2 dstport 4789 nolearning ttl 5",
		"vxlan", "nonsense",
	},
	"upper": {"macvlan mode private", "macvlan mode bridge", "macvlan", "ipvlan", "vlan id 5", "macvlan mode x"},
	"set": {
		"up", "down", "up", "mtu <mtu>", "address 02:00:00:00:01:0<n>", "alias some-alias", "txqueuelen 77", "group <n>",
		"master b0", "nomaster",
		"arp off", "multicast off", "promisc on", "addrgenmode none", "name d1", "netns red", "bogus 1", "allmulticast on",
		"type bridge forward_delay 300", "type bridge_slave cost 9", "type bridge_slave hairpin on",
	},
	"prefix": {"10.0.0.1/24", "10.0.0.2/24", "10.1.0.1/16", "10.2.0.1", "fd00::1/64", "fd00::2/64", "fd00:1::1/48",
		"1.2.3.4/99", "bogus", "10.0/8", "127.0.0.5/8"},
	"ip": {"10.0.0.1", "10.0.0.9", "10.1.0.9", "fd00::1", "fd00::9", "bogus", "10.9"},
	"addrword": {"", "", "", "nodad", "noprefixroute", "metric 77", "brd +", "scope link",
		"valid_lft 1000 preferred_lft 500", "label v0:x", "scope x", "preferred_lft 0", "bogus"},
	"change": {"add", "add", "replace", "append", "prepend", "change", "a", "repl", "del"},
	"dst": {"default", "10.7.0.0/16", "10.8.0.0/24", "10.8.0.1", "10.8/16", "fd07::/64", "fd08::1", "10.7.0.1/16",
		"bogus", "0/0", "::/0", "default"},
	"hop": {"dev <dev>", "via 10.0.0.9", "via 10.0.0.9 dev <dev>", "via 10.1.0.9 dev <dev> onlink", "via fd00::9",
		"via fd00::9 dev <dev>", "via inet6 fd00::9 dev <dev>", "via"},
	"routeword": {
		"", "", "", "metric 50", "table 100", "table main", "proto static", "scope link", "src 10.0.0.1", "mtu 1300",
		"mtu lock 1200", "advmss 500",
		"tos 4", "table bogus", "metric x", "hoplimit 9", "initcwnd 20", "rtt 100ms", "quickack 1", "expires 1000",
		"pref high", "bogus",
	},
	"kindofroute": {"blackhole", "unreachable", "prohibit", "throw", "unicast", "local", "nonsense"},
	"nud": {"", "nud permanent", "nud noarp", "nud stale", "nud bogus", "router", "protocol static",
		"extern_learn", "nud 0x80"},
	"typo": {"lnk", "link foo", "addr ad", "route foo", "neigh foo", "link set", "addr add", "route add",
		"neigh add", "link add", "link del", "addr del", "route del", "neigh del", "rule del", "rule foo"},
}

// writeCommands generates a sequence. The fixed first commands make most of the others valid.
func writeCommands(r *rand.Rand, n int) []string {
	lines := []string{
		"netns add red",
		"link add v0 address 02:00:00:00:00:01 type veth peer name v1 address 02:00:00:00:00:02",
		"link add b0 address 02:00:00:00:00:03 type bridge",
		"link set v0 up", "link set v1 up", "addr add 10.0.0.1/24 dev v0", "addr add fd00::1/64 dev v0 nodad",
	}
	for range n {
		lines = append(lines, write(r, "<command>"))
	}
	return lines
}

// write replaces each word in angle brackets with a random choice.
func write(r *rand.Rand, text string) string {
	before, rest, found := strings.Cut(text, "<")
	if !found {
		return text
	}
	word, after, _ := strings.Cut(rest, ">")
	choices := grammar[word]
	return before + write(r, choices[r.IntN(len(choices))]) + write(r, after)
}
