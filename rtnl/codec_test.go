package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestOptionCodec checks the least and the greatest value of each type of option, in both directions.
func TestOptionCodec(t *testing.T) {
	most := ^uint64(0)
	for _, tt := range []struct {
		kind, option string
		value        any
		size         int // bytes
	}{
		{"bridge", "mcast_snooping", uint64(0), 1}, {"bridge", "mcast_snooping", most >> 56, 1},
		{"bridge", "priority", most >> 48, 2}, {"bridge", "ageing_time", most >> 32, 4},
		{"bridge", "mcast_querier_interval", most, 8}, {"bridge", "vlan_protocol", most >> 48, 2},
		{"bridge", "boolopt", most - 5, 8}, {"bridge", "group_address", LLAddr("123456"), 6},
		{"vxlan", "flowlabel", most >> 32, 4}, {"vxlan", "srcport", uint64(0x03e807d0), 4},
		{"vxlan", "reserved_bits", most - 7, 8}, {"vxlan", "link", most >> 32, 4},
		{"vxlan", "remote", ipa("fd00::1"), 16}, {"vxlan", "local", ipa("10.0.0.1"), 4},
		{"vxlan", "gbp", uint64(1), 0}, {"bond", "arp_ip_target", []netip.Addr{ipa("10.0.0.1")}, 8},
		{"vlan", "ingress-qos-map", []QoS{{1, 2}, {3, 4}}, 24},
	} {
		table := kindOptions[tt.kind]
		opt := table[slices.IndexFunc(table, func(o Option) bool { return o.Name == tt.option })]
		b, err := opt.encode(tt.value)
		if err != nil || len(b) != tt.size {
			t.Errorf("%s %s: %d bytes, %v; want %d", tt.option, fmt.Sprint(tt.value), len(b), err, tt.size)
			continue
		}
		options := decodeOptions(tt.kind, attrOf(opt.attrFor(tt.value), b...))
		if diff := cmp.Diff(Options{tt.option: tt.value}, options, cmpAddr); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.option, diff)
		}
		if opt.Type == Flag { // has no value
			continue
		}
		short := decodeOptions(tt.kind, attrOf(opt.attrFor(tt.value), append(b, make([]byte, maxLLAddr)...)...))
		if _, ok := short[tt.option]; ok {
			t.Errorf("%s of %d bytes is decoded as %v", tt.option, len(b)+maxLLAddr, short)
		}
	}
	for name, value := range map[string]uint64{"mcast_snooping": 1 << 8, "priority": 1 << 16, "ageing_time": 1 << 32} {
		_, err := LinkConfig{Kind: Kind{Name: "bridge", Options: Options{name: value}}}.encode()
		if want := fmt.Sprintf("%s: %d is too large", name, value); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if o := decodeOptions("bridge", []byte{1}); o != nil {
		t.Errorf("malformed options are %v", o)
	}
	if o := decodeOptions("no-such", nil); o != nil {
		t.Errorf("options of an unknown kind are %v", o)
	}
}

