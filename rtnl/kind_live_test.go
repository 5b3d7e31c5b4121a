package rtnl

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
)

// newVethConn returns a socket in a new namespace with the veth pair v0 (link 7) and v1
// (link 8).
func newVethConn(t testing.TB) *Conn {
	t.Helper()
	c := newLinkConn(t)
	v0 := LinkConfig{Name: "v0", Index: 7, Kind: Kind{Name: "veth", Peer: &LinkConfig{Name: "v1", Index: 8}}}
	v0.SetUp(true)
	if err := c.Do(AddLink(v0)); err != nil {
		t.Fatal(err)
	}
	return c
}

// unsupported reports whether the kernel does not have the requested kind of link.
func unsupported(err error) bool { return errors.Is(err, unix.EOPNOTSUPP) }

// TestKindsLive creates one link of each kind with as many options as possible, and reads
// them back. It leaves out options that change other options, and counters of traffic.
func TestKindsLive(t *testing.T) {
	for _, tt := range []struct {
		ip     string // the arguments of ip-link(8)
		kind   Kind
		parent uint32
	}{
		{
			"bridge forward_delay 400 hello_time 150 max_age 900 ageing_time 1000 stp_state 1 priority 4096 …",
			Kind{Name: "bridge", Options: Options{
				"forward_delay": uint64(400), "hello_time": uint64(150), "max_age": uint64(900), "ageing_time": uint64(1000),
				"stp_state": uint64(1), "priority": uint64(4096), "group_fwd_mask": uint64(8),
				"group_address": LLAddr("\x01\x80\xc2\x00\x00\x0f"), "mcast_snooping": uint64(0), "mcast_router": uint64(2),
				"mcast_querier": uint64(1), "mcast_query_use_ifaddr": uint64(1), "mcast_hash_max": uint64(512),
				"mcast_last_member_count": uint64(3), "mcast_startup_query_count": uint64(4),
				"mcast_last_member_interval": uint64(200), "mcast_membership_interval": uint64(20000),
				"mcast_querier_interval": uint64(21000), "mcast_query_interval": uint64(11000),
				"mcast_query_response_interval": uint64(900), "mcast_startup_query_interval": uint64(3000),
				"mcast_stats_enabled": uint64(1), "mcast_igmp_version": uint64(3), "mcast_mld_version": uint64(2),
			}}, 0,
		},
		{"bridge vlan_filtering 1 vlan_protocol 802.1ad vlan_default_pvid 5", Kind{Name: "bridge", Options: Options{
			"vlan_filtering": uint64(1), "vlan_protocol": uint64(unix.ETH_P_8021AD), "vlan_default_pvid": uint64(5),
			"vlan_stats_enabled": uint64(1), "vlan_stats_per_port": uint64(1),
		}}, 0},
		{"veth", Kind{Name: "veth", Peer: &LinkConfig{Name: "x1"}}, 0},
		{"vlan protocol 802.1ad id 4094", Kind{Name: "vlan",
			Options: Options{"id": uint64(4094), "protocol": uint64(unix.ETH_P_8021AD)}}, 7},
		{"vxlan id 42 remote 10.0.0.2 local 10.0.0.1 dev v0 dstport 4789 …", Kind{Name: "vxlan", Options: Options{
			"id": uint64(42), "remote": ipa("10.0.0.2"), "local": ipa("10.0.0.1"), "link": uint64(7), "dstport": uint64(4789),
			"srcport": uint64(1000<<16 | 2000), "learning": uint64(0), "proxy": uint64(1), "rsc": uint64(1),
			"l2miss": uint64(1), "l3miss": uint64(1), "tos": uint64(4), "ttl": uint64(9), "df": uint64(1),
			"ageing": uint64(77), "maxaddr": uint64(10), "udpcsum": uint64(1), "remcsumtx": uint64(1), "remcsumrx": uint64(1),
			"gbp": uint64(1),
		}}, 0},
		{"vxlan id 43 group ff05::100 local fd00::1 dev v0 flowlabel 0x12345", Kind{Name: "vxlan", Options: Options{
			"id": uint64(43), "remote": ipa("ff05::100"), "local": ipa("fd00::1"), "link": uint64(7), "dstport": uint64(4790),
			"flowlabel": uint64(0x12345), "udp6zerocsumtx": uint64(1), "udp6zerocsumrx": uint64(1), "ttl_inherit": uint64(1),
		}}, 0},
		{"vxlan external dstport 4791", Kind{Name: "vxlan",
			Options: Options{"external": uint64(1), "dstport": uint64(4791)}}, 0},
		{"macvlan mode private", Kind{Name: "macvlan", Options: Options{"mode": uint64(1), "bcqueuelen": uint64(2000)}}, 7},
		{"macvtap mode passthru", Kind{Name: "macvtap", Options: Options{"mode": uint64(8)}}, 7},
		{"ipvlan mode l3s private", Kind{Name: "ipvlan", Options: Options{"mode": uint64(2), "flags": uint64(1)}}, 7},
		{"ipvtap mode l2", Kind{Name: "ipvtap", Options: Options{"mode": uint64(0)}}, 7},
		{"vrf table 4711", Kind{Name: "vrf", Options: Options{"table": uint64(4711)}}, 0},
		{"dummy", Kind{Name: "dummy"}, 0},
		{"ifb", Kind{Name: "ifb"}, 0},
	} {
		t.Run(tt.ip, func(t *testing.T) {
			c := newVethConn(t)
			err := c.Do(AddLink(LinkConfig{Name: "x0", Parent: tt.parent, Kind: tt.kind}))
			if unsupported(err) || err != nil && tt.kind.Options["vlan_filtering"] != nil {
				t.Skipf("this kernel has no %s: %v", tt.kind.Name, err)
			}
			if err != nil {
				t.Fatal(err)
			}
			l, err := c.Link(LinkID{Name: "x0"})
			if err != nil {
				t.Fatal(err)
			}
			if l.Kind.Name != tt.kind.Name || tt.parent != 0 && l.Parent != tt.parent {
				t.Errorf("kind %s, parent %d, want kind %s, parent %d", l.Kind.Name, l.Parent, tt.kind.Name, tt.parent)
			}
			sameOptions(t, tt.kind.Options, l.Kind.Options)
		})
	}
}

