//go:build linux

package trust

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/nsfs"
)

// The labs of TestIsolation. Outside is a host of none of them, on a foreign link.
const (
	shutLab = `
name: shut
networks:
  private: {subnets: [10.1.0.0/24, "fd00:1::/64"], nat: true, isolate: true}
  second: {subnets: [10.2.0.0/24, "fd00:2::/64"], nat: true}
hosts:
  red: {networks: [private], ports: ["8080:80"]}
  blue: {networks: [private]}
  green: {networks: [second]}
`
	otherLab = `
name: other
networks:
  third: {subnets: [10.3.0.0/24, "fd00:3::/64"], nat: true}
hosts:
  stranger: {networks: [third]}
`
)

// A probe is a connection that must not be possible, and the rule that forbids it. Without the rule it is possible.
type probe struct{ from, to, table, chain, rule string }

// TestIsolation tries to reach what is closed: from outside, from another lab, between isolated hosts by way of their
// gateway, and between foreign networks. Each of these gets through when the rule that forbids it is taken out.
func TestIsolation(t *testing.T) {
	needTools(t, "ip", "nft")
	r := &row{t: t, what: "connections over TCP and UDP, IPv4 and IPv6, from outside, other labs, isolated hosts and " +
		"foreign networks", wrong: "got through, or did not get through without the rule that forbids them"}
	for _, host := range []string{"1", "2"} {
		shell(t, strings.ReplaceAll(`ip netns add outN; ip link add wN type veth peer name eth0 netns outN
			ip addr add 198.18.N.1/24 dev wN; ip addr add fd18:N::1/64 dev wN nodad; ip link set wN up
			ip -n outN link set eth0 up; ip -n outN addr add 198.18.N.2/24 dev eth0
			ip -n outN addr add fd18:N::2/64 dev eth0 nodad
			ip -n outN route add default via 198.18.N.1; ip -n outN -6 route add default via fd18:N::1`, "N", host))
	}
	for name, text := range map[string]string{"shut.yaml": shutLab, "other.yaml": otherLab} {
		file := writeFile(t, name, text)
		mustVnet(t, "up", file)
		t.Cleanup(func() { mustVnet(t, "down", file) })
	}
	// Root in an isolated host sends to its neighbour by way of the gateway, and does not believe redirects.
	shell(t, `for h in red blue; do for i in all eth0; do for v in 4 6; do
		ip netns exec $h sh -c "echo 0 > /proc/sys/net/ipv$v/conf/$i/accept_redirects"; done; done; done
		for h in red blue; do for a in 10.1.0.2 10.1.0.3; do ip -n $h route replace $a via 10.1.0.1 2>/dev/null || :; done
		for a in fd00:1::2 fd00:1::3; do ip -n $h route replace $a via fd00:1::1 2>/dev/null || :; done; done`)
	for _, host := range []string{"red", "blue", "green", "stranger", "out1", "out2"} {
		answer(t, host)
	}
	for _, p := range []probe{
		{"out1", "10.1.0.3", "vnet_shut", "closed", "drop"}, {"out1", "fd00:1::3", "vnet_shut", "closed", "drop"},
		{"out2", "10.2.0.2", "vnet_shut", "closed", "drop"}, {"out2", "fd00:2::2", "vnet_shut", "closed", "drop"},
		{"stranger", "10.1.0.3", "vnet_shut", "closed", "drop"}, {"stranger", "fd00:2::2", "vnet_shut", "closed", "drop"},
		{"green", "10.3.0.2", "vnet_other", "closed", "drop"}, {"green", "fd00:3::2", "vnet_other", "closed", "drop"},
		{"red", "10.1.0.3", "vnet_shut", "apart", "drop"}, {"blue", "fd00:1::2", "vnet_shut", "apart", "drop"},
		{"out1", "198.18.2.2", "vnet-guard", "forward", "drop"}, {"out2", "fd18:1::2", "vnet-guard", "forward", "drop"},
	} {
		for _, network := range []string{"tcp", "udp"} {
			r.times++
			what := fmt.Sprintf("%s → %s %s", p.from, p.to, network)
			if reaches(t, p.from, network, p.to, 300*time.Millisecond) {
				r.fail("%s gets through", what)
			}
			without(t, p, func() {
				if !reaches(t, p.from, network, p.to, 10*time.Second) {
					r.fail("%s does not get through without the rule", what)
				}
			})
		}
	}
	// What is published is open.
	for _, open := range []probe{{from: "out1", to: "198.18.1.1"}, {from: "stranger", to: "10.3.0.1"}} {
		if !reaches(t, open.from, "tcp:8080", open.to, 10*time.Second) {
			r.fail("%s does not reach the published port of %s", open.from, open.to)
		}
	}
	r.write()
}

// answer echoes what it receives on port 80 over TCP and UDP in a host, until the test ends.
func answer(t *testing.T, host string) {
	t.Helper()
	inHost(t, host, func() error {
		l, err := net.Listen("tcp", ":80")
		if err != nil {
			return err
		}
		u, err := net.ListenPacket("udp", ":80")
		if err != nil {
			return err
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Write([]byte("hello"))
				c.Close()
			}
		})
		wg.Go(func() {
			for b := make([]byte, 64); ; {
				n, from, err := u.ReadFrom(b)
				if err != nil {
					return
				}
				u.WriteTo(b[:n], from)
			}
		})
		t.Cleanup(func() { l.Close(); u.Close(); wg.Wait() })
		return nil
	})
}

// reaches reports whether a host gets an answer from port 80, or that of the network, such as tcp:8080.
func reaches(t *testing.T, host, network, to string, wait time.Duration) (answered bool) {
	t.Helper()
	network, port, ok := strings.Cut(network, ":")
	if !ok {
		port = "80"
	}
	inHost(t, host, func() error {
		end := time.Now().Add(wait)
		for !answered && time.Now().Before(end) {
			answered = answers(network, net.JoinHostPort(to, port), min(time.Until(end), time.Second))
		}
		return nil
	})
	return answered
}

var lastPort atomic.Uint32

func answers(network, to string, wait time.Duration) bool {
	d := net.Dialer{Timeout: wait}
	if network == "udp" {
		// A port of an earlier flow could be let pass, because conntrack still knows that flow.
		d.LocalAddr = &net.UDPAddr{Port: 10000 + int(lastPort.Add(1))%20000}
	}
	c, err := d.Dial(network, to)
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(wait))
	if network == "udp" {
		c.Write([]byte("?"))
	}
	n, _ := c.Read(make([]byte, 64))
	return n > 0
}

func inHost(t *testing.T, host string, fn func() error) {
	t.Helper()
	ns, err := nsfs.Open(host)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if err := nsfs.Do(ns, fn); err != nil && !os.IsTimeout(err) {
		t.Fatal(err)
	}
}

// without takes the rule of a probe out while fn runs.
func without(t *testing.T, p probe, fn func()) {
	t.Helper()
	before := shell(t, "nft list ruleset")
	shell(t, fmt.Sprintf(`nft -a list chain inet %s %s | sed -nE 's/.*%s # handle ([0-9]+)$/\1/p' | while read h; do
		nft delete rule inet %s %s handle $h; done`, p.table, p.chain, p.rule, p.table, p.chain))
	if shell(t, "nft list ruleset") == before {
		t.Fatalf("chain %s of %s has no rule %q", p.chain, p.table, p.rule)
	}
	fn()
	shell(t, "nft -f - <<'E'\nflush ruleset\n"+before+"\nE\n")
}
