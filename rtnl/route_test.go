package rtnl

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

var (
	cmpRoute = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	cmpAddr  = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
)

func pfx(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func ipa(s string) netip.Addr   { return netip.MustParseAddr(s) }

// TestRouteRequests compares each request with the bytes that ip(8) 6.1.0 sends for the
// same command. v0 is link 7. The bytes are from
//
//	strace -e trace=sendmsg -e write=3 ip route …
//
// The order of attributes may differ: the kernel ignores it. The padding, which ip does
// not clear, is set to zero here.
func TestRouteRequests(t *testing.T) {
	mtu := Metrics{Congestion: "reno"}
	mtu.Values[unix.RTAX_LOCK] = 1 << unix.RTAX_MTU
	mtu.Values[unix.RTAX_MTU], mtu.Values[unix.RTAX_ADVMSS] = 1400, 1300
	mtu.Values[unix.RTAX_HOPLIMIT], mtu.Values[unix.RTAX_RTT] = 3, 16000
	const boot = unix.RTPROT_BOOT
	for _, tt := range []struct {
		ip      string // the ip command
		request Request
		want    string
	}{
		{
			"route add 10.1.0.0/16 via 10.0.0.2",
			AddRoute(Route{Dst: pfx("10.1.0.0/16"), Gateway: ipa("10.0.0.2"), Protocol: boot}),
			"2c00000018000506756c046b0000000002100000fe03000100000000080001000a010000080005000a000002",
		},
		{
			"route add default via 10.0.0.2 dev v0 metric 5 src 10.0.0.1",
			AddRoute(Route{Dst: pfx("0.0.0.0/0"), Gateway: ipa("10.0.0.2"), Link: 7, Metric: 5, PrefSrc: ipa("10.0.0.1"),
				Protocol: boot}),
			"3c00000018000506756c046b0000000002000000fe03000100000000080005000a000002080006000500000008000700" +
				"0a0000010800040007000000",
		},
		{
			"route add 192.0.2.0/24 via inet6 fe80::1 dev v0",
			AddRoute(Route{Dst: pfx("192.0.2.0/24"), Gateway: ipa("fe80::1"), Link: 7, Protocol: boot}),
			"4400000018000506756c046b0000000002180000fe0300010000000008000100c0000200160012000a00fe8000000000" +
				"0000000000000000000100000800040007000000",
		},
		{
			"route add 10.2.0.0/16 nexthop via 10.0.0.2 weight 3 nexthop via 10.0.0.3 dev v0 onlink",
			AddRoute(Route{Dst: pfx("10.2.0.0/16"), Protocol: boot, Hops: []Hop{
				{Gateway: ipa("10.0.0.2"), Weight: 3},
				{Gateway: ipa("10.0.0.3"), Link: 7, Flags: unix.RTNH_F_ONLINK},
			}}),
			"4800000018000506756c046b0000000002100000fe03000100000000080001000a020000240009001000000200000000" +
				"080005000a0000021000040007000000080005000a000003",
		},
		{
			"route add fd01::/64 nexthop via fd00::2 weight 2 nexthop via fd00::3",
			AddRoute(Route{Dst: pfx("fd01::/64"), Protocol: boot,
				Hops: []Hop{{Gateway: ipa("fd00::2"), Weight: 2}, {Gateway: ipa("fd00::3")}}}),
			"6c00000018000506756c046b000000000a400000fe0300010000000014000100fd010000000000000000000000000000" +
				"3c0009001c0000010000000014000500fd0000000000000000000000000000021c0000000000000014000500fd000000" +
				"000000000000000000000003",
		},
		{
			"route add 10.5.0.0/16 nexthop via inet6 fe80::1 dev v0 nexthop dev v0 realms 3",
			AddRoute(Route{Dst: pfx("10.5.0.0/16"), Protocol: boot,
				Hops: []Hop{{Gateway: ipa("fe80::1"), Link: 7}, {Link: 7, Realms: 3}}}),
			"5800000018000506756c046b0000000002100000fe03000100000000080001000a050000340009002000000007000000" +
				"160012000a00fe8000000000000000000000000000010000100000000700000008000b0003000000",
		},
		{
			"route replace 10.1.0.0/16 via 10.0.0.3",
			ReplaceRoute(Route{Dst: pfx("10.1.0.0/16"), Gateway: ipa("10.0.0.3"), Protocol: boot}),
			"2c00000018000505756c046b0000000002100000fe03000100000000080001000a010000080005000a000003",
		},
		{
			"route change 10.1.0.0/16 via 10.0.0.2",
			ChangeRoute(Route{Dst: pfx("10.1.0.0/16"), Gateway: ipa("10.0.0.2"), Protocol: boot}),
			"2c00000018000501756c046b0000000002100000fe03000100000000080001000a010000080005000a000002",
		},
		{
			"route append 10.1.0.0/16 via 10.0.0.4",
			AppendRoute(Route{Dst: pfx("10.1.0.0/16"), Gateway: ipa("10.0.0.4"), Protocol: boot}),
			"2c0000001800050c756c046b0000000002100000fe03000100000000080001000a010000080005000a000004",
		},
		{
			"route prepend 10.1.0.0/16 via 10.0.0.5",
			PrependRoute(Route{Dst: pfx("10.1.0.0/16"), Gateway: ipa("10.0.0.5"), Protocol: boot}),
			"2c00000018000504756c046b0000000002100000fe03000100000000080001000a010000080005000a000005",
		},
		{
			"route add 10.3.0.0/16 dev v0 mtu lock 1400 advmss 1300 hoplimit 3 congctl reno rtt 2s table 1000",
			AddRoute(Route{Dst: pfx("10.3.0.0/16"), Link: 7, Scope: unix.RT_SCOPE_LINK, Table: 1000, Metrics: mtu,
				Protocol: boot}),
			"6800000018000506756c046b00000000021000000003fd0100000000080001000a03000008000f00e803000008000400" +
				"07000000340008000800020078050000080008001405000008000a00030000000800100072656e6f08000400803e0000" +
				"0800010004000000",
		},
		{
			"route add blackhole 10.4.0.0/16",
			AddRoute(Route{Dst: pfx("10.4.0.0/16"), Type: unix.RTN_BLACKHOLE, Protocol: boot}),
			"2400000018000506756c046b0000000002100000fe03000600000000080001000a040000",
		},
		{
			"route add 10.6.0.0/16 nhid 5",
			AddRoute(Route{Dst: pfx("10.6.0.0/16"), NextHop: 5, Protocol: boot}),
			"2c00000018000506756c046b0000000002100000fe03000100000000080001000a06000008001e0005000000",
		},
		{
			"route add 10.7.0.0/16 dev v0 tos 0x10 realms 2/3",
			AddRoute(Route{Dst: pfx("10.7.0.0/16"), Link: 7, Scope: unix.RT_SCOPE_LINK, TOS: 0x10, Realms: 2<<16 | 3,
				Protocol: boot}),
			"3400000018000506756c046b0000000002100010fe03fd0100000000080001000a07000008000b00030002000800040007000000",
		},
		{
			"route add 10.8.0.0/16 via 172.16.0.1 dev v0 onlink",
			AddRoute(Route{Dst: pfx("10.8.0.0/16"), Gateway: ipa("172.16.0.1"), Link: 7, Flags: unix.RTNH_F_ONLINK,
				Protocol: boot}),
			"3400000018000506756c046b0000000002100000fe03000104000000080001000a08000008000500ac1000010800040007000000",
		},
		{
			"route add fd02::/64 via fd00::2 expires 100",
			AddRoute(Route{Dst: pfx("fd02::/64"), Gateway: ipa("fd00::2"), Expires: 100, Protocol: boot}),
			"4c00000018000506756c046b000000000a400000fe0300010000000014000100fd020000000000000000000000000000" +
				"14000500fd0000000000000000000000000000020800170064000000",
		},
		{
			"route add fd03::/64 from fd04::/64 dev v0",
			AddRoute(Route{Dst: pfx("fd03::/64"), Src: pfx("fd04::/64"), Link: 7, Protocol: boot}),
			"4c00000018000506756c046b000000000a404000fe0300010000000014000100fd030000000000000000000000000000" +
				"14000200fd0400000000000000000000000000000800040007000000",
		},
		{
			"route del 10.1.0.0/16",
			DeleteRoute(Route{Dst: pfx("10.1.0.0/16"), Scope: unix.RT_SCOPE_NOWHERE}),
			"2400000019000500766c046b0000000002100000fe00ff0000000000080001000a010000",
		},
		{
			"route del default via 10.0.0.2 proto boot",
			DeleteRoute(Route{Dst: pfx("0.0.0.0/0"), Gateway: ipa("10.0.0.2"), Protocol: boot, Scope: unix.RT_SCOPE_NOWHERE}),
			"2400000019000500766c046b0000000002000000fe03ff0000000000080005000a000002",
		},
	} {
		t.Run(tt.ip, func(t *testing.T) {
			if tt.request.err != nil {
				t.Fatal(tt.request.err)
			}
			tt.request.msg.Header.Flags |= netlink.Request | netlink.Acknowledge
			sameRouteMessage(t, tt.want, tt.request.msg)
		})
	}
}

func TestRouteQueries(t *testing.T) {
	uid := uint32(5)
	for _, tt := range []struct {
		ip   string
		body []byte
		want string
	}{
		{"route get 10.1.2.3", mustQuery(t, RouteQuery{Dst: ipa("10.1.2.3")}),
			"240000001a000100766c046b00000000022000000000000000100000080001000a010203"},
		{"route get fibmatch 10.1.2.3", mustQuery(t, RouteQuery{Dst: ipa("10.1.2.3"), FIBMatch: true}),
			"240000001a000100766c046b00000000022000000000000000300000080001000a010203"},
		{
			"route get 10.1.2.3 from 10.0.0.9 iif v0 tos 0x10 mark 7 ipproto tcp sport 1 dport 80 uid 5",
			mustQuery(t, RouteQuery{
				Dst: ipa("10.1.2.3"), Src: ipa("10.0.0.9"), InLink: 7, TOS: 0x10, Mark: 7,
				Protocol: unix.IPPROTO_TCP, SrcPort: 1, DstPort: 80, UID: &uid,
			}),
			"5c0000001a000100766c046b00000000022020100000000000100000080001000a010203080002000a00000905001b00" +
				"0600000006001c000001000006001d0000500000080019000500000008000300070000000800100007000000",
		},
		{"route get fd00::9 oif v0", mustQuery(t, RouteQuery{Dst: ipa("fd00::9"), Link: 7}),
			"380000001a000100766c046b000000000a800000000000000000000014000100fd0000000000000000000000000000090800040007000000"},
	} {
		t.Run(tt.ip, func(t *testing.T) {
			sameRouteMessage(t, tt.want, netlink.Message{Header: netlink.Header{Type: unix.RTM_GETROUTE,
				Flags: netlink.Request}, Data: tt.body})
		})
	}
}

func mustQuery(t *testing.T, q RouteQuery) []byte {
	t.Helper()
	b, err := q.encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sameRouteMessage compares a message with a captured one.
func sameRouteMessage(t *testing.T, want string, got netlink.Message) {
	t.Helper()
	b := native(t, want)
	if typ := binary.NativeEndian.Uint16(b[4:]); typ != uint16(got.Header.Type) {
		t.Errorf("message type %d, ip sends %d", got.Header.Type, typ)
	}
	if flags := binary.NativeEndian.Uint16(b[6:]); flags != uint16(got.Header.Flags) {
		t.Errorf("flags %#x, ip sends %#x", got.Header.Flags, flags)
	}
	b = b[unix.NLMSG_HDRLEN:]
	if diff := cmp.Diff(b[:unix.SizeofRtMsg], got.Data[:unix.SizeofRtMsg]); diff != "" {
		t.Errorf("struct rtmsg (-ip +ours):\n%s", diff)
	}
	if diff := cmp.Diff(sortedAttrs(t, b[unix.SizeofRtMsg:]), sortedAttrs(t, got.Data[unix.SizeofRtMsg:])); diff != "" {
		t.Errorf("attributes (-ip +ours):\n%s", diff)
	}
}

func sortedAttrs(t *testing.T, b []byte) []netlink.Attribute {
	t.Helper()
	attrs, err := netlink.UnmarshalAttributes(b)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range attrs {
		attrs[i].Type &= nlaTypeMask
		// not RTAX_ADVMSS, which has the same number
		if attrs[i].Type == unix.RTA_METRICS && len(a.Data) > unix.SizeofNlAttr {
			if attrs[i].Data, err = netlink.MarshalAttributes(sortedAttrs(t, a.Data)); err != nil {
				t.Fatal(err)
			}
		}
	}
	slices.SortFunc(attrs, func(a, b netlink.Attribute) int { return int(a.Type) - int(b.Type) })
	return attrs
}

// routeValues returns routes that together use every field.
func routeValues() []Route {
	all := Metrics{Congestion: "cubic"}
	for i := range all.Values {
		all.Values[i] = uint32(i) * 1000
	}
	all.Values[0], all.Values[unix.RTAX_CC_ALGO] = 0, 0
	return []Route{
		{Dst: pfx("0.0.0.0/0"), Type: unix.RTN_UNICAST, Table: unix.RT_TABLE_MAIN},
		{Dst: pfx("::/0"), Type: unix.RTN_UNREACHABLE, Table: 255, Metric: 1<<32 - 1, Pref: 3},
		{Dst: pfx("10.0.0.1/32"), Type: unix.RTN_LOCAL, Table: 255, Scope: unix.RT_SCOPE_HOST, Protocol: unix.RTPROT_KERNEL,
			PrefSrc: ipa("10.0.0.1"), Link: 1},
		{Dst: pfx("10.0.0.0/8"), Type: 1, Table: 100000, TOS: 0x10, Gateway: ipa("192.0.2.1"), Link: 1 << 30, Metrics: all,
			Realms: 0x20003, Flags: unix.RTNH_F_ONLINK},
		{Dst: pfx("10.0.0.0/8"), Type: 1, Table: 1, Gateway: ipa("fe80::1"), Link: 3},
		{Dst: pfx("::ffff:1.2.3.4/128"), Type: 1, Table: 254, Gateway: ipa("::ffff:4.3.2.1"), Link: 3,
			PrefSrc: ipa("::ffff:9.9.9.9")},
		{Dst: pfx("fd00::/64"), Src: pfx("fd01::/48"), Type: 1, Table: 254, Expires: 12,
			Encap: Encap{Type: 1, Data: "\x08\x00\x01\x00\x00\x06\x41\x00"}},
		{Dst: pfx("fd00::/64"), Type: 1, Table: 254, NextHop: 77},
		{Dst: pfx("fd00::/64"), Type: 1, Table: 254, Hops: []Hop{
			{Gateway: ipa("fe80::1"), Link: 4, Weight: 1},
			{Gateway: ipa("fe80::2"), Link: 5, Weight: 256, Flags: unix.RTNH_F_ONLINK | unix.RTNH_F_DEAD},
		}},
		{Dst: pfx("198.51.100.0/24"), Type: 1, Table: 254, Hops: []Hop{
			{Gateway: ipa("fe80::1"), Link: 4, Weight: 3, Realms: 9},
			{Link: 5, Weight: 7, Encap: Encap{Type: 1, Data: "\x08\x00\x01\x00\x00\x06\x41\x00"}},
		}},
	}
}

// TestRouteDecodesWhatItEncodes is law 10: decode∘encode is the identity.
func TestRouteDecodesWhatItEncodes(t *testing.T) {
	for _, want := range routeValues() {
		t.Run(want.String(), func(t *testing.T) {
			b, err := encodeRoute(want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := decodeRoute(b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmpRoute, cmpAddr); diff != "" {
				t.Errorf("-encoded +decoded:\n%s", diff)
			}
		})
	}
}

// TestRouteRefusals: routes that the kernel would misinterpret are not sent.
func TestRouteRefusals(t *testing.T) {
	for _, tt := range []struct {
		route Route
		want  string
	}{
		{Route{}, "add route without destination: no destination"},
		{Route{Dst: pfx("10.0.0.0/8"), PrefSrc: ipa("fd00::1")},
			"add route 10.0.0.0/8: preferred source fd00::1 is not of the address family of the destination"},
		{Route{Dst: pfx("fd00::/8"), Src: pfx("10.0.0.0/8")},
			"add route fd00::/8 from 10.0.0.0/8: source 10.0.0.0/8 is not of the address family of the destination"},
		{Route{Dst: pfx("0.0.0.0/0"), Hops: []Hop{{Weight: 257}}},
			"add route default nexthop: weight 257 is not between 1 and 256"},
	} {
		err := new(Conn).Do(AddRoute(tt.route))
		if err == nil || err.Error() != tt.want {
			t.Errorf("%+v: error %v, want %s", tt.route, err, tt.want)
		}
	}
	if _, err := new(Conn).RouteGet(RouteQuery{Dst: ipa("10.0.0.1"), Src: ipa("::1")}); err == nil {
		t.Error("a query with a source of the other family is not refused")
	}
}

func TestRouteScopes(t *testing.T) {
	for _, tt := range []struct {
		route Route
		scope uint8
		table uint32
	}{
		{Route{Dst: pfx("10.0.0.0/8"), Link: 1}, unix.RT_SCOPE_LINK, unix.RT_TABLE_MAIN},
		{Route{Dst: pfx("10.0.0.0/8"), Gateway: ipa("10.0.0.1")}, unix.RT_SCOPE_UNIVERSE, unix.RT_TABLE_MAIN},
		{Route{Dst: pfx("10.0.0.0/8"), NextHop: 1}, unix.RT_SCOPE_UNIVERSE, unix.RT_TABLE_MAIN},
		{Route{Dst: pfx("10.0.0.0/8"), Type: unix.RTN_BLACKHOLE}, unix.RT_SCOPE_UNIVERSE, unix.RT_TABLE_MAIN},
		{Route{Dst: pfx("10.0.0.1/32"), Type: unix.RTN_LOCAL}, unix.RT_SCOPE_HOST, unix.RT_TABLE_LOCAL},
		{Route{Dst: pfx("10.0.0.255/32"), Type: unix.RTN_BROADCAST}, unix.RT_SCOPE_LINK, unix.RT_TABLE_LOCAL},
		{Route{Dst: pfx("fd00::/8"), Link: 1}, unix.RT_SCOPE_UNIVERSE, unix.RT_TABLE_MAIN},
	} {
		if got := tt.route.DefaultScope(); got != tt.scope {
			t.Errorf("scope of %v: %d, want %d", tt.route, got, tt.scope)
		}
		if got := tt.route.DefaultTable(); got != tt.table {
			t.Errorf("table of %v: %d, want %d", tt.route, got, tt.table)
		}
	}
}

func FuzzDecodeRoute(f *testing.F) {
	for _, r := range routeValues() {
		if b, err := encodeRoute(r); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRoute(b)
		if err != nil {
			return
		}
		again, err := encodeRoute(r)
		if err != nil {
			return // the weight of a hop or a family that the kernel never sends
		}
		got, err := decodeRoute(again)
		if err != nil {
			t.Fatalf("the encoding of a decoded route does not decode: %v", err)
		}
		if got.String() != r.String() {
			t.Fatalf("%v was decoded again as %v", r, got)
		}
	})
}
