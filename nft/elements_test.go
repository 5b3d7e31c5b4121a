package nft

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
)

// TestRulesAreSorted checks the order in which a table's rules are listed: by kind, then by family, address and port.
func TestRulesAreSorted(t *testing.T) {
	p, a := netip.MustParsePrefix, netip.MustParseAddr
	mac := MAC{2, 0, 0, 0, 0, 1}
	want := []Rule{
		Masquerade{Source: p("10.0.0.0/24")}, Masquerade{Source: p("fd00::/64")},
		SourceNAT{Source: p("10.0.0.0/24"), To: a("192.0.2.1")},
		Forward{Proto: TCP, Ports: Port(80), To: a("10.0.0.2"), ToPort: 80},
		Forward{Proto: TCP, Ports: Port(443), To: a("10.0.0.2"), ToPort: 80},
		Forward{Proto: UDP, Ports: Port(53), To: a("10.0.0.2"), ToPort: 53},
		Isolate{In: "a", Out: "b"}, Own{Link: "a"}, Closed{Link: "a"}, Allow{Source: p("10.0.0.0/8"), Link: "a"},
		Gate{Link: "a", MAC: mac}, Fastpath{Device: "a"}, Hairpin{Port: "a"}, Antispoof{Port: "a"},
		PortAddress{Port: "a", MAC: mac},
	}
	compare := func(x, y Rule) int { return sortKey(x).compare(sortKey(y)) }
	for range 20 {
		got := slices.Clone(want)
		rand.Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
		if slices.SortFunc(got, compare); !slices.Equal(got, want) {
			t.Fatalf("got  %v\nwant %v", got, want)
		}
	}
}

// TestOverridden checks which parts of rules a new rule with a more specific source overrides.
func TestOverridden(t *testing.T) {
	p, to := netip.MustParsePrefix, netip.MustParseAddr("192.0.2.1")
	for _, tt := range []struct {
		old, added Rule
		want       []Rule
	}{
		{Masquerade{Source: p("10.0.0.0/8"), Out: "up0"}, Masquerade{Source: p("10.1.0.0/16")},
			[]Rule{Masquerade{Source: p("10.1.0.0/16"), Out: "up0"}}},
		{SourceNAT{Source: p("10.0.0.0/8"), To: to}, Masquerade{Source: p("10.1.0.0/16")},
			[]Rule{SourceNAT{Source: p("10.1.0.0/16"), To: to}}},
		{Masquerade{Source: p("10.0.0.0/8")}, SourceNAT{Source: p("10.1.0.0/16"), To: to},
			[]Rule{Masquerade{Source: p("10.1.0.0/16")}}},
		{Masquerade{Source: p("10.0.0.0/8")}, Masquerade{Source: p("10.0.0.0/8"), Out: "up0"}, nil},   // as specific
		{Masquerade{Source: p("10.1.0.0/16")}, Masquerade{Source: p("10.0.0.0/8")}, nil},              // less specific
		{Masquerade{Source: p("10.0.0.0/8")}, Masquerade{Source: p("11.0.0.0/16")}, nil},              // other sources
		{Masquerade{Out: "up0"}, Masquerade{Source: p("10.0.0.0/8")}, nil},                            // all sources
		{Masquerade{Source: p("10.0.0.0/8")}, Masquerade{Out: "up0"}, nil},                            // all sources
		{Isolate{In: "a", Out: "b"}, Masquerade{Source: p("10.0.0.0/8")}, nil},                        // no source
		{Masquerade{Source: p("10.0.0.0/8")}, Forward{Proto: TCP, Ports: Port(1), To: to}, nil},       // no source
		{Masquerade{Source: p("10.0.0.0/8")}, Allow{Source: p("10.1.0.0/16"), Link: "red-eth0"}, nil}, // translates nothing
	} {
		if got := overridden(map[Rule]bool{tt.old: true}, []Rule{tt.added}); !slices.Equal(got, tt.want) {
			t.Errorf("%v overrides %v of %v, want %v", tt.added, got, tt.old, tt.want)
		}
	}
	same := Masquerade{Source: p("10.1.0.0/16")}
	if got := overridden(map[Rule]bool{Masquerade{Source: p("10.0.0.0/8")}: true, same: true}, []Rule{same}); got != nil {
		t.Errorf("a rule that exists already overrides %v", got)
	}
}

