package show

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
)

// TestParentNetns checks how a link's parent, the parent's namespace and protodown are printed.
func TestParentNetns(t *testing.T) {
	nsid := func(n int32) *int32 { return &n }
	s := LinkStyle{
		Link:      func(index uint32) (rtnl.Link, bool) { return rtnl.Link{Name: "v2", Flags: unix.IFF_UP}, index == 2 },
		Namespace: func(n int32) string { return map[int32]string{5: "red"}[n] },
	}
	on := seen(unix.IFLA_LINK)
	for _, tt := range []struct {
		what       string
		link       rtnl.Link
		text, json string
	}{
		{"nothing", rtnl.Link{Name: "v0"}, "1: v0: <> ", `{"ifindex":1,"ifname":"v0","flags":[]}`},
		{"a link", rtnl.Link{Name: "v0", Parent: 2, Seen: on}, "1: v0@v2: <> ",
			`{"ifindex":1,"link":"v2","ifname":"v0","flags":[]}`},
		{"a deleted link", rtnl.Link{Name: "v0", Parent: 9, Seen: on}, "1: v0@if9: <> ",
			`{"ifindex":1,"link":"if9","ifname":"v0","flags":[]}`},
		{"no link", rtnl.Link{Name: "v0", Seen: on}, "1: v0@NONE: <> ", `{"ifindex":1,"link":null,"ifname":"v0","flags":[]}`},
		{
			"a link in a namespace with a name", rtnl.Link{Name: "v0", Parent: 2, ParentNSID: nsid(5), Seen: on},
			"1: v0@if2: <>  link-netns red", `{"ifindex":1,"link_index":2,"ifname":"v0","flags":[],"link_netnsid":5}`,
		},
		{
			"a link in namespace 0", rtnl.Link{Name: "v0", Parent: 2, ParentNSID: nsid(0), Seen: on},
			"1: v0@if2: <>  link-netnsid 0", `{"ifindex":1,"link_index":2,"ifname":"v0","flags":[],"link_netnsid":0}`,
		},
		{
			"a link in a namespace without a name", rtnl.Link{Name: "v0", Parent: 2, ParentNSID: nsid(6), Seen: on},
			"1: v0@if2: <>  link-netnsid 6", `{"ifindex":1,"link_index":2,"ifname":"v0","flags":[],"link_netnsid":6}`,
		},
		{
			"a link in a namespace without an id", rtnl.Link{Name: "v0", Parent: 2, ParentNSID: nsid(-1), Seen: on},
			"1: v0@if2: <>  link-netnsid unknown", `{"ifindex":1,"link_index":2,"ifname":"v0","flags":[],"link_netnsid":-1}`,
		},
		{
			"a protocol's", rtnl.Link{Name: "v0", ProtoDown: true, Flags: unix.IFF_UP | 1<<31},
			"1: v0: <NO-CARRIER,UP,80000000>  protodown on ",
			`{"ifindex":1,"ifname":"v0","flags":["NO-CARRIER","UP","80000000"],"proto_down":true}`,
		},
	} {
		var m members
		tt.link.Index = 1
		s.addHead(&m, tt.link)
		s.addParentNetns(&m, tt.link)
		if got := m.text(); got != tt.text {
			t.Errorf("on %s: %q, want %q", tt.what, got, tt.text)
		}
		if got, err := m.MarshalJSON(); err != nil || string(got) != tt.json {
			t.Errorf("on %s: %v\n%s, want\n%s", tt.what, err, got, tt.json)
		}
	}
}

