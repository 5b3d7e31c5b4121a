//go:build linux

package nft_test

import (
	"strconv"
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
		if _, err := conn.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		return len(c.until(mark, func() { conn.Write([]byte(mark)) }, addr(source)))
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
	w.withoutRule("vnet", "postrouting", "iif 0 @ll,0,48", func() {
		for to, source := range map[string]string{"239.1.2.3:9": "192.168.15.2", "[ff05::1234]:9": "fd00:15::2"} {
			if n := send(to, source); n != 0 {
				t.Errorf("without the rule, a packet to %s keeps its source too", to)
			}
		}
	})
}

// TestBridgedToRouterKeepsAddress checks that packets that a bridge passes to another router keep their source, also
// that of this namespace: the router that has them forwards a port, for example. Each rule that lets them pass is
// needed.
func TestBridgedToRouterKeepsAddress(t *testing.T) {
	needNFT(t)
	w := newTestNet(t)
	w.setBridgeNF("1")
	other := []nft.Rule{nft.Masquerade{Source: prefix("10.9.0.0/24")}, nft.Masquerade{Source: prefix("2001:db8:9::/64")}}
	w.apply(nil, append(append(masquerades(), w.gate("v-net-0", "v-net-0")), other...))
	mac, n := w.macOf(w.blue, "eth0"), 0
	arrives := func(what string, want int) {
		t.Helper()
		for _, c := range []struct{ source, to string }{
			{"192.168.15.2", "10.77.0."}, {"10.9.0.1", "10.77.0."}, {"fd00:15::2", "fd77::"}, {"2001:db8:9::1", "fd77::"},
		} {
			n++ // another connection
			to := c.to + strconv.Itoa(n)
			w.sh(w.red, "ip route add "+to+" dev eth0; ip neigh add "+to+" lladdr "+mac+" dev eth0")
			seen := w.capture(w.blue)
			w.sendRaw(w.red, addr(c.source), addr(to), 253, []byte("hello"))
			mark := func() { w.sendRaw(w.red, addr("192.168.15.2"), addr("192.168.15.3"), 253, []byte("mark")) }
			if got := len(seen.until("mark", mark, addr(c.source))); got != want {
				t.Errorf("%s: %d packets from %s, want %d", what, got, c.source, want)
			}
		}
	}
	arrives("bridged", 1)
	w.withoutRule("vnet", "postrouting", "iif 0 @ll,0,48", func() { arrives("without the rule of NAT", 0) })
	w.withoutRule("vnet", "postrouting", "masquerade", func() {
		w.withoutRule("vnet", "private", "iif 0 @ll,0,48", func() { arrives("without the rule of the leak chain", 0) })
	})
}
