package show

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
)

// TestRoutes compares with ip(8)'s output.
func TestRoutes(t *testing.T) {
	var (
		pfx  = netip.MustParsePrefix
		ipa  = netip.MustParseAddr
		uid  = uint32(0)
		mtu  rtnl.Metrics
		time rtnl.Metrics
	)
	mtu.Values[unix.RTAX_LOCK] = 1<<unix.RTAX_MTU | 1<<unix.RTAX_WINDOW
	mtu.Values[unix.RTAX_MTU], mtu.Values[unix.RTAX_HOPLIMIT], mtu.Congestion = 1400, 3, "reno"
	time.Values[unix.RTAX_RTT], time.Values[unix.RTAX_RTTVAR], time.Values[unix.RTAX_RTO_MIN] = 12000, 4, 20
	time.Values[unix.RTAX_FEATURES] = 1
	mpls := string(binary.NativeEndian.AppendUint16(binary.NativeEndian.AppendUint16(nil, 12), unix.MPLS_IPTUNNEL_DST)) +
		"\x00\x06\x40\x00" + "\x00\x0c\x81\x00" // two labels; the second has the bottom-of-stack bit
	const up, main, local = unix.RTN_UNICAST, unix.RT_TABLE_MAIN, unix.RT_TABLE_LOCAL
	for _, tt := range []struct {
		name, text, json string
		style            RouteStyle
		route            rtnl.Route
	}{
		{
			name: "default", route: rtnl.Route{Dst: pfx("0.0.0.0/0"), Gateway: ipa("10.0.0.1"), Link: 2, Type: up, Table: main,
				Protocol: 3},
			text: "default via 10.0.0.1 dev v2 \n",
			json: `[{"dst":"default","gateway":"10.0.0.1","dev":"v2","flags":[]}]`,
		},
		{
			name: "link", route: rtnl.Route{Dst: pfx("10.0.0.0/24"), PrefSrc: ipa("10.0.0.9"), Link: 2, Type: up, Table: main,
				Protocol: 2, Scope: 253, Metric: 5, Flags: unix.RTNH_F_LINKDOWN},
			text: "10.0.0.0/24 dev v2 proto kernel scope link src 10.0.0.9 metric 5 linkdown \n",
			json: `[{"dst":"10.0.0.0/24","dev":"v2","protocol":"kernel","scope":"link","prefsrc":"10.0.0.9","metric":5,` +
				`"flags":["linkdown"]}]`,
		},
		{
			name: "details", style: RouteStyle{Style: Style{Details: 1}},
			route: rtnl.Route{Dst: pfx("10.1.2.3/32"), Link: 2, Type: up, Table: main, Protocol: 3},
			text:  "unicast 10.1.2.3 dev v2 table main proto boot scope global \n",
			json: `[{"type":"unicast","dst":"10.1.2.3","dev":"v2","table":"main","protocol":"boot","scope":"global",` +
				`"flags":[]}]`,
		},
		{
			name: "numbers", style: RouteStyle{Style: Style{Numeric: true}},
			route: rtnl.Route{Dst: pfx("10.1.2.3/32"), Link: 2, Type: unix.RTN_LOCAL, Table: local, Protocol: 2, Scope: 254,
				TOS: 0x28},
			text: "2 10.1.2.3 tos 0x28 dev v2 table 255 proto 2 scope 254 \n",
			json: `[{"type":"2","dst":"10.1.2.3","tos":"0x28","dev":"v2","table":"255","protocol":"2","scope":"254",` +
				`"flags":[]}]`,
		},
		{
			name: "blackhole 6", route: rtnl.Route{Dst: pfx("fd00::/8"), Link: 1, Type: unix.RTN_BLACKHOLE, Table: 1000,
				Protocol: 77, Pref: 3},
			text: "blackhole fd00::/8 dev v1 table 1000 proto 77 metric 0 pref low\n",
			json: `[{"type":"blackhole","dst":"fd00::/8","dev":"v1","table":"1000","protocol":"77","metric":0,"flags":[],` +
				`"pref":"low"}]`,
		},
		{
			name: "metrics", route: rtnl.Route{Dst: pfx("10.0.0.0/8"), Link: 2, Type: up, Table: main, Protocol: 3,
				Metrics: mtu},
			text: "10.0.0.0/8 dev v2 mtu lock 1400 window lock 0 hoplimit 3 congctl reno \n",
			json: `[{"dst":"10.0.0.0/8","dev":"v2","flags":[],"metrics":[{"mtu":1400,"window":0,"hoplimit":3,` +
				`"congestion":"reno"}]}]`,
		},
		{
			name: "times", route: rtnl.Route{Dst: pfx("10.0.0.0/8"), Link: 2, Type: up, Table: main, Protocol: 3, Metrics: time},
			text: "10.0.0.0/8 dev v2 rtt 1.5s rttvar 1ms features ecn rto_min 20ms \n",
			json: `[{"dst":"10.0.0.0/8","dev":"v2","flags":[],"metrics":[{"rtt":1500,"rttvar":1,"ecn":null,"rto_min":20}]}]`,
		},
		{
			name: "other family, realms, onlink", route: rtnl.Route{Dst: pfx("10.0.0.0/8"), Gateway: ipa("fe80::1"), Link: 2,
				Type: up, Table: main, Protocol: 3, Realms: 77<<16 | 99, Flags: unix.RTNH_F_ONLINK},
			text: "10.0.0.0/8 via inet6 fe80::1 dev v2 onlink realms 77/99 \n",
			json: `[{"dst":"10.0.0.0/8","via":{"family":"inet6","host":"fe80::1"},"dev":"v2","flags":["onlink"],` +
				`"flow":{"from":"77","to":"99"}}]`,
		},
		{
			name: "several hops", route: rtnl.Route{Dst: pfx("10.0.0.0/8"), Type: up, Table: main, Protocol: 3, Hops: []rtnl.Hop{
				{Gateway: ipa("10.0.0.1"), Link: 2, Weight: 1}, {Link: 3, Weight: 7, Flags: unix.RTNH_F_DEAD, Realms: 99},
			}},
			text: "10.0.0.0/8 \n\tnexthop via 10.0.0.1 dev v2 weight 1 \n\tnexthop realm 99 dev v3 weight 7 dead \n",
			json: `[{"dst":"10.0.0.0/8","flags":[],"nexthops":[{"gateway":"10.0.0.1","dev":"v2","weight":1,"flags":[]},` +
				`{"flow":{"to":"99"},"dev":"v3","weight":7,"flags":["dead"]}]}]`,
		},
		{
			name: "one line", style: RouteStyle{Style: Style{Oneline: true}},
			route: rtnl.Route{Dst: pfx("10.0.0.0/8"), Type: up, Table: main, Protocol: 3,
				Hops: []rtnl.Hop{{Link: 3, Weight: 1}}},
			text: "10.0.0.0/8 \\\tnexthop dev v3 weight 1 \n",
			json: `[{"dst":"10.0.0.0/8","flags":[],"nexthops":[{"dev":"v3","weight":1,"flags":[]}]}]`,
		},
		{
			name: "answer", route: rtnl.Route{Dst: pfx("127.0.0.1/32"), Src: pfx("10.0.0.9/32"), Link: 1, InLink: 2,
				Type: unix.RTN_LOCAL, Table: local, PrefSrc: ipa("127.0.0.1"), Mark: 0x20, UID: &uid, Flags: 0x80000200,
				Cache: rtnl.RouteCache{Expires: 1234}},
			text: "local 127.0.0.1 from 10.0.0.9 dev v1 table local src 127.0.0.1 mark 0x20 uid 0 \n    cache <local> " +
				"expires 12sec iif v2 \n",
			json: `[{"type":"local","dst":"127.0.0.1","from":"10.0.0.9","dev":"v1","table":"local","prefsrc":"127.0.0.1",` +
				`"flags":[],"mark":32,"uid":0,"cache":["local"],"expires":12,"iif":"v2"}]`,
		},
		{
			name: "columns that the selection fixes",
			style: RouteStyle{HideDev: true, HideTable: true, HideProtocol: true, HideScope: true, HideGateway: true,
				HideSrc: true, HideMetric: true, HideTOS: true, HideRealms: true, HideInLink: true},
			route: rtnl.Route{Dst: pfx("10.0.0.0/8"), Gateway: ipa("10.0.0.1"), Link: 2, InLink: 2, Type: up, Table: 9,
				Protocol: 2, Scope: 253, TOS: 4, Metric: 5, Realms: 3, PrefSrc: ipa("10.0.0.9")},
			text: "10.0.0.0/8 \n",
			json: `[{"dst":"10.0.0.0/8","flags":[]}]`,
		},
		{
			name: "nhid, MPLS", route: rtnl.Route{Dst: pfx("10.0.0.0/8"), Type: up, Table: main, Protocol: 3, NextHop: 7,
				Encap: rtnl.Encap{Type: 1, Data: mpls}},
			text: "10.0.0.0/8 nhid 7  encap mpls  100/200 \n",
			json: `[{"dst":"10.0.0.0/8","nhid":7,"encap":"mpls","dst":"100/200","flags":[]}]`,
		},
		{
			name: "IPv4 in IPv6", route: rtnl.Route{Dst: pfx("::ffff:10.0.0.0/104"), Gateway: ipa("::10.0.0.1"), Type: up,
				Table: main, Protocol: 3, Metric: 1},
			text: "::ffff:10.0.0.0/104 via ::10.0.0.1 metric 1 pref medium\n",
			json: `[{"dst":"::ffff:10.0.0.0/104","gateway":"::10.0.0.1","metric":1,"flags":[],"pref":"medium"}]`,
		},
		{
			name: "colours", style: RouteStyle{Style: Style{Color: true}},
			route: rtnl.Route{Dst: pfx("10.0.0.0/8"), Gateway: ipa("fe80::1"), Link: 2, Type: up, Table: main, Protocol: 3},
			text:  "\x1b[1;35m10.0.0.0/8 \x1b[0mvia inet6 \x1b[1;94mfe80::1 \x1b[0mdev \x1b[1;36mv2 \x1b[0m\n",
			json:  `[{"dst":"10.0.0.0/8","via":{"family":"inet6","host":"fe80::1"},"dev":"v2","flags":[]}]`,
		},
		{
			name: "colours of a default route", style: RouteStyle{Style: Style{Color: true}},
			route: rtnl.Route{Dst: pfx("0.0.0.0/0"), Link: 2, Type: up, Table: main, Protocol: 3},
			text:  "default dev \x1b[1;36mv2 \x1b[0m\n",
			json:  `[{"dst":"default","dev":"v2","flags":[]}]`,
		},
		{
			name: "colours on a light background", style: RouteStyle{Style: Style{Color: true, Light: true}},
			route: rtnl.Route{Dst: pfx("10.0.0.0/8"), Gateway: ipa("fe80::1"), Link: 2, Type: up, Table: main, Protocol: 3},
			text:  "\x1b[35m10.0.0.0/8 \x1b[0mvia inet6 \x1b[34mfe80::1 \x1b[0mdev \x1b[36mv2 \x1b[0m\n",
			json:  `[{"dst":"10.0.0.0/8","via":{"family":"inet6","host":"fe80::1"},"dev":"v2","flags":[]}]`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.style.Link = func(index uint32) string { return "v" + string(rune('0'+index)) }
			for _, style := range []struct {
				json bool
				want string
			}{{false, tt.text}, {true, tt.json + "\n"}} {
				var b strings.Builder
				tt.style.JSON = style.json
				if err := Routes(&b, []rtnl.Route{tt.route}, tt.style); err != nil {
					t.Fatal(err)
				}
				if b.String() != style.want {
					t.Errorf("got  %q\nwant %q", b.String(), style.want)
				}
			}
		})
	}
}

