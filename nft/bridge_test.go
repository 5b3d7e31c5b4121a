//go:build linux

package nft_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
)

// TestHasBridgeHooks checks that chains without a hook, and those of other families, do not count.
func TestHasBridgeHooks(t *testing.T) {
	needNFT(t)
	c := dial(t)
	t.Cleanup(func() { runNFT(t, "", "flush", "ruleset") })
	for _, tt := range []struct {
		script string
		has    bool
	}{
		{"table inet x { chain y { type filter hook forward priority 0; }; }", false},
		{"table bridge x { chain y { }; }", false},
		{"table bridge x { chain z { type filter hook forward priority 0; }; }", true},
	} {
		runNFT(t, tt.script, "-f", "-")
		if has, err := c.HasBridgeHooks(); err != nil || has != tt.has {
			t.Errorf("after %s: %t, %v", tt.script, has, err)
		}
	}
}

// TestHairpin checks that a host on a port with hairpin mode gets back nothing that it sends, and that it reaches its
// own forwarded port.
func TestHairpin(t *testing.T) {
	for _, filtered := range []string{"0", "1"} {
		t.Run("bridge-nf-call="+filtered, func(t *testing.T) { checkHairpin(t, filtered) })
	}
}

func checkHairpin(t *testing.T, filtered string) {
	needNFT(t)
	w := newTestNet(t)
	w.setBridgeNF(filtered)
	w.sh(w.machine, `ip link set v-net-0 type bridge mcast_snooping 0
		ip link set veth-red type bridge_slave hairpin on
		for i in v-net-0 veth-red; do ip link set $i address 02:00:00:00:00:fe; done`)
	w.sh(w.red, "ip link set eth0 address 02:00:00:00:00:02; ip addr replace fd00:15::2/64 dev eth0 nodad")
	w.sh(w.blue, "ip link set eth0 address 02:00:00:00:00:03; ip addr replace fd00:15::3/64 dev eth0 nodad")
	for _, network := range []string{"tcp", "udp"} {
		w.serve(w.red, "red", network, ":80")
	}
	w.apply(nil, append(forwardsToRed(), nft.Hairpin{Port: "veth-red"}))

	red, blue := openFrames(t, w.red), openFrames(t, w.blue)
	const own = "02:00:00:00:00:02"
	frames := []frame{
		{name: "broadcast", dst: "ff:ff:ff:ff:ff:ff", src: own, kind: 0x88b5},
		{name: "multicast", dst: "33:33:00:00:12:34", src: own, kind: unix.ETH_P_IPV6,
			payload: ipv6Packet(addr("fd00:15::2"), addr("ff05::1234"), nft.UDP, []byte("........multicast"))},
		{name: "IPv4 multicast", dst: "01:00:5e:01:02:03", src: own, kind: unix.ETH_P_IP,
			payload: ipv4Packet(addr("192.168.15.2"), addr("239.1.2.3"), nft.UDP, []byte("........IPv4 multicast"))},
		{name: "unknown unicast", dst: "02:00:00:00:00:77", src: own, kind: 0x88b5},
		{name: "own address", dst: own, src: own, kind: 0x88b5},
	}
	back := func() []string {
		var names []string
		for _, f := range frames {
			names = append(names, f.name)
		}
		return arrived(red, func() { red.send(frames...) }, func() {
			blue.send(frame{name: "the mark", dst: own, src: "02:00:00:00:00:03", kind: 0x88b5})
		}, "the mark", names)
	}
	if got := back(); len(got) > 0 {
		t.Errorf("came back: %v", got)
	}
	facts := []fact{}
	for _, network := range []string{"tcp", "udp"} {
		facts = append(facts, fact{network, w.red, network, "192.168.15.1:80", "red 192.168.15.1"},
			fact{network + " over IPv6", w.red, network, "[fd00:15::1]:80", "red fd00:15::1"},
			fact{network + " to outside's address", w.red, network, "10.9.0.1:80", "red 192.168.15.1"})
	}
	w.checkFacts(t, facts)
	w.checkFacts(t, []fact{{"from a neighbour", w.blue, "tcp", "192.168.15.1:80", "red 192.168.15.1"}})
	dropped := slices.IndexFunc(w.counted(), func(r nft.CountedRule) bool {
		return r.Rule == nft.Rule(nft.Hairpin{Port: "veth-red"}) && r.Packets >= 5
	})
	if dropped < 0 {
		t.Errorf("not counted: %v", w.counted())
	}
	w.withoutRule("vnet", "same_port", "drop", func() {
		want := []string{"broadcast", "multicast", "IPv4 multicast", "unknown unicast", "own address"}
		if diff := cmp.Diff(want, back()); diff != "" {
			t.Errorf("without the rule: -want +got:\n%s", diff)
		}
	})
	if filtered == "1" {
		w.sh(w.machine, "ip link set veth-red type bridge_slave hairpin off")
		w.checkFacts(t, []fact{{"without hairpin mode", w.red, "tcp", "192.168.15.1:80", "no answer"}})
	}
}
