package rtnl

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/internal/naming"
	"golang.org/x/sys/unix"
)

// TestAddrRefusals: addresses that the kernel would truncate, pad or ignore are not sent.
func TestAddrRefusals(t *testing.T) {
	v4, v6 := pfx("10.0.0.1/24"), pfx("fd00::1/64")
	for _, tt := range []struct {
		addr Addr
		want string
	}{
		{Addr{Link: 7}, "add address invalid Prefix dev if7: no address"},
		{Addr{Prefix: v4}, "add address 10.0.0.1/24 dev if0: no link"},
		{Addr{Link: 7, Prefix: v4, Peer: ipa("fd00::2")},
			"add address 10.0.0.1 peer fd00::2/24 dev if7: peer fd00::2 is of the other address family"},
		{Addr{Link: 7, Prefix: v6, Peer: ipa("10.0.0.2")},
			"add address fd00::1 peer 10.0.0.2/64 dev if7: peer 10.0.0.2 is of the other address family"},
		{Addr{Link: 7, Prefix: v6, Broadcast: ipa("fd00::ff")},
			"add address fd00::1/64 dev if7: broadcast fd00::ff: only IPv4 addresses have one"},
		{Addr{Link: 7, Prefix: v4, Broadcast: ipa("fd00::ff")},
			"add address 10.0.0.1/24 dev if7: broadcast fd00::ff: only IPv4 addresses have one"},
		{Addr{Link: 7, Prefix: v4, Label: "sixteen-bytes-xx"},
			`add address 10.0.0.1/24 dev if7: label "sixteen-bytes-xx" has 16 bytes, a label has at most 15`},
		{Addr{Link: 7, Prefix: v4, Valid: 1, Preferred: 2},
			"add address 10.0.0.1/24 dev if7: preferred lifetime 2 is longer than valid lifetime 1"},
	} {
		kernel := new(Conn) // without a socket: nothing may be sent
		if err := kernel.Do(AddAddr(tt.addr)); err == nil || err.Error() != tt.want {
			t.Errorf("%v\nwant %s", err, tt.want)
		}
	}
	if err := new(Conn).Do(AddNeigh(Neigh{Link: 7})); err == nil ||
		err.Error() != "add neighbour invalid IP dev if7: no address" {
		t.Errorf("%v", err)
	}
}

func TestLinkRefusals(t *testing.T) {
	long := strings.Repeat("x", naming.MaxAltName+1)
	for _, tt := range []struct {
		request Request
		want    string
	}{
		{SetLink(LinkID{Name: "v0"}, LinkConfig{Name: "v1"}), "set link v0: renaming a link needs its index"},
		{SetLink(LinkID{Name: long}, LinkConfig{}), "set link " + long + ": a name has at most 127 bytes"},
		{DeleteLink(LinkID{Name: "a/b"}), `delete link a/b: "a/b" is not a name for a link`},
		{SetLink(LinkID{Index: 7}, LinkConfig{Alias: ptr(strings.Repeat("x", maxAlias+1))}),
			"set link if7: an alias has at most 255 bytes"},
		{AddAltNames(LinkID{Index: 7}, "good", ""),
			`add alternative names of link if7: "": an alternative name has 1 to 127 bytes`},
		{AddAltNames(LinkID{Index: 7}, long),
			`add alternative names of link if7: "` + long + `": an alternative name has 1 to 127 bytes`},
		{AddLink(LinkConfig{Name: "x", Kind: Kind{Name: "vlan", Options: Options{"id": uint64(1 << 16)}}}),
			"add link x type vlan: id: 65536 is too large"},
		{AddLink(LinkConfig{Name: "x", Kind: Kind{Name: "vlan", Options: Options{"id": 5}}}),
			"add link x type vlan: id: unexpected value 5 of type int"},
		{AddLink(LinkConfig{Name: "x", Kind: Kind{Name: "vlan", Options: Options{"id": ipa("10.0.0.1")}}}),
			"add link x type vlan: id: unexpected value 10.0.0.1 of type netip.Addr"},
		{AddLink(LinkConfig{Name: "x", Kind: Kind{Name: "vxlan", Options: Options{"local": uint64(1)}}}),
			"add link x type vxlan: local: unexpected number 1"},
		{AddLink(LinkConfig{Name: "x", Kind: Kind{Name: "bridge", Options: Options{"group_address": uint64(1)}}}),
			"add link x type bridge: group_address: unexpected number 1"},
		{AddLink(LinkConfig{Name: "x", Kind: Kind{Name: "dummy", Options: Options{"mode": uint64(1)}}}),
			"add link x type dummy: kind dummy does not have all options of map[mode:1]"},
	} {
		if err := new(Conn).Do(tt.request); err == nil || err.Error() != tt.want {
			t.Errorf("%v\nwant %s", err, tt.want)
		}
	}
}