// TestLimitsOfNames: the longest name, alias and label are accepted.
func TestLimitsOfNames(t *testing.T) {
	for what, err := range map[string]error{
		"name":      CheckLinkName(strings.Repeat("x", 15)),
		"long name": SetLink(LinkID{Name: strings.Repeat("x", 127)}, LinkConfig{}).err,
		"alias":     SetLink(LinkID{Index: 7}, LinkConfig{Alias: ptr(strings.Repeat("x", 255))}).err,
		"altname":   AddAltNames(LinkID{Index: 7}, strings.Repeat("x", 127)).err,
		"label":     AddAddr(Addr{Link: 7, Prefix: pfx("10.0.0.1/24"), Label: strings.Repeat("x", 15)}).err,
		"weight":    AddRoute(Route{Dst: pfx("10.0.0.0/8"), Hops: []Hop{{Weight: 256}, {}}}).err,
		"loss":      ReplaceNetem(Netem{Loss: 100}).err,
		"lifetime":  AddAddr(Addr{Link: 7, Prefix: pfx("10.0.0.1/24"), Valid: 5, Preferred: 5}).err,
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := AddRoute(Route{Dst: pfx("10.0.0.0/8"), Hops: []Hop{{Weight: -1}}}).err; err == nil {
		t.Error("a negative weight is accepted")
	}
}

// TestHas checks attributes at the borders of the bit sets.
func TestHas(t *testing.T) {
	l := Link{Seen: [2]uint64{1 | 1<<63, 1 | 1<<62}}
	for attr, want := range map[uint16]bool{0: true, 1: false, 63: true, 64: true, 65: false, 126: true, 127: false,
		128: false, 1000: false} {
		if got := l.Has(attr); got != want {
			t.Errorf("attribute %d: %t", attr, got)
		}
	}
}

// TestAsInet6 checks which attributes an AF_INET6 dump has.
func TestAsInet6(t *testing.T) {
	l := Link{Index: 2, Name: "v0", Type: 1, Flags: 3, MTU: 1500, Address: "123456", Parent: 4, OperState: 6,
		Alias: "x", TxQueueLen: 1000, Seen: [2]uint64{^uint64(0), ^uint64(0)}}
	want := Link{Index: 2, Name: "v0", Type: 1, Flags: 3, MTU: 1500, Address: "123456", Parent: 4, OperState: 6}
	for _, attr := range []int{unix.IFLA_ADDRESS, unix.IFLA_IFNAME, unix.IFLA_MTU, unix.IFLA_LINK, unix.IFLA_OPERSTATE} {
		want.Seen[0] |= 1 << attr
	}
	if diff := cmp.Diff(want, l.AsInet6()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestRouteExpires checks that the kernel's ticks are rounded up to seconds, and negative ones are left out.
func TestRouteExpires(t *testing.T) {
	for ticks, want := range map[int32]uint32{-1: 0, 0: 0, 1: 1, 100: 1, 101: 2, 12345: 124} {
		cache := binary.NativeEndian.AppendUint32(make([]byte, 8), uint32(ticks))
		var r Route
		r.decodeCache(cache)
		if r.Expires != want || r.Cache.Expires != ticks {
			t.Errorf("%d ticks: %d seconds, want %d; %d", ticks, r.Expires, want, r.Cache.Expires)
		}
	}
}

// TestAddrFlags: the header has eight bits for flags; only more of them need an attribute.
func TestAddrFlags(t *testing.T) {
	for flags, want := range map[uint32]int{0xff: 0, 0x100: 8} {
		body, err := encodeAddr(Addr{Link: 7, Prefix: pfx("10.0.0.1/24"), Flags: flags})
		plain, _ := encodeAddr(Addr{Link: 7, Prefix: pfx("10.0.0.1/24")})
		if err != nil || len(body)-len(plain) != want {
			t.Errorf("flags %#x: %d more bytes, %v; want %d", flags, len(body)-len(plain), err, want)
		}
	}
}

// TestDecodeLink: attributes that no request has.
func TestDecodeLink(t *testing.T) {
	num := func(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
	stats := binary.NativeEndian.AppendUint64(binary.NativeEndian.AppendUint64(nil, 5), 6)
	for _, tt := range []struct {
		what  string
		attrs []byte
		want  Link
		seen  []int
	}{
		{"flags that are on", slices.Concat(attrOf(unix.IFLA_PROTO_DOWN, 1), attrOf(67, 1)), // 67: IFLA_NETNS_IMMUTABLE
			Link{ProtoDown: true, NetnsImmutable: true}, []int{unix.IFLA_PROTO_DOWN, 67}},
		{"flags that are off", slices.Concat(attrOf(unix.IFLA_PROTO_DOWN, 0), attrOf(67, 0)), Link{},
			[]int{unix.IFLA_PROTO_DOWN, 67}},
		{"why the protocol is down", attrOf(unix.IFLA_PROTO_DOWN_REASON, slices.Concat(attrOf(1, num(7)...),
			attrOf(2, num(8)...))...), Link{ProtoDownReason: 8}, []int{unix.IFLA_PROTO_DOWN_REASON}},
		{"alternative names", attrOf(unix.IFLA_PROP_LIST, slices.Concat(attrOf(unix.IFLA_ALT_IFNAME, 'a', 0),
			attrOf(1, 'x'), attrOf(unix.IFLA_ALT_IFNAME, 'b'))...), Link{AltNames: []string{"a", "b"}},
			[]int{unix.IFLA_PROP_LIST}},
		{"an XDP program", attrOf(unix.IFLA_XDP, attrOf(unix.IFLA_XDP_ATTACHED, 2)...), Link{XDP: true},
			[]int{unix.IFLA_XDP}},
		{"no XDP program", attrOf(unix.IFLA_XDP, slices.Concat(attrOf(unix.IFLA_XDP_ATTACHED, 0),
			attrOf(unix.IFLA_XDP_PROG_ID, 2))...), Link{}, []int{unix.IFLA_XDP}},
		{"counters of an older kernel", attrOf(unix.IFLA_STATS64, append(stats, 1, 2, 3)...),
			Link{Stats: Stats{RxPackets: 5, TxPackets: 6}}, []int{unix.IFLA_STATS64}},
		{"unknown attributes", slices.Concat(attrOf(127, 1), attrOf(128, 1), attrOf(1000, 1)), Link{}, []int{127}},
	} {
		for _, attr := range tt.seen {
			tt.want.Seen[attr/64] |= 1 << (attr % 64)
		}
		got, err := decodeLink(append(make([]byte, unix.SizeofIfInfomsg), tt.attrs...))
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v, -want +got\n%s", tt.what, err, diff)
		}
	}
}

// TestLinkAttributes: requests whose attributes ip(8) does not send alike.
func TestLinkAttributes(t *testing.T) {
	num := func(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
	const nested, group6, local6 = unix.NLA_F_NESTED, 16, 17 // IFLA_VXLAN_GROUP6, IFLA_VXLAN_LOCAL6
	xdp := func(flags uint32) Request { return SetLink(LinkID{Index: 7}, LinkConfig{XDPOff: &flags}) }
	for what, tt := range map[string]struct{ got, want []byte }{
		"XDP off": {xdp(0).msg.Data[unix.SizeofIfInfomsg:],
			attrOf(nested|unix.IFLA_XDP, attrOf(unix.IFLA_XDP_FD, num(1<<32-1)...)...)},
		"XDP off with flags": {xdp(2).msg.Data[unix.SizeofIfInfomsg:], attrOf(nested|unix.IFLA_XDP,
			append(attrOf(unix.IFLA_XDP_FD, num(1<<32-1)...), attrOf(unix.IFLA_XDP_FLAGS, num(2)...)...)...)},
	} {
		if !slices.Equal(tt.got, tt.want) {
			t.Errorf("%s: %x, want %x", what, tt.got, tt.want)
		}
	}
	for option, want := range map[string]uint16{"remote": group6, "local": local6} {
		o := decodeOptions("vxlan", attrOf(want, ipa("fd00::1").AsSlice()...))
		if o[option] != ipa("fd00::1") || len(o) != 1 {
			t.Errorf("attribute %d of a vxlan is %v", want, o)
		}
		table := kindOptions["vxlan"]
		opt := table[slices.IndexFunc(table, func(o Option) bool { return o.Name == option })]
		if got := opt.attrFor(ipa("fd00::1")); got != want {
			t.Errorf("%s of a vxlan is attribute %d, want %d", option, got, want)
		}
	}
	if o := decodeOptions("bond", attrOf(unix.IFLA_BOND_AD_INFO, 1)); len(o) != 0 {
		t.Errorf("a malformed aggregator is %v", o)
	}
	long := LLAddr(strings.Repeat("x", maxLLAddr))
	if o := decodeOptions("bridge", attrOf(unix.IFLA_BR_GROUP_ADDR, []byte(long)...)); o["group_address"] != long {
		t.Errorf("the longest link-layer address is %v", o)
	}
	veth := LinkConfig{Name: "v0", Kind: Kind{Name: "veth", Peer: &LinkConfig{}}}
	named := LinkConfig{Name: "v0", Kind: Kind{Name: "veth", Peer: &LinkConfig{Name: "v1"}}}
	if got := named.String(); got != "link v0 type veth peer name v1" {
		t.Errorf("a peer with a name: %q", got)
	}
	if got := veth.String(); got != "link v0 type veth" {
		t.Errorf("a peer without a name: %s", got)
	}
	if (Link{}).Up() || !(Link{Flags: unix.IFF_UP | unix.IFF_BROADCAST}).Up() || (Link{Flags: unix.IFF_BROADCAST}).Up() {
		t.Error("Up does not report IFF_UP")
	}
}

// TestOldestAndNewest: values of the kernel that are shorter than today's are left out, longer ones are read.
func TestOldestAndNewest(t *testing.T) {
	num := func(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
	head := make([]byte, sizeofRtgenmsg)
	for _, tt := range []struct {
		attrs []byte
		want  NSID
	}{
		{nil, NSID{ID: NoNSID, Current: NoNSID}},
		{attrOf(netnsaNSID, num(5)...), NSID{ID: 5, Current: NoNSID}},
		{attrOf(netnsaCurrentNSID, num(6)...), NSID{ID: NoNSID, Current: 6}},
		{slices.Concat(attrOf(netnsaNSID, 1, 2), attrOf(77, num(7)...)), NSID{ID: NoNSID, Current: NoNSID}},
	} {
		if got, err := decodeNSID(slices.Concat(head, tt.attrs)); got != tt.want || err != nil {
			t.Errorf("%x: %+v, %v; want %+v", tt.attrs, got, err, tt.want)
		}
	}
	if _, err := decodeNSID(head[1:]); !errors.Is(err, errMalformedNSID) {
		t.Errorf("a namespace id without header: %v", err)
	}
	netem := func(attrs ...byte) (n Netem) {
		if err := n.decodeOptions(append(make([]byte, sizeofNetem), attrs...)); err != nil {
			t.Error(err)
		}
		return n
	}
	if got := netem(attrOf(netemRate, num(5)...)...).Rate; got != 40 {
		t.Errorf("a rate of four bytes is %d", got)
	}
	if got := netem(attrOf(netemRate, 1, 2, 3)...).Rate; got != 0 {
		t.Errorf("a rate of three bytes is %d", got)
	}
	if got := netem(); got != (Netem{}) {
		t.Errorf("options without attributes are %+v", got)
	}
}

// TestNamesInRequests: a link is named by IFLA_IFNAME up to 15 bytes, and by an alternative name from 16.
func TestNamesInRequests(t *testing.T) {
	for n, want := range map[int]uint16{1: unix.IFLA_IFNAME, 15: unix.IFLA_IFNAME, 16: unix.IFLA_ALT_IFNAME} {
		r := SetLink(LinkID{Name: strings.Repeat("x", n)}, LinkConfig{})
		if r.err != nil {
			t.Fatal(r.err)
		}
		if got := binary.NativeEndian.Uint16(r.msg.Data[unix.SizeofIfInfomsg+2:]); got != want {
			t.Errorf("a name of %d bytes is in attribute %d, want %d", n, got, want)
		}
	}
	for n, ok := range map[int]bool{1: false, 2: true, 32: true, 33: false} {
		a, err := ParseLLAddr(strings.TrimSuffix(strings.Repeat("ab:", n), ":"))
		if (err == nil) != ok || ok && a != LLAddr(strings.Repeat("\xab", n)) {
			t.Errorf("a link-layer address of %d bytes: %v, %v", n, a, err)
		}
	}
	for table, want := range map[uint32]int{255: 0, 256: 8} { // the header has eight bits for the table
		body, err := encodeRoute(Route{Dst: pfx("0.0.0.0/0"), Table: table})
		if err != nil || len(body) != unix.SizeofRtMsg+want {
			t.Errorf("table %d: %x, %v", table, body, err)
		}
	}
}

// TestFilters: the bytes of a request for links, with each condition alone.
func TestFilters(t *testing.T) {
	num := func(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
	id := int32(5)
	mask := attrOf(unix.IFLA_EXT_MASK, num(rtextFilterVF)...)
	for what, tt := range map[string]struct {
		filter LinkFilter
		want   []byte
	}{
		"all":       {LinkFilter{}, mask},
		"master":    {LinkFilter{Master: 3}, append(slices.Clone(mask), attrOf(unix.IFLA_MASTER, num(3)...)...)},
		"namespace": {LinkFilter{NSID: &id}, append(slices.Clone(mask), attrOf(unix.IFLA_TARGET_NETNSID, num(5)...)...)},
		"kind": {LinkFilter{Kind: "veth"}, append(slices.Clone(mask), attrOf(unix.NLA_F_NESTED|unix.IFLA_LINKINFO,
			attrOf(unix.IFLA_INFO_KIND, []byte("veth\x00")...)...)...)},
		"no counters": {LinkFilter{NoStats: true},
			attrOf(unix.IFLA_EXT_MASK, num(rtextFilterVF|rtextFilterSkipStats)...)},
	} {
		got, err := tt.filter.encode()
		if want := append(make([]byte, unix.SizeofIfInfomsg), tt.want...); !slices.Equal(got, want) || err != nil {
			t.Errorf("%s: %x, %v; want %x", what, got, err, want)
		}
	}
}

// TestNeighCache: the kernel's four numbers are read only if all are there.
func TestNeighCache(t *testing.T) {
	body, err := encodeNeigh(Neigh{Link: 7, Addr: ipa("10.0.0.1")})
	if err != nil {
		t.Fatal(err)
	}
	var four []byte
	for n := range uint32(4) {
		four = binary.NativeEndian.AppendUint32(four, n+1)
	}
	for n, want := range map[int]NeighCache{16: {Confirmed: 1, Used: 2, Updated: 3, References: 4}, 15: {}, 0: {}} {
		got, err := decodeNeigh(slices.Concat(body, attrOf(unix.NDA_CACHEINFO, four[:n]...)))
		if got.Cache != want || err != nil {
			t.Errorf("%d bytes: %+v, %v", n, got.Cache, err)
		}
	}
}

// TestRouteString: what a route has besides its destination.
func TestRouteString(t *testing.T) {
	for want, r := range map[string]Route{
		"10.0.0.0/8":                          {Dst: pfx("10.0.0.0/8")},
		"10.0.0.1":                            {Dst: pfx("10.0.0.1/32")},
		"default via 10.0.0.1 metric 5":       {Dst: pfx("0.0.0.0/0"), Gateway: ipa("10.0.0.1"), Metric: 5},
		"default nexthop nexthop via fd00::1": {Dst: pfx("::/0"), Hops: []Hop{{Link: 7}, {Gateway: ipa("fd00::1")}}},
		"default table 9":                     {Dst: pfx("::/0"), Table: 9},
	} {
		if got := r.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
