//go:build linux

package nft_test

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
)

// TestRefusals checks that a refused change changes nothing, and that the error names the rule.
func TestRefusals(t *testing.T) {
	c := dial(t)
	red, blue := addr("192.168.15.2"), addr("192.168.15.3")
	have := []nft.Rule{
		nft.Masquerade{Source: prefix("10.0.0.0/8")},
		nft.SourceNAT{Source: prefix("10.1.0.0/16"), To: addr("198.51.100.7")},
		nft.Forward{Proto: nft.TCP, Ports: nft.Port(80), To: red, ToPort: 8080},
		nft.Forward{Proto: nft.UDP, Ports: nft.Ports{First: 20000, Last: 29999}, To: red, ToPort: 20000},
		nft.Forward{Proto: nft.TCP, Ports: nft.Ports{First: 100, Last: 109}, To: red, ToPort: 200},
	}
	mustApply(t, c, nil, have)
	good := nft.Forward{Proto: nft.TCP, Ports: nft.Port(1), To: red, ToPort: 1}
	for _, tt := range []struct {
		del, add []nft.Rule
		is       error
		want     string
	}{
		{del: []nft.Rule{good}, is: fs.ErrNotExist,
			want: "delete tcp dport 1 dnat ip to 192.168.15.2:1: no such rule"},
		{del: []nft.Rule{nft.Forward{Proto: nft.TCP, Ports: nft.Port(80), To: blue, ToPort: 8080}}, is: fs.ErrNotExist,
			want: "delete tcp dport 80 dnat ip to 192.168.15.3:8080: no such rule"},
		{del: []nft.Rule{nft.Forward{Proto: nft.TCP, Ports: nft.Port(104), To: red, ToPort: 204}}, is: fs.ErrNotExist,
			want: "delete tcp dport 104 dnat ip to 192.168.15.2:204: no such rule"},
		{add: []nft.Rule{good, nft.Forward{Proto: nft.TCP, Ports: nft.Port(80), To: blue, ToPort: 8080}},
			is:   fs.ErrExist,
			want: "add tcp dport 80 dnat ip to 192.168.15.3:8080: conflicts with tcp dport 80 dnat ip to 192.168.15.2:8080"},
		{add: []nft.Rule{good, nft.Forward{Proto: nft.UDP, Ports: nft.Ports{First: 29999, Last: 30000}, To: red,
			ToPort: 29999}}, is: fs.ErrExist,
			want: "add udp dport 29999-30000 dnat ip to 192.168.15.2: " +
				"conflicts with udp dport 20000-29999 dnat ip to 192.168.15.2"},
		{add: []nft.Rule{good, nft.Forward{Proto: nft.TCP, Ports: nft.Ports{First: 109, Last: 110}, To: red,
			ToPort: 1}}, is: fs.ErrExist,
			want: "add tcp dport 109-110 dnat ip to 192.168.15.2:1-2: " +
				"conflicts with tcp dport 100-109 dnat ip to 192.168.15.2:200-209"},
		{add: []nft.Rule{good, nft.SourceNAT{Source: prefix("10.1.0.0/16"), To: addr("198.51.100.8")}}, is: fs.ErrExist,
			want: "add ip saddr 10.1.0.0/16 snat ip to 198.51.100.8: " +
				"conflicts with ip saddr 10.1.0.0/16 snat ip to 198.51.100.7"},
	} {
		err := c.Apply("vnet", tt.del, tt.add)
		if err == nil || err.Error() != tt.want || !errors.Is(err, tt.is) {
			t.Errorf("error %v\nwant  %s", err, tt.want)
		}
		sameRules(t, c, have)
	}
	mustApply(t, c, have, nil)
	mustHaveNoTables(t, c)
}

// TestReplace deletes a rule and adds a conflicting one in one transaction.
func TestReplace(t *testing.T) {
	c := dial(t)
	old := nft.Forward{Proto: nft.TCP, Ports: nft.Ports{First: 100, Last: 109}, To: addr("192.168.15.2"), ToPort: 200}
	kept := nft.Forward{Proto: nft.TCP, Ports: nft.Port(80), To: addr("192.168.15.2"), ToPort: 80}
	new := nft.Forward{Proto: nft.TCP, Ports: nft.Ports{First: 105, Last: 120}, To: addr("192.168.15.3"), ToPort: 105}
	mustApply(t, c, nil, []nft.Rule{old, kept})
	mustApply(t, c, []nft.Rule{old}, []nft.Rule{new})
	sameRules(t, c, []nft.Rule{new, kept})
	mustApply(t, c, []nft.Rule{new, kept}, nil)
	mustHaveNoTables(t, c)
}

