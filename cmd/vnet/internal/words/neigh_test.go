package words

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
)

func TestNeighVerb(t *testing.T) {
	for words, want := range map[string]string{
		"": "show", "a": "add", "add": "add", "c": "change", "chg": "change", "r": "replace", "d": "delete", "del": "delete",
		"g": "get", "s": "show", "sh": "show", "l": "show", "lst": "show", "list": "show", "f": "flush", "h": "help",
	} {
		w := Of(strings.Fields(words))
		if got := w.NeighVerb(); got != want || w.Err != nil {
			t.Errorf("neigh %s: %q, %v; want %q", words, got, w.Err, want)
		}
	}
	w := Of([]string{"shwo"})
	if got := w.NeighVerb(); got != "" || w.Err == nil || w.Err.(*Error).Hint != `did you mean "show"?` {
		t.Errorf("neigh shwo: %q, %#v", got, w.Err)
	}
}

// TestNeighChange checks equivalent commands for one neighbour.
func TestNeighChange(t *testing.T) {
	const mac, permanent = rtnl.LLAddr("\x02\x00\x00\x00\x00\x01"), unix.NUD_PERMANENT
	four, six := ipa("10.0.0.2"), ipa("fd00::2")
	for _, tt := range []struct {
		lines  string // one per line, with the verb
		family int
		want   rtnl.Neigh
	}{
		{
			"add 10.0.0.2 lladdr 02:00:00:00:00:01 dev v0\nadd to 10.0.0.2 dev v0 lladdr 2:0:0:0:0:1\nadd dev v0 ll " +
				"02:00:00:00:00:01 10.0.0.2 nud perm\nadd 10.0.0.2 lladdr 02:00:00:00:00:01 dev v0 nud 0x80", 0,
			rtnl.Neigh{Addr: four, LLAddr: mac, State: permanent},
		},
		{"replace fd00::2 dev v0 lladdr null\nadd fd00::2 dev v0", unix.AF_INET6, rtnl.Neigh{Addr: six, State: permanent}},
		{"add 10.0.0.2 dev v0 nud none\nadd 10.0.0.2 dev v0 nud 0", 0, rtnl.Neigh{Addr: four, NoState: true}},
		{"change 10.0.0.2 dev v0 nud reach\nchange 10.0.0.2 dev v0 nud reachable", 0,
			rtnl.Neigh{Addr: four, State: unix.NUD_REACHABLE}},
		{"add 10.0.0.2 dev v0 nud stale use", 0, rtnl.Neigh{Addr: four, State: unix.NUD_STALE, Flags: unix.NTF_USE}},
		{"add fd00::2 dev v0 router extern_learn managed", 0,
			rtnl.Neigh{Addr: six, NoState: true, Flags: unix.NTF_ROUTER | unix.NTF_EXT_LEARNED, FlagsExt: 1}},
		{"add proxy fd00::2 dev v0\nadd dev v0 pr fd00::2 nud stale\nadd dev v0 p fd00::2", 0,
			rtnl.Neigh{Addr: six, Flags: unix.NTF_PROXY}},
		{"add 10.0.0.2 dev v0 protocol static\nadd 10.0.0.2 dev v0 proto 4", 0,
			rtnl.Neigh{Addr: four, State: permanent, Protocol: 4}},
		{"get 10.0.0.2 dev v0\nget dev v0 to 10.0.0.2", unix.AF_INET, rtnl.Neigh{Addr: four, State: permanent}},
		{"get proxy 10.0.0.2 dev v0", 0, rtnl.Neigh{Addr: four, Flags: unix.NTF_PROXY}},
	} {
		for line := range strings.Lines(tt.lines) {
			w := Of(strings.Fields(line))
			got := w.NeighChange(w.NeighVerb(), tt.family)
			if diff := cmp.Diff(tt.want, got.Neigh, cmpAddr); diff != "" || w.Err != nil || got.Dev != "v0" || got.Help {
				t.Errorf("neigh %s: %v, dev %q, help %t, -want +got\n%s", line, w.Err, got.Dev, got.Help, diff)
			}
		}
	}
	w := Of(strings.Fields("help 10.0.0.2"))
	if got := w.NeighChange("add", 0); !got.Help || w.Err != nil {
		t.Errorf("neigh add help: %+v, %v", got, w.Err)
	}
}