// sameOptions checks that got contains all options of want. The kernel may report more. An
// old kernel silently ignores unknown options.
func sameOptions(t *testing.T, want, got Options) {
	t.Helper()
	since := map[string]string{"bcqueuelen": "5.11", "locked": "5.18"} // kernels in use are older
	for name, value := range want {
		if reported, ok := got[name]; !ok && since[name] != "" {
			t.Logf("%s is not reported: it needs Linux %s", name, since[name])
		} else if !ok {
			t.Errorf("%s is not reported", name)
		} else if reported != value {
			t.Errorf("%s is %v, want %v", name, reported, value)
		}
	}
}

// TestPortLive sets all options of a bridge port.
func TestPortLive(t *testing.T) {
	c := newVethConn(t)
	want := Options{
		"priority": uint64(16), "cost": uint64(7), "hairpin": uint64(1), "guard": uint64(1), "root_block": uint64(1),
		"fastleave": uint64(1), "learning": uint64(0), "flood": uint64(0), "proxy_arp_wifi": uint64(1),
		"mcast_flood": uint64(0), "bcast_flood": uint64(0), "mcast_to_unicast": uint64(1), "neigh_suppress": uint64(1),
		"group_fwd_mask": uint64(8), "isolated": uint64(1), "locked": uint64(1), "mcast_router": uint64(2),
	}
	err := c.Do(
		AddLink(LinkConfig{Name: "br0", Index: 9, Kind: Kind{Name: "bridge"}}),
		SetLink(LinkID{Index: 7}, LinkConfig{Master: ptr(uint32(9))}),
		SetLink(LinkID{Index: 7}, LinkConfig{PortKind: "bridge_slave", Port: want}),
	)
	if err != nil {
		t.Fatal(err)
	}
	l, err := c.Link(LinkID{Index: 7})
	if err != nil || l.Master != 9 || l.PortKind != "bridge_slave" {
		t.Fatalf("%+v, %v", l, err)
	}
	sameOptions(t, want, l.Port)
	if err := c.Do(SetLink(LinkID{Index: 7}, LinkConfig{Master: ptr(uint32(0))})); err != nil {
		t.Fatal(err)
	}
	if l, _ := c.Link(LinkID{Index: 7}); l.Master != 0 || l.PortKind != "" || l.Port != nil {
		t.Errorf("removed from the bridge, it is still a port: %+v", l)
	}
}