// TestTableOfOlderVersion checks a table whose rules are the same, but that lacks chains which an older version did not
// make.
func TestTableOfOlderVersion(t *testing.T) {
	needNFT(t)
	c := dial(t)
	rules := append(forwards(1), nft.Masquerade{Source: prefix("192.168.15.0/24")}, nft.Masquerade{Out: "eth0"})
	old := regexp.MustCompile(`(?s)\tchain (private|leak) \{.*?\n\t\}\n`).ReplaceAllString(nft.Text("vnet", rules...), "")
	for i, change := range []struct{ del, add []nft.Rule }{
		{del: rules[1:]}, {del: rules[2:]}, {del: rules[:1]}, {add: []nft.Rule{nft.Own{Link: "a"}}},
	} {
		runNFT(t, "flush ruleset\n"+old, "-f", "-")
		mustApply(t, c, change.del, change.add)
		sameRules(t, c, append(without(rules, change.del), change.add...))
		got := listing(t)
		runNFT(t, "flush ruleset\n", "-f", "-")
		mustApply(t, c, nil, append(without(rules, change.del), change.add...))
		if diff := cmp.Diff(listing(t), got); diff != "" {
			t.Errorf("change %d: -new table +changed table:\n%s", i, diff)
		}
	}
	runNFT(t, "flush ruleset\n", "-f", "-")
}

// TestSetsOfOlderVersion checks that rules in sets for all prefix lengths, which an older version made, are read, and
// that any change puts them into the sets of this version.
func TestSetsOfOlderVersion(t *testing.T) {
	needNFT(t)
	c := dial(t)
	rules := []nft.Rule{
		nft.Masquerade{Source: prefix("192.168.15.0/24")}, nft.Masquerade{Source: prefix("fd00:15::/64"), Out: "eth0"},
		nft.SourceNAT{Source: prefix("192.168.16.2/32"), To: addr("198.51.100.7")},
		nft.SourceNAT{Source: prefix("10.0.0.0/8"), Out: "eth0", To: addr("198.51.100.7")},
	}
	lengths := regexp.MustCompile(`(masquerade|snat)([46])_\d+`)
	old := lengths.ReplaceAllString(nft.Text("vnet", rules...), "$1$2")
	for i, change := range []struct{ del, add []nft.Rule }{
		{}, {del: rules[1:]}, {add: []nft.Rule{nft.Masquerade{Source: prefix("192.168.15.2/32")}}}, {add: rules[:1]},
		{del: rules[:1], add: []nft.Rule{nft.Own{Link: "a"}}},
	} {
		runNFT(t, "flush ruleset\n"+old, "-f", "-")
		sameRules(t, c, rules)
		mustApply(t, c, change.del, change.add)
		want := append(without(rules, slices.Concat(change.del, change.add)), change.add...)
		sameRules(t, c, want)
		got := listing(t)
		runNFT(t, "flush ruleset\n", "-f", "-")
		mustApply(t, c, nil, want)
		if diff := cmp.Diff(listing(t), got); diff != "" {
			t.Errorf("change %d: -new table +changed table:\n%s", i, diff)
		}
		if script := nft.Script("vnet", rules, want); script != "" && i != 3 {
			runNFT(t, "flush ruleset\n"+old, "-f", "-")
			runNFT(t, script, "-f", "-")
			if diff := cmp.Diff(listing(t), got); diff != "" {
				t.Errorf("change %d: -script +changed table:\n%s", i, diff)
			}
		}
	}
	runNFT(t, "flush ruleset\n", "-f", "-")
}

