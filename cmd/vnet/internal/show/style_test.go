package show

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
)

// TestLinkStyles prints parts of links that depend on the style or on the link's type.
func TestLinkStyles(t *testing.T) {
	nsid := int32(5)
	mac := rtnl.LLAddr("\x02\x00\x00\x00\x00\x01")
	plain := rtnl.Link{Index: 3, Name: "v0", Type: unix.ARPHRD_ETHER}
	with := func(change func(*rtnl.Link)) rtnl.Link { l := plain; change(&l); return l }
	counted := with(func(l *rtnl.Link) {
		l.Alias, l.Seen, l.Stats.RxBytes = "far", seen(unix.IFLA_STATS64), 7
	})
	const rows = "\n    RX:  bytes packets errors dropped  missed   mcast           " +
		"\n             7       0      0       0       0       0 " +
		"\n    TX:  bytes packets errors dropped carrier collsns           " +
		"\n             0       0      0       0       0       0 "
	for _, tt := range []struct {
		what  string
		style LinkStyle
		link  rtnl.Link
		want  string
	}{
		{"a port", LinkStyle{}, with(func(l *rtnl.Link) { l.Master, l.Seen = 2, seen(unix.IFLA_MASTER) }),
			"3: v0: <> master v2 \n    link/ether \n"},
		{"a dormant link", LinkStyle{}, with(func(l *rtnl.Link) { l.LinkMode, l.Seen = 1, seen(unix.IFLA_LINKMODE) }),
			"3: v0: <> mode DORMANT \n    link/ether \n"},
		{"ip addr has no mode", LinkStyle{Addrs: true},
			with(func(l *rtnl.Link) { l.LinkMode, l.Seen = 1, seen(unix.IFLA_LINKMODE) }), "3: v0: <> \n    link/ether \n"},
		{"point to point", LinkStyle{}, with(func(l *rtnl.Link) {
			l.Type, l.Flags = unix.ARPHRD_IPGRE, unix.IFF_POINTOPOINT
			l.Address, l.Broadcast = "\x0a\x00\x00\x01", "\x0a\x00\x00\x02"
			l.Seen = seen(unix.IFLA_ADDRESS, unix.IFLA_BROADCAST)
		}), "3: v0: <POINTOPOINT> \n    link/gre 10.0.0.1 peer 10.0.0.2\n"},
		{"a permanent address", LinkStyle{}, with(func(l *rtnl.Link) {
			l.Address, l.Permanent, l.Seen = mac, "\x02\x00\x00\x00\x00\x02", seen(unix.IFLA_ADDRESS)
		}), "3: v0: <> \n    link/ether 02:00:00:00:00:01 permaddr 02:00:00:00:00:02\n"},
		{"the same permanent address", LinkStyle{}, with(func(l *rtnl.Link) {
			l.Address, l.Permanent, l.Seen = mac, mac, seen(unix.IFLA_ADDRESS)
		}), "3: v0: <> \n    link/ether 02:00:00:00:00:01\n"},
		{"a type without a name", LinkStyle{}, with(func(l *rtnl.Link) { l.Type = 9999 }), "3: v0: <> \n    link/[9999] \n"},
		{"running", LinkStyle{}, with(func(l *rtnl.Link) { l.Flags = unix.IFF_UP | unix.IFF_RUNNING }),
			"3: v0: <UP> \n    link/ether \n"},
		{"of IPv4", LinkStyle{Style: Style{Family: unix.AF_INET}}, plain, "3: v0: <> \n"},
		{"of IPv4 with details", LinkStyle{Style: Style{Family: unix.AF_INET, Details: 1}}, plain,
			"3: v0: <> \n    link/ether  \n"},
		{"of links", LinkStyle{Style: Style{Family: unix.AF_PACKET}}, plain, "3: v0: <> \n    link/ether \n"},
		{"an alias", LinkStyle{}, counted, "3: v0: <> \n    link/ether \n    alias far\n"},
		{"ip addr has no alias", LinkStyle{Addrs: true}, counted, "3: v0: <> \n    link/ether \n"},
		{"except with details", LinkStyle{Addrs: true, Style: Style{Details: 1}}, counted,
			"3: v0: <> \n    link/ether  \n    alias far\n"},
		{"counters", LinkStyle{Style: Style{Stats: 1}}, counted, "3: v0: <> \n    link/ether \n    alias far" + rows + "\n"},
		{"ip addr has counters elsewhere", LinkStyle{Addrs: true, Style: Style{Stats: 1}}, counted,
			"3: v0: <> \n    link/ether \n"},
		{"brief", LinkStyle{Style: Style{Brief: true}}, plain, "v0               <> \n"},
		{"brief, without a parent here", LinkStyle{Style: Style{Brief: true}},
			with(func(l *rtnl.Link) { l.Seen = seen(unix.IFLA_LINK) }), "v0@NONE          <> \n"},
		{"brief JSON, without a parent here", LinkStyle{Style: Style{Brief: true, JSON: true}},
			with(func(l *rtnl.Link) { l.Seen = seen(unix.IFLA_LINK) }), `[{"link":null,"ifname":"v0","flags":[]}]` + "\n"},
		{"brief JSON, with a parent elsewhere", LinkStyle{Style: Style{Brief: true, JSON: true}},
			with(func(l *rtnl.Link) { l.Parent, l.ParentNSID, l.Seen = 2, &nsid, seen(unix.IFLA_LINK) }),
			`[{"link_index":2,"ifname":"v0","flags":[]}]` + "\n"},
		{"brief JSON, with a parent", LinkStyle{Style: Style{Brief: true, JSON: true}},
			with(func(l *rtnl.Link) { l.Parent, l.Seen = 2, seen(unix.IFLA_LINK) }),
			`[{"link":"v2","ifname":"v0","flags":[]}]` + "\n"},
		{"brief addresses have no link-layer address", LinkStyle{Addrs: true, Style: Style{Brief: true}},
			with(func(l *rtnl.Link) { l.Address = mac }), "v0               \n"},
		{"except of links", LinkStyle{Addrs: true, Style: Style{Brief: true, Family: unix.AF_PACKET}},
			with(func(l *rtnl.Link) { l.Address = mac }), "v0               02:00:00:00:00:01 <> \n"},
		{"pretty", LinkStyle{Style: Style{JSON: true, Pretty: true, Family: unix.AF_INET}}, plain,
			"[ {\n        \"ifindex\": 3,\n        \"ifname\": \"v0\",\n        \"flags\": [ ]\n    } ]\n"},
	} {
		tt.style.Link = func(i uint32) (rtnl.Link, bool) { return rtnl.Link{Name: "v2", Flags: unix.IFF_UP}, i == 2 }
		tt.style.Namespace = func(int32) string { return "red" }
		var out strings.Builder
		if err := Links(&out, []rtnl.Link{tt.link}, tt.style); err != nil || out.String() != tt.want {
			t.Errorf("%s: %v\n%q, want\n%q", tt.what, err, out.String(), tt.want)
		}
	}
}