func TestBroadcastOf(t *testing.T) {
	for prefix, want := range map[string]string{
		"10.0.0.1/24": "10.0.0.255", "10.1.2.3/8": "10.255.255.255", "10.0.0.1/30": "10.0.0.3",
		"0.0.0.0/0": "255.255.255.255",
	} {
		if got := BroadcastOf(pfx(prefix)); got != ipa(want) {
			t.Errorf("of %s: %v, want %s", prefix, got, want)
		}
	}
	for _, none := range []string{"10.0.0.1/31", "10.0.0.1/32", "fd00::1/64"} {
		if got := BroadcastOf(pfx(none)); got.IsValid() {
			t.Errorf("of %s: %v", none, got)
		}
	}
}

func TestAddrString(t *testing.T) {
	a := Addr{Prefix: pfx("10.0.0.1/32")}
	if a.String() != "10.0.0.1/32" || a.Is6() {
		t.Error(a)
	}
	a = Addr{Prefix: pfx("fd00::1/64"), Peer: ipa("fd00::2")}
	if a.String() != "fd00::1 peer fd00::2/64" || !a.Is6() {
		t.Error(a)
	}
}

func TestLLAddr(t *testing.T) {
	for text, want := range map[string]LLAddr{
		"02:00:00:00:00:0a": "\x02\x00\x00\x00\x00\x0a",
		"2:0:0:0:0:A":       "\x02\x00\x00\x00\x00\x0a",
		"7f:00:00:01":       "\x7f\x00\x00\x01",
	} {
		got, err := ParseLLAddr(text)
		if err != nil || got != want {
			t.Errorf("%s is %q, %v", text, got, err)
		}
		if again, err := ParseLLAddr(got.String()); again != got || err != nil {
			t.Errorf("%s is written as %s", text, got)
		}
	}
	for _, text := range []string{"", "02", "02:", "02:0g", "02:000", "+2:00", "02-00-00-00-00-0a",
		strings.Repeat("00:", maxLLAddr) + "00"} {
		if got, err := ParseLLAddr(text); err == nil {
			t.Errorf("%q is %q", text, got)
		}
	}
	if none := LLAddr("").String(); none != "" {
		t.Errorf("no address is %q", none)
	}
}