// TestForeignElements checks that foreign elements in our sets are read as Foreign, do not block other changes, and are
// deleted together with the last rule.
func TestForeignElements(t *testing.T) {
	needNFT(t)
	c := dial(t)
	own := []nft.Rule{
		nft.Forward{Proto: nft.TCP, Ports: nft.Port(80), To: addr("192.168.15.2"), ToPort: 80},
		nft.Forward{Proto: nft.TCP, Ports: nft.Ports{First: 8000, Last: 8009}, To: addr("192.168.15.2"), ToPort: 8000},
		nft.Forward{Proto: nft.TCP, Ports: nft.Ports{First: 9000, Last: 9001}, To: addr("192.168.15.2"), ToPort: 7000},
		nft.SourceNAT{Source: prefix("192.168.16.0/24"), To: addr("198.51.100.7")},
		nft.Masquerade{Source: prefix("192.168.15.0/24")},
	}
	t.Cleanup(func() { c.DeleteTable("vnet") })
	mustApply(t, c, nil, own)
	const overlapped = "element masquerade4_24 { 10.0.0.5-10.0.0.9 }"
	foreign := []string{
		"element dnat4 { 1 . 8 : 192.168.15.9 . 9 }",
		"element dnat4_range { tcp-udp . 53 : 192.168.15.9 }",
		overlapped,
		"element snat4_24 { 10.0.1.5-10.0.1.6 : 198.51.100.9 }",
	}
	if kernelSince(t, 5, 13) { // which supports catch-all elements
		foreign = append(foreign, "element dnat4 { * : 192.168.15.9 . 9 }")
	}
	addForeign := func() {
		t.Helper()
		for _, e := range foreign { // nft has no syntax for a range of protocol names
			runNFT(t, strings.NewReplacer("element", "add element inet vnet", "tcp-udp", "6-17").Replace(e)+"\n", "-f",
				"-")
		}
	}
	addForeign()
	// Foreign comments are ignored.
	runNFT(t, `add element inet vnet dnat4 { tcp . 81 comment "mine" : 192.168.15.2 . 81 }`+"\n", "-f", "-")
	commented := nft.Forward{Proto: nft.TCP, Ports: nft.Port(81), To: addr("192.168.15.2"), ToPort: 81}
	expect := func(what string, own ...nft.Rule) {
		t.Helper()
		rules, err := c.Read("vnet")
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		var got, want []string
		for _, r := range rules {
			got = append(got, r.String())
		}
		for _, r := range own {
			want = append(want, r.String())
		}
		want = append(want, foreign...)
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", what, diff)
		}
	}
	expect("read", append(own, commented)...)
	more := nft.Forward{Proto: nft.UDP, Ports: nft.Port(53), To: addr("192.168.15.2"), ToPort: 53}
	mustApply(t, c, nil, []nft.Rule{more})
	expect("added", append(own, commented, more)...)
	overlapping := nft.Masquerade{Source: prefix("10.0.0.0/24")}
	if err := c.Apply("vnet", nil, []nft.Rule{overlapping}); !errors.Is(err, fs.ErrExist) ||
		!strings.Contains(err.Error(), overlapped) {
		t.Errorf("adding a rule that overlaps a foreign element: %v", err)
	}
	mustApply(t, c, own[1:], nil)
	expect("deleted", own[0], commented, more)
	mustApply(t, c, []nft.Rule{own[0], commented, more}, nil)
	mustHaveNoTables(t, c)
	mustApply(t, c, nil, own)
	addForeign()
	mustApply(t, c, nil, nil)
	expect("untouched", own...)
	runNFT(t, "flush map inet vnet dnat4_range; flush map inet vnet dnat4; flush map inet vnet snat4_24; "+
		"delete element inet vnet masquerade4_24 { 192.168.15.0/24 }\n", "-f", "-")
	mustApply(t, c, nil, nil)
	mustHaveNoTables(t, c)
	mustApply(t, c, nil, own)
	addForeign()
	if err := c.DeleteTable("vnet"); err != nil {
		t.Error(err)
	}
	mustHaveNoTables(t, c)
}

