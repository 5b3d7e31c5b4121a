package live

import (
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/nsfs"
)

// The machine has the bridge of inside, but no address there.
const unroutedLab = `
name: unrouted
networks:
  outside: {subnets: [10.0.9.0/24, "fd00:9::/64"], nat: true}
  inside: {subnets: [10.0.10.0/24, "fd00:10::/64"], gateway: gw, nat: true}
  alone: {subnets: [10.0.11.0/24, "fd00:11::/64"], gateway: none}
hosts:
  gw: {networks: [outside, inside]}
  host: {networks: inside}
  single: {networks: alone}
`

// TestBridgeIsNoGateway: on a network where the machine has no address, hosts cannot send packets through the machine,
// from whatever source. Their gateway still forwards.
func TestBridgeIsNoGateway(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("no nft on this machine")
	}
	foreignNetworks(t)
	name, want := labtest.Compiled(t, unroutedLab)
	if _, err := openKernel(t, name).Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{"all", "inside", "alone"} {
		if err := nsfs.SetSysctl("net/ipv4/conf/"+link+"/rp_filter", "0"); err != nil {
			t.Fatal(err)
		}
	}
	type sender struct{ host, source, to, bridge string }
	senders := []sender{
		{"host", "10.0.10.2", "198.18.1.2", "inside"}, {"host", "203.0.113.9", "198.18.1.2", "inside"},
		{"host", "fd00:10::2", "fd18:1::2", "inside"}, {"host", "2001:db8::9", "fd18:1::2", "inside"},
		{"single", "203.0.113.9", "198.18.1.2", "alone"}, {"single", "2001:db8::9", "fd18:1::2", "alone"},
	}
	for _, host := range []string{"host", "single"} {
		labtest.IP(t, "-n "+host+" addr add 203.0.113.9/32 dev eth0")
		labtest.IP(t, "-n "+host+" addr add 2001:db8::9/128 dev eth0 nodad")
	}
	l := listenIn(t, "foreign1")
	if got := l.source(t, "host", "10.0.10.2", "198.18.1.2", true); got != "198.18.1.1" {
		t.Errorf("by the gateway, a packet arrives from %q", got)
	}
	if got := l.source(t, "host", "fd00:10::2", "fd18:1::2", true); got != "fd18:1::1" {
		t.Errorf("by the gateway, a packet arrives from %q", got)
	}
	for _, s := range senders { // the host's root uses the machine as gateway
		mac := strings.Fields(strings.SplitN(labtest.IP(t, "-o link show dev "+s.bridge), "link/ether ", 2)[1])[0]
		labtest.IP(t, "-n "+s.host+" route replace "+s.to+" dev eth0")
		labtest.IP(t, "-n "+s.host+" neigh replace "+s.to+" lladdr "+mac+" dev eth0")
		if got := l.source(t, s.host, s.source, s.to, false); got != "" {
			t.Errorf("%s in %s sends through the machine from %s: a packet arrives from %s", s.host, s.bridge, s.source, got)
		}
	}
	if out, err := exec.Command("nft", "flush", "chain", "inet", "vnet_unrouted", "spoof").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, s := range senders {
		if got := l.source(t, s.host, s.source, s.to, true); got != s.source {
			t.Errorf("without the rule, %q arrives instead of %s: the test proves nothing", got, s.source)
		}
	}
}

// A listener receives the IPv4 and IPv6 datagrams to port 9 of a host.
type listener map[string]net.PacketConn

func listenIn(t *testing.T, host string) listener {
	t.Helper()
	l := listener{}
	for _, network := range []string{"udp4", "udp6"} {
		err := doIn(host, func() (err error) {
			l[network], err = net.ListenPacket(network, ":9")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l[network].Close() })
	}
	return l
}

// source sends datagrams from a source of a host until one arrives, if arrives is true; else only one. It returns the
// source with which one arrives, or "".
func (l listener) source(t *testing.T, host, source, to string, arrives bool) string {
	t.Helper()
	received := l["udp4"]
	if strings.Contains(to, ":") {
		received = l["udp6"]
	}
	var conn *net.UDPConn
	err := doIn(host, func() (err error) {
		conn, err = net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(source)}, &net.UDPAddr{IP: net.ParseIP(to), Port: 9})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	want, buf := "from "+conn.LocalAddr().String(), make([]byte, 64)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		conn.Write([]byte(want))
		received.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		for {
			n, from, err := received.ReadFrom(buf)
			if err != nil {
				break
			}
			if string(buf[:n]) == want { // not a late one
				return from.(*net.UDPAddr).IP.String()
			}
		}
		if !arrives {
			return ""
		}
	}
	return ""
}
