package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

var routeSeeds = flag.Int("route.seeds", 2, "how many sequences of route commands TestSameRoutes generates")

// TestSameRoutes generates sequences of valid and invalid route commands and compares vnet with ip after each command;
// see [TestSame].
func TestSameRoutes(t *testing.T) {
	needTool(t, "ip")
	if testing.Short() {
		*routeSeeds = min(*routeSeeds, 1)
	}
	for seed := range *routeSeeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newTwins(t)
			for _, line := range []string{
				"link set lo up", "link add v0 type veth peer name v1",
				"link set v0 addrgenmode none", "link set v1 addrgenmode none", "link set v0 up", "link set v1 up",
				"addr add 10.0.0.1/24 dev v0", "addr add 10.0.1.1/24 dev v1",
				"addr add fd00::1/64 dev v0 nodad", "addr add fd01::1/64 dev v1 nodad",
			} {
				args := append([]string{"ip"}, strings.Fields(line)...)
				w.ip.must(args...)
				w.vnet.must(args...)
			}
			g := routeMaker{rand.New(rand.NewPCG(uint64(seed), 0))}
			for i := range 60 {
				line := g.command()
				at := fmt.Sprintf("seed %d, command %d: %s", seed, i, line)
				if w.step(t, at, strings.Fields(line)); t.Failed() {
					return
				}
				line = g.show()
				if w.samePrint(t, w.vnet, fmt.Sprintf("seed %d, after %d: %s", seed, i, line), line); t.Failed() {
					return
				}
			}
			w.sameState(t, fmt.Sprintf("seed %d, at the end", seed))
		})
	}
}

// A routeMaker generates command lines.
type routeMaker struct{ *rand.Rand }

// one returns a random word. Empty words mean that the word is left out.
func (g routeMaker) one(words ...string) string { return words[g.IntN(len(words))] }

// some returns the piece in one of so many cases.
func (g routeMaker) some(of int, piece func() string) string {
	if g.IntN(of) > 0 {
		return ""
	}
	return " " + piece()
}

func (g routeMaker) prefix() string {
	return g.one("default", "10.1.0.0/16", "10.2.0.0/16", "10.3/16", "10.4.4.4", "10.0.0.0/24", "fd02::/64", "fd03::/48",
		"fd04::4",
		"10.1.2.3/16", "0/0", "::/0", "all", "10.5.0.0/255.255.0.0", "x", "10.1.0.0/33")
}

func (g routeMaker) addr() string {
	return g.one("10.0.0.2", "10.0.0.3", "10.0.1.2", "fd00::2", "fd01::2", "fe80::1", "192.0.2.1", "10.0.2",
		"inet6 fe80::1", "inet 10.0.0.2", "y")
}

func (g routeMaker) dev() string { return g.one("v0", "v0", "v1", "v1", "lo", "nope", "if2") }

func (g routeMaker) hop() string {
	return "nexthop" + g.some(1, func() string { return "via " + g.addr() }) +
		g.some(2, func() string { return "dev " + g.one("v0", "v1", "lo") }) +
		g.some(3, func() string { return "weight " + g.one("1", "2", "7", "256", "0", "x") }) +
		g.some(4, func() string { return "onlink" })
}

func (g routeMaker) way() string {
	switch g.IntN(5) {
	case 0:
		return "dev " + g.dev()
	case 1:
		return "via " + g.addr() + " dev " + g.dev()
	case 2:
		return g.hop() + " " + g.hop() + g.some(3, g.hop)
	case 3:
		return ""
	}
	return "via " + g.addr()
}

func (g routeMaker) option() string {
	return g.one(
		"metric 5", "metric 100", "priority 7", "me 9", "preference 3", "metric x",
		"table 100", "table 1000", "table main", "t local", "table nope",
		"proto static", "proto 99", "proto kernel", "prot boot", "proto 300",
		"scope link", "scope global", "scope host", "scope 77", "src 10.0.0.1", "src fd00::1", "src 192.0.2.1",
		"tos 0x10", "dsfield AF41", "tos 1", "onlink", "mtu 1400", "mtu lock 1400", "advmss 1000", "hoplimit 4",
		"hoplimit 300",
		"window 10", "rtt 1s", "rtt 20", "rttvar 7ms", "rto_min 1.5s", "ssthresh 9", "cwnd 3", "initcwnd 4", "initrwnd 5",
		"reordering 6", "features ecn", "quickack 1", "congctl reno", "congctl lock cubic", "fastopen_no_cookie 1",
		"realms 3", "realms 4/5", "pref high", "pref low", "pref 7", "pervasive", "from fd05::/64", "from 10.9.0.0/16",
	)
}

func (g routeMaker) command() string {
	family := g.one("", "", "", "", "-6 ", "-4 ")
	if g.IntN(20) == 0 {
		return family + "route flush " + g.one("10.1.0.0/16", "table 100", "proto static", "root 10.0.0.0/8", "scope link",
			"table 77", "")
	}
	verb := g.one("add", "add", "add", "add", "a", "replace", "append", "prepend", "change", "chg", "del", "del", "d",
		"delete", "ad", "foo")
	kind := g.one("", "", "", "", "", "", "blackhole ", "unreachable ", "prohibit ", "throw ", "unicast ", "local ",
		"to ", "b ")
	way := g.way()
	line := family + "route " + verb + " "
	if strings.Contains(way, "nexthop") { // must be last
		return line + kind + g.prefix() + g.some(2, g.option) + " " + way
	}
	return line + kind + g.prefix() + " " + way + g.some(2, g.option) + g.some(3, g.option)
}

func (g routeMaker) show() string {
	options := g.one("", "", "-4 ", "-6 ", "-d ", "-j ", "-j -p ", "-d -j ", "-o ", "-N ", "-s ")
	if g.IntN(4) == 0 {
		options = strings.TrimPrefix(options, "-s ") // the age of a new route depends on the clock
		return options + "route get " + g.one("", "fibmatch ") +
			g.one("10.1.2.3", "10.2.1.1", "10.0.0.9", "fd02::9", "fd00::9", "127.0.0.1", "192.0.2.9") +
			g.some(4, func() string { return g.one("from 10.0.0.1", "oif v0", "mark 5", "tos 0x10", "uid 7") })
	}
	return options + "route " + g.one("show", "list", "ls", "l", "") + " " +
		g.some(2, func() string {
			if strings.Contains(options, "-j") { // for a missing table, ip prints invalid JSON
				return "table " + g.one("all", "local", "main", "nope")
			}
			return "table " + g.one("all", "100", "1000", "local", "main", "cache", "77", "nope")
		}) +
		g.some(3, func() string {
			return g.one("root ", "match ", "exact ", "", "to ") +
				g.one("10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "default", "fd02::/64", "fd00::/8", "0/0", "all")
		}) +
		g.some(4, func() string {
			return g.one("proto static", "proto boot", "proto all", "scope link", "scope global", "type unicast",
				"type blackhole", "metric 5",
				"via 10.0.0.2", "via fd00::2", "via 10.0.0.0/24", "src 10.0.0.1", "tos 0x10", "realms 3", "realms 4/",
				"from default", "from root 0/0")
		})
}
