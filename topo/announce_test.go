package topo

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/vnet-lab/vnet/internal/linux"
)

// announceState is a switch with two hosts; one has the address.
func announceState(owner string, mac byte) State {
	s := NewState()
	s.Put(Namespace{Name: "a"})
	s.Put(Namespace{Name: "b"})
	s.Put(Bridge{Link: Link{Name: "sw", MAC: MAC{2, 1}}})
	for i, host := range []string{"a", "b"} {
		l := Link{NS: host, Name: "eth0", MAC: MAC{2, 0, 0, 0, byte(i)}}
		if host == owner {
			l.MAC[5] = mac
		}
		s.Put(Veth{Ends: [2]Link{{Name: host + "-eth0", Master: "sw", MAC: MAC{2, 2, 0, 0, byte(i)}}, l}})
	}
	if owner != "" {
		s.Put(Address{owner, "eth0", netip.MustParsePrefix("10.0.0.1/24")})
	}
	return s
}

func with(s State, more ...Object) State {
	for _, o := range more {
		s.Put(o)
	}
	return s
}

func TestAnnouncements(t *testing.T) {
	addr := netip.MustParseAddr("10.0.0.1")
	uplink := Port{Link: "wire", Master: "sw"}
	forwards := Sysctl{"b", linux.ForwardingIPv6, "1"}
	tagging := Bridge{Link: Link{Name: "sw", MAC: MAC{2, 1}}, VLANFiltering: true}
	for _, tt := range []struct {
		name       string
		have, want State
		stale      bool
		list       []Announcement
	}{
		{"a new lab", nil, announceState("a", 1), false, nil},
		{"a new address", announceState("", 0), announceState("a", 0), false, nil},
		{"an address that a neighbour knows", announceState("", 0), announceState("a", 0), true,
			[]Announcement{{"a", "eth0", addr, MAC{2}, false}}},
		{"an address of another host", announceState("a", 0), announceState("b", 0), false,
			[]Announcement{{"b", "eth0", addr, MAC{2, 0, 0, 0, 1}, false}}},
		{"an address of another host, of a router", announceState("a", 0), with(announceState("b", 0), forwards), false,
			[]Announcement{{"b", "eth0", addr, MAC{2, 0, 0, 0, 1}, true}}},
		{"a new MAC address", announceState("a", 0), announceState("a", 9), false,
			[]Announcement{{"a", "eth0", netip.Addr{}, MAC{2, 0, 0, 0, 0, 9}, false}}},
		{"a new lab with an uplink", nil, with(announceState("a", 0), uplink), false,
			[]Announcement{{"", "wire", addr, MAC{2}, false}}},
		{"a new lab with an uplink and VLANs", nil, with(announceState("a", 0), uplink, tagging), false,
			[]Announcement{{"a", "eth0", addr, MAC{2}, false}}},
		{"a new lab with a tunnel to the outside", nil,
			with(announceState("a", 0), VXLAN{Link: Link{Name: "vx0", Master: "sw", MAC: MAC{7}}, ID: 1}), false,
			[]Announcement{{"", "vx0", addr, MAC{2}, false}}},
		{"a new macvlan device", nil, with(NewState(), Namespace{Name: "a"}, Address{"a", "m", netip.PrefixFrom(addr, 24)},
			Macvlan{Link: Link{NS: "a", Name: "m", MAC: MAC{6}}, Parent: "wire"}), false,
			[]Announcement{{"", "wire", addr, MAC{6}, false}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list := Diff(tt.have, tt.want).Announcements(tt.have, tt.want, func(netip.Addr, MAC) bool { return tt.stale })
			if !slices.Equal(list, tt.list) {
				t.Errorf("got %+v\nwant %+v", list, tt.list)
			}
		})
	}
}
