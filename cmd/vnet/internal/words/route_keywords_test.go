package words

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
)

// TestRouteKeywords checks what each keyword changes in the route of "add 10/8 dev v0". Numbers are the greatest.
func TestRouteKeywords(t *testing.T) {
	type change = func(*RouteChange)
	const most = 1<<32 - 1
	metric := func(which int, value uint32) change {
		return func(c *RouteChange) { c.Route.Metrics.Values[which] = value }
	}
	locked := func(which int, value uint32) change {
		return func(c *RouteChange) {
			c.Route.Metrics.Values[which], c.Route.Metrics.Values[unix.RTAX_LOCK] = value, 1<<which
		}
	}
	for words, set := range map[string]change{
		"expires 4294967295":      func(c *RouteChange) { c.Route.Expires = most },
		"metric 4294967295":       func(c *RouteChange) { c.Route.Metric = most },
		"priority 4294967295":     func(c *RouteChange) { c.Route.Metric = most },
		"preference 5":            func(c *RouteChange) { c.Route.Metric = 5 },
		"nhid 4294967295":         func(c *RouteChange) { c.Route.NextHop, c.Route.Scope = most, 0 },
		"from 10.1.0.0/16":        func(c *RouteChange) { c.Route.Src = pfx("10.1.0.0/16") },
		"from default":            func(c *RouteChange) { c.Route.Src = pfx("0.0.0.0/0") },
		"from any":                func(c *RouteChange) { c.Route.Src = pfx("0.0.0.0/0") },
		"protocol static":         func(c *RouteChange) { c.Route.Protocol = unix.RTPROT_STATIC },
		"proto 255":               func(c *RouteChange) { c.Route.Protocol = 255 },
		"table 4294967295":        func(c *RouteChange) { c.Route.Table = most },
		"scope host":              func(c *RouteChange) { c.Route.Scope = unix.RT_SCOPE_HOST },
		"vrf blue":                func(c *RouteChange) { c.VRF, c.Route.Table = "blue", 0 },
		"oif v1":                  func(c *RouteChange) { c.Dev = "v1" },
		"onlink":                  func(c *RouteChange) { c.Route.Flags = unix.RTNH_F_ONLINK },
		"realms 3":                func(c *RouteChange) { c.Route.Realms = 3 },
		"realms 2/3":              func(c *RouteChange) { c.Route.Realms = 2<<16 | 3 },
		"realms /3":               func(c *RouteChange) { c.Route.Realms = 3 },
		"realms 2/":               func(c *RouteChange) { c.Route.Realms = 2 << 16 },
		"pref medium":             func(*RouteChange) {},
		"pref high":               func(c *RouteChange) { c.Route.Pref = 1 },
		"pref 255":                func(c *RouteChange) { c.Route.Pref = 255 },
		"ttl-propagate disabled":  func(*RouteChange) {},
		"mtu 4294967295":          metric(unix.RTAX_MTU, most),
		"mtu lock 0":              locked(unix.RTAX_MTU, 0),
		"hoplimit 255":            metric(unix.RTAX_HOPLIMIT, 255),
		"advmss 4294967295":       metric(unix.RTAX_ADVMSS, most),
		"reordering 4294967295":   metric(unix.RTAX_REORDERING, most),
		"window lock 4294967295":  locked(unix.RTAX_WINDOW, most),
		"cwnd lock 4294967295":    locked(unix.RTAX_CWND, most),
		"initcwnd 4294967295":     metric(unix.RTAX_INITCWND, most),
		"initrwnd 4294967295":     metric(unix.RTAX_INITRWND, most),
		"quickack 1":              metric(unix.RTAX_QUICKACK, 1),
		"ssthresh 4294967295":     metric(unix.RTAX_SSTHRESH, most),
		"fastopen_no_cookie 1":    metric(unix.RTAX_FASTOPEN_NO_COOKIE, 1),
		"rtt 4294967295":          metric(unix.RTAX_RTT, most),
		"rtt 1ms":                 metric(unix.RTAX_RTT, 8),
		"rtt 2secs":               metric(unix.RTAX_RTT, 16000),
		"rtt 0":                   metric(unix.RTAX_RTT, 0),
		"rtt 0x10ms":              metric(unix.RTAX_RTT, 128),
		"rtt 1.5":                 metric(unix.RTAX_RTT, 2), // rounded up
		"rttvar lock 3msec":       locked(unix.RTAX_RTTVAR, 12),
		"rto_min 4294967295MSECS": locked(unix.RTAX_RTO_MIN, most),
		"rto_min 2sec":            locked(unix.RTAX_RTO_MIN, 2000),
		"features ecn":            metric(unix.RTAX_FEATURES, unix.RTAX_FEATURE_ECN),
		"congctl lock cubic": func(c *RouteChange) {
			c.Route.Metrics.Values[unix.RTAX_LOCK], c.Route.Metrics.Congestion = 1<<unix.RTAX_CC_ALGO, "cubic"
		},
		"congctl reno": func(c *RouteChange) { c.Route.Metrics.Congestion = "reno" },
		"nexthop realms 1/2 via inet6 fe80::1": func(c *RouteChange) {
			c.Route.Hops, c.HopDevs = []rtnl.Hop{{Gateway: ipa("fe80::1"), Realms: 1<<16 | 2}}, []string{""}
			c.Route.Scope = 0
		},
		"nexthop weight 256 dev v1 nexthop weight 1": func(c *RouteChange) {
			c.Route.Hops, c.HopDevs = []rtnl.Hop{{Weight: 256}, {Weight: 1}}, []string{"v1", ""}
			c.Route.Scope = 0
		},
		"help": func(c *RouteChange) { c.Help = true },
	} {
		want := RouteChange{Route: rtnl.Route{Dst: pfx("10.0.0.0/8"), Table: unix.RT_TABLE_MAIN,
			Protocol: unix.RTPROT_BOOT, Scope: unix.RT_SCOPE_LINK}, Dev: "v0"}
		set(&want)
		w := Of(strings.Fields("10/8 dev v0 " + words))
		if diff := cmp.Diff(want, w.RouteChange("add", 0), cmpPrefix, cmpAddr); diff != "" || w.Err != nil {
			t.Errorf("route add 10/8 dev v0 %s: %v, -want +got\n%s", words, w.Err, diff)
		}
	}
}