// TestDetails checks ip(8)'s order, and that attributes missing in the kernel's message are left out.
func TestDetails(t *testing.T) {
	mode := func(m uint8) *uint8 { return &m }
	limits := rtnl.Limits{TxQueues: 1, RxQueues: 2, GSOMaxSize: 3, GSOMaxSegs: 4, TSOMaxSize: 5, TSOMaxSegs: 6,
		GROMaxSize: 7, GSOIPv4MaxSize: 8, GROIPv4MaxSize: 9}
	for _, tt := range []struct {
		link rtnl.Link
		want string
	}{
		{rtnl.Link{}, " "},
		{rtnl.Link{AllMulti: 1, Promiscuity: 2, Seen: seen(unix.IFLA_PROMISCUITY, unix.IFLA_ALLMULTI)},
			" promiscuity 2 allmulti 1 "},
		{rtnl.Link{MinMTU: 68, MaxMTU: 65535, Seen: seen(unix.IFLA_MIN_MTU, unix.IFLA_MAX_MTU)}, " minmtu 68 maxmtu 65535 "},
		{rtnl.Link{AddrGenMode: mode(rtnl.AddrGenEUI64)}, " addrgenmode eui64 "},
		{rtnl.Link{AddrGenMode: mode(rtnl.AddrGenNone)}, " addrgenmode none "},
		{rtnl.Link{AddrGenMode: mode(rtnl.AddrGenStablePrivacy)}, " addrgenmode stable_secret "},
		{rtnl.Link{AddrGenMode: mode(rtnl.AddrGenRandom)}, " addrgenmode random "},
		{rtnl.Link{AddrGenMode: mode(9)}, " addrgenmode 0x09 "},
		{rtnl.Link{ParentBus: "pci", ParentDev: "0000:00:03.0"}, " parentbus pci parentdev 0000:00:03.0 "},
		{rtnl.Link{Limits: limits}, " "}, // not in the message
		{
			rtnl.Link{Limits: limits, Seen: seen(unix.IFLA_NUM_TX_QUEUES, unix.IFLA_NUM_RX_QUEUES, unix.IFLA_GSO_MAX_SIZE,
				unix.IFLA_GSO_MAX_SEGS,
				unix.IFLA_TSO_MAX_SIZE, unix.IFLA_TSO_MAX_SEGS, unix.IFLA_GRO_MAX_SIZE, unix.IFLA_GSO_IPV4_MAX_SIZE,
				unix.IFLA_GRO_IPV4_MAX_SIZE)},
			" numtxqueues 1 numrxqueues 2 gso_max_size 3 gso_max_segs 4 tso_max_size 5 tso_max_segs 6 gro_max_size 7 " +
				"gso_ipv4_max_size 8 gro_ipv4_max_size 9 ",
		},
	} {
		var m members
		LinkStyle{}.addDetails(&m, tt.link)
		if got := m.text(); got != tt.want {
			t.Errorf("%+v:\n%q, want\n%q", tt.link, got, tt.want)
		}
	}
}

// TestDetailsJSON checks that linkinfo is there only for a link with a kind, or for a port.
func TestDetailsJSON(t *testing.T) {
	for _, tt := range []struct {
		link rtnl.Link
		want string
	}{
		{rtnl.Link{}, `{}`},
		{rtnl.Link{Kind: rtnl.Kind{Name: "veth"}}, `{"linkinfo":{"info_kind":"veth"}}`},
		{rtnl.Link{PortKind: "bridge_slave"}, `{"linkinfo":{"info_slave_kind":"bridge"}}`},
		{rtnl.Link{NetnsImmutable: true, ParentBus: "pci"}, `{"netns-immutable":true,"parentbus":"pci"}`},
	} {
		var m members
		LinkStyle{}.addDetails(&m, tt.link)
		if got, err := m.MarshalJSON(); err != nil || string(got) != tt.want {
			t.Errorf("%+v:\n%s, %v; want\n%s", tt.link, got, err, tt.want)
		}
	}
}

// TestLLText checks MAC addresses, and tunnels' IP addresses.
func TestLLText(t *testing.T) {
	for _, tt := range []struct {
		addr rtnl.LLAddr
		typ  uint16
		want string
	}{
		{"\x02\x00\x00\x00\x00\x01", unix.ARPHRD_ETHER, "02:00:00:00:00:01"},
		{"\x0a\x00\x00\x01", unix.ARPHRD_ETHER, "0a:00:00:01"},
		{"\x0a\x00\x00\x01", unix.ARPHRD_TUNNEL, "10.0.0.1"},
		{"\x0a\x00\x00\x01", unix.ARPHRD_SIT, "10.0.0.1"},
		{"\x0a\x00\x00\x01", unix.ARPHRD_IPGRE, "10.0.0.1"},
		{"\x0a\x00", unix.ARPHRD_TUNNEL, "0a:00"},
		{"", unix.ARPHRD_TUNNEL, ""},
	} {
		if got := llText(tt.addr, tt.typ); got != tt.want {
			t.Errorf("%x on a link of type %d: %q, want %q", string(tt.addr), tt.typ, got, tt.want)
		}
	}
}

// TestOperState checks names, colours, and a state without a name.
func TestOperState(t *testing.T) {
	for state, want := range map[uint8]struct {
		name  string
		color color
	}{0: {"UNKNOWN", 0}, 2: {"DOWN", colorDown}, 3: {"LOWERLAYERDOWN", 0}, 6: {"UP", colorUp}, 7: {"0x7", 0}} {
		if got := operState(state); got != want.name || stateColor(state) != want.color {
			t.Errorf("%d: %s in %d, want %s in %d", state, got, stateColor(state), want.name, want.color)
		}
	}
}

// TestRouteCache checks that ticks are printed as seconds and zeros are left out.
func TestRouteCache(t *testing.T) {
	all := rtnl.RouteCache{References: 1, LastUse: 250, Expires: 1234, Error: 101, Used: 3}
	for _, tt := range []struct {
		cache rtnl.RouteCache
		stats bool
		want  string
	}{
		{all, true, "expires 12sec error 101 users 1 used 3 age 2sec "},
		{all, false, "expires 12sec error 101 "},
		{rtnl.RouteCache{}, true, ""},
		{rtnl.RouteCache{Expires: -150}, false, "expires -1sec "},
	} {
		var m members
		addCache(&m, tt.cache, tt.stats)
		if got := m.text(); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.cache, got, tt.want)
		}
	}
}