// TestForeignSetWithSameName checks that a foreign set with the name of one of our sets, but another type, does not
// block reading and deleting.
func TestForeignSetWithSameName(t *testing.T) {
	needNFT(t)
	c := dial(t)
	own := nft.Masquerade{Out: "eth0"}
	mustApply(t, c, nil, []nft.Rule{own})
	runNFT(t, `add set inet vnet masquerade4_8 { type inet_service; flags interval; elements = { 80 }; }
add map inet vnet dnat4 { type inet_proto . inet_service : verdict; elements = { tcp . 80 : drop }; }
add map inet vnet snat6_64 { type ipv6_addr : ipv6_addr; elements = { ::1 : ::2 }; }
`, "-f", "-")
	if rules, err := c.Read("vnet"); err != nil || len(rules) != 1 || rules[0].Rule != own {
		t.Errorf("%v, %v", rules, err)
	}
	if err := c.Apply("vnet", nil, []nft.Rule{nft.Masquerade{Source: prefix("10.0.0.0/8")}}); err == nil {
		t.Error("a rule was added to a foreign set")
	}
	mustApply(t, c, []nft.Rule{own}, nil)
	mustHaveNoTables(t, c)
}

// TestCounters checks that each rule counts its connections.
func TestCounters(t *testing.T) {
	w := newTestNet(t)
	w.serve(w.red, "red", "tcp", ":80")
	w.serve(w.outside, "outside", "tcp", ":80")
	forward := nft.Forward{Proto: nft.TCP, Ports: nft.Port(8080), To: addr("192.168.15.2"), ToPort: 80}
	masquerade := nft.Masquerade{Source: prefix("192.168.15.0/24")}
	w.apply(nil, []nft.Rule{forward, masquerade, nft.Masquerade{Source: prefix("fd00:15::/64")}})
	for range 3 {
		w.connect(w.outside, "tcp", "10.9.0.1:8080", answerTimeout)
	}
	w.connect(w.red, "tcp", "10.9.0.2:80", answerTimeout)
	got, err := w.nft.Read("vnet")
	if err != nil {
		t.Fatal(err)
	}
	packets := map[nft.Rule]uint64{}
	for _, r := range got {
		packets[r.Rule] = r.Packets
		if (r.Packets == 0) != (r.Bytes == 0) {
			t.Errorf("%s: counted %d packets and %d bytes", r, r.Packets, r.Bytes)
		}
	}
	if packets[forward] != 3 || packets[masquerade] != 1 || len(packets) != 3 {
		t.Errorf("counted %v", packets)
	}
}

// TestLinkScopeKeepsAddress checks that link-local multicast and broadcast packets (IGMP, which the kernel sends at any
// time, mDNS, DHCP) are not translated and not counted.
func TestLinkScopeKeepsAddress(t *testing.T) {
	w := newTestNet(t)
	w.sh(w.machine, `ip route add 224.0.0.0/4 dev v-net-0
		ip route add 255.255.255.255 dev v-net-0
		ip -6 route replace multicast ff02::/16 dev v-net-0 table local`)
	rules := []nft.Rule{
		nft.Masquerade{Source: prefix("192.168.15.0/24")}, nft.Masquerade{Source: prefix("fd00:15::/64")},
		nft.Masquerade{Out: "v-net-0"}, nft.Masquerade{Source: prefix("10.0.0.0/8"), Out: "v-net-0"},
	}
	w.apply(nil, rules)
	for _, to := range []struct{ from, to string }{
		{"192.168.15.1:5353", "224.0.0.251:5353"},
		{"192.168.15.1:68", "255.255.255.255:67"},
		{"[fd00:15::1]:5353", "[ff02::fb%v-net-0]:5353"},
	} {
		err := nsfs.Do(w.machine, func() error {
			c, err := (&net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to.from))}).Dial("udp",
				to.to)
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Write([]byte("hello"))
			return err
		})
		if err != nil {
			t.Errorf("%s: %v", to.to, err)
		}
	}
	got, err := w.nft.Read("vnet")
	if err != nil || len(got) != len(rules) {
		t.Fatal(got, err)
	}
	for _, r := range got {
		if r.Packets != 0 {
			t.Errorf("%s counted %d packets", r, r.Packets)
		}
	}
}

// TestDial checks that a socket stays in the namespace in which it was opened.
func TestDial(t *testing.T) {
	ns, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	c, err := nft.Dial(ns)
	ns.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	mustApply(t, c, nil, allRules())
	mustHaveNoTables(t, dial(t)) // not in this namespace
	rules, err := c.Read("vnet")
	if err != nil || len(rules) != len(allRules()) {
		t.Errorf("%d rules, %v", len(rules), err)
	}
}