// TestAddrKindsLive: lifetimes, flags, scopes and filters.
func TestAddrKindsLive(t *testing.T) {
	c := newVethConn(t)
	for _, tt := range []struct {
		ip   string
		addr Addr
	}{
		{"10.1.0.1/24 scope link", Addr{Prefix: pfx("10.1.0.1/24"), Scope: unix.RT_SCOPE_LINK}},
		{"10.2.0.1/24 noprefixroute metric 9", Addr{Prefix: pfx("10.2.0.1/24"), Flags: unix.IFA_F_NOPREFIXROUTE, Metric: 9}},
		{"10.3.0.1/32 peer 10.3.0.2/32", Addr{Prefix: pfx("10.3.0.1/32"), Peer: ipa("10.3.0.2")}},
		{"10.4.0.1/24 valid_lft 1000 preferred_lft 0", Addr{Prefix: pfx("10.4.0.1/24"), Valid: 1000}},
		{"10.5.0.1/24 proto 5", Addr{Prefix: pfx("10.5.0.1/24"), Proto: 5}},
		{"fd01::1/64 nodad home", Addr{Prefix: pfx("fd01::1/64"), Flags: unix.IFA_F_NODAD | unix.IFA_F_HOMEADDRESS}},
		{"fd02::1/128 peer fd02::2/128 nodad", Addr{Prefix: pfx("fd02::1/128"), Peer: ipa("fd02::2"),
			Flags: unix.IFA_F_NODAD}},
		{"fd03::1/64 valid_lft 1000 preferred_lft 500",
			Addr{Prefix: pfx("fd03::1/64"), Valid: 1000, Preferred: 500, Flags: unix.IFA_F_NODAD}},
		{"fe80::77/64 scope link", Addr{Prefix: pfx("fe80::77/64"), Scope: unix.RT_SCOPE_LINK, Flags: unix.IFA_F_NODAD}},
		{"::ffff:10.9.0.1/128", Addr{Prefix: netip.PrefixFrom(ipa("::ffff:10.9.0.1"), 128), Flags: unix.IFA_F_NODAD}},
	} {
		tt.addr.Link = 7
		if err := c.Do(AddAddr(tt.addr)); err != nil {
			t.Error(err)
			continue
		}
		got := addrAt(t, c, tt.addr)
		if got.Scope != tt.addr.Scope || got.Flags&tt.addr.Flags != tt.addr.Flags || got.Peer != tt.addr.Peer ||
			got.Metric != tt.addr.Metric {
			t.Errorf("%s is %+v", tt.ip, got)
		}
		if got.Proto != tt.addr.Proto && got.Proto != 0 { // Linux 5.18
			t.Errorf("%s has protocol %d", tt.ip, got.Proto)
		}
		forever := tt.addr.Valid == 0
		if forever != (got.Valid == Forever) || forever != (got.Flags&unix.IFA_F_PERMANENT != 0) ||
			!forever && (got.Valid > tt.addr.Valid || got.Preferred > tt.addr.Preferred) {
			t.Errorf("%s has lifetimes %d, %d, flags %#x", tt.ip, got.Valid, got.Preferred, got.Flags)
		}
	}
	change := Addr{Link: 7, Prefix: pfx("fd01::1/64"), Valid: 2000, Preferred: 1000, Flags: unix.IFA_F_NODAD}
	if err := c.Do(ReplaceAddr(change)); err != nil {
		t.Fatal(err)
	}
	if got := addrAt(t, c, change); got.Valid > 2000 || got.Preferred > 1000 || got.Flags&unix.IFA_F_HOMEADDRESS != 0 {
		t.Errorf("after ReplaceAddr it is %+v", got)
	}
	if err := c.Do(DeleteAddr(Addr{Link: 7, Prefix: pfx("10.1.0.1/32"), AnyLength: true})); err != nil {
		t.Errorf("with AnyLength: %v", err)
	}
}

// addrAt returns the address as the kernel reports it.
func addrAt(t *testing.T, c *Conn, a Addr) Addr {
	t.Helper()
	family := uint8(unix.AF_INET)
	if a.Is6() {
		family = unix.AF_INET6
	}
	all, err := c.Addrs(AddrFilter{Link: a.Link, Family: family})
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range all {
		if got.Is6() != a.Is6() || got.Link != a.Link {
			t.Errorf("%v does not match the filter", got)
		}
		if got.Prefix == a.Prefix {
			return got
		}
	}
	t.Errorf("%v is not listed", a)
	return Addr{}
}

