package words

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
)

var (
	cmpPrefix = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	cmpAddr   = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	pfx       = netip.MustParsePrefix
	ipa       = netip.MustParseAddr
)

func TestRouteVerb(t *testing.T) {
	for words, want := range map[string]string{
		"": "show", "add": "add", "a": "add", "ap": "append", "c": "change", "chg": "change", "r": "replace", "p": "prepend",
		"d": "delete", "del": "delete", "l": "show", "list": "show", "lst": "show", "s": "show", "show": "show",
		"g": "get", "f": "flush", "h": "help",
	} {
		w := Of(strings.Fields(words))
		if got := w.RouteVerb(); got != want || w.Err != nil {
			t.Errorf("route %s: %q, %v; want %q", words, got, w.Err, want)
		}
	}
	w := Of([]string{"ad d"})
	if w.RouteVerb(); w.Err == nil || w.Err.(*Error).Hint != `did you mean "add"?` {
		t.Errorf("route 'ad d': %v", w.Err)
	}
}

func TestRouteChange(t *testing.T) {
	const (
		boot = unix.RTPROT_BOOT
		main = unix.RT_TABLE_MAIN
		link = unix.RT_SCOPE_LINK
		any  = unix.RT_SCOPE_NOWHERE
	)
	values := func(set map[int]uint32) (m rtnl.Metrics) {
		for i, v := range set {
			m.Values[i] = v
		}
		return m
	}
	for _, tt := range []struct {
		words string // with the verb
		want  RouteChange
	}{
		{"add default via 10.0.0.1", RouteChange{Route: rtnl.Route{Dst: pfx("0.0.0.0/0"), Gateway: ipa("10.0.0.1"),
			Table: main, Protocol: boot}}},
		{"add default via fd00::1", RouteChange{Route: rtnl.Route{Dst: pfx("::/0"), Gateway: ipa("fd00::1"), Table: main,
			Protocol: boot}}},
		{"add 10/8 dev v0", RouteChange{Route: rtnl.Route{Dst: pfx("10.0.0.0/8"), Table: main, Protocol: boot, Scope: link},
			Dev: "v0"}},
		{"add dev v0 to 10/8 scope global", RouteChange{Route: rtnl.Route{Dst: pfx("10.0.0.0/8"), Table: main,
			Protocol: boot}, Dev: "v0"}},
		{"add via inet6 fe80::1 dev v0 10/8", RouteChange{Route: rtnl.Route{Dst: pfx("::a00:0/104"), Table: main,
			Protocol: boot}}},
		{"add 10/8 via inet6 fe80::1 dev v0", RouteChange{Route: rtnl.Route{Dst: pfx("10.0.0.0/8"), Gateway: ipa("fe80::1"),
			Table: main, Protocol: boot}, Dev: "v0"}},
		{"add unreachable default metric 7 table 100",
			RouteChange{Route: rtnl.Route{Dst: pfx("0.0.0.0/0"), Type: unix.RTN_UNREACHABLE, Metric: 7, Table: 100,
				Protocol: boot}}},
		{"add local 10.0.0.1 dev lo", RouteChange{Route: rtnl.Route{Dst: pfx("10.0.0.1/32"), Type: unix.RTN_LOCAL,
			Table: unix.RT_TABLE_LOCAL, Protocol: boot, Scope: unix.RT_SCOPE_HOST}, Dev: "lo"}},
		{"replace fd00::/64 nhid 5 pref low", RouteChange{Route: rtnl.Route{Dst: pfx("fd00::/64"), NextHop: 5, Pref: 3,
			Table: main, Protocol: boot}}},
		{"add 10/8 vrf blue nexthop via 10.0.0.2 weight 3 nexthop dev v1 onlink", RouteChange{
			Route: rtnl.Route{Dst: pfx("10.0.0.0/8"), Protocol: boot, Hops: []rtnl.Hop{
				{Gateway: ipa("10.0.0.2"), Weight: 3}, {Flags: unix.RTNH_F_ONLINK},
			}},
			HopDevs: []string{"", "v1"}, VRF: "blue",
		}},
		{"add 10/8 dev v0 mtu lock 1400 rtt 2s rttvar 8 rto_min 20ms features ecn src 10.0.0.1", RouteChange{
			Route: rtnl.Route{Dst: pfx("10.0.0.0/8"), PrefSrc: ipa("10.0.0.1"), Table: main, Protocol: boot, Scope: link,
				Metrics: values(map[int]uint32{
					unix.RTAX_LOCK: 1<<unix.RTAX_MTU | 1<<unix.RTAX_RTO_MIN, unix.RTAX_MTU: 1400,
					unix.RTAX_RTT: 16000, unix.RTAX_RTTVAR: 8, unix.RTAX_RTO_MIN: 20, unix.RTAX_FEATURES: 1,
				})},
			Dev: "v0",
		}},
		{"add 10/8 dev v0 tos 0x28 pref 3 ttl-propagate enabled",
			RouteChange{Route: rtnl.Route{Dst: pfx("10.0.0.0/8"), TOS: 0x28, Pref: 3, Table: main, Protocol: boot, Scope: link},
				Dev: "v0"}},
		{"add 10/8 dev v0 dsfield 0xb8 preference 7 rto_min 1.0005s features ecn tcp_usec_ts", RouteChange{
			Route: rtnl.Route{Dst: pfx("10.0.0.0/8"), TOS: 0xb8, Metric: 7, Table: main, Protocol: boot, Scope: link,
				Metrics: values(map[int]uint32{
					unix.RTAX_LOCK: 1 << unix.RTAX_RTO_MIN, unix.RTAX_RTO_MIN: 1001,
					unix.RTAX_FEATURES: unix.RTAX_FEATURE_ECN | unix.RTAX_FEATURE_TCP_USEC_TS,
				})},
			Dev: "v0",
		}},
		{"delete default", RouteChange{Route: rtnl.Route{Dst: pfx("0.0.0.0/0"), Table: main, Scope: any}}},
		{"delete fd00::/8", RouteChange{Route: rtnl.Route{Dst: pfx("fd00::/8"), Table: main}}},
		{"delete unicast 10/8", RouteChange{Route: rtnl.Route{Dst: pfx("10.0.0.0/8"), Type: unix.RTN_UNICAST, Table: main,
			Scope: any}}},
		{"add 0 dev v0", RouteChange{Route: rtnl.Route{Dst: pfx("0.0.0.0/32"), Table: main, Protocol: boot, Scope: link},
			Dev: "v0"}},
		{"add 9 dev v0", RouteChange{Route: rtnl.Route{Dst: pfx("9.0.0.0/32"), Table: main, Protocol: boot, Scope: link},
			Dev: "v0"}},
		{"add 10 dev v0", RouteChange{Route: rtnl.Route{Dst: pfx("10.0.0.0/32"), Table: main, Protocol: boot, Scope: link},
			Dev: "v0"}},
		{"add dev v0", RouteChange{Route: rtnl.Route{Dst: pfx("0.0.0.0/0"), Table: main, Protocol: boot, Scope: link},
			Dev: "v0", Help: true}},
		{"delete blackhole 10/8", RouteChange{Route: rtnl.Route{Dst: pfx("10.0.0.0/8"), Type: unix.RTN_BLACKHOLE,
			Table: main}}},
	} {
		t.Run(tt.words, func(t *testing.T) {
			w := Of(strings.Fields(tt.words))
			got := w.RouteChange(w.RouteVerb(), 0)
			if tt.words == "add via inet6 fe80::1 dev v0 10/8" { // the gateway comes first and is IPv6
				if w.Err == nil {
					t.Error("a destination of another family is accepted")
				}
				return
			}
			if w.Err != nil {
				t.Fatal(w.Err)
			}
			if diff := cmp.Diff(tt.want, got, cmpPrefix, cmpAddr); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestRouteMistakes checks that errors contain the wrong word and, as a hint, a similar keyword. The status is ip(8)'s.
func TestRouteMistakes(t *testing.T) {
	for _, tt := range []struct {
		words, want, hint string
		status            int
	}{
		{"add 10/8 va 10.0.0.1", `"va" is unknown, or it is a second destination`, `did you mean "via"?`, 0},
		{"add 10/8 via", `"via" needs a value`, "", 0},
		{"add 10/8 via x", `expected an IPv4 address, not "x"`, "", 1},
		{"add fd00::/8 via 10.0.0.1", `expected an IPv6 address, not "10.0.0.1"`, "", 1},
		{"add 10/33 dev v0", `expected an IP prefix, not "10/33"`, "", 1},
		{"add 256.0.0.0/8 dev v0", `expected an IP prefix, not "256.0.0.0/8"`, "", 1},
		{"add 10/8 via 10.0.0.1 via 10.0.0.2", `"via" is given twice`,
			"for several gateways use nexthop via ADDRESS nexthop via ADDRESS", 0},
		{"add 10/8 metric 1x", `metric "1x" is not a number up to 4294967295`, "", 0},
		{"add 10/8 proto bott", `proto "bott" is unknown`, `did you mean "boot"?`, 0},
		{"add 10/8 table mian", `table "mian" is unknown`, `did you mean "main"?`, 0},
		{"add 10/8 scope lnk", `scope "lnk" is unknown`, `did you mean "link"?`, 0},
		{"add 10/8 nexthop via 10.0.0.1 wieght 3", `"wieght" is unknown after "nexthop"`, `did you mean "weight"?`, 0},
		{"add 10/8 nexthop weight 0", `weight "0" is not a number from 1 to 256`, "", 0},
		{"add 10/8 encap foo 5", `encap "foo" is unknown`, "only mpls is supported", 0},
		{"add 10/8 rtt soon", `rtt "soon" is not a time such as 300ms or 1.5s`, "", 0},
		{"add 10/8 tos rush", `tos "rush" is unknown`, "", 0},
		{"add 10/8 tos 0x100", `tos "0x100" is unknown`, "", 0},
		{"add 10/8 pref most", `pref "most" is unknown`, "expected low, medium or high", 0},
		{"add 10/8 ttl-propagate maybe", `ttl-propagate "maybe" is unknown`, "expected enabled or disabled", 0},
		{"add 10/8 features quick", `features: "quick" is not a feature`, "the features are ecn and tcp_usec_ts", 0},
		{"add 10/8 rtt 5000000s", `rtt "5000000s" is not a time such as 300ms or 1.5s`, "", 0},
		{"add 10/8 rtt -1", `rtt "-1" is not a time such as 300ms or 1.5s`, "", 0},
		{"add 10/8 nexthop", `"nexthop" needs via or dev after it`, "", 0},
		{"show tabel main", `expected an IP prefix, not "tabel"`, `did you mean "table"?`, 1},
		{"show type blakhole", `type "blakhole" is unknown`, `did you mean "blackhole"?`, 0},
		{"get", "the destination address is missing", "vnet route get ADDRESS", 1},
		{"get 10.0.0.1 fibmtch", `expected an IPv4 address, not "fibmtch"`, `did you mean "fibmatch"?`, 1},
		{"get 10.0.0.1 ipproto quic", `ipproto "quic" is unknown`, "", 0},
	} {
		w := Of(strings.Fields(tt.words))
		switch verb := w.RouteVerb(); verb {
		case "show":
			w.RouteSelection(0)
		case "get":
			w.RouteGet(0)
		default:
			w.RouteChange(verb, 0)
		}
		var e *Error
		if !errors.As(w.Err, &e) {
			t.Errorf("route %s: no error", tt.words)
		} else if e.Text != tt.want || e.Hint != tt.hint || e.Status != tt.status {
			t.Errorf("route %s:\n got %q, %q, %d\nwant %q, %q, %d", tt.words, e.Text, e.Hint, e.Status, tt.want, tt.hint,
				tt.status)
		}
	}
}

func TestRouteSelection(t *testing.T) {
	routes := map[string]rtnl.Route{
		"default":  {Dst: pfx("0.0.0.0/0"), Gateway: ipa("10.0.0.1")},
		"default6": {Dst: pfx("::/0"), Gateway: ipa("fd00::1")},
		"ten":      {Dst: pfx("10.0.0.0/8"), PrefSrc: ipa("10.0.0.9"), Metric: 7},
		"ten1":     {Dst: pfx("10.1.0.0/16"), Gateway: ipa("fe80::1"), Protocol: 4, Realms: 2<<16 | 3},
		"fd":       {Dst: pfx("fd00::/8"), Src: pfx("fd01::/16")},
	}
	for _, tt := range []struct{ words, want string }{
		{"", "default default6 fd ten ten1"},
		{"all", "default default6 fd ten ten1"},
		{"default", "default default6"},
		{"10/8", "ten"},
		{"exact 10.0.0.0/8", "ten"},
		{"root 10/8", "ten ten1"},
		{"root 0/0", "default ten ten1"},
		{"match 10.1.2.3", "default ten ten1"},
		{"to match 10/9", "default ten"},
		{"root fd00::/8", "fd"},
		{"via 10.0.0.1", "default"},
		{"via inet6 fe80::1", "ten1"},
		{"via fe80::/10", "ten1"},
		{"src 10.0.0.9", "ten"},
		{"metric 7", "ten"},
		{"proto static", "ten1"},
		{"proto all", "default default6 fd ten ten1"},
		{"realms 2/3", "ten1"},
		{"realms 3", "ten1"},
		{"realms 2/", "ten1"},
		{"realms 5", ""},
		{"from root fd00::/8", "fd"},
	} {
		w := Of(strings.Fields(tt.words))
		s := w.RouteSelection(0)
		if w.Err != nil {
			t.Errorf("show %s: %v", tt.words, w.Err)
			continue
		}
		var fit []string
		for _, name := range []string{"default", "default6", "fd", "ten", "ten1"} {
			if s.Matches(routes[name]) {
				fit = append(fit, name)
			}
		}
		if got := strings.Join(fit, " "); got != tt.want {
			t.Errorf("show %s: %s; want %s", tt.words, got, tt.want)
		}
	}
}

func TestRouteQuestion(t *testing.T) {
	uid := uint32(0)
	w := Of(strings.Fields("fibmatch to 10.1.2.3 from 10.0.0.1 iif v0 oif v1 tos 0x10 mark 7 uid 0 ipproto udp sport 1 " +
		"dport 53"))
	got := w.RouteGet(0)
	want := RouteGet{
		Query: rtnl.RouteQuery{
			Dst: ipa("10.1.2.3"), Src: ipa("10.0.0.1"), TOS: 0x10, Mark: 7, UID: &uid,
			Protocol: unix.IPPROTO_UDP, SrcPort: 1, DstPort: 53, FIBMatch: true,
		},
		Dst: pfx("10.1.2.3/32"), InDev: "v0", OutDev: "v1",
	}
	if diff := cmp.Diff(want, got, cmpPrefix, cmpAddr); w.Err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", w.Err, diff)
	}
	for family, want := range map[int]string{0: "0.0.0.0/0", unix.AF_INET: "0.0.0.0/0", unix.AF_INET6: "::/0"} {
		w := Of([]string{"default"})
		if got := w.RouteGet(family); got.Dst != pfx(want) || w.Err != nil {
			t.Errorf("get default, family %d: %v, %v; want %s", family, got.Dst, w.Err, want)
		}
	}
}

func TestPrefix(t *testing.T) {
	for word, want := range map[string]string{
		"10.1.2.3": "10.1.2.3/32", "10": "10.0.0.0/32", "10/8": "10.0.0.0/8", "10.1/16": "10.1.0.0/16",
		"10.0.0.0/255.255.240.0": "10.0.0.0/20", "0x0a.010.0.1/0x18": "10.8.0.1/24", "::/0": "::/0",
		"fd00::1": "fd00::1/128", "::ffff:1.2.3.4/96": "::ffff:1.2.3.4/96", "0/0": "0.0.0.0/0",
	} {
		if p, ok := parsePrefix(word, 0); !ok || p.String() != want {
			t.Errorf("%s: %v, %v; want %s", word, p, ok, want)
		}
	}
	for _, word := range []string{
		"", "/8", "10/", "10./8", ".10", "10.1.2.3.4", "256.1.1.1", "10/33", "10/-1", "fd00::/129", "fe80::1%eth0",
		"10.0.0.0/255.0.255.0", "default/0", "1_0/8", "0b1/8", "0o1/8", "08/8", "x", ":", "10.0.0.1/8/8",
	} {
		if p, ok := parsePrefix(word, 0); ok {
			t.Errorf("%q is parsed as %v", word, p)
		}
	}
}

// FuzzRoute checks that parsing any line gives a value or an error, and that a value can be encoded or is refused.
func FuzzRoute(f *testing.F) {
	for _, seed := range []string{
		"add default via 10.0.0.1 dev v0", "add 10/8 nexthop via 10.0.0.2 weight 3 nexthop dev v1 onlink realms 3/4",
		"add fd00::/64 from fd01::/64 mtu lock 1400 rtt 1.5s congctl lock cubic encap mpls 100/200 ttl 5",
		"del blackhole default table all",
		"show root 10/8 match 10.1.2.3 from exact fd00::/8 realms /3 via inet6 ::1 proto all",
		"get fibmatch 10.0.0.1 from 10.0.0.2 iif v0 uid 0 ipproto tcp sport 1", "flush cache", "list-id nsid 5",
		"exec red ls",
	} {
		f.Add(seed, byte(0))
		f.Add(seed, byte(unix.AF_INET6))
	}
	f.Fuzz(func(t *testing.T, line string, family byte) {
		args := strings.Fields(line)
		Of(args).Netns(family%2 == 1)
		af := map[byte]int{0: 0, 1: unix.AF_INET, 2: unix.AF_INET6}[family%3]
		w := Of(args)
		switch verb := w.RouteVerb(); verb {
		case "show", "flush":
			s := w.RouteSelection(af)
			s.Matches(rtnl.Route{Dst: pfx("10.0.0.0/8"), Gateway: ipa("fe80::1")})
			s.Matches(rtnl.Route{Dst: pfx("fd00::/8"), Src: pfx("::/0")})
		case "get":
			if q := w.RouteGet(af); w.Err == nil && !q.Help && !q.Query.Dst.IsValid() {
				t.Errorf("no destination: %+v", q)
			}
		default:
			if c := w.RouteChange(verb, af); w.Err == nil && !c.Help &&
				(!c.Route.Dst.IsValid() || len(c.HopDevs) != len(c.Route.Hops)) {
				t.Errorf("incomplete route: %+v", c)
			}
		}
	})
}

// TestRouteTableOfVRF checks that the last of table and VRF is used. With a VRF, local routes are always left out.
func TestRouteTableOfVRF(t *testing.T) {
	for words, want := range map[string]RouteSelection{
		"vrf blue":            {VRF: "blue", NoLocal: true},
		"table 9 vrf blue":    {VRF: "blue", NoLocal: true, Filter: rtnl.RouteFilter{Table: 9}},
		"vrf blue table 9":    {NoLocal: true, Filter: rtnl.RouteFilter{Table: 9}},
		"table 9":             {Filter: rtnl.RouteFilter{Table: 9}},
		"table all":           {Filter: rtnl.RouteFilter{AllTables: true}},
		"vrf blue table main": {NoLocal: true, Filter: rtnl.RouteFilter{Table: unix.RT_TABLE_MAIN}},
	} {
		w := Of(strings.Fields(words))
		got := w.RouteSelection(unix.AF_INET)
		want.Any, want.Filter.Family = true, unix.AF_INET
		if got.VRF != want.VRF || got.NoLocal != want.NoLocal || got.Filter != want.Filter || w.Err != nil {
			t.Errorf("route show %s: %+v, %v", words, got, w.Err)
		}
	}
}
