//go:build linux

package nft_test

import (
	"testing"
	"time"

	"github.com/vnet-lab/vnet/nft"
)

// TestBridgedMulticastKeepsAddress checks that multicast between hosts of a bridge keeps its source where bridged
// packets pass the rules, and that it is neither dropped as untranslated nor by a guard.
func TestBridgedMulticastKeepsAddress(t *testing.T) {
	needNFT(t)
	w := newTestNet(t)
	w.setBridgeNF("1")
	w.sh(w.machine, "ip link set v-net-0 type bridge mcast_snooping 0")
	w.sh(w.red, "ip route add 224.0.0.0/4 dev eth0; ip -6 route replace multicast ff00::/8 dev eth0 table local")
	send := func(to, source string) int {
		t.Helper()
		c := w.capture(w.blue)
		mark := "mark " + time.Now().String()
		conn := w.dialFrom(w.red, to)
		for _, text := range []string{"hello", mark} {
			if _, err := conn.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		return len(c.until(mark, addr(source)))
	}
	rules := append(masquerades(), nft.Masquerade{Out: "v-net-0"}, nft.Own{Link: "v-net-0"}, nft.Closed{Link: "v-net-0"},
		nft.Isolate{In: "v-net-0", Out: "v-net-0"}, w.gate("v-net-0", "v-net-0"))
	w.apply(nil, rules)
	w.guard(nft.Guard{IPv4: true, IPv6: true})
	for _, to := range []struct{ group, source string }{
		{"239.1.2.3:9", "192.168.15.2"}, {"224.0.0.251:9", "192.168.15.2"},
		{"[ff05::1234]:9", "fd00:15::2"}, {"[ff0e::1234]:9", "fd00:15::2"},
	} {
		if n := send(to.group, to.source); n != 1 {
			t.Errorf("to %s: %d packets from %s", to.group, n, to.source)
		}
	}
	for _, r := range w.counted() {
		if _, ok := r.Rule.(nft.Masquerade); ok && r.Packets > 0 {
			t.Errorf("%s counted %d packets", r, r.Packets)
		}
	}
	w.withoutRule("vnet", "postrouting", "224.0.0.0/4", func() {
		if n := send("239.1.2.3:9", "192.168.15.2"); n != 0 {
			t.Error("without the rule, the packet keeps its source too")
		}
	})
	w.withoutRule("vnet", "postrouting", "ff00::/8", func() {
		if n := send("[ff05::1234]:9", "fd00:15::2"); n != 0 {
			t.Error("without the rule, the IPv6 packet keeps its source too")
		}
	})
}
