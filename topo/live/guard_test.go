package live

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo"
)

const guardedLab = `
name: guarded
networks: {sw: {subnets: [10.0.9.0/24, "fd00:9::/64"], nat: true}}
hosts: {red: {networks: [sw]}}
`

// foreignNetworks makes two hosts, each on a foreign link of the machine. They reach each other through
// the machine if it forwards for all networks.
func foreignNetworks(t *testing.T) {
	t.Helper()
	labtest.NeedIP(t)
	for _, n := range []string{"1", "2"} {
		for _, args := range []string{
			"netns add foreign" + n, "link add fw" + n + " type veth peer name eth0 netns foreign" + n,
			"addr add 198.18." + n + ".1/24 dev fw" + n, "addr add fd18:" + n + "::1/64 dev fw" + n + " nodad",
			"link set fw" + n + " up", "-n foreign" + n + " link set eth0 up",
			"-n foreign" + n + " addr add 198.18." + n + ".2/24 dev eth0",
			"-n foreign" + n + " addr add fd18:" + n + "::2/64 dev eth0 nodad",
			"-n foreign" + n + " route add default via 198.18." + n + ".1",
			"-n foreign" + n + " -6 route add default via fd18:" + n + "::1",
		} {
			labtest.IP(t, args)
		}
	}
	t.Cleanup(func() {
		for _, args := range []string{"link del fw1", "link del fw2", "netns del foreign1", "netns del foreign2"} {
			labtest.IP(t, args)
		}
	})
}

// wantForeign checks whether the foreign hosts reach each other.
func wantForeign(t *testing.T, when string, want bool) {
	t.Helper()
	wait := "-c1 -W1 "
	if want { // a new link-local address takes two seconds
		wait = "-c1 -w5 "
	}
	for _, addr := range []string{"198.18.2.2", "fd18:2::2"} {
		ping := strings.Fields("netns exec foreign1 ping " + wait + addr)
		if got := exec.Command("ip", ping...).Run() == nil; got != want {
			t.Errorf("%s: foreign1 reaches %s: %t", when, addr, got)
		}
	}
}

// TestForeignNetworksStayApart: forwarding that a lab turns on serves the lab alone. Without the
// guard, foreign networks reach each other; that is drift, and up adds the guard again.
func TestForeignNetworksStayApart(t *testing.T) {
	foreignNetworks(t)
	wantForeign(t, "before", false)
	name, want := labtest.Compiled(t, guardedLab)
	k := openKernel(t, name)
	up := func() topo.Plan {
		t.Helper()
		plan, err := k.Up(t.Context(), want, nil)
		if err != nil {
			t.Fatal(err)
		}
		return plan
	}
	up()
	wantForeign(t, "up", false)
	ping := exec.Command("ip", "netns", "exec", "red", "ping", "-c1", "-W1", "198.18.1.2")
	if out, err := ping.CombinedOutput(); err != nil {
		t.Errorf("the lab does not reach the outside: %s", out)
	}
	if out, err := exec.Command("nft", "delete", "table", "inet", nft.GuardTable).CombinedOutput(); err != nil {
		t.Skipf("no nft on this machine: %s", out)
	}
	wantForeign(t, "without the guard", true)
	if plan := up(); len(plan) != 2 {
		t.Errorf("a missing guard is mended by\n%s", plan)
	}
	wantForeign(t, "up again", false)
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	wantForeign(t, "down", false)
	wantSysctl(t, "net/ipv4/ip_forward", "0")
	wantSysctl(t, "net/ipv6/conf/all/forwarding", "0")
}