// TestRouteTooGreat checks the limit of each number.
func TestRouteTooGreat(t *testing.T) {
	for words, want := range map[string]string{
		"add 10/8 expires 4294967296":       `expires "4294967296" is not a number up to 4294967295`,
		"add 10/8 metric 4294967296":        `metric "4294967296" is not a number up to 4294967295`,
		"add 10/8 nhid 4294967296":          `nhid "4294967296" is not a number up to 4294967295`,
		"add 10/8 mtu 4294967296":           `mtu "4294967296" is not a number up to 4294967295`,
		"add 10/8 mtu lock":                 `"mtu" needs a value`,
		"add 10/8 hoplimit 256":             `hoplimit "256" is not a number up to 255`,
		"add 10/8 advmss 4294967296":        `advmss "4294967296" is not a number up to 4294967295`,
		"add 10/8 reordering 4294967296":    `reordering "4294967296" is not a number up to 4294967295`,
		"add 10/8 window 4294967296":        `window "4294967296" is not a number up to 4294967295`,
		"add 10/8 cwnd 4294967296":          `cwnd "4294967296" is not a number up to 4294967295`,
		"add 10/8 initcwnd 4294967296":      `initcwnd "4294967296" is not a number up to 4294967295`,
		"add 10/8 initrwnd 4294967296":      `initrwnd "4294967296" is not a number up to 4294967295`,
		"add 10/8 ssthresh 4294967296":      `ssthresh "4294967296" is not a number up to 4294967295`,
		"add 10/8 quickack 2":               `quickack "2" is not a number up to 1`,
		"add 10/8 fastopen_no_cookie 2":     `fastopen_no_cookie "2" is not a number up to 1`,
		"add 10/8 rtt 4294967296":           `rtt "4294967296" is not a time such as 300ms or 1.5s`,
		"add 10/8 rtt ms":                   `rtt "ms" is not a time such as 300ms or 1.5s`,
		"add 10/8 rtt 5mm":                  `rtt "5mm" is not a time such as 300ms or 1.5s`,
		"add 10/8 pref 256":                 `pref "256" is unknown`,
		"add 10/8 realms x":                 `realm "x" is unknown`,
		"add 10/8 realms 1/x":               `realm "x" is unknown`,
		"add 10/8 realms":                   `"realms" needs a value`,
		"add 10/8 nexthop weight 257":       `weight "257" is not a number from 1 to 256`,
		"add 10/8 from 10.0.0.0/33":         `expected an IPv4 prefix, not "10.0.0.0/33"`,
		"add 10/8 src":                      `"src" needs a value`,
		"add unreachable":                   `"unreachable" needs a value`,
		"add to":                            `"to" needs a value`,
		"add 10/8 encap mpls 1048576":       `MPLS label "1048576" is not a number up to 1048575`,
		"add 10/8 encap mpls 5 ttl 256":     `ttl "256" is not a number up to 255`,
		"add 10/8 encap mpls":               `"mpls" needs a value`,
		"get 10.0.0.1 mark 4294967296":      `mark "4294967296" is not a number up to 4294967295`,
		"get 10.0.0.1 uid 4294967296":       `uid "4294967296" is not a number up to 4294967295`,
		"get 10.0.0.1 sport 65536":          `sport "65536" is not a number up to 65535`,
		"get 10.0.0.1 dport 65536":          `dport "65536" is not a number up to 65535`,
		"get fd00::1 flowlabel 1048576":     `flowlabel "1048576" is not a number up to 1048575`,
		"get 10.0.0.1 ipproto 256":          `ipproto "256" is unknown`,
		"get 10.0.0.1 from":                 `"from" needs a value`,
		"get to":                            `"to" needs a value`,
		"show metric 4294967296":            `metric "4294967296" is not a number up to 4294967295`,
		"show mark 4294967296":              `mark "4294967296" is not a number up to 4294967295`,
		"show table mian":                   `table "mian" is unknown`,
		"show tos rush":                     `tos "rush" is unknown`,
		"show via":                          `"via" needs a value`,
		"show root 10.0.0.0/33":             `expected an IP prefix, not "10.0.0.0/33"`,
		"show 4294967296.0.0.0":             `expected an IP prefix, not "4294967296.0.0.0"`,
		"remove 10/8":                       `route command "remove" is unknown`,
		"add 10/8 nexthop via 10.0.0.2 nex": `"nex" is unknown after "nexthop"`,
	} {
		w := Of(strings.Fields(words))
		switch verb := w.RouteVerb(); verb {
		case "show":
			w.RouteSelection(0)
		case "get":
			w.RouteGet(0)
		default:
			w.RouteChange(verb, 0)
		}
		var e *Error
		if !errors.As(w.Err, &e) || e.Text != want {
			t.Errorf("route %s: %v, want %s", words, w.Err, want)
		}
	}
}