// TestAddrStyles prints addresses with broadcast, anycast, flags without a name, and the link's counters.
func TestAddrStyles(t *testing.T) {
	link := LinkAddrs{Link: rtnl.Link{Index: 2, Name: "v0", Type: unix.ARPHRD_ETHER, Seen: seen(unix.IFLA_STATS64)}}
	link.Addrs = []rtnl.Addr{{Prefix: netip.MustParsePrefix("fd00::1/64"), Anycast: true, Scope: 77,
		Flags: unix.IFA_F_PERMANENT | unix.IFA_F_NODAD | 1<<20, Proto: 3, Valid: 1<<32 - 2, Preferred: 1<<32 - 2}}
	four := link
	four.Addrs = []rtnl.Addr{{Prefix: netip.MustParsePrefix("10.0.0.1/24"), Flags: unix.IFA_F_PERMANENT,
		Broadcast: netip.MustParseAddr("10.0.0.255"), Peer: netip.MustParseAddr("10.0.0.2")}}
	const rows = "\n    RX:  bytes packets errors dropped  missed   mcast           " +
		"\n             0       0      0       0       0       0 " +
		"\n    TX:  bytes packets errors dropped carrier collsns           " +
		"\n             0       0      0       0       0       0 "
	const inet6 = "    inet6  any fd00::1 scope 77 nodad flags 100000 proto "
	const life = "\n       valid_lft 4294967294sec preferred_lft 4294967294sec"
	for _, tt := range []struct {
		what  string
		style Style
		link  LinkAddrs
		want  string
	}{
		{"anycast", Style{}, link, "2: v0: <> \n    link/ether \n" + inet6 + "kernel_ll " + life + "\n"},
		{"numbers", Style{Numeric: true, Family: unix.AF_INET6}, link, "2: v0: <> \n" + inet6 + "0x3 " + life + "\n"},
		{"counters", Style{Stats: 1, Family: unix.AF_INET6}, link,
			"2: v0: <> \n" + inet6 + "kernel_ll " + life + rows + "\n"},
		{"brief, without counters", Style{Stats: 1, Brief: true}, four, "v0               10.0.0.1 peer 10.0.0.2/24 \n"},
		{"JSON", Style{JSON: true, Family: unix.AF_INET6}, link,
			`[{"ifindex":2,"ifname":"v0","flags":[],"addr_info":[{"family":"inet6","anycast":"fd00::1","scope":"77",` +
				`"nodad":true,"ifa_flags":"100000","protocol":"kernel_ll","valid_life_time":4294967294,` +
				`"preferred_life_time":4294967294}]}]` + "\n"},
		{"JSON of lines, without counters", Style{JSON: true, Oneline: true, Stats: 1}, four,
			`[{"addr_info":[{"index":2,"dev":"v0","family":"inet","local":"10.0.0.1","address":"10.0.0.2",` +
				`"prefixlen":24,"broadcast":"10.0.0.255","scope":"global","valid_life_time":0,"preferred_life_time":0}]}]` + "\n"},
		{"colours", Style{Color: true, Family: unix.AF_INET}, four, "2: \x1b[1;36mv0: \x1b[0m<> \n    inet " +
			"\x1b[1;35m10.0.0.1\x1b[0m peer \x1b[1;35m10.0.0.2\x1b[0m/24 brd \x1b[1;35m10.0.0.255 \x1b[0mscope global " +
			"\n       valid_lft 0sec preferred_lft 0sec\n"},
		{"colours of IPv6", Style{Color: true, Family: unix.AF_INET6}, link, "2: \x1b[1;36mv0: \x1b[0m<> \n    inet6  any " +
			"\x1b[1;94mfd00::1 \x1b[0mscope 77 nodad flags 100000 proto kernel_ll " + life + "\n"},
	} {
		s := LinkStyle{Style: tt.style, Link: func(uint32) (rtnl.Link, bool) { return rtnl.Link{}, false }}
		var out strings.Builder
		if err := Addrs(&out, []LinkAddrs{tt.link}, s); err != nil || out.String() != tt.want {
			t.Errorf("%s: %v\n%q, want\n%q", tt.what, err, out.String(), tt.want)
		}
	}
	hidden := link
	hidden.NoLink, hidden.Addrs = true, nil
	var out strings.Builder
	s := LinkStyle{Link: func(uint32) (rtnl.Link, bool) { return rtnl.Link{}, false }}
	if err := Addrs(&out, []LinkAddrs{hidden}, s); err != nil || out.String() != "" {
		t.Errorf("a link without addresses that match: %v, %q", err, out.String())
	}
}

// TestUnencodable checks that a value that JSON cannot hold is an error.
func TestUnencodable(t *testing.T) {
	var unsupported *json.UnsupportedTypeError
	var out strings.Builder
	err := JSON(&out, []members{{{name: "x", value: func() {}}}}, false)
	if !errors.As(err, &unsupported) || out.String() != "" {
		t.Errorf("%v, %q", err, out.String())
	}
}
