package show

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/names"
	"github.com/vnet-lab/vnet/rtnl"
)

// TestRouteWords prints one property of a route each. The route itself is 10.0.0.0/8 or fd00::/8.
func TestRouteWords(t *testing.T) {
	ipa := netip.MustParseAddr
	four := rtnl.Route{Dst: netip.MustParsePrefix("10.0.0.0/8"), Type: unix.RTN_UNICAST, Protocol: unix.RTPROT_BOOT}
	with := func(change func(*rtnl.Route)) rtnl.Route { r := four; change(&r); return r }
	six := func(change func(*rtnl.Route)) rtnl.Route {
		r := four
		r.Dst = netip.MustParsePrefix("fd00::/8")
		change(&r)
		return r
	}
	metric := func(which int, value uint32) rtnl.Route {
		return with(func(r *rtnl.Route) { r.Metrics.Values[which] = value })
	}
	attr := func(typ uint16, data string) string {
		b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(data)))
		data = string(binary.NativeEndian.AppendUint16(b, typ)) + data
		return data + strings.Repeat("\x00", -len(data)&3)
	}
	for _, tt := range []struct {
		what       string
		style      RouteStyle
		route      rtnl.Route
		text, json string
	}{
		{"no address", RouteStyle{}, with(func(r *rtnl.Route) { r.Dst = netip.MustParsePrefix("10.0.0.0/0") }), "10.0.0.0/0 ",
			`{"dst":"10.0.0.0/0","flags":[]}`},
		{"one address", RouteStyle{}, with(func(r *rtnl.Route) { r.Dst = netip.MustParsePrefix("0.0.0.0/32") }), "0.0.0.0 ",
			`{"dst":"0.0.0.0","flags":[]}`},
		{"a type without a name", RouteStyle{}, with(func(r *rtnl.Route) { r.Type = 12 }), "12 10.0.0.0/8 ",
			`{"type":"12","dst":"10.0.0.0/8","flags":[]}`},
		{"the last type", RouteStyle{}, with(func(r *rtnl.Route) { r.Type = 11 }), "xresolve 10.0.0.0/8 ",
			`{"type":"xresolve","dst":"10.0.0.0/8","flags":[]}`},
		{"a mark below 16", RouteStyle{}, with(func(r *rtnl.Route) { r.Mark = 15 }), "10.0.0.0/8 mark 15 ",
			`{"dst":"10.0.0.0/8","flags":[],"mark":15}`},
		{"a mark from 16", RouteStyle{}, with(func(r *rtnl.Route) { r.Mark = 16 }), "10.0.0.0/8 mark 0x10 ",
			`{"dst":"10.0.0.0/8","flags":[],"mark":16}`},
		{"a type of service with a name", RouteStyle{}, with(func(r *rtnl.Route) { r.TOS = 3 }), "10.0.0.0/8 tos 0x03 ",
			`{"dst":"10.0.0.0/8","tos":"0x03","flags":[]}`},
		{"an IPv4 gateway of IPv6", RouteStyle{}, six(func(r *rtnl.Route) { r.Gateway = ipa("10.0.0.1") }),
			"fd00::/8 via inet 10.0.0.1 metric 0 pref medium",
			`{"dst":"fd00::/8","via":{"family":"inet","host":"10.0.0.1"},"metric":0,"flags":[],"pref":"medium"}`},
		{"a hidden gateway of another family", RouteStyle{HideGateway: true},
			with(func(r *rtnl.Route) { r.Gateway = ipa("fe80::1") }), "10.0.0.0/8 via inet6 fe80::1 ",
			`{"dst":"10.0.0.0/8","via":{"family":"inet6","host":"fe80::1"},"flags":[]}`},
		{"a hidden metric", RouteStyle{HideMetric: true}, six(func(*rtnl.Route) {}), "fd00::/8 pref medium",
			`{"dst":"fd00::/8","flags":[],"pref":"medium"}`},
		{"a high preference", RouteStyle{}, six(func(r *rtnl.Route) { r.Pref = 1 }), "fd00::/8 metric 0 pref high",
			`{"dst":"fd00::/8","metric":0,"flags":[],"pref":"high"}`},
		{"a preference without a name", RouteStyle{}, six(func(r *rtnl.Route) { r.Pref = 2 }), "fd00::/8 metric 0 2",
			`{"dst":"fd00::/8","metric":0,"flags":[],"pref":2}`},
		{"a cached route of IPv6", RouteStyle{}, six(func(r *rtnl.Route) { r.Flags = unix.RTM_F_CLONED }),
			"fd00::/8 metric 0 pref medium", `{"dst":"fd00::/8","metric":0,"flags":[],"pref":"medium"}`},
		{"a cached route without flags", RouteStyle{},
			with(func(r *rtnl.Route) { r.Flags = unix.RTM_F_CLONED | unix.RTM_F_NOTIFY }),
			"10.0.0.0/8 notify \n    cache ", `{"dst":"10.0.0.0/8","flags":["notify"],"cache":[]}`},
		{"a cached route with flags", RouteStyle{},
			with(func(r *rtnl.Route) { r.Flags = unix.RTM_F_CLONED | 0x80000000 | 0x00400000 }),
			"10.0.0.0/8 \n    cache <local,masq> ", `{"dst":"10.0.0.0/8","flags":[],"cache":["local","masq"]}`},
		{"a cached route with a flag without a name", RouteStyle{},
			with(func(r *rtnl.Route) { r.Flags = unix.RTM_F_CLONED | 0x80000000 | 0x00080000 }),
			"10.0.0.0/8 \n    cache <local,80000>", `{"dst":"10.0.0.0/8","flags":[],"cache":["local"]}`},
		{"only a realm", RouteStyle{}, with(func(r *rtnl.Route) { r.Realms = 99 }), "10.0.0.0/8 realm 99 ",
			`{"dst":"10.0.0.0/8","flags":[],"flow":{"to":"99"}}`},
		{"a hop without a weight", RouteStyle{}, with(func(r *rtnl.Route) { r.Hops = []rtnl.Hop{{Link: 2}} }),
			"10.0.0.0/8 \n\tnexthop dev v2 weight 1 ",
			`{"dst":"10.0.0.0/8","flags":[],"nexthops":[{"dev":"v2","weight":1,"flags":[]}]}`},
		{"times below a second", RouteStyle{}, metric(unix.RTAX_RTO_MIN, 999), "10.0.0.0/8 rto_min 999ms ",
			`{"dst":"10.0.0.0/8","flags":[],"metrics":[{"rto_min":999}]}`},
		{"a second", RouteStyle{}, metric(unix.RTAX_RTTVAR, 4000), "10.0.0.0/8 rttvar 1s ",
			`{"dst":"10.0.0.0/8","flags":[],"metrics":[{"rttvar":1000}]}`},
		{"six digits", RouteStyle{}, metric(unix.RTAX_RTO_MIN, 1234567891), "10.0.0.0/8 rto_min 1.23457e+06s ",
			`{"dst":"10.0.0.0/8","flags":[],"metrics":[{"rto_min":1234567891}]}`},
		{"no hop limit", RouteStyle{}, metric(unix.RTAX_HOPLIMIT, 1<<32-1), "10.0.0.0/8 ",
			`{"dst":"10.0.0.0/8","flags":[],"metrics":[{}]}`},
		{"the greatest window", RouteStyle{}, metric(unix.RTAX_WINDOW, 1<<32-1), "10.0.0.0/8 window 4294967295 ",
			`{"dst":"10.0.0.0/8","flags":[],"metrics":[{"window":4294967295}]}`},
		{"the last metric", RouteStyle{}, metric(unix.RTAX_FASTOPEN_NO_COOKIE, 1), "10.0.0.0/8 fastopen_no_cookie 1 ",
			`{"dst":"10.0.0.0/8","flags":[],"metrics":[{"fastopen_no_cookie":1}]}`},
		{"features", RouteStyle{}, metric(unix.RTAX_FEATURES, 1|unix.RTAX_FEATURE_TCP_USEC_TS),
			"10.0.0.0/8 features ecn tcp_usec_ts ",
			`{"dst":"10.0.0.0/8","flags":[],"metrics":[{"ecn":null,"tcp_usec_ts":null}]}`},
		{"a feature without a name", RouteStyle{}, metric(unix.RTAX_FEATURES, 1|2), "10.0.0.0/8 features ecn 0x3 ",
			`{"dst":"10.0.0.0/8","flags":[],"metrics":[{"ecn":null,"features":"0x3"}]}`},
		{"MPLS with a TTL", RouteStyle{}, with(func(r *rtnl.Route) {
			r.Encap = rtnl.Encap{Type: 1, Data: attr(1, "\xff\xff\xf1\x00") + attr(2, "\x05")}
		}), "10.0.0.0/8  encap mpls  1048575 ttl 5 ",
			`{"dst":"10.0.0.0/8","encap":"mpls","dst":"1048575","ttl":5,"flags":[]}`},
		{"MPLS with a wrong TTL and half a label", RouteStyle{}, with(func(r *rtnl.Route) {
			r.Encap = rtnl.Encap{Type: 1, Data: attr(1, "\x00\x01\x21\x00\x00\x00") + attr(2, "\x05\x06")}
		}), "10.0.0.0/8  encap mpls  18 ", `{"dst":"10.0.0.0/8","encap":"mpls","dst":"18","flags":[]}`},
		{"MPLS that cannot be decoded", RouteStyle{}, with(func(r *rtnl.Route) {
			r.Encap = rtnl.Encap{Type: 1, Data: "\x01"}
		}), "10.0.0.0/8  encap mpls ", `{"dst":"10.0.0.0/8","encap":"mpls","flags":[]}`},
		{"another tunnel", RouteStyle{}, with(func(r *rtnl.Route) { r.Encap = rtnl.Encap{Type: 10, Data: "\x01\xab"} }),
			"10.0.0.0/8  encap xfrm 01ab ", `{"dst":"10.0.0.0/8","encap":"xfrm","data":"01ab","flags":[]}`},
		{"a tunnel without a name", RouteStyle{}, with(func(r *rtnl.Route) { r.Encap = rtnl.Encap{Type: 11} }),
			"10.0.0.0/8  encap unknown  ", `{"dst":"10.0.0.0/8","encap":"unknown","data":"","flags":[]}`},
		{"without -stats", RouteStyle{}, with(func(r *rtnl.Route) { r.Cache = rtnl.RouteCache{References: 1, Used: 2} }),
			"10.0.0.0/8 ", `{"dst":"10.0.0.0/8","flags":[]}`},
		{"an expired answer of IPv6", RouteStyle{Style: Style{Stats: 1}}, six(func(r *rtnl.Route) {
			r.Cache = rtnl.RouteCache{References: 1, Used: 2, LastUse: 300}
		}), "fd00::/8 metric 0 users 1 used 2 age 3sec pref medium",
			`{"dst":"fd00::/8","metric":0,"flags":[],"users":1,"used":2,"age":3,"pref":"medium"}`},
	} {
		tt.style.Link = func(index uint32) string { return "v" + string(rune('0'+index)) }
		m := tt.style.route(tt.route)
		if got := m.text(); got != tt.text {
			t.Errorf("%s:\n got %q\nwant %q", tt.what, got, tt.text)
		}
		if got, err := m.MarshalJSON(); err != nil || string(got) != tt.json {
			t.Errorf("%s: %v\n got %s\nwant %s", tt.what, err, got, tt.json)
		}
	}
}

// TestAddrText checks addresses as inet_ntop(3) formats them.
func TestAddrText(t *testing.T) {
	for addr, want := range map[string]string{
		"10.0.0.1": "10.0.0.1", "fd00::1": "fd00::1", "::": "::", "::1": "::1", "::0.0.255.255": "::ffff",
		"::0.1.0.0": "::0.1.0.0", "::1.0.0.0": "::1.0.0.0", "::ffff:10.0.0.1": "::ffff:10.0.0.1", "fe80::1%v0": "fe80::1",
	} {
		if got := addrText(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s is printed as %s, want %s", addr, got, want)
		}
	}
}

// TestDSField checks names, which administrators can change, and numbers.
func TestDSField(t *testing.T) {
	name, _ := names.DSFields.Name(0)
	if got := (Style{}).dsField(0); got != name {
		t.Errorf("0 is %s, want %s", got, name)
	}
	for tos, want := range map[uint8]string{0: "0x00", 0x28: "0x28"} {
		if got := (Style{Numeric: true}).dsField(tos); got != want {
			t.Errorf("%d is %s, want %s", tos, got, want)
		}
	}
}