// TestPrivateElements checks the sets of the private sources of rules: those inside others are omitted.
func TestPrivateElements(t *testing.T) {
	p, to := netip.MustParsePrefix, netip.MustParseAddr("192.0.2.1")
	var got []string
	for _, e := range privateElements([]Rule{
		Masquerade{Source: p("10.0.0.0/8")}, Masquerade{Source: p("10.1.0.0/16")},
		Masquerade{Source: p("10.2.0.0/16"), Out: "up0"}, SourceNAT{Source: p("11.0.0.0/8"), To: to},
		Masquerade{Source: p("fd00::/8"), Out: "up0"}, Masquerade{Source: p("fd00::/8")},
		Masquerade{Source: p("0.0.0.0/0")}, Masquerade{Source: p("::/0")}, Masquerade{Source: p("0.0.0.0/0"), Out: "up1"},
		Masquerade{Out: "up2"}, Forward{Proto: TCP, Ports: Port(1), To: to},
	}) {
		got = append(got, e.set+" "+e.text(setNamed(e.set)))
	}
	slices.Sort(got)
	want := []string{
		"inside4 10.0.0.0/8", "inside4 11.0.0.0/8", "inside6 fd00::/8",
		`private4_out 0.0.0.0/0 . "up1"`, `private4_out 10.2.0.0/16 . "up0"`, `private6_out fd00::/8 . "up0"`,
		"private_all ipv4", "private_all ipv6", `private_out "up2"`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestGuardElements checks that the elements of a guard give the same guard.
func TestGuardElements(t *testing.T) {
	p := netip.MustParsePrefix
	for _, want := range []Guard{
		{}, {IPv4: true}, {IPv6: true}, {IPv4: true, IPv6: true},
		{IPv4: true, Sources: []netip.Prefix{p("10.0.0.0/8"), p("192.168.0.0/16"), p("fd00::/8")}},
		{IPv6: true, From4: []string{"a", "b"}, From6: []string{"c", "d"}, Out: []string{"e", "f"}},
	} {
		c := content{elements: map[element]count{}}
		for e := range want.elements() {
			c.elements[e] = count{}
		}
		if got := c.guard(); !reflect.DeepEqual(got, want) {
			t.Errorf("%+v became %+v", want, got)
		}
	}
	foreign := map[element]count{{set: "guarded"}: {}, {set: "from4", key: encodeName("a b")}: {},
		{set: "hand4", key: "\x0a\x00\x00\x01", end: "\x0a\x00\x00\x02"}: {}}
	if got := (content{elements: foreign}).guard(); !reflect.DeepEqual(got, Guard{}) {
		t.Errorf("elements of others became %+v", got)
	}
}

// TestForwardAffects checks the first and the last port of a forward, and flows of others.
func TestForwardAffects(t *testing.T) {
	a := netip.MustParseAddr
	f := Forward{Proto: UDP, Ports: Ports{50, 59}, To: a("10.0.0.2"), ToPort: 150}
	at := f
	at.Addr = a("192.0.2.1")
	flowTo := func(proto Proto, dst string, port uint16) flow {
		to := tuple{src: a("192.0.2.9"), dst: a(dst), proto: proto, srcPort: 40000, dstPort: port}
		return flow{orig: to, reply: tuple{src: to.dst, dst: to.src, proto: proto, srcPort: port, dstPort: 40000}}
	}
	for _, tt := range []struct {
		forward Forward
		flow    flow
		want    bool
	}{
		{f, flowTo(UDP, "192.0.2.1", 49), false}, {f, flowTo(UDP, "192.0.2.1", 50), true},
		{f, flowTo(UDP, "192.0.2.1", 59), true}, {f, flowTo(UDP, "192.0.2.1", 60), false},
		{f, flowTo(TCP, "192.0.2.1", 50), false}, {f, flowTo(UDP, "fd00::1", 50), false},
		{at, flowTo(UDP, "192.0.2.1", 50), true}, {at, flowTo(UDP, "192.0.2.3", 50), false},
	} {
		if got := tt.forward.affects(tt.flow, false); got != tt.want {
			t.Errorf("%v, new: affects %+v: %t", tt.forward, tt.flow.orig, got)
		}
	}
}