// TestMPLS checks the bytes of a label stack with 20 bits for each label; the last entry has bit 8.
func TestMPLS(t *testing.T) {
	attr := func(typ uint16, value string) string {
		b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
		return string(binary.NativeEndian.AppendUint16(b, typ)) + value + strings.Repeat("\x00", -len(value)&3)
	}
	for words, want := range map[string]string{
		"mpls 100":        attr(unix.MPLS_IPTUNNEL_DST, "\x00\x06\x41\x00"),
		"mpls 1048575/16": attr(unix.MPLS_IPTUNNEL_DST, "\xff\xff\xf0\x00\x00\x01\x01\x00"),
		"mpls 100/200 ttl 255": attr(unix.MPLS_IPTUNNEL_DST, "\x00\x06\x40\x00\x00\x0c\x81\x00") +
			attr(unix.MPLS_IPTUNNEL_TTL, "\xff"),
	} {
		w := Of(strings.Fields("10/8 encap " + words))
		got := w.RouteChange("add", 0).Route.Encap
		if got != (rtnl.Encap{Type: unix.LWTUNNEL_ENCAP_MPLS, Data: want}) || w.Err != nil {
			t.Errorf("encap %s: %q, %v; want %q", words, got.Data, w.Err, want)
		}
	}
}

// TestRouteGetWords checks what each word changes in the lookup of 10.0.0.1.
func TestRouteGetWords(t *testing.T) {
	const most = 1<<32 - 1
	uid := uint32(most)
	for words, set := range map[string]func(*RouteGet){
		"":                    func(*RouteGet) {},
		"tos 10":              func(q *RouteGet) { q.Query.TOS = 0x10 },
		"dsfield 0xff":        func(q *RouteGet) { q.Query.TOS = 0xff },
		"from 10.0.0.9/8":     func(q *RouteGet) { q.Query.Src = ipa("10.0.0.9") },
		"iif v0":              func(q *RouteGet) { q.InDev = "v0" },
		"oif v1":              func(q *RouteGet) { q.OutDev = "v1" },
		"dev v1":              func(q *RouteGet) { q.OutDev = "v1" },
		"vrf blue":            func(q *RouteGet) { q.OutDev, q.VRF = "blue", true },
		"mark 4294967295":     func(q *RouteGet) { q.Query.Mark = most },
		"notify":              func(q *RouteGet) { q.Query.Notify = true },
		"connected":           func(q *RouteGet) { q.Connected = true },
		"uid 4294967295":      func(q *RouteGet) { q.Query.UID = &uid },
		"fibmatch":            func(q *RouteGet) { q.Query.FIBMatch = true },
		"sport 65535 dport 1": func(q *RouteGet) { q.Query.SrcPort, q.Query.DstPort = 65535, 1 },
		"dport 65535":         func(q *RouteGet) { q.Query.DstPort = 65535 },
		"ipproto tcp":         func(q *RouteGet) { q.Query.Protocol = unix.IPPROTO_TCP },
		"ipproto 255":         func(q *RouteGet) { q.Query.Protocol = 255 },
		"flowlabel 1048575":   func(q *RouteGet) { q.Query.FlowLabel = 1<<20 - 1 },
		"help":                func(q *RouteGet) { q.Help = true },
		"from help":           func(q *RouteGet) { q.Help = true },
	} {
		want := RouteGet{Dst: pfx("10.0.0.1/32"), Query: rtnl.RouteQuery{Dst: ipa("10.0.0.1")}}
		set(&want)
		w := Of(strings.Fields("10.0.0.1 " + words))
		if diff := cmp.Diff(want, w.RouteGet(0), cmpPrefix, cmpAddr); diff != "" || w.Err != nil {
			t.Errorf("route get 10.0.0.1 %s: %v, -want +got\n%s", words, w.Err, diff)
		}
	}
}

