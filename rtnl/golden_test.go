package rtnl

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// TestRequests compares requests with the bytes that ip(8) 6.1.0 sends for the same
// command. v0 is link 7, br0 is link 9, and p0, a port of br0, is link 10. The bytes are
// from
//
//	strace -e trace=sendmsg -e write=3 ip …
//
// The order of attributes, the flag NLA_F_NESTED, and the zero byte at the end of a
// string may differ: the kernel ignores them.
func TestRequests(t *testing.T) {
	up := func(up bool) (l LinkConfig) { l.SetUp(up); return l }
	flag := func(bits, values uint32) LinkConfig { return LinkConfig{Flags: values, Change: bits} }
	number := func(n uint32) *uint32 { return &n }
	byteOf := func(n uint8) *uint8 { return &n }
	v0, br0 := LinkID{Index: 7}, LinkID{Index: 9}
	alias := "hello"
	const mac2, mac3, mac9 = "\x02\x00\x00\x00\x00\x02", "\x02\x00\x00\x00\x00\x03", "\x02\x00\x00\x00\x00\x09"
	kind := func(name string, o Options) Kind { return Kind{Name: name, Options: o} }
	for _, tt := range []struct {
		ip      string
		request Request
		want    string
	}{
		{
			"link add v2 type veth peer name v3",
			AddLink(LinkConfig{Name: "v2", Kind: Kind{Name: "veth", Peer: &LinkConfig{Name: "v3"}}}),
			"540000001000050604cd046b000000000000000000000000000000000000000007000300763200002c00120008000100" +
				"76657468200002001c000100000000000000000000000000000000000700030076330000",
		},
		{
			"link add v2 address 02:00:00:00:00:02 mtu 1400 txqueuelen 500 type veth peer name v3 address 02:00:00:00:00:03 " +
				"mtu 1300",
			AddLink(LinkConfig{Name: "v2", Address: mac2, MTU: 1400, TxQueueLen: number(500),
				Kind: Kind{Name: "veth", Peer: &LinkConfig{Name: "v3", Address: mac3, MTU: 1300}}}),
			"840000001000050604cd046b00000000000000000000000000000000000000000a000100020000000002000008000400" +
				"7805000008000d00f4010000070003007632000040001200080001007665746834000200300001000000000000000000" +
				"00000000000000000a000100020000000003000008000400140500000700030076330000",
		},
		{
			"link add br1 type bridge",
			AddLink(LinkConfig{Name: "br1", Kind: kind("bridge", nil)}),
			"380000001000050604cd046b00000000000000000000000000000000000000000800030062723100100012000a0001006272696467650000",
		},
		{
			"link add br1 type bridge stp_state 1 forward_delay 1500 ageing_time 30000 vlan_filtering 0 mcast_snooping 0",
			AddLink(LinkConfig{Name: "br1", Kind: kind("bridge",
				Options{"stp_state": uint64(1), "forward_delay": uint64(1500), "ageing_time": uint64(30000),
					"vlan_filtering": uint64(0), "mcast_snooping": uint64(0)})}),
			"640000001000050604cd046b000000000000000000000000000000000000000008000300627231003c0012000a000100" +
				"62726964676500002c000200080005000100000008000100dc0500000800040030750000050007000000000005001700" +
				"00000000",
		},
		{
			"link add mv0 link v0 type macvlan mode bridge",
			AddLink(LinkConfig{Name: "mv0", Parent: 7, Kind: kind("macvlan", Options{"mode": uint64(4)})}),
			"4c0000001000050605cd046b00000000000000000000000000000000000000000800050007000000080003006d763000" +
				"1c0012000b0001006d6163766c616e000c0002000800010004000000",
		},
		{
			"link add vl0 link v0 type vlan id 10",
			AddLink(LinkConfig{Name: "vl0", Parent: 7, Kind: kind("vlan", Options{"id": uint64(10)})}),
			"480000001000050605cd046b0000000000000000000000000000000000000000080005000700000008000300766c3000" +
				"1800120008000100766c616e0c000200060001000a000000",
		},
		{
			"link add blue type vrf table 10",
			AddLink(LinkConfig{Name: "blue", Kind: kind("vrf", Options{"table": uint64(10)})}),
			"440000001000050606cd046b000000000000000000000000000000000000000009000300626c75650000000018001200" +
				"07000100767266000c000200080001000a000000",
		},
		{
			"link add d0 type dummy",
			AddLink(LinkConfig{Name: "d0", Kind: kind("dummy", nil)}),
			"380000001000050606cd046b00000000000000000000000000000000000000000700030064300000100012000900010064756d6d79000000",
		},
		{
			"link set v0 up",
			SetLink(v0, up(true)),
			"200000001000050006cd046b0000000000000000070000000100000001000000",
		},
		{
			"link set v0 down",
			SetLink(v0, up(false)),
			"200000001000050006cd046b0000000000000000070000000000000001000000",
		},
		{
			"link set v0 mtu 9000",
			SetLink(v0, LinkConfig{MTU: 9000}),
			"280000001000050006cd046b00000000000000000700000000000000000000000800040028230000",
		},
		{
			"link set v0 address 02:00:00:00:00:09",
			SetLink(v0, LinkConfig{Address: mac9}),
			"2c0000001000050007cd046b00000000000000000700000000000000000000000a0001000200000000090000",
		},
		{
			"link set v0 master br0",
			SetLink(v0, LinkConfig{Master: number(9)}),
			"280000001000050007cd046b000000000000000007000000000000000000000008000a0009000000",
		},
		{
			"link set v0 nomaster",
			SetLink(v0, LinkConfig{Master: number(0)}),
			"280000001000050007cd046b000000000000000007000000000000000000000008000a0000000000",
		},
		{
			"link set v0 alias hello",
			SetLink(v0, LinkConfig{Alias: &alias}),
			"2c0000001000050007cd046b00000000000000000700000000000000000000000900140068656c6c6f000000",
		},
		{
			"link set v0 group 7",
			SetLink(v0, LinkConfig{Group: number(7)}),
			"280000001000050007cd046b000000000000000007000000000000000000000008001b0007000000",
		},
		{
			"link set v0 txqueuelen 10",
			SetLink(v0, LinkConfig{TxQueueLen: number(10)}),
			"280000001000050007cd046b000000000000000007000000000000000000000008000d000a000000",
		},
		{
			"link set v0 arp off",
			SetLink(v0, flag(unix.IFF_NOARP, unix.IFF_NOARP)),
			"200000001000050007cd046b0000000000000000070000008000000080000000",
		},
		{
			"link set v0 promisc on",
			SetLink(v0, flag(unix.IFF_PROMISC, unix.IFF_PROMISC)),
			"200000001000050007cd046b0000000000000000070000000001000000010000",
		},
		{
			"link set v0 allmulticast on multicast off",
			SetLink(v0, flag(unix.IFF_ALLMULTI|unix.IFF_MULTICAST, unix.IFF_ALLMULTI)),
			"200000001000050008cd046b0000000000000000070000000002000000120000",
		},
		{
			"link set v0 addrgenmode none",
			SetLink(v0, LinkConfig{AddrGenMode: byteOf(1)}),
			"300000001000050008cd046b000000000000000007000000000000000000000010001a000c000a000500080001000000",
		},
		{
			"link set v0 carrier off",
			SetLink(v0, LinkConfig{Carrier: byteOf(0)}),
			"280000001000050008cd046b00000000000000000700000000000000000000000500210000000000",
		},
		{
			"link set v0 mode dormant",
			SetLink(v0, LinkConfig{LinkMode: byteOf(1)}),
			"280000001000050008cd046b00000000000000000700000000000000000000000500110001000000",
		},
		{
			"link set br0 type bridge stp_state 1",
			SetLink(br0, LinkConfig{Kind: kind("bridge", Options{"stp_state": uint64(1)})}),
			"3c0000001000050008cd046b00000000000000000900000000000000000000001c0012000a0001006272696467650000" +
				"0c0002000800050001000000",
		},
		{
			"link set group 5 down",
			SetLinkGroup(5, up(false)),
			"280000001000050009cd046b000000000000000000000000000000000100000008001b0005000000",
		},
		{
			"link del v0",
			DeleteLink(v0),
			"200000001100050009cd046b0000000000000000070000000000000000000000",
		},
		{
			"link del group 5",
			DeleteLinkGroup(5),
			"280000001100050009cd046b000000000000000000000000000000000000000008001b0005000000",
		},
		{
			"link property del dev v0 altname long-name",
			DeleteAltNames(v0, "long-name"),
			"340000006d00050009cd046b0000000000000000070000000000000000000000140034800e0035006c6f6e672d6e616d65000000",
		},
		{
			"addr add 10.0.0.1/24 dev v0",
			AddAddr(Addr{Link: 7, Prefix: pfx("10.0.0.1/24")}),
			"280000001400050609cd046b000000000218000007000000080002000a000001080001000a000001",
		},
		{
			"addr add 10.0.0.1/24 brd + dev v0",
			AddAddr(Addr{Link: 7, Prefix: pfx("10.0.0.1/24"), Broadcast: BroadcastOf(pfx("10.0.0.1/24"))}),
			"300000001400050609cd046b000000000218000007000000080002000a000001080001000a000001080004000a0000ff",
		},
		{
			"addr add 10.0.0.1 peer 10.0.0.2/32 dev v0",
			AddAddr(Addr{Link: 7, Prefix: pfx("10.0.0.1/32"), Peer: ipa("10.0.0.2")}),
			"28000000140005060acd046b000000000220000007000000080002000a000001080001000a000002",
		},
		{
			"addr add 10.0.0.1/24 dev v0 label v0:1 scope link metric 50 noprefixroute",
			AddAddr(Addr{Link: 7, Prefix: pfx("10.0.0.1/24"), Label: "v0:1", Scope: unix.RT_SCOPE_LINK, Metric: 50,
				Flags: unix.IFA_F_NOPREFIXROUTE}),
			"44000000140005060acd046b00000000021800fd07000000080002000a0000010900030076303a310000000008000900" +
				"320000000800080000020000080001000a000001",
		},
		{
			"addr add 10.0.0.1/24 dev v0 valid_lft 100 preferred_lft 50",
			AddAddr(Addr{Link: 7, Prefix: pfx("10.0.0.1/24"), Valid: 100, Preferred: 50}),
			"3c000000140005060acd046b000000000218000007000000080002000a000001080001000a0000011400060032000000" +
				"640000000000000000000000",
		},
		{
			"addr add fd00::1/64 dev v0 nodad",
			AddAddr(Addr{Link: 7, Prefix: pfx("fd00::1/64"), Flags: unix.IFA_F_NODAD}),
			"40000000140005060acd046b000000000a4002000700000014000200fd00000000000000000000000000000114000100" +
				"fd000000000000000000000000000001",
		},
		{
			"addr replace 10.0.0.1/24 dev v0",
			ReplaceAddr(Addr{Link: 7, Prefix: pfx("10.0.0.1/24")}),
			"28000000140005050acd046b000000000218000007000000080002000a000001080001000a000001",
		},
		{
			"addr change fd00::1/64 dev v0 preferred_lft 0",
			ChangeAddr(Addr{Link: 7, Prefix: pfx("fd00::1/64"), Valid: Forever, Preferred: 0}),
			"54000000140005010acd046b000000000a4000000700000014000200fd00000000000000000000000000000114000100" +
				"fd0000000000000000000000000000011400060000000000ffffffff0000000000000000",
		},
		{
			"addr del 10.0.0.1/24 dev v0",
			DeleteAddr(Addr{Link: 7, Prefix: pfx("10.0.0.1/24")}),
			"28000000150005000bcd046b000000000218000007000000080002000a000001080001000a000001",
		},
		{
			"addr del fd00::1/64 dev v0",
			DeleteAddr(Addr{Link: 7, Prefix: pfx("fd00::1/64")}),
			"40000000150005000bcd046b000000000a4000000700000014000200fd00000000000000000000000000000114000100" +
				"fd000000000000000000000000000001",
		},
		{
			"neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev v0",
			AddNeigh(Neigh{Link: 7, Addr: ipa("10.0.0.9"), LLAddr: mac9}),
			"300000001c0005060ccd046b00000000020000000700000080000000080001000a0000090a0002000200000000090000",
		},
		{
			"neigh replace 10.0.0.9 lladdr 02:00:00:00:00:09 dev v0 nud reachable",
			ReplaceNeigh(Neigh{Link: 7, Addr: ipa("10.0.0.9"), LLAddr: mac9, State: unix.NUD_REACHABLE}),
			"300000001c0005050ccd046b00000000020000000700000002000000080001000a0000090a0002000200000000090000",
		},
		{
			"neigh change fd00::9 lladdr 02:00:00:00:00:09 dev v0 nud stale router",
			ChangeNeigh(Neigh{Link: 7, Addr: ipa("fd00::9"), LLAddr: mac9, State: unix.NUD_STALE, Flags: unix.NTF_ROUTER}),
			"3c0000001c0005010ccd046b000000000a000000070000000400800014000100fd000000000000000000000000000009" +
				"0a0002000200000000090000",
		},
		{
			"neigh del 10.0.0.9 dev v0",
			DeleteNeigh(Neigh{Link: 7, Addr: ipa("10.0.0.9"), State: unix.NUD_PERMANENT}),
			"240000001d0005000ccd046b00000000020000000700000080000000080001000a000009",
		},
	} {
		t.Run(tt.ip, func(t *testing.T) {
			if tt.request.err != nil {
				t.Fatal(tt.request.err)
			}
			tt.request.msg.Header.Flags |= netlink.Request | netlink.Acknowledge
			sameMessage(t, tt.want, tt.request.msg)
		})
	}
}