func TestNeighMistakes(t *testing.T) {
	for _, tt := range []struct {
		words      string
		family     int
		want, hint string
		status     int
	}{
		{"add 10.0.0.2", 0, "an address and a link (dev) are required", "vnet neigh add ADDRESS dev LINK", 0},
		{"delete dev v0", 0, "an address and a link (dev) are required", "vnet neigh delete ADDRESS dev LINK", 0},
		{"get 10.0.0.2", 0, "an address and a link (dev) are required", "vnet neigh get ADDRESS dev LINK", 1},
		{"add 10.0.0.2 dev", 0, `"dev" needs a value`, "", 0},
		{"add 10.0.0.2/24 dev v0", 0, `expected an IP address, not "10.0.0.2/24"`, "", 1},
		{"add 10.0.0.2 dev v0", unix.AF_INET6, `expected an IPv6 address, not "10.0.0.2"`, "", 1},
		{"add fd00::2 dev v0", unix.AF_INET, `expected an IPv4 address, not "fd00::2"`, "", 1},
		{"add 10.0.0.2 10.0.0.3 dev v0", 0, `word "10.0.0.3" is unknown`, "", 0},
		{"add 10.0.0.2 dev v0 ruoter", 0, `word "ruoter" is unknown`, `did you mean "router"?`, 0},
		{"add 10.0.0.2 dev v0 lladdr 02:xx", 0, `"02:xx" is not a link-layer address: "xx" is not a byte in hexadecimal`, "",
			1},
		{"add 10.0.0.2 dev v0 nud stael", 0, `state "stael" is unknown`, `did you mean "stale"?`, 0},
		{"add 10.0.0.2 dev v0 nud 3", 0, `state "3" is unknown`, "", 0}, // two states at once
		{"add 10.0.0.2 dev v0 nud sta", 0, `state "sta" is unknown`, "", 0},
		{"add 10.0.0.2 dev v0 protocol nobody", 0, `protocol "nobody" is unknown`, "", 0},
		{"get 10.0.0.2 dev v0 lladdr 02:00:00:00:00:01", 0, `word "lladdr" is unknown`, "", 0},
		{"add 10.0.0.2 dev v0 nud 256", 0, `state "256" is unknown`, "", 0},
		{"add 10.0.0.2 dev v0 lladdr", 0, `"lladdr" needs a value`, "", 0},
		{"add dev v0 to", 0, `"to" needs a value`, "", 0},
		{"add proxy 10.0.0.2", 0, "an address and a link (dev) are required", "vnet neigh add ADDRESS dev LINK", 0},
		{"replace", 0, "an address and a link (dev) are required", "vnet neigh replace ADDRESS dev LINK", 0},
	} {
		w := Of(strings.Fields(tt.words))
		w.NeighChange(w.NeighVerb(), tt.family)
		e, ok := w.Err.(*Error)
		if !ok || e.Text != tt.want || e.Status != tt.status || tt.hint != "" && e.Hint != tt.hint {
			t.Errorf("neigh %s: %#v\nwant %q, %q, %d", tt.words, w.Err, tt.want, tt.hint, tt.status)
		}
	}
}

