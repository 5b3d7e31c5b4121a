package rtnl

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

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
	decodeRule := func(b []byte) error { _, err := decodeRule(b); return err }
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
		{"rule, header", decodeRule, make([]byte, 11), errMalformedRule},
		{"rule, family", decodeRule, route(unix.AF_BRIDGE, 0, 0), errRuleFamily},
		{"rule, attributes", decodeRule, append(route(unix.AF_INET, 0, 0), broken...), errMalformedRule},
		{"rule, 32 bits", decodeRule, route(unix.AF_INET, 0, 32), nil},
		{"rule, 33 bits", decodeRule, route(unix.AF_INET, 0, 33), errMalformedRule},
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

// A list of which one element has a wrong length is malformed, and so is one without elements.
func TestMalformedLists(t *testing.T) {
	for _, tt := range []struct {
		typ       OptionType
		good, bad int // lengths of elements
	}{{Addrs, 4, 5}, {Addrs, 16, 15}, {LLs, maxLLAddr, maxLLAddr + 1}, {QoSMap, 8, 7}, {QoSMap, 8, 9}} {
		for _, lengths := range [][]int{{tt.good}, {tt.good, tt.good}, {tt.bad}, {tt.good, tt.bad}, {tt.bad, tt.good}, {}} {
			var b []byte
			for _, n := range lengths {
				b = append(b, attrOf(1, make([]byte, n)...)...)
			}
			want := len(lengths) > 0 && !slices.Contains(lengths, tt.bad)
			if _, ok := (Option{Type: tt.typ}).decode(b); ok != want {
				t.Errorf("type %d, elements of %v bytes: valid is %t", tt.typ, lengths, ok)
			}
		}
	}
}