// TestNativeOrder: numbers in headers and attributes are in native byte order, ports and
// protocols in network byte order.
func TestNativeOrder(t *testing.T) {
	half := func(n uint16) []byte { return binary.NativeEndian.AppendUint16(nil, n) }
	word := func(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
	for _, tt := range []struct {
		what    string
		request Request
		want    [][]byte
	}{
		{
			"a VLAN of 802.1ad",
			AddLink(LinkConfig{Parent: 7, Kind: Kind{Name: "vlan",
				Options: Options{"protocol": uint64(0x88a8), "id": uint64(10)}}}),
			[][]byte{
				make([]byte, unix.SizeofIfInfomsg), half(8), half(unix.IFLA_LINK), word(7),
				half(36), half(unix.IFLA_LINKINFO | unix.NLA_F_NESTED), half(9), half(unix.IFLA_INFO_KIND),
				[]byte("vlan\x00\x00\x00\x00"),
				half(20), half(unix.IFLA_INFO_DATA), half(6), half(unix.IFLA_VLAN_PROTOCOL), {0x88, 0xa8, 0, 0},
				half(6), half(unix.IFLA_VLAN_ID), half(10), {0, 0},
			},
		},
		{
			"an address",
			AddAddr(Addr{Link: 7, Prefix: pfx("10.0.0.1/24"), Metric: 5}),
			[][]byte{
				{unix.AF_INET, 24, 0, 0}, word(7), half(8), half(unix.IFA_LOCAL), {10, 0, 0, 1},
				half(8), half(unix.IFA_ADDRESS), {10, 0, 0, 1},
				half(8), half(unix.IFA_RT_PRIORITY), word(5),
			},
		},
		{
			"a neighbour",
			AddNeigh(Neigh{Link: 7, Addr: ipa("10.0.0.9"), LLAddr: "\x02\x00\x00\x00\x00\x09"}),
			[][]byte{
				{unix.AF_INET, 0, 0, 0}, word(7), half(unix.NUD_PERMANENT), {0, 0}, half(8), half(unix.NDA_DST), {10, 0, 0, 9},
				half(10), half(unix.NDA_LLADDR), {2, 0, 0, 0, 0, 9, 0, 0},
			},
		},
		{
			"a route of two hops, one of IPv6",
			AddRoute(Route{Dst: pfx("10.2.0.0/16"), Hops: []Hop{{Link: 7, Weight: 3}, {Gateway: ipa("fe80::1"), Link: 7}}}),
			[][]byte{
				{unix.AF_INET, 16, 0, 0, unix.RT_TABLE_MAIN, 0, 0, unix.RTN_UNICAST}, word(0),
				half(8), half(unix.RTA_DST), {10, 2, 0, 0},
				half(44), half(unix.RTA_MULTIPATH), half(8), {0, 2}, word(7), half(32), {0, 0}, word(7),
				half(22), half(unix.RTA_VIA), half(unix.AF_INET6), ipa("fe80::1").AsSlice(), {0, 0},
			},
		},
	} {
		want := slices.Concat(tt.want...)
		if diff := cmp.Diff(hex.EncodeToString(want), hex.EncodeToString(tt.request.msg.Data)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.what, diff)
		}
	}
}