// TestRouteSelectionWords checks what each word of route show selects.
func TestRouteSelectionWords(t *testing.T) {
	const most = 1<<32 - 1
	for words, set := range map[string]func(*RouteSelection){
		"cached":               func(s *RouteSelection) { s.Filter.Cached = true },
		"cloned":               func(s *RouteSelection) { s.Filter.Cached = true },
		"table cache":          func(s *RouteSelection) { s.Filter.Cached = true },
		"table 0":              func(s *RouteSelection) { s.Filter.AllTables, s.Filter.Family = true, 0 },
		"table all":            func(s *RouteSelection) { s.Filter.AllTables, s.Filter.Family = true, 0 },
		"table all vrf blue":   func(s *RouteSelection) { s.Filter.AllTables, s.VRF, s.NoLocal = true, "blue", true },
		"table help":           func(s *RouteSelection) { s.Help = true },
		"tos 10":               func(s *RouteSelection) { s.TOS = ptr(uint8(0x10)) },
		"dsfield 0xff":         func(s *RouteSelection) { s.TOS = ptr(uint8(0xff)) },
		"proto static":         func(s *RouteSelection) { s.Protocol = ptr(uint8(unix.RTPROT_STATIC)) },
		"scope host":           func(s *RouteSelection) { s.Scope = ptr(uint8(unix.RT_SCOPE_HOST)) },
		"scope all":            func(*RouteSelection) {},
		"type blackhole":       func(s *RouteSelection) { s.Filter.Type = unix.RTN_BLACKHOLE },
		"type 255":             func(s *RouteSelection) { s.Filter.Type = 255 },
		"dev v0":               func(s *RouteSelection) { s.Dev = "v0" },
		"oif v0":               func(s *RouteSelection) { s.Dev = "v0" },
		"iif v1":               func(s *RouteSelection) { s.InDev = "v1" },
		"mark 4294967295":      func(s *RouteSelection) { s.Mark = ptr(uint32(most)) },
		"metric 4294967295":    func(s *RouteSelection) { s.Metric = ptr(uint32(most)) },
		"priority 5":           func(s *RouteSelection) { s.Metric = ptr(uint32(5)) },
		"preference 5":         func(s *RouteSelection) { s.Metric = ptr(uint32(5)) },
		"realms 2/3":           func(s *RouteSelection) { s.Realms, s.RealmsMask = 2<<16|3, most },
		"realms 3":             func(s *RouteSelection) { s.Realms, s.RealmsMask = 3, 0xffff },
		"realms /3":            func(s *RouteSelection) { s.Realms, s.RealmsMask = 3, 0xffff },
		"realms 0/3":           func(s *RouteSelection) { s.Realms, s.RealmsMask = 3, most },
		"realms 2/":            func(s *RouteSelection) { s.Realms, s.RealmsMask = 2<<16, most&^0xffff },
		"realms 2/0":           func(s *RouteSelection) { s.Realms, s.RealmsMask = 2<<16, most },
		"via inet6 any":        func(s *RouteSelection) { s.Via = Prefix{Prefix: pfx("::/0"), Family: unix.AF_INET6} },
		"src 10.0.0.9":         func(s *RouteSelection) { s.Src = Prefix{Prefix: pfx("10.0.0.9/32"), Family: unix.AF_INET} },
		"from match default":   func(s *RouteSelection) { s.FromMatch = Prefix{Length: true} },
		"to root default":      func(s *RouteSelection) { s.Root = Prefix{Length: true} },
		"from exact any":       func(*RouteSelection) {},
		"table main table 500": func(s *RouteSelection) { s.Filter.Table = 500 },
	} {
		want := RouteSelection{Any: true, Filter: rtnl.RouteFilter{Family: unix.AF_INET}}
		set(&want)
		w := Of(strings.Fields(words))
		if diff := cmp.Diff(want, w.RouteSelection(0), cmpPrefix, cmpAddr); diff != "" || w.Err != nil {
			t.Errorf("route show %s: %v, -want +got\n%s", words, w.Err, diff)
		}
	}
	if s := Of(nil).RouteSelection(unix.AF_INET6); s.Any || s.Filter.Family != unix.AF_INET6 {
		t.Errorf("-6 route show: %+v", s)
	}
}

