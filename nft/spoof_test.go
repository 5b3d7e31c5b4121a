//go:build linux

package nft_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
)

// spoofs returns the sources of packets that red sends to outside, and that arrive. The real one is among them.
func (w *testNet) spoofs(sources ...string) (arrived []string) {
	w.t.Helper()
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
		if n := len(c.until(mark, func() { conn.Write([]byte(mark)) }, src)); n >= 3 { // red may reset the TCP connection
			arrived = append(arrived, s)
		} else if n > 0 {
			w.t.Errorf("%d of 3 packets from %s arrive", n, s)
		}
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
		got := w.spoofs(slices.Concat(foreign, own)...)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: packets arrive with these sources, -want +got:\n%s", what, diff)
		}
	}
	w.apply(nil, []nft.Rule{nft.Own{Link: "v-net-0"}})
	check("without gate", slices.Concat(foreign, own)...)
	w.apply(nil, []nft.Rule{w.gate("v-net-0", "v-net-0")})
	check("with gate", own...)
	w.withoutRule("vnet", "spoof", "drop", func() { check("without the rule", slices.Concat(foreign, own)...) })
	w.checkReach(t, "real source", w.red, "10.9.0.2", "2001:db8:9::2", allKinds...)
	w.checkReach(t, "back", w.outside, "10.9.0.1", "2001:db8:9::1", "icmp4", "icmp6")
}
