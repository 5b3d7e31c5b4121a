package nft

import (
	"net/netip"
	"testing"
)

// TestStaleMatcher checks which flows are stale if a rule is added or removed.
func TestStaleMatcher(t *testing.T) {
	a := netip.MustParseAddr
	tcp := func(src, dst string, dport uint16, from string, sport uint16, back string, status uint32) flow {
		return flow{
			orig:   tuple{src: a(src), dst: a(dst), proto: TCP, srcPort: 40000, dstPort: dport},
			reply:  tuple{src: a(from), dst: a(back), proto: TCP, srcPort: sport, dstPort: 40000},
			status: status,
		}
	}
	udp := func(f flow) flow { f.orig.proto, f.reply.proto = UDP, UDP; return f }
	web := Forward{Proto: TCP, Ports: Port(80), To: a("192.168.15.2"), ToPort: 8080}
	webAt := web
	webAt.Addr = a("10.9.0.7")
	dns := Forward{Proto: UDP, Ports: Ports{50, 59}, To: a("192.168.15.2"), ToPort: 150}
	nat := Masquerade{Source: netip.MustParsePrefix("192.168.15.0/24")}
	byEth0 := Masquerade{Out: "eth0"}
	fixed := SourceNAT{Source: nat.Source, To: a("198.51.100.9")}
	local := make(localAddrs)
	for link, addr := range map[string]string{"eth0": "10.9.0.1", "wg0": "10.8.0.1", "v-net-0": "192.168.15.1"} {
		local[localAddr{link, a(addr)}], local[localAddr{"", a(addr)}] = true, true
	}

	subnets := linkSubnets{netip.MustParsePrefix("10.9.0.0/24"): "eth0",
		netip.MustParsePrefix("10.8.0.0/24"): "wg0", netip.MustParsePrefix("192.168.15.0/24"): "v-net-0"}

	farFlow := tcp("192.168.15.3", "8.8.8.8", 53, "8.8.8.8", 53, "192.168.15.3", flowAssured)
	neighbours := tcp("192.168.15.3", "192.168.15.2", 53, "192.168.15.2", 53, "192.168.15.3", flowAssured)
	forwarded := tcp("10.9.0.2", "10.9.0.1", 80, "192.168.15.2", 8080, "10.9.0.2", flowDstNAT|flowAssured)
	elsewhere := tcp("10.9.0.2", "10.9.0.1", 80, "192.168.15.3", 8080, "10.9.0.2", flowDstNAT|flowAssured)
	toMachine := tcp("10.9.0.2", "10.9.0.1", 80, "10.9.0.1", 80, "10.9.0.2", flowAssured)
	unanswered := tcp("10.9.0.2", "10.9.0.1", 80, "10.9.0.1", 80, "10.9.0.2", 0)
	udpRequest := udp(tcp("10.9.0.2", "10.9.0.1", 53, "10.9.0.1", 53, "10.9.0.2", 0))
	translatedRange := udp(tcp("10.9.0.2", "10.9.0.1", 53, "192.168.15.2", 153, "10.9.0.2", flowDstNAT|flowAssured))
	passing := udp(tcp("192.168.15.3", "10.9.0.2", 53, "10.9.0.2", 53, "10.9.0.1", flowSrcNAT|flowAssured))
	leaving := udp(tcp("192.168.15.3", "10.9.0.2", 99, "10.9.0.2", 99, "192.168.15.3", 0))
	insideFlow := udp(tcp("192.168.15.3", "192.168.15.1", 99, "192.168.15.1", 99, "192.168.15.3", 0))
	viaTunnel := udp(tcp("192.168.15.3", "8.8.8.8", 53, "8.8.8.8", 53, "10.8.0.1", flowSrcNAT))
	masqueraded := tcp("192.168.15.3", "10.9.0.2", 99, "10.9.0.2", 99, "10.9.0.1", flowSrcNAT|flowAssured)
	closed := tcp("192.168.15.3", "10.9.0.2", 99, "10.9.0.2", 99, "10.9.0.1", flowSrcNAT)
	translated := udp(tcp("192.168.15.3", "10.9.0.2", 99, "10.9.0.2", 99, "198.51.100.9", flowSrcNAT))
	establishedFlow := tcp("192.168.15.3", "10.9.0.2", 99, "10.9.0.2", 99, "192.168.15.3", flowAssured)

	for _, tt := range []struct {
		what    string
		rule    Rule
		removed bool
		flow    flow
		want    bool
	}{
		{"forwarded flow, its forward removed", web, true, forwarded, true},
		{"forwarded flow to another target", web, true, elsewhere, false},
		{"flow to the machine itself", web, true, toMachine, false},
		{"forward of another address", webAt, true, forwarded, false},
		{"range with other target ports", dns, true, translatedRange, true},
		{"forward of another port", dns, true, forwarded, false},
		{"established connection to the new port", web, false, toMachine, false},
		{"connection attempt without reply", web, false, unanswered, true},
		{"UDP request without reply", dns, false, udpRequest, true},
		{"flow already translated the same way", dns, false, translatedRange, false},
		{"masqueraded flow that passes through", dns, false, passing, false},
		{"masqueraded UDP flow, its rule removed", nat, true, passing, true},
		{"masqueraded TCP flow, not established", nat, true, closed, true},
		{"masqueraded TCP flow, established", nat, true, masqueraded, false},
		{"flow translated to a foreign address", nat, true, translated, false},
		{"rule by device, flow with the address of the device", byEth0, true, passing, true},
		{"rule by device, flow with another address", byEth0, true, viaTunnel, false},
		{"rule by device that does not exist any more", Masquerade{Out: "ppp0"}, true, passing, false},
		{"source NAT flow, its rule removed", fixed, true, translated, true},
		{"source NAT rule with another address", fixed, true, passing, false},
		{"source NAT rule with another source",
			SourceNAT{Source: netip.MustParsePrefix("192.168.16.0/24"), To: fixed.To}, true, translated, false},
		{"flow without translation, rule removed", nat, true, leaving, false},
		{"flow that leaves without translation, rule added", nat, false, leaving, true},
		{"flow inside the network", nat, false, insideFlow, false},
		{"established flow, rule added", nat, false, establishedFlow, false},
		{"isolated", Isolate{In: "v-net-0", Out: "eth0"}, false, leaving, true},
		{"isolated, established", Isolate{In: "v-net-0", Out: "eth0"}, false, establishedFlow, true},
		{"isolated, translated source", Isolate{In: "v-net-0", Out: "eth0"}, false, masqueraded, true},
		{"isolated, forwarded port", Isolate{In: "eth0", Out: "v-net-0"}, false, forwarded, false},
		{"isolated in the opposite direction", Isolate{In: "eth0", Out: "v-net-0"}, false, leaving, false},
		{"isolation of other links", Isolate{In: "v-net-0", Out: "wg0"}, false, leaving, false},
		{"flow of the namespace itself", Isolate{In: "v-net-0", Out: "v-net-0"}, false, insideFlow, false},
		{"isolated, behind a router", Isolate{In: "v-net-0", Out: "wg0"}, false, farFlow, true},
		{"translated source, behind a router", Isolate{In: "v-net-0", Out: "wg0"}, false, viaTunnel, false},
		{"closed", Closed{"eth0"}, false, establishedFlow, true},
		{"no longer allowed", Allow{"eth0", netip.MustParsePrefix("0.0.0.0/0")}, true, establishedFlow, true},
		{"no longer allowed, other source", Allow{"eth0", netip.MustParsePrefix("203.0.113.0/24")}, true,
			establishedFlow, false},
		{"allowed", Allow{"eth0", netip.MustParsePrefix("0.0.0.0/0")}, false, establishedFlow, false},
		{"closed, other link", Closed{"v-net-0"}, false, establishedFlow, false},
		{"closed, between neighbours", Closed{"v-net-0"}, false, neighbours, false},
		{"own", Own{"eth0"}, false, leaving, false},
	} {
		var old, new []Rule
		if tt.removed {
			old = []Rule{tt.rule}
		} else {
			new = []Rule{tt.rule}
		}
		f := newStaleMatcher(old, new)
		f.local, f.subnets = local, subnets
		if got := f.matches(tt.flow); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.what, got, tt.want)
		}
	}
	if !newStaleMatcher([]Rule{Isolate{}}, nil).empty() {
		t.Error("an Isolate rule makes flows stale")
	}
}