// TestRouteMatches checks each limit of a selection with a route that it matches and one that it does not.
func TestRouteMatches(t *testing.T) {
	p := func(word string) Prefix { p, _ := parsePrefix(word, 0); return p }
	full := rtnl.Route{Dst: pfx("10.0.0.0/8"), Src: pfx("10.2.0.0/16"), Gateway: ipa("10.0.0.1"), PrefSrc: ipa("10.0.0.9"),
		TOS: 4, Protocol: 4, Scope: 253, Metric: 7, Mark: 8, InLink: 9, Realms: 2<<16 | 3, Type: unix.RTN_LOCAL}
	bare := rtnl.Route{Dst: pfx("0.0.0.0/0"), Type: unix.RTN_UNICAST}
	bare6 := rtnl.Route{Dst: pfx("::/0"), Type: unix.RTN_BROADCAST}
	for name, tt := range map[string]struct {
		s                 RouteSelection
		full, bare, bare6 bool
	}{
		"all":           {RouteSelection{}, true, true, true},
		"tos":           {RouteSelection{TOS: ptr(uint8(4))}, true, false, false},
		"tos 0":         {RouteSelection{TOS: ptr(uint8(0))}, false, true, true},
		"protocol":      {RouteSelection{Protocol: ptr(uint8(4))}, true, false, false},
		"scope":         {RouteSelection{Scope: ptr(uint8(253))}, true, false, false},
		"metric":        {RouteSelection{Metric: ptr(uint32(7))}, true, false, false},
		"mark":          {RouteSelection{Mark: ptr(uint32(8))}, true, false, false},
		"incoming link": {RouteSelection{InLink: 9}, true, false, false},
		"no local":      {RouteSelection{NoLocal: true}, false, true, false},
		"realms":        {RouteSelection{Realms: 2<<16 | 3, RealmsMask: 1<<32 - 1}, true, false, false},
		"realm to":      {RouteSelection{Realms: 3, RealmsMask: 0xffff}, true, false, false},
		"root":          {RouteSelection{Root: p("10.0.0.0/8")}, true, false, false},
		"root 0":        {RouteSelection{Root: p("0/0")}, true, true, false},
		"root default":  {RouteSelection{Root: p("default")}, true, true, true},
		"match":         {RouteSelection{Match: p("10.1.2.3")}, true, true, false},
		"match 8":       {RouteSelection{Match: p("10/8")}, true, true, false},
		"match 7":       {RouteSelection{Match: p("10/7")}, false, true, false},
		"match default": {RouteSelection{Match: p("default")}, false, true, true},
		"match 11":      {RouteSelection{Match: p("11.0.0.0/8")}, false, true, false},
		"from root":     {RouteSelection{FromRoot: p("10/8")}, true, false, false},
		"from match":    {RouteSelection{FromMatch: p("10.2.3.4")}, true, true, false},
		"via":           {RouteSelection{Via: p("10.0.0.1")}, true, false, false},
		"via zero":      {RouteSelection{Via: p("0.0.0.0")}, false, true, false},
		"via zero 6":    {RouteSelection{Via: p("::")}, false, false, true},
		"via default":   {RouteSelection{Via: p("default")}, true, true, true},
		"src":           {RouteSelection{Src: p("10.0.0.0/24")}, true, false, false},
		"src other":     {RouteSelection{Src: p("10.0.1.0/24")}, false, false, false},
	} {
		for r, want := range map[*rtnl.Route]bool{&full: tt.full, &bare: tt.bare, &bare6: tt.bare6} {
			if got := tt.s.Matches(*r); got != want {
				t.Errorf("%s: %v is selected: %t", name, r.Dst, got)
			}
		}
	}
}