// TestOtherNameOfForwarding: net.ipv4.conf.all.forwarding is net.ipv4.ip_forward. A lab that sets it does not connect
// foreign networks either, and its down leaves forwarding on for another lab.
func TestOtherNameOfForwarding(t *testing.T) {
	foreignNetworks(t)
	name, other := labtest.Compiled(t, `
name: other
hosts: {machine: {sysctls: {net.ipv4.conf.all.forwarding: 1, net.ipv6.conf.all.forwarding: 1}}, blue: {}}
`)
	k := openKernel(t, name)
	name, want := labtest.Compiled(t, guardedLab)
	guarded := openKernel(t, name)
	for _, step := range []struct {
		kernel     *Kernel
		want       topo.State
		forwarding string
	}{{k, other, "1"}, {guarded, want, "1"}, {k, nil, "1"}, {guarded, nil, "0"}} {
		var err error
		if step.want == nil {
			_, err = step.kernel.Down(t.Context(), nil)
		} else {
			_, err = step.kernel.Up(t.Context(), step.want, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		wantForeign(t, "with forwarding "+step.forwarding, false)
		wantSysctl(t, "net/ipv4/ip_forward", step.forwarding)
		wantSysctl(t, "net/ipv6/conf/all/forwarding", step.forwarding)
	}
}

// TestForwardingThatWasOn: if forwarding was on before the lab, foreign networks reach each other
// before, with and after the lab.
func TestForwardingThatWasOn(t *testing.T) {
	foreignNetworks(t)
	for _, key := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
		if err := nsfs.SetSysctl(key, "1"); err != nil {
			t.Fatal(err)
		}
		defer nsfs.SetSysctl(key, "0")
	}
	wantForeign(t, "before", true)
	name, want := labtest.Compiled(t, guardedLab)
	k := openKernel(t, name)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	wantForeign(t, "up", true)
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	wantForeign(t, "down", true)
}

// TestLinksThatForwarded: foreign networks whose links forwarded before the lab, alone, reach each other before, with
// and after the lab.
func TestLinksThatForwarded(t *testing.T) {
	foreignNetworks(t)
	for _, link := range []string{"fw1", "fw2"} {
		for _, key := range []string{"net/ipv4/conf/" + link + "/forwarding", "net/ipv6/conf/" + link + "/force_forwarding"} {
			if err := nsfs.SetSysctl(key, "1"); errors.Is(err, fs.ErrNotExist) {
				t.Skipf("this kernel has no %s (6.17)", key)
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	wantForeign(t, "before", true)
	name, want := labtest.Compiled(t, guardedLab)
	k := openKernel(t, name)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	wantForeign(t, "up", true)
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	wantForeign(t, "down", true)
}

// TestNATByHandGivesBack: after the last rule by hand is deleted, the settings that it needed have their
// former values, unless a lab needs them too.
func TestNATByHandGivesBack(t *testing.T) {
	rule := nft.Masquerade{Source: netip.MustParsePrefix("10.7.0.0/24")}
	const table = "vnet"
	if _, err := AddNAT(nil, table, rule); err != nil {
		t.Fatal(err)
	}
	wantSysctl(t, "net/ipv4/ip_forward", "1")
	name, want := labtest.Compiled(t, guardedLab)
	k := openKernel(t, name)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := DeleteNAT(nil, table, rule); err != nil {
		t.Fatal(err)
	}
	wantSysctl(t, "net/ipv4/ip_forward", "1") // the lab needs it
	if _, err := AddNAT(nil, table, rule); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	wantSysctl(t, "net/ipv4/ip_forward", "1") // the rule needs it
	if _, err := FlushNAT(nil, table); err != nil {
		t.Fatal(err)
	}
	wantSysctl(t, "net/ipv4/ip_forward", "0")
	c, err := nft.Dial(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if g, err := c.ReadGuard(); err != nil || g.IPv4 || g.IPv6 {
		t.Errorf("guard left: %+v, %v", g, err)
	}
}

func wantSysctl(t *testing.T, key, want string) {
	t.Helper()
	if got, err := nsfs.Sysctl(key); err != nil || got != want {
		t.Errorf("%s is %q, %v; want %s", key, got, err, want)
	}
}

// TestOldConnections: after a network has left the file, and after down while another lab is up, a foreign peer that
// had a connection with a host reaches no foreign host at the same address by this connection.
func TestOldConnections(t *testing.T) {
	foreignNetworks(t)
	for _, add := range []string{"addr add 10.0.9.2/32 dev lo", "addr add fd00:9::2/128 dev lo", "link set lo up"} {
		labtest.IP(t, "-n foreign2 "+add)
	}
	const rest = "name: old\nnetworks: {rest: {subnets: [10.0.8.0/24, 'fd00:8::/64'], nat: true}}\n" +
		"hosts: {blue: {networks: [rest]}, red: {}}"
	name, with := labtest.Compiled(t, `
name: old
networks:
  rest: {subnets: [10.0.8.0/24, "fd00:8::/64"], nat: true}
  sw: {subnets: [10.0.9.0/24, "fd00:9::/64"], routed: true}
hosts: {blue: {networks: [rest]}, red: {networks: [sw]}}
`)
	_, without := labtest.Compiled(t, rest)
	k := openKernel(t, name)
	otherName, other := labtest.Compiled(t, "name: other\nnetworks: {n: {subnets: [10.0.7.0/24, 'fd00:7::/64'], "+
		"nat: true}}")
	keeps := openKernel(t, otherName)
	if _, err := keeps.Up(t.Context(), other, nil); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{"network", "lab"} {
		if _, err := k.Up(t.Context(), with, nil); err != nil {
			t.Fatal(err)
		}
		var peers []net.Conn
		for _, target := range []string{"10.0.9.2:7", "[fd00:9::2]:7"} {
			server := listenUDPIn(t, "red", target)
			peer := dialUDPIn(t, "foreign1", target)
			askFrom(t, peer, server)
			server.Close()
			peers = append(peers, peer)
		}
		var err error
		if gone == "lab" {
			_, err = k.Down(t.Context(), nil)
		} else {
			_, err = k.Up(t.Context(), without, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		labtest.IP(t, "route add 10.0.9.0/24 via 198.18.2.2")
		labtest.IP(t, "-6 route add fd00:9::/64 via fd18:2::2")
		for _, addr := range []string{"198.18.2.2", "fd18:2::2"} { // so that it is a known neighbour
			if out, err := exec.Command("ping", "-c1", "-w5", addr).CombinedOutput(); err != nil {
				t.Fatalf("%s", out)
			}
		}
		for i, target := range []string{"10.0.9.2:7", "[fd00:9::2]:7"} {
			server := listenUDPIn(t, "foreign2", target)
			for range 3 {
				_, _ = peers[i].Write([]byte("old")) // the answer to an earlier one may be an error
			}
			_ = server.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
			if n, _, err := server.ReadFrom(make([]byte, 9)); err == nil {
				t.Errorf("without the %s, %d bytes arrive at %s", gone, n, target)
			}
			server.Close()
			peers[i].Close()
		}
		labtest.IP(t, "route del 10.0.9.0/24 via 198.18.2.2")
		labtest.IP(t, "-6 route del fd00:9::/64 via fd18:2::2")
	}
}

// inNamespace runs fn in a namespace with a name.
func inNamespace(t *testing.T, name string, fn func() error) {
	t.Helper()
	ns, err := nsfs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if err := nsfs.Do(ns, fn); err != nil {
		t.Fatal(err)
	}
}

func listenUDPIn(t *testing.T, name, address string) (c net.PacketConn) {
	t.Helper()
	inNamespace(t, name, func() (err error) {
		c, err = net.ListenPacket("udp", address)
		return err
	})
	return c
}

func dialUDPIn(t *testing.T, name, address string) (c net.Conn) {
	t.Helper()
	inNamespace(t, name, func() (err error) {
		c, err = net.Dial("udp", address)
		return err
	})
	return c
}

// askFrom sends requests until the server gets one, and until the peer gets an answer.
func askFrom(t *testing.T, peer net.Conn, server net.PacketConn) {
	t.Helper()
	buffer := make([]byte, 9)
	for range 20 {
		_, _ = peer.Write([]byte("ask"))
		_ = server.SetReadDeadline(time.Now().Add(time.Second))
		if _, from, err := server.ReadFrom(buffer); err == nil {
			_, _ = server.WriteTo([]byte("answer"), from)
		}
		_ = peer.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := peer.Read(buffer); err == nil {
			return
		}
	}
	t.Fatal("no answer")
}