func TestNetnsList(t *testing.T) {
	id, none := 7, -1
	list := []Netns{{Name: "red", ID: &id}, {Name: "a b"}}
	ids := []NSID{{ID: 7, Name: "red"}, {ID: -1, Current: &id}, {ID: 3, Current: &none}, {ID: 0}}
	for _, tt := range []struct {
		print func(*strings.Builder) error
		want  string
	}{
		{func(b *strings.Builder) error { return NetnsList(b, list, Style{}) }, "red (id: 7)\na b\n"},
		{func(b *strings.Builder) error { return NetnsList(b, list, Style{JSON: true}) },
			`[{"name":"red","id":7},{"name":"a b"}]` + "\n"},
		{func(b *strings.Builder) error { return NetnsList(b, []Netns{}, Style{JSON: true}) }, "[]\n"},
		{func(b *strings.Builder) error { return NetnsList(b, nil, Style{JSON: true}) }, ""},
		{func(b *strings.Builder) error { return NSIDs(b, ids, Style{}) },
			"nsid 7 (iproute2 netns name: red)\nnsid unassigned current-nsid 7 \nnsid 3 current-nsid unassigned \nnsid 0 \n"},
		{func(b *strings.Builder) error { return NSIDs(b, ids, Style{JSON: true}) },
			`[{"nsid":7,"name":"red"},{"current-nsid":7},{"nsid":3},{"nsid":0}]` + "\n"},
	} {
		var b strings.Builder
		if err := tt.print(&b); err != nil || b.String() != tt.want {
			t.Errorf("got  %q, %v\nwant %q", b.String(), err, tt.want)
		}
	}
}