// sameMessage compares a message with a captured one.
func sameMessage(t *testing.T, want string, got netlink.Message) {
	t.Helper()
	b := native(t, want)
	if typ := binary.NativeEndian.Uint16(b[4:]); typ != uint16(got.Header.Type) {
		t.Errorf("message type %d, ip sends %d", got.Header.Type, typ)
	}
	if flags := binary.NativeEndian.Uint16(b[6:]); flags != uint16(got.Header.Flags) {
		t.Errorf("flags %#x, ip sends %#x", got.Header.Flags, flags)
	}
	head, _ := requestLayout(got.Header.Type)
	b = b[unix.NLMSG_HDRLEN:]
	if diff := cmp.Diff(b[:head], got.Data[:head]); diff != "" {
		t.Errorf("header (-ip +ours):\n%s", diff)
	}
	if diff := cmp.Diff(normalAttrs(b[head:]), normalAttrs(got.Data[head:])); diff != "" {
		t.Errorf("attributes (-ip +ours):\n%s", diff)
	}
}

// An attr is an attribute without the parts that the kernel ignores.
type attr struct {
	Type  uint16
	Data  string // in hexadecimal, if it is not Inner
	Inner []attr
}

// normalAttrs decodes attributes. It also decodes values that look like nested attributes.
func normalAttrs(b []byte) (list []attr) {
	attrs, err := netlink.UnmarshalAttributes(b)
	if err != nil {
		return []attr{{Data: hex.EncodeToString(b)}}
	}
	for _, a := range attrs {
		n := attr{Type: a.Type & nlaTypeMask}
		inner, err := netlink.UnmarshalAttributes(a.Data)
		if err == nil && len(inner) > 0 && inner[0].Length > 4 {
			n.Inner = normalAttrs(a.Data)
		} else {
			n.Data = hex.EncodeToString(trimmed(a.Data))
		}
		list = append(list, n)
	}
	slices.SortStableFunc(list, func(a, b attr) int { return int(a.Type) - int(b.Type) })
	return list
}

// trimmed removes the zero byte at the end of a string. It returns other values unchanged.
func trimmed(b []byte) []byte {
	if n := len(b); n > 1 && b[n-1] == 0 && !slices.Contains(b[:n-1], 0) && b[0] >= ' ' {
		return b[:n-1]
	}
	return b
}