// TestNeighSelection checks selections and which neighbours they match.
func TestNeighSelection(t *testing.T) {
	all := []struct {
		name  string
		neigh rtnl.Neigh
	}{
		{"fixed", rtnl.Neigh{Addr: ipa("10.0.0.2"), State: unix.NUD_PERMANENT, Protocol: 4}},
		{"stale", rtnl.Neigh{Addr: ipa("10.0.1.2"), State: unix.NUD_STALE, Cache: rtnl.NeighCache{References: 1}}},
		{"six", rtnl.Neigh{Addr: ipa("fd00::2"), State: unix.NUD_REACHABLE, Flags: unix.NTF_ROUTER}},
		{"failed", rtnl.Neigh{Addr: ipa("fd00::3"), State: unix.NUD_FAILED}},
		{"multicast", rtnl.Neigh{Addr: ipa("ff02::1"), State: unix.NUD_NOARP}},
		{"new", rtnl.Neigh{Addr: ipa("10.0.0.3")}},
		{"answered", rtnl.Neigh{Addr: ipa("10.0.0.4"), Flags: unix.NTF_PROXY}},
	}
	for _, tt := range []struct {
		words, show, flush string // the names of the selected neighbours
		family             int
	}{
		{words: "", show: "fixed stale six failed answered", flush: "stale six new answered"},
		{words: "", family: unix.AF_INET, show: "fixed stale answered", flush: "stale new answered"},
		{words: "", family: unix.AF_INET6, show: "six failed", flush: "six"},
		{words: "to 10.0.0.0/24", show: "fixed answered", flush: "new answered"},
		{words: "10.0.1/24", show: "stale", flush: "stale"},
		{words: "fd00::/64", show: "six failed", flush: "six"},
		{words: "all", show: "fixed stale six failed answered", flush: "stale six new answered"},
		{words: "nud permanent", show: "fixed answered", flush: "fixed answered"},
		{words: "nud stale nud reach", show: "stale six answered", flush: "stale six answered"},
		{words: "nud failed", show: "failed answered", flush: "answered"},
		{words: "nud none", show: "new answered", flush: "new answered"},
		{words: "nud noarp", show: "multicast answered", flush: "multicast answered"},
		{words: "nud all", show: "fixed stale six failed multicast new answered", flush: "fixed stale six new answered"},
		{words: "unused", show: "fixed six failed answered", flush: "six new answered"},
		{words: "proto static", show: "fixed", flush: ""},
		{words: "proto 0", show: "stale six failed answered", flush: "stale six new answered"},
		{words: "to all fd00::/16", show: "six failed", flush: "six"},
		{words: "nud incomplete nud 0", show: "new answered", flush: "new answered"},
		{words: "protocol all", show: "fixed stale six failed answered", flush: "stale six new answered"},
	} {
		for _, flush := range []bool{false, true} {
			w := Of(strings.Fields(tt.words))
			s := w.NeighSelection(tt.family, flush)
			var got []string
			for _, n := range all {
				if s.Matches(n.neigh) {
					got = append(got, n.name)
				}
			}
			want := tt.show
			if flush {
				want = tt.flush
			}
			if strings.Join(got, " ") != want || w.Err != nil {
				t.Errorf("neigh, family %d, flush %t, %q: %v, %v; want %s", tt.family, flush, tt.words, got, w.Err, want)
			}
		}
	}
}

// TestNeighSelectionLinks checks that selections keep the names of links.
func TestNeighSelectionLinks(t *testing.T) {
	const states = 0xff &^ unix.NUD_NOARP
	for words, want := range map[string]NeighSelection{
		"dev v0":                    {States: states, Dev: "v0"},
		"master br0 nomaster":       {States: states, Master: "br0", NoMaster: true},
		"vrf red":                   {States: states, Master: "red", VRF: true},
		"vrf red master br0":        {States: states, Master: "br0"},
		"proxy dev v0 help dev v1":  {States: states, Proxy: true, Dev: "v0", Help: true},
		"to fd00::/64 dev v0 proxy": {States: states, Family: unix.AF_INET6, To: pfx("fd00::/64"), Dev: "v0", Proxy: true},
	} {
		w := Of(strings.Fields(words))
		if diff := cmp.Diff(want, w.NeighSelection(0, false), cmpPrefix); diff != "" || w.Err != nil {
			t.Errorf("neigh show %s: %v, -want +got\n%s", words, w.Err, diff)
		}
	}
	for words, want := range map[string]string{
		"dev v0 dev v1":  `"dev" is given twice`,
		"to":             `"to" needs a value`,
		"master":         `"master" needs a value`,
		"nud":            `"nud" needs a value`,
		"nud sleepy":     `state "sleepy" is unknown`,
		"proto nobody":   `protocol "nobody" is unknown`,
		"to 10.0.0.0/33": `expected an IP prefix, not "10.0.0.0/33"`,
		"everywhere":     `expected an IP prefix, not "everywhere"`,
	} {
		w := Of(strings.Fields(words))
		w.NeighSelection(0, false)
		if w.Err == nil || w.Err.Error() != want {
			t.Errorf("neigh show %s: %v, want %s", words, w.Err, want)
		}
	}
}