// TestLinkPropertiesLive changes each property of a link and reads it back.
func TestLinkPropertiesLive(t *testing.T) {
	c := newVethConn(t)
	set := LinkConfig{
		Name: "renamed", MTU: 1280, Address: "\x02\x00\x00\x00\x00\x07", Broadcast: "\xff\xff\xff\xff\xff\xfe",
		Group: ptr(uint32(5)), Alias: ptr("text, of ⟨any⟩ bytes"), TxQueueLen: ptr(uint32(123)),
		LinkMode: ptr(uint8(1)), AddrGenMode: ptr(AddrGenNone),
		Flags: unix.IFF_PROMISC | unix.IFF_NOARP, Change: unix.IFF_PROMISC | unix.IFF_NOARP | unix.IFF_MULTICAST,
		Limits: Limits{GSOMaxSize: 5000, GSOMaxSegs: 6, GROMaxSize: 7000},
	}
	down := LinkConfig{}
	down.SetUp(false)
	// Before Linux 6.2, a link can be renamed only when it is down.
	if err := c.Do(SetLink(LinkID{Index: 7}, down), SetLink(LinkID{Index: 7}, set)); err != nil {
		t.Fatal(err)
	}
	got, err := c.Link(LinkID{Name: "renamed"})
	if err != nil {
		t.Fatal(err)
	}
	if got.Index != 7 || got.MTU != set.MTU || got.Address != set.Address || got.Broadcast != set.Broadcast ||
		got.Group != 5 || got.Alias != *set.Alias || got.TxQueueLen != 123 || got.LinkMode != 1 ||
		value(got.AddrGenMode) != AddrGenNone {
		t.Errorf("%+v", got)
	}
	if got.Flags&set.Change != set.Flags || got.Up() {
		t.Errorf("flags %#x, want %#x of %#x", got.Flags, set.Flags, set.Change)
	}
	if got.Limits.GSOMaxSize != 5000 || got.Limits.GSOMaxSegs != 6 ||
		got.Has(unix.IFLA_GRO_MAX_SIZE) && got.Limits.GROMaxSize != 7000 {
		t.Errorf("limits %+v", got.Limits)
	}
	if got.Promiscuity != 1 || !got.Has(unix.IFLA_PROMISCUITY) || got.Parent != 8 || got.Qdisc == "" ||
		got.Type != unix.ARPHRD_ETHER {
		t.Errorf("%+v", got)
	}
	if err := c.Do(SetLink(LinkID{Index: 7}, LinkConfig{Alias: ptr("")})); err != nil {
		t.Fatal(err)
	}
	if got, _ := c.Link(LinkID{Index: 7}); got.Alias != "" || got.Has(unix.IFLA_IFALIAS) {
		t.Errorf("the alias %q is not removed", got.Alias)
	}
}