// TestAddrsOfOtherNamespace reads the addresses of another namespace by its id.
func TestAddrsOfOtherNamespace(t *testing.T) {
	c, other := newVethConn(t), newNS(t)
	oc, err := Dial(other)
	if err != nil {
		t.Fatal(err)
	}
	defer oc.Close()
	far := LinkConfig{Name: "far", Index: 33, Kind: Kind{Name: "bridge"}}
	if err := oc.Do(AddLink(far), AddAddr(Addr{Link: 33, Prefix: pfx("10.7.0.1/24")})); err != nil {
		t.Fatal(err)
	}
	if err := c.Do(SetNSID(other, 5)); err != nil {
		t.Fatal(err)
	}
	addrs, err := c.Addrs(AddrFilter{NSID: ptr(int32(5))})
	if err != nil || len(addrs) != 1 || addrs[0].Prefix != pfx("10.7.0.1/24") || addrs[0].Link != 33 {
		t.Errorf("%+v, %v", addrs, err)
	}
}

// TestNeighsFilter: the kernel applies the filters.
func TestNeighsFilter(t *testing.T) {
	c := newVethConn(t)
	mac := LLAddr("\x02\x00\x00\x00\x00\x09")
	err := c.Do(
		AddLink(LinkConfig{Name: "br0", Index: 9, Flags: unix.IFF_UP, Change: unix.IFF_UP, Kind: Kind{Name: "bridge"}}),
		AddLink(LinkConfig{Name: "w0", Index: 11, Flags: unix.IFF_UP, Change: unix.IFF_UP, Master: ptr(uint32(9)),
			Kind: Kind{Name: "veth"}}),
		AddNeigh(Neigh{Link: 7, Addr: ipa("10.0.0.1"), LLAddr: mac, Protocol: 77}),
		AddNeigh(Neigh{Link: 7, Addr: ipa("fd00::1"), LLAddr: mac}),
		AddNeigh(Neigh{Link: 9, Addr: ipa("10.0.0.2"), LLAddr: mac}),
		// The links have no carrier, so the kernel would delete entries of other states at some time.
		AddNeigh(Neigh{Link: 11, Addr: ipa("10.0.0.3"), LLAddr: mac, State: unix.NUD_PERMANENT}),
		AddNeigh(Neigh{Link: 7, Addr: ipa("10.0.0.4"), Flags: unix.NTF_PROXY, State: unix.NUD_PERMANENT}),
		AddNeigh(Neigh{Link: 9, Addr: ipa("fd00::4"), Flags: unix.NTF_PROXY, State: unix.NUD_PERMANENT}),
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		filter NeighFilter
		want   int
	}{
		{"all", NeighFilter{}, 4},
		{"IPv4", NeighFilter{Family: unix.AF_INET}, 3},
		{"IPv6", NeighFilter{Family: unix.AF_INET6}, 1},
		{"on v0", NeighFilter{Link: 7}, 2},
		{"IPv4 on v0", NeighFilter{Link: 7, Family: unix.AF_INET}, 1},
		{"on ports of br0", NeighFilter{Master: 9}, 1},
		{"proxies", NeighFilter{Proxy: true}, 2},
		{"IPv6 proxies", NeighFilter{Proxy: true, Family: unix.AF_INET6}, 1},
	} {
		neighs, err := c.Neighs(tt.filter)
		n := 0
		for _, neigh := range neighs {
			if neigh.Addr.IsMulticast() || neigh.State&unix.NUD_NOARP != 0 {
				continue // the kernel created it
			}
			n++
			if neigh.Proxy() != tt.filter.Proxy {
				t.Errorf("%s: %v", tt.name, neigh)
			}
		}
		if err != nil || n != tt.want {
			t.Errorf("%s: %v, %v; want %d", tt.name, neighs, err, tt.want)
		}
	}
	if n, err := c.Neigh(7, ipa("10.0.0.1"), false); err != nil || n.Protocol != 77 || n.LLAddr != mac ||
		n.State != unix.NUD_PERMANENT {
		t.Errorf("%+v, %v", n, err)
	}
	if n, err := c.Neigh(9, ipa("fd00::4"), true); err != nil || !n.Proxy() {
		t.Errorf("%+v, %v", n, err)
	}
}
