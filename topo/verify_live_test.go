//go:build linux

package topo

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// threeHosts is what threeInARow makes, as a lab.
const threeHosts = `
name: three
hosts:
  red: {routes: [default via 10.0.1.1, "default via fd00:1::1"]}
  router: {router: true}
  blue: {routes: [default via 10.0.2.1, "default via fd00:2::1"]}
links:
  - endpoints: [red:eth0, router:left]
    addresses: [[10.0.1.2/24, "fd00:1::2/64"], [10.0.1.1/24, "fd00:1::1/64"]]
  - endpoints: [router:right, blue:eth0]
    addresses: [[10.0.2.1/24, "fd00:2::1/64"], [10.0.2.2/24, "fd00:2::2/64"]]
expect:
`

// TestVerify proves facts, true ones and false ones.
func TestVerify(t *testing.T) {
	p := realWorld(t, threeInARow)
	lab := mustParse(t, "three.yaml", []byte(threeHosts+`
  - red -> blue: ping
  - red -> blue: ping size 1300
  - red -> blue: not ping size 1301
  - red -> blue tcp 7: as 10.0.1.2
  - red -> blue tcp 7: as 10.0.1.1
  - red -> blue tcp 80: refused
  - red -> blue tcp 80: unreachable
  - red -> blue tcp4 81: unreachable
  - red -> blue udp 7: answered
  - red -> 10.8.1.1: unreachable
  - blue -> blue: ping
  - red -> 10.0.1.2 tcp 7: answered
`))
	facts := Facts(lab)
	r := p.verify(context.Background(), lab, facts)
	var failed []string
	for _, x := range r.Results {
		if !x.OK {
			failed = append(failed, x.about()+": "+x.got()+": "+strings.Join(x.Lost, "; "))
		}
	}
	want := []string{
		"red -> blue: tcp 7 as 10.0.1.1 at 10.0.2.2: answered, sees 10.0.1.2: blue sees 10.0.1.2, not 10.0.1.1",
		"red -> blue: tcp 80 unreachable at 10.0.2.2: refused: connection refused: ",
		"red -> blue: tcp 80 unreachable at fd00:2::2: refused: connection refused: ",
	}
	if !slices.Equal(failed, want) {
		t.Errorf("failed:\n%s\nwant:\n%s", strings.Join(failed, "\n"), strings.Join(want, "\n"))
	}
	if r.OK() || r.Failed() != len(want) {
		t.Errorf("OK %v, Failed %d", r.OK(), r.Failed())
	}
}

// rpFilter sets the router's rp_filter, of all links and of the one towards red.
// The greater one counts.
func rpFilter(all, left int) string {
	return fmt.Sprintf("ip netns exec router sh -c 'cd /proc/sys/net/ipv4/conf; echo %d >all/rp_filter; echo %d >left/rp_filter'\n", all, left)
}

// knowsRouter spares red to ask for the router: what it asks may be discarded, too.
const knowsRouter = "ip -n red neigh replace 10.0.1.1 dev eth0 lladdr $(ip netns exec router cat /sys/class/net/left/address)\n"