// TestLinksFilter: the kernel applies the filters.
func TestLinksFilter(t *testing.T) {
	c := newVethConn(t)
	other := newNS(t)
	if err := c.Do(
		AddLink(LinkConfig{Name: "br0", Index: 9, Kind: Kind{Name: "bridge"}}),
		SetLink(LinkID{Index: 7}, LinkConfig{Master: ptr(uint32(9))}),
		AddLink(LinkConfig{Name: "c0", Index: 20, Kind: Kind{Name: "veth", Peer: &LinkConfig{Name: "away", NS: other}}}),
	); err != nil {
		t.Fatal(err)
	}
	id, err := c.NSID(other)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		filter LinkFilter
		want   string
	}{
		{"all", LinkFilter{}, "lo v0 v1 br0 c0"},
		{"without counters", LinkFilter{NoStats: true}, "lo v0 v1 br0 c0"},
		{"bridges", LinkFilter{Kind: "bridge"}, "br0"},
		{"ports of br0", LinkFilter{Master: 9}, "v0"},
		{"bridges that are ports", LinkFilter{Master: 9, Kind: "bridge"}, ""},
		{"in the other namespace", LinkFilter{NSID: &id}, "lo away"},
		{"veths in the other namespace", LinkFilter{NSID: &id, Kind: "veth"}, "away"},
	} {
		links, err := c.Links(tt.filter)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		var names []string
		for _, l := range links {
			names = append(names, l.Name)
		}
		if got := strings.Join(names, " "); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	unknown := int32(99)
	if _, err := c.Links(LinkFilter{NSID: &unknown}); err == nil {
		t.Error("no error for an unknown namespace id")
	}
	if all, few := dumpSize(t, c, LinkFilter{}), dumpSize(t, c, LinkFilter{NoStats: true}); few >= all {
		t.Errorf("%d bytes without counters, %d with them", few, all)
	}
}

// dumpSize returns the size of a dump of links, in bytes.
func dumpSize(t *testing.T, c *Conn, f LinkFilter) (size int) {
	t.Helper()
	body, err := f.encode()
	if err != nil {
		t.Fatal(err)
	}
	bodies, err := dumpBodies(c, unix.RTM_GETLINK, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bodies {
		size += len(b)
	}
	return size
}

// TestNSIDsOf: the ids of namespaces in another namespace, and their ids in this one.
func TestNSIDsOf(t *testing.T) {
	c := newLinkConn(t)
	there, third := newNS(t), newNS(t)
	tc, err := Dial(there)
	if err != nil {
		t.Fatal(err)
	}
	defer tc.Close()
	if err := errors.Join(c.Do(SetNSID(there, 3), SetNSID(third, 4)), tc.Do(SetNSID(third, 8))); err != nil {
		t.Fatal(err)
	}
	if ids, err := c.NSIDsOf(3); err != nil || len(ids) != 1 || ids[0] != (NSID{ID: 8, Current: 4}) {
		t.Errorf("%+v, %v", ids, err)
	}
	if ids, err := c.NSIDsOf(99); err == nil {
		t.Errorf("an unknown namespace has the ids %+v", ids)
	}
}

func newNS(t *testing.T) *os.File {
	t.Helper()
	ns, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return ns
}

// TestStatsLive: packets that one veth end sends are received by its peer.
func TestStatsLive(t *testing.T) {
	c := newVethConn(t)
	v1 := LinkConfig{}
	v1.SetUp(true)
	if err := c.Do(SetLink(LinkID{Index: 8}, v1),
		AddAddr(Addr{Link: 7, Prefix: netip.MustParsePrefix("fd00::1/64")})); err != nil {
		t.Fatal(err)
	}
	near, err := c.Link(LinkID{Index: 7})
	if err != nil || !near.Has(unix.IFLA_STATS64) || near.Carrier != 1 || near.CarrierChanges == 0 {
		t.Errorf("%+v, %v", near, err)
	}
	if err := c.Do(SetLink(LinkID{Index: 8}, LinkConfig{Change: unix.IFF_UP})); err != nil {
		t.Fatal(err)
	}
	// With the peer down, the counters of both ends are final.
	near, _ = c.Link(LinkID{Index: 7})
	far, _ := c.Link(LinkID{Index: 8})
	if near.Carrier != 0 || near.Stats.TxPackets != far.Stats.RxPackets || near.Stats.TxBytes != far.Stats.RxBytes ||
		far.Stats.TxPackets != near.Stats.RxPackets {
		t.Errorf("near %+v\nfar %+v", near.Stats, far.Stats)
	}
}
