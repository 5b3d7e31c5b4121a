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

// attrOf encodes an attribute, padded to four bytes.
func attrOf(typ uint16, value ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, typ), value...)
	return append(b, make([]byte, -len(b)&3)...)
}

// TestMalformed: decoders refuse headers that are too short, attributes that end too early, and values that
// contradict each other.
func TestMalformed(t *testing.T) {
	broken := attrOf(1, make([]byte, 8)...)[:8] // 12 bytes, of which 8 are there
	addr := func(family, bits byte) []byte { return []byte{family, bits, 0, 0, 7, 0, 0, 0} }
	route := func(family, dst, src byte) []byte { return []byte{family, dst, src, 0, 0, 0, 0, 0, 0, 0, 0, 0} }
	four, six := []byte{10, 0, 0, 1}, ipa("fd00::1").AsSlice()
	hop := func(length uint16, rest ...byte) []byte {
		return attrOf(unix.RTA_MULTIPATH, append(binary.NativeEndian.AppendUint16(nil, length), rest...)...)
	}
	decodeAddr := func(b []byte) error { _, err := decodeAddr(b); return err }
	decodeRoute := func(b []byte) error { _, err := decodeRoute(b); return err }
	decodeLink := func(b []byte) error { _, err := decodeLink(b); return err }
	decodeNeigh := func(b []byte) error { _, err := decodeNeigh(b); return err }
	decodeVLANs := func(b []byte) error { _, err := decodeVLANs(b); return err }
	decodeNetem := func(b []byte) error { _, _, err := decodeNetem(b); return err }
	for _, tt := range []struct {
		what   string
		decode func([]byte) error
		body   []byte
		want   error
	}{
		{"address, header", decodeAddr, make([]byte, 7), errMalformedAddr},
		{"address, no address", decodeAddr, addr(unix.AF_INET, 24), errMalformedAddr},
		{"address, attributes", decodeAddr, append(addr(unix.AF_INET, 24), broken...), errMalformedAddr},
		{"address, three bytes", decodeAddr, append(addr(unix.AF_INET, 24), attrOf(unix.IFA_LOCAL, 1, 2, 3)...),
			errMalformedAddr},
		{"address, 32 bits", decodeAddr, append(addr(unix.AF_INET, 32), attrOf(unix.IFA_LOCAL, four...)...), nil},
		{"address, 33 bits", decodeAddr, append(addr(unix.AF_INET, 33), attrOf(unix.IFA_LOCAL, four...)...),
			errMalformedAddr},
		{"address, peer of the other family", decodeAddr, slices.Concat(addr(unix.AF_INET, 24),
			attrOf(unix.IFA_LOCAL, four...), attrOf(unix.IFA_ADDRESS, six...)), errMalformedAddr},
		{"route, header", decodeRoute, make([]byte, 11), errMalformedRoute},
		{"route, family", decodeRoute, route(unix.AF_BRIDGE, 0, 0), errRouteFamily},
		{"route, no attributes", decodeRoute, route(unix.AF_INET, 0, 0), nil},
		{"route, attributes", decodeRoute, append(route(unix.AF_INET, 0, 0), broken...), errMalformedRoute},
		{"route, 33 bits", decodeRoute, route(unix.AF_INET, 33, 0), errMalformedRoute},
		{"route, 128 bits", decodeRoute, route(unix.AF_INET6, 128, 0), nil},
		{"route, source without address", decodeRoute, route(unix.AF_INET, 0, 8), errMalformedRoute},
		{"route, metrics", decodeRoute, append(route(unix.AF_INET, 0, 0), attrOf(unix.RTA_METRICS, broken...)...),
			errMalformedRoute},
		{"route, hop without header", decodeRoute, append(route(unix.AF_INET, 0, 0), hop(8, 0, 0)...),
			errMalformedRoute},
		{"route, hop of 7 bytes", decodeRoute, append(route(unix.AF_INET, 0, 0), hop(7, 0, 0, 7, 0, 0, 0)...),
			errMalformedRoute},
		{"route, hop of 8 bytes", decodeRoute, append(route(unix.AF_INET, 0, 0), hop(8, 0, 0, 7, 0, 0, 0)...), nil},
		{"route, hop of 9 bytes", decodeRoute, append(route(unix.AF_INET, 0, 0), hop(9, 0, 0, 7, 0, 0, 0)...),
			errMalformedRoute},
		{"route, attributes of a hop", decodeRoute,
			append(route(unix.AF_INET, 0, 0), hop(16, append([]byte{0, 0, 7, 0, 0, 0}, broken...)...)...), errMalformedRoute},
		{"link, header", decodeLink, make([]byte, unix.SizeofIfInfomsg-1), errMalformedLink},
		{"link, no attributes", decodeLink, make([]byte, unix.SizeofIfInfomsg), nil},
		{"link, attributes", decodeLink, append(make([]byte, unix.SizeofIfInfomsg), broken...), errMalformedLink},
		{"neighbour, header", decodeNeigh, make([]byte, unix.SizeofNdMsg-1), errMalformedNeigh},
		{"neighbour, attributes", decodeNeigh, append(make([]byte, unix.SizeofNdMsg), broken...), errMalformedNeigh},
		{"VLAN, attributes", decodeVLANs, append(make([]byte, unix.SizeofIfInfomsg), broken...), errMalformedVLAN},
		{"VLAN, no attributes", decodeVLANs, make([]byte, unix.SizeofIfInfomsg), nil},
		{"VLAN, attributes inside", decodeVLANs,
			append(make([]byte, unix.SizeofIfInfomsg), attrOf(unix.IFLA_AF_SPEC, broken...)...), errMalformedVLAN},
		{"netem, attributes", decodeNetem, append(tcHeader(7), broken...), errMalformedQdisc},
		{"netem, no options", decodeNetem, append(tcHeader(7), attrOf(unix.TCA_KIND, []byte("netem")...)...),
			errMalformedQdisc},
		{"netem, attributes inside", decodeNetem, slices.Concat(tcHeader(7), attrOf(unix.TCA_KIND, []byte("netem")...),
			attrOf(unix.TCA_OPTIONS, append(make([]byte, sizeofNetem), broken...)...)), errMalformedQdisc},
	} {
		if err := tt.decode(tt.body); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: %v, want %v", tt.what, err, tt.want)
		}
	}
}

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
