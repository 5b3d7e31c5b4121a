package verify

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/topo/lab"
)

// threeHosts is the lab file of what threeHostsScript creates.
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

// TestVerify proves facts that hold and facts that do not.
func TestVerify(t *testing.T) {
	p := runIP(t, threeHostsScript+resend)
	topology := labtest.MustParse(t, "three.yaml", []byte(threeHosts+`
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
	facts := lab.Facts(topology)
	r := p.verify(context.Background(), topology, facts)
	var failed []string
	for _, x := range r.Results {
		if !x.OK {
			failed = append(failed, x.title()+": "+x.actual()+": "+strings.Join(x.Diagnosis, "; "))
		}
	}
	want := []string{
		"red -> blue: tcp 7 as 10.0.1.1 at 10.0.2.2: answered, source address 10.0.1.2: " +
			"blue sees source address 10.0.1.2, expected 10.0.1.1",
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

// rpFilter sets rp_filter of the router, for all links and for the link to red. The kernel uses
// the greater one.
func rpFilter(all, left int) string {
	const script = "ip netns exec router sh -c 'cd /proc/sys/net/ipv4/conf; " +
		"echo %d >all/rp_filter; echo %d >left/rp_filter'\n"
	return fmt.Sprintf(script, all, left)
}

// knowsRouter gives red a neighbour entry for the router: red's ARP requests may be dropped too.
const knowsRouter = "ip -n red neigh replace 10.0.1.1 dev eth0 " +
	"lladdr $(ip netns exec router cat /sys/class/net/left/address)\n"

// detour makes the router send packets for red to blue.
const detour = "ip -n router route add 10.0.1.2 via 10.0.2.2\n"

// forwardChain begins an nft command that adds a rule to a forward chain of the router.
const forwardChain = "ip netns exec router nft 'add table ip fw; " +
	"add chain ip fw f { type filter hook forward priority 0; }; "

// TestDiagnosis breaks the path from red to blue in one place after the other, and checks the
// diagnosis.
func TestDiagnosis(t *testing.T) {
	cases := []struct{ name, broken, fact, want string }{
		{"no route", "ip -n red route del default", "red -> blue: ping4",
			"red: no route to 10.0.2.2"},
		{"no route on the path", "ip -n router -6 route del fd00:2::/64", "red -> blue: ping6",
			"router: no route to fd00:2::2"},
		{"no route for the reply", "ip -n blue route del default", "red -> blue tcp4 7: answered",
			"the request reaches blue from 10.0.1.2; the reply is lost; blue: no route to 10.0.1.2"},
		{"blackhole", "ip -n router route add blackhole 10.0.2.2", "red -> blue: ping4",
			"router: packets to 10.0.2.2 are not routed: discarded by a blackhole route"},
		{"link down at the sender", "ip -n red link set eth0 down", "red -> 10.0.1.1: ping",
			"red: no route to 10.0.1.1: link eth0 is down"},
		{"expected refused, dropped", forwardChain + "add rule ip fw f tcp dport 80 drop'",
			"red -> blue tcp4 80: refused", "router: dropped by the rule with handle 2 of chain ip fw f"},
		{"expected refused, no route", "ip -n red route del default", "red -> blue tcp4 80: refused",
			"red: no route to 10.0.2.2"},
		{"link down at the receiver", "ip -n blue link set eth0 down", "red -> blue: ping4",
			"router: link right has no carrier: its peer is down"},
		{"forwarding off", "ip netns exec router sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'",
			"red -> blue udp4 7: answered",
			"router: IPv4 forwarding is off"},
		{"forwarding off, IPv6", "ip netns exec router sh -c 'echo 0 >/proc/sys/net/ipv6/conf/all/forwarding'",
			"red -> blue udp6 7: answered",
			"router: IPv6 forwarding is off"},
		{"address missing", "ip -n blue addr del 10.0.2.2/24 dev eth0", "red -> blue: ping4",
			"router: blue does not have the address 10.0.2.2"},
		{"neighbour does not answer", "ip -n blue link set eth0 arp off", "red -> blue: ping4",
			"router: neighbour 10.0.2.2 on right does not answer (ARP)"},
		{"dropped by a rule on the path", forwardChain + "add rule ip fw f tcp dport 7 drop'",
			"red -> blue tcp4 7: answered", "router: dropped by the rule with handle 2 of chain ip fw f"},
		{"dropped by a policy on the path", "ip netns exec router nft 'add table ip6 fw; " +
			"add chain ip6 fw f { type filter hook forward priority 0; policy drop; }'",
			"red -> blue: ping6", "router: dropped by the policy of chain ip6 fw f"},
		{"dropped on input", "true", "red -> blue udp4 81: answered",
			"blue: dropped by the rule with handle 6 of chain inet fw in"},
		{"rejected on input", "true", "red -> blue tcp6 83: answered",
			"blue: dropped by the rule with handle 4 of chain inet fw in"},
		{"reply dropped", "ip netns exec blue nft 'add chain inet fw out { type filter hook output priority 0; }; " +
			"add rule inet fw out tcp sport 7 drop'",
			"red -> blue tcp4 7: answered", "blue: dropped by the rule with handle 9 of chain inet fw out"},
		{"reverse path", rpFilter(0, 1) + detour + knowsRouter,
			"red -> blue: ping4",
			"router: rp_filter drops packets from 10.0.1.2 that arrive on left"},
		{"reverse path, conf/all", rpFilter(1, 0) + detour + knowsRouter,
			"red -> blue: ping4",
			"router: rp_filter drops packets from 10.0.1.2 that arrive on left"},
		{"reverse path, ARP dropped too", rpFilter(0, 1) + detour + "ip -n red neigh flush all",
			"red -> blue: ping4",
			"red: neighbour 10.0.1.1 on eth0 does not answer (ARP): " +
				"rp_filter of router drops packets from 10.0.1.2 that arrive on left"},
		{"reverse path, loose mode", rpFilter(2, 1) + detour + knowsRouter,
			"red -> blue: ping4",
			"the request reaches blue from 10.0.1.2; the reply is lost; blue: IPv4 forwarding is off"},
		{"reverse path, off", rpFilter(0, 0) + detour + knowsRouter,
			"red -> blue: ping4",
			"the request reaches blue from 10.0.1.2; the reply is lost; blue: IPv4 forwarding is off"},
		{"no route to the source, loose mode", rpFilter(2, 0) + "ip -n router route add unreachable 10.0.1.2\n" + knowsRouter,
			"red -> blue: ping4",
			"router: rp_filter drops packets from 10.0.1.2 that arrive on left"},
		{"source is an address of the router", rpFilter(0, 0) + "ip -n router addr add 10.0.1.2/32 dev lo\n" + knowsRouter,
			"red -> blue: ping4",
			"router: packets from 10.0.1.2 that arrive on left are dropped: the host itself has that address"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := runIP(t, threeHostsScript+resend+c.broken)
			p.timeout = 300 * time.Millisecond
			topology := labtest.MustParse(t, "three.yaml", []byte(threeHosts+"  - "+c.fact))
			r := p.verify(context.Background(), topology, lab.Facts(topology))
			if len(r.Results) != 1 || r.OK() {
				t.Fatalf("results: %+v", r.Results)
			}
			if got := strings.Join(r.Results[0].Diagnosis, "; "); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			const listTables = "for n in red router blue; do ip netns exec $n nft list tables; done"
			if out, _ := exec.Command("sh", "-c", listTables).Output(); strings.Contains(string(out), "vnet") {
				t.Errorf("tables left: %s", out)
			}
		})
	}
}