// TestLost breaks the way from red to blue at one place after the other, and
// asks where the packets are lost.
func TestLost(t *testing.T) {
	cases := []struct{ name, broken, fact, want string }{
		{"no route", "ip -n red route del default", "red -> blue: ping4",
			"red: no route to 10.0.2.2"},
		{"no route on the way", "ip -n router -6 route del fd00:2::/64", "red -> blue: ping6",
			"router: no route to fd00:2::2"},
		{"no route back", "ip -n blue route del default", "red -> blue tcp4 7: answered",
			"the question reaches blue, from 10.0.1.2; the answer is lost; blue: no route to 10.0.1.2"},
		{"blackhole", "ip -n router route add blackhole 10.0.2.2", "red -> blue: ping4",
			"router: a route to 10.0.2.2 says no: discarded by a blackhole route"},
		{"link down here", "ip -n red link set eth0 down", "red -> 10.0.1.1: ping",
			"red: no route to 10.0.1.1: link eth0 is down"},
		{"to be refused, and dropped", "ip netns exec router nft 'add table ip fw; add chain ip fw f { type filter hook forward priority 0; }; add rule ip fw f tcp dport 80 drop'",
			"red -> blue tcp4 80: refused", "router: dropped by the rule with handle 2 of chain ip fw f"},
		{"to be refused, and no route", "ip -n red route del default", "red -> blue tcp4 80: refused",
			"red: no route to 10.0.2.2"},
		{"link down there", "ip -n blue link set eth0 down", "red -> blue: ping4",
			"router: link right has no carrier: its other end is down"},
		{"forwarding off", "ip netns exec router sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'", "red -> blue udp4 7: answered",
			"router: forwarding of IPv4 is off"},
		{"forwarding off, IPv6", "ip netns exec router sh -c 'echo 0 >/proc/sys/net/ipv6/conf/all/forwarding'", "red -> blue udp6 7: answered",
			"router: forwarding of IPv6 is off"},
		{"nobody there", "ip -n blue addr del 10.0.2.2/24 dev eth0", "red -> blue: ping4",
			"router: blue does not have the address 10.0.2.2"},
		{"deaf neighbour", "ip -n blue link set eth0 arp off", "red -> blue: ping4",
			"router: neighbour 10.0.2.2 on right does not answer (ARP)"},
		{"dropped by a rule on the way", "ip netns exec router nft 'add table ip fw; add chain ip fw f { type filter hook forward priority 0; }; add rule ip fw f tcp dport 7 drop'",
			"red -> blue tcp4 7: answered", "router: dropped by the rule with handle 2 of chain ip fw f"},
		{"dropped by a policy on the way", "ip netns exec router nft 'add table ip6 fw; add chain ip6 fw f { type filter hook forward priority 0; policy drop; }'",
			"red -> blue: ping6", "router: dropped by the policy of chain ip6 fw f"},
		{"dropped at the door", "true", "red -> blue udp4 81: answered",
			"blue: dropped by the rule with handle 6 of chain inet fw in"},
		{"rejected at the door", "true", "red -> blue tcp6 83: answered",
			"blue: dropped by the rule with handle 4 of chain inet fw in"},
		{"the answer dropped", "ip netns exec blue nft 'add chain inet fw out { type filter hook output priority 0; }; add rule inet fw out tcp sport 7 drop'",
			"red -> blue tcp4 7: answered", "blue: dropped by the rule with handle 9 of chain inet fw out"},
		{"reverse path", rpFilter(0, 1) + "ip -n router route add 10.0.1.2 via 10.0.2.2\n" + knowsRouter, "red -> blue: ping4",
			"router: rp_filter discards packets from 10.0.1.2 that come in by left"},
		{"reverse path, all of the host's", rpFilter(1, 0) + "ip -n router route add 10.0.1.2 via 10.0.2.2\n" + knowsRouter, "red -> blue: ping4",
			"router: rp_filter discards packets from 10.0.1.2 that come in by left"},
		{"reverse path, asked for already", rpFilter(0, 1) + "ip -n router route add 10.0.1.2 via 10.0.2.2\nip -n red neigh flush all", "red -> blue: ping4",
			"red: neighbour 10.0.1.1 on eth0 does not answer (ARP): rp_filter of router discards packets from 10.0.1.2 that come in by left"},
		{"reverse path, loosely", rpFilter(2, 1) + "ip -n router route add 10.0.1.2 via 10.0.2.2\n" + knowsRouter, "red -> blue: ping4",
			"the question reaches blue, from 10.0.1.2; the answer is lost; blue: forwarding of IPv4 is off"},
		{"reverse path, not looked at", rpFilter(0, 0) + "ip -n router route add 10.0.1.2 via 10.0.2.2\n" + knowsRouter, "red -> blue: ping4",
			"the question reaches blue, from 10.0.1.2; the answer is lost; blue: forwarding of IPv4 is off"},
		{"no way back, loosely", rpFilter(2, 0) + "ip -n router route add unreachable 10.0.1.2\n" + knowsRouter, "red -> blue: ping4",
			"router: rp_filter discards packets from 10.0.1.2 that come in by left"},
		{"the router's own address", rpFilter(0, 0) + "ip -n router addr add 10.0.1.2/32 dev lo\n" + knowsRouter, "red -> blue: ping4",
			"router: packets from 10.0.1.2 that come in by left are discarded: the address is its own"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := realWorld(t, threeInARow+c.broken)
			p.patience = 300 * time.Millisecond
			lab := mustParse(t, "three.yaml", []byte(threeHosts+"  - "+c.fact))
			r := p.verify(context.Background(), lab, Facts(lab))
			if len(r.Results) != 1 || r.OK() {
				t.Fatalf("results: %+v", r.Results)
			}
			if got := strings.Join(r.Results[0].Lost, "; "); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if out, _ := exec.Command("sh", "-c", "for n in red router blue; do ip netns exec $n nft list tables; done").Output(); strings.Contains(string(out), "vnet") {
				t.Errorf("left behind: %s", out)
			}
		})
	}
}
