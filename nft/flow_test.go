package nft

import (
	"net/netip"
	"testing"
)

// TestForgets: which flows end with a rule, and which before one can work.
func TestForgets(t *testing.T) {
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
	own := make(ownAddrs)
	for link, addr := range map[string]string{"eth0": "10.9.0.1", "wg0": "10.8.0.1", "v-net-0": "192.168.15.1"} {
		own[ownAddr{link, a(addr)}], own[ownAddr{"", a(addr)}] = true, true
	}

	forwarded := tcp("10.9.0.2", "10.9.0.1", 80, "192.168.15.2", 8080, "10.9.0.2", flowDstNAT|flowAssured)
	elsewhere := tcp("10.9.0.2", "10.9.0.1", 80, "192.168.15.3", 8080, "10.9.0.2", flowDstNAT|flowAssured)
	ours := tcp("10.9.0.2", "10.9.0.1", 80, "10.9.0.1", 80, "10.9.0.2", flowAssured)
	begun := tcp("10.9.0.2", "10.9.0.1", 80, "10.9.0.1", 80, "10.9.0.2", 0)
	asked := udp(tcp("10.9.0.2", "10.9.0.1", 53, "10.9.0.1", 53, "10.9.0.2", 0))
	moved := udp(tcp("10.9.0.2", "10.9.0.1", 53, "192.168.15.2", 153, "10.9.0.2", flowDstNAT|flowAssured))
	passing := udp(tcp("192.168.15.3", "10.9.0.2", 53, "10.9.0.2", 53, "10.9.0.1", flowSrcNAT|flowAssured))
	leaving := udp(tcp("192.168.15.3", "10.9.0.2", 99, "10.9.0.2", 99, "192.168.15.3", 0))
	staying := udp(tcp("192.168.15.3", "192.168.15.1", 99, "192.168.15.1", 99, "192.168.15.3", 0))
	tunnelled := udp(tcp("192.168.15.3", "8.8.8.8", 53, "8.8.8.8", 53, "10.8.0.1", flowSrcNAT))
	masqueraded := tcp("192.168.15.3", "10.9.0.2", 99, "10.9.0.2", 99, "10.9.0.1", flowSrcNAT|flowAssured)
	closed := tcp("192.168.15.3", "10.9.0.2", 99, "10.9.0.2", 99, "10.9.0.1", flowSrcNAT)
	translated := udp(tcp("192.168.15.3", "10.9.0.2", 99, "10.9.0.2", 99, "198.51.100.9", flowSrcNAT))
	working := tcp("192.168.15.3", "10.9.0.2", 99, "10.9.0.2", 99, "192.168.15.3", flowAssured)

	for _, tt := range []struct {
		what string
		rule Rule
		gone bool
		flow flow
		want bool
	}{
		{"a forward ends with its rule", web, true, forwarded, true},
		{"one to another host does not", web, true, elsewhere, false},
		{"nor one to the machine itself", web, true, ours, false},
		{"of another address", webAt, true, forwarded, false},
		{"a range that moves", dns, true, moved, true},
		{"another port's rule", dns, true, forwarded, false},
		{"a connection that works stays", web, false, ours, false},
		{"one that nobody answered goes", web, false, begun, true},
		{"a question over UDP goes", dns, false, asked, true},
		{"what is translated already stays", dns, false, moved, false},
		{"what passes through stays", dns, false, passing, false},
		{"masquerade ends with its rule", nat, true, passing, true},
		{"and so does one that nobody answered", nat, true, closed, true},
		{"a masqueraded connection that works goes on", nat, true, masqueraded, false},
		{"what has an address that is not ours was others'", nat, true, translated, false},
		{"by a device, what has its address", byEth0, true, passing, true},
		{"and nothing else", byEth0, true, tunnelled, false},
		{"of one that is no more, nothing", Masquerade{Out: "ppp0"}, true, passing, false},
		{"source NAT ends with its rule", fixed, true, translated, true},
		{"to its own address only", fixed, true, passing, false},
		{"of its own sources only", SourceNAT{Source: netip.MustParsePrefix("192.168.16.0/24"), To: fixed.To}, true, translated, false},
		{"what was not masqueraded does not", nat, true, leaving, false},
		{"what leaves as it is goes", nat, false, leaving, true},
		{"what stays inside stays", nat, false, staying, false},
		{"a working connection stays", nat, false, working, false},
		{"isolation is asked each time", Isolate{In: "a", Out: "b"}, false, leaving, false},
	} {
		var old, new []Rule
		if tt.gone {
			old = []Rule{tt.rule}
		} else {
			new = []Rule{tt.rule}
		}
		f := newForgetter(old, new)
		f.own = own
		if got := f.forgets(tt.flow); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.what, got, tt.want)
		}
	}
	if !newForgetter([]Rule{Isolate{}}, nil).empty() {
		t.Error("connections are looked through for nothing")
	}
}
