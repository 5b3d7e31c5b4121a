//go:build linux

package nft_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
)

// spoofs returns how many of three packets from red to outside arrive with each source.
func (w *testNet) spoofs(sources ...string) map[string]int {
	w.t.Helper()
	arrived := map[string]int{}
	for _, s := range sources {
		src, dst := addr(s), addr("10.9.0.2")
		if src.Is6() {
			dst = addr("2001:db8:9::2")
		}
		c := w.capture(w.outside)
		for _, proto := range []nft.Proto{nft.TCP, nft.UDP} {
			w.sendRaw(w.red, src, dst, proto, stray(src, dst, proto))
		}
		echo, kind := byte(8), nft.Proto(unix.IPPROTO_ICMP)
		if src.Is6() {
			echo, kind = 128, unix.IPPROTO_ICMPV6
		}
		w.sendRaw(w.red, src, dst, kind, withChecksum(src, dst, kind, []byte{echo, 0, 0, 0, 0, 7, 0, 7}, 2, false))
		mark := "mark " + time.Now().String()
		conn := w.dialFrom(w.red, netip.AddrPortFrom(dst, 9).String())
		arrived[s] = len(c.until(mark, func() { conn.Write([]byte(mark)) }, src))
	}
	return arrived
}

// stray returns a TCP SYN or a UDP datagram.
func stray(src, dst netip.Addr, proto nft.Proto) []byte {
	if proto == nft.TCP {
		return withChecksum(src, dst, proto, []byte{0x11, 0x5c, 0, 80, 0, 0, 3, 0xe8, 0, 0, 0, 0, 0x50, 2, 4, 0, 0, 0, 0, 0},
			16, false)
	}
	return withChecksum(src, dst, proto, []byte{0x11, 0x5c, 0, 80, 0, 10, 0, 0, 'h', 'i'}, 6, false)
}

// TestSpoofedSources checks that packets whose source is not behind the link they arrive on are dropped at a gate:
// addresses of outside, of the machine, and of no host. Those of neighbours are not: see Gate.
func TestSpoofedSources(t *testing.T) {
	for _, filtered := range []string{"0", "1"} {
		t.Run("bridge-nf-call="+filtered, func(t *testing.T) { checkSpoofedSources(t, filtered) })
	}
}

func checkSpoofedSources(t *testing.T, filtered string) {
	needNFT(t)
	w := newLabNet(t)
	w.setBridgeNF(filtered)
	w.sh(w.machine, "for i in all v-net-0; do echo 0 > /proc/sys/net/ipv4/conf/$i/rp_filter; done")
	w.serveAll(w.outside)
	foreign := []string{"8.8.8.8", "10.9.0.77", "192.168.16.2", "2001:db8:8::8", "2001:db8:9::77", "fd00:16::2"}
	own := []string{"192.168.15.2", "fd00:15::2"}
	check := func(what string, want ...string) {
		t.Helper()
		arrived := w.spoofs(slices.Concat(foreign, own)...)
		for s, n := range arrived {
			for tries := 0; n < 3 && slices.Contains(want, s) && tries < 5; tries++ { // a busy machine loses packets
				n = w.spoofs(s)[s]
			}
			if slices.Contains(want, s) && n < 3 || !slices.Contains(want, s) && n > 0 {
				t.Errorf("%s: %d of 3 packets from %s arrive; expected from %v", what, n, s, want)
			}
		}
	}
	w.apply(nil, []nft.Rule{nft.Own{Link: "v-net-0"}})
	check("without gate", slices.Concat(foreign, own)...)
	w.apply(nil, []nft.Rule{w.gate("v-net-0", "v-net-0")})
	check("with gate", own...)
	w.withoutRule("vnet", "spoof", "@gate fib", func() { check("without the rule", slices.Concat(foreign, own)...) })
	w.checkReach(t, "real source", w.red, "10.9.0.2", "2001:db8:9::2", allKinds...)
	w.checkReach(t, "back", w.outside, "10.9.0.1", "2001:db8:9::1", "icmp4", "icmp6")
}
