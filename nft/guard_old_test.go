//go:build linux

package nft_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/vnet-lab/vnet/nft"
)

// TestGuardOldConnection checks that connections which began when a link was a lab's do not pass between foreign links:
// packets from outside to the address of the host. Replies to sources and links by hand pass.
func TestGuardOldConnection(t *testing.T) {
	needNFT(t)
	w := newTestNet(t)
	w.sh(w.outside, "ip route add default via 10.9.0.1; ip route add default via 2001:db8:9::1")
	w.serveAll(w.red, w.outside)
	both := nft.Guard{IPv4: true, IPv6: true}
	arrives := func(what string, after nft.Guard, byOutside, byRed int) {
		t.Helper()
		for _, c := range []struct{ red, outside, machine string }{
			{"192.168.15.2", "10.9.0.2", "192.168.15.1"}, {"fd00:15::2", "2001:db8:9::2", "fd00:15::1"},
		} {
			for _, from := range []*os.File{w.outside, w.red} {
				w.guard(both)
				w.sh(w.machine, "ip link set v-net-0 group 30318")
				target, want := c.red, byOutside
				if from == w.red {
					target, want = c.outside, byRed
				}
				conn := w.dialFrom(from, netip.AddrPortFrom(addr(target), 80).String())
				if exchange(conn, answerTimeout) == "no answer" {
					t.Fatalf("%s: %s does not answer", what, target)
				}
				w.sh(w.machine, "ip link set v-net-0 group default")
				w.guard(after)
				ports := [2]uint16{conn.LocalAddr().(*net.UDPAddr).AddrPort().Port(), 80}
				if from == w.red {
					ports[0], ports[1] = ports[1], ports[0]
				}
				packet := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, ports[0]), ports[1])
				packet = withChecksum(addr(c.outside), addr(c.red), nft.UDP, append(packet, 0, 10, 0, 0, 'h', 'i'), 6, false)
				seen := w.capture(w.red)
				w.sendRaw(w.outside, addr(c.outside), addr(c.red), nft.UDP, packet)
				mark := func() { w.sendRaw(w.machine, addr(c.machine), addr(c.red), 253, []byte("mark")) }
				if got := len(seen.until("mark", mark, addr(c.outside))); got != want {
					t.Errorf("%s: %d packets from %s, connection to %s, want %d", what, got, c.outside, target, want)
				}
			}
		}
	}
	arrives("guard", both, 0, 0)
	both.Sources = []netip.Prefix{prefix("192.168.15.0/24"), prefix("fd00:15::/64")}
	arrives("a source by hand", both, 0, 1)
	arrives("an output link by hand", nft.Guard{IPv4: true, IPv6: true, Out: []string{"eth0"}}, 0, 1)
	from6 := []string{"v-net-0", "eth0"}
	arrives("links that forwarded before", nft.Guard{IPv4: true, IPv6: true, From4: from6, From6: from6}, 1, 1)
}
