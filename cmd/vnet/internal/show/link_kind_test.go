package show

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
)

// TestOptionValues checks the values of options that have their own text: names, zeros, and numbers without a name.
func TestOptionValues(t *testing.T) {
	ipa := netip.MustParseAddr
	n := func(v uint64) uint64 { return v }
	mac := rtnl.LLAddr("\x0a\xb0\x00\x00\x00\x01")
	for _, tt := range []struct {
		kind    string
		options rtnl.Options
		text    string
		json    string
	}{
		{"bridge", rtnl.Options{"vlan_protocol": n(unix.ETH_P_8021AD)}, "vlan_protocol 802.1ad ",
			`{"vlan_protocol":"802.1ad"}`},
		{"bridge", rtnl.Options{"vlan_protocol": n(0x88)}, "vlan_protocol 0x88 ", `{"vlan_protocol":"0x88"}`},
		{"bridge", rtnl.Options{"root_id": uint64(0x1_0102_0304_0506)}, "designated_root 0001.1:2:3:4:5:6 ",
			`{"root_id":"0001.1:2:3:4:5:6"}`},
		{"bridge", rtnl.Options{"bridge_id": uint64(0xabcd_00a0_000b_ff10)}, "bridge_id abcd.0:a0:0:b:ff:10 ",
			`{"bridge_id":"abcd.0:a0:0:b:ff:10"}`},
		{"bridge", rtnl.Options{"hello_timer": n(5), "tcn_timer": n(99), "topology_change_timer": n(100),
			"gc_timer": n(123456)},
			"hello_timer    0.05 tcn_timer    0.99 topology_change_timer    1.00 gc_timer 1234.56 ",
			`{"hello_timer":0.05,"tcn_timer":0.99,"topology_change_timer":1.00,"gc_timer":1234.56}`},
		{"bridge", rtnl.Options{"group_fwd_mask": n(0)}, "group_fwd_mask 0 ", `{"group_fwd_mask":"0"}`},
		{"bridge", rtnl.Options{"group_address": mac, "fdb_flush": n(1)}, "group_address 0a:b0:00:00:00:01 ",
			`{"group_addr":"0a:b0:00:00:00:01"}`},
		{"bridge", rtnl.Options{"boolopt": n(0b11111<<32 | 0b10010)}, "no_linklocal_learn 0 mcast_vlan_snooping 1 " +
			"mst_enabled 0 mdb_offload_fail_notification 0 fdb_local_vlan_0 1 ",
			`{"no_linklocal_learn":0,"mcast_vlan_snooping":1,"mst_enabled":0,"mdb_offload_fail_notification":0,` +
				`"fdb_local_vlan_0":1}`},
		{"bridge", rtnl.Options{"boolopt": n(0b11111)}, "", `{}`}, // the kernel knows none of them

		{"bridge_slave", rtnl.Options{"state": n(0)}, "state disabled ", `{"state":"disabled"}`},
		{"bridge_slave", rtnl.Options{"state": n(4)}, "state blocking ", `{"state":"blocking"}`},
		{"bridge_slave", rtnl.Options{"state": n(5)}, "state (5) ", `{"state_index":5}`},
		{"bridge_slave", rtnl.Options{"no": n(1), "designated_port": n(2), "priority": n(32)},
			"priority 32 port_no 0x1 designated_port 2 ", `{"priority":32,"no":"0x1","designated_port":2}`},
		{"bridge_slave", rtnl.Options{"bridge_id": uint64(0x8000_0000_0000_0001), "root_id": uint64(0x8000_0000_0000_0002)},
			"designated_bridge 8000.0:0:0:0:0:1 designated_root 8000.0:0:0:0:0:2 ",
			`{"bridge_id":"8000.0:0:0:0:0:1","root_id":"8000.0:0:0:0:0:2"}`},
		{"bridge_slave", rtnl.Options{"hold_timer": n(1), "message_age_timer": n(250), "forward_delay_timer": n(1500)},
			"hold_timer    0.01 message_age_timer    2.50 forward_delay_timer   15.00 ",
			`{"hold_timer":0.01,"message_age_timer":2.50,"forward_delay_timer":15.00}`},
		{"bridge_slave", rtnl.Options{"topology_change_ack": n(1), "config_pending": n(0)},
			"topology_change_ack 1 config_pending 0 ", `{"topology_change_ack":1,"config_pending":0}`},
		{"bridge_slave", rtnl.Options{"fastleave": n(1), "mcast_router": n(2)},
			"fastleave on mcast_router 2 mcast_fast_leave on ", `{"fastleave":true,"multicast_router":2}`},
		{"bridge_slave", rtnl.Options{"mcast_router": n(1), "fdb_flush": n(1)}, "mcast_router 1 ",
			`{"multicast_router":1}`},
		{"bridge_slave", rtnl.Options{"group_fwd_mask": n(0)}, "group_fwd_mask 0 group_fwd_mask_str 0x0 ",
			`{"group_fwd_mask":"0","group_fwd_mask_str":"0x0"}`},
		{"bridge_slave", rtnl.Options{"group_fwd_mask": n(0x4005)},
			"group_fwd_mask 0x4005 group_fwd_mask_str lacp,lldp,stp ",
			`{"group_fwd_mask":"0x4005","group_fwd_mask_str":"lacp,lldp,stp"}`},
		{"bridge_slave", rtnl.Options{"group_fwd_mask": n(0x1c)}, "group_fwd_mask 0x1c group_fwd_mask_str lacp,0x18 ",
			`{"group_fwd_mask":"0x1c","group_fwd_mask_str":"lacp,0x18"}`},
		{"bridge_slave", rtnl.Options{"isolated": n(0), "backup_port": n(9), "backup_nhid": n(4)},
			"isolated off backup_port if9 backup_nhid 4 ", `{"isolated":false,"backup_port":"if9","backup_nhid":4}`},

		{"vlan", rtnl.Options{"flags": n(0)}, "<> ", `{"flags":[]}`},
		{"vlan", rtnl.Options{"protocol": n(unix.ETH_P_8021AD), "flags": n(0b11110)},
			"protocol 802.1ad <GVRP,LOOSE_BINDING,MVRP,BRIDGE_BINDING> ",
			`{"protocol":"802.1ad","flags":["GVRP","LOOSE_BINDING","MVRP","BRIDGE_BINDING"]}`},
		{"vlan", rtnl.Options{"egress-qos-map": []rtnl.QoS{{From: 5, To: 6}}}, "\n      egress-qos-map { 5:6 } ",
			`{"egress_qos":[{"from":5,"to":6}]}`},

		{"vxlan", rtnl.Options{"local": ipa("10.0.0.1"), "remote": ipa("239.0.0.1"), "link": n(0)},
			"group 239.0.0.1 local 10.0.0.1 ", `{"group":"239.0.0.1","local":"10.0.0.1"}`},
		{"vxlan", rtnl.Options{"local": ipa("fd00::1"), "remote": ipa("fd00::2")}, "remote fd00::2 local fd00::1 ",
			`{"remote6":"fd00::2","local6":"fd00::1"}`},
		{"vxlan", rtnl.Options{"local": ipa("0.0.0.0"), "remote": ipa("::")}, "", `{}`},
		{"vxlan", rtnl.Options{"local": ipa("239.0.0.1")}, "local 239.0.0.1 ", `{"local":"239.0.0.1"}`},
		{"vxlan", rtnl.Options{"srcport": n(1000<<16 | 65535)}, "srcport 1000 65535 ",
			`{"port_range":{"low":1000,"high":65535}}`},
		{"vxlan", rtnl.Options{"tos": n(0), "ttl": n(5)}, "ttl 5 ", `{"ttl":5}`},
		{"vxlan", rtnl.Options{"tos": n(1)}, "tos inherit ", `{"tos":"0x1"}`},
		{"vxlan", rtnl.Options{"tos": n(0x10)}, "tos 0x10 ", `{"tos":"0x10"}`},
		{"vxlan", rtnl.Options{"df": n(0)}, "", `{"df":"unset"}`},
		{"vxlan", rtnl.Options{"df": n(1)}, "df set ", `{"df":"set"}`},
		{"vxlan", rtnl.Options{"df": n(2)}, "df inherit ", `{"df":"inherit"}`},
		{"vxlan", rtnl.Options{"df": n(3)}, "", `{}`},
		{"vxlan", rtnl.Options{"flowlabel": n(0), "ageing": n(0), "maxaddr": n(0)}, "ageing 0 ", `{"ageing":0}`},
		{"vxlan", rtnl.Options{"flowlabel": n(0xfedcb), "maxaddr": n(7), "gpe": n(1)}, "flowlabel 0xfedcb maxaddr 7 gpe ",
			`{"label":"0xfedcb","limit":7,"gpe":null}`},
		{"vxlan", rtnl.Options{"external": n(0), "proxy": n(1), "rsc": n(0), "mcroute": n(1)}, "proxy mcroute ",
			`{"external":false,"proxy":true,"rsc":false,"mcroute":true}`},

		{"macvlan", rtnl.Options{"mode": n(1), "flags": n(0)}, "mode private ", `{"mode":"private"}`},
		{"macvtap", rtnl.Options{"mode": n(16), "flags": n(3)}, "mode source nopromisc nodst ",
			`{"mode":"source","nopromisc":true,"nodst":true}`},
		{"ipvlan", rtnl.Options{"mode": n(2), "flags": n(2)}, " mode l3s vepa ", `{"mode":"l3s","vepa":true}`},
		{"ipvtap", rtnl.Options{"mode": n(3), "flags": n(3)}, "", `{}`},
		{"ipvlan", rtnl.Options{"mode": n(0), "flags": n(0)}, " mode l2 bridge ", `{"mode":"l2","bridge":true}`},

		{"bond", rtnl.Options{"mode": n(6), "arp_validate": n(6), "primary": n(9)},
			"mode balance-alb arp_validate filter_backup primary if9 ",
			`{"mode":"balance-alb","arp_validate":"filter_backup","primary":"if9"}`},
		{"bond", rtnl.Options{"mode": n(7), "arp_validate": n(7)}, "mode 7 arp_validate 7 ", `{"mode":7,"arp_validate":7}`},
		{"bond", rtnl.Options{"lacp_active": n(2), "lacp_rate": n(1), "coupled_control": n(0)},
			"lacp_active 2 lacp_rate fast coupled_control off ",
			`{"lacp_active":2,"ad_lacp_rate":"fast","coupled_control":false}`},
		{"bond", rtnl.Options{"coupled_control": n(2), "miimon": n(100), "ad_actor_system": mac},
			"miimon 100 coupled_control 2 ad_actor_system 0a:b0:00:00:00:01 ",
			`{"miimon":100,"coupled_control":2,"ad_actor_system":"0a:b0:00:00:00:01"}`},
		{"bond_slave", rtnl.Options{"perm_hwaddr": mac, "queue_id": n(3), "ad_partner_oper_port_state": n(0x80)},
			"perm_hwaddr 0a:b0:00:00:00:01 queue_id 3 ad_partner_oper_port_state 128 " +
				"ad_partner_oper_port_state_str <expired> ",
			`{"perm_hwaddr":"0a:b0:00:00:00:01","queue_id":3,"ad_partner_oper_port_state":128,` +
				`"ad_partner_oper_port_state_str":["expired"]}`},
		{"vrf_slave", rtnl.Options{"table": n(10), "unknown": n(1)}, "table 10 ", `{"table":10}`},
		{"dummy", rtnl.Options{"unknown": n(1)}, "", `{}`},
	} {
		s := LinkStyle{Link: func(index uint32) (rtnl.Link, bool) { return rtnl.Link{Name: "v2"}, index == 2 }}
		m := s.options(tt.kind, tt.options)
		if got := m.text(); got != tt.text {
			t.Errorf("%s %v prints\n%q, want\n%q", tt.kind, tt.options, got, tt.text)
		}
		if got, err := m.MarshalJSON(); err != nil || string(got) != tt.json {
			t.Errorf("%s %v prints\n%s, %v; want\n%s", tt.kind, tt.options, got, err, tt.json)
		}
	}
}

// TestLinkInfo checks that a kind and a kind of port are printed, each with its options if there are any.
func TestLinkInfo(t *testing.T) {
	vrf := rtnl.Kind{Name: "vrf", Options: rtnl.Options{"table": uint64(10)}}
	for _, tt := range []struct {
		link       rtnl.Link
		text, json string
	}{
		{rtnl.Link{}, "", `{}`},
		{rtnl.Link{Kind: rtnl.Kind{Name: "veth"}}, "\n    veth ", `{"info_kind":"veth"}`},
		{rtnl.Link{Kind: vrf}, "\n    vrf table 10 ", `{"info_kind":"vrf","info_data":{"table":10}}`},
		{rtnl.Link{PortKind: "bridge_slave"}, "\n    bridge_slave ", `{"info_slave_kind":"bridge"}`},
		{rtnl.Link{Kind: rtnl.Kind{Name: "veth"}, PortKind: "vrf_slave", Port: rtnl.Options{"table": uint64(7)}},
			"\n    veth \n    vrf_slave table 7 ",
			`{"info_kind":"veth","info_slave_kind":"vrf","info_slave_data":{"table":7}}`},
	} {
		m := LinkStyle{}.linkInfo(tt.link)
		if got := m.text(); got != tt.text {
			t.Errorf("%+v prints\n%q, want\n%q", tt.link, got, tt.text)
		}
		if got, err := m.MarshalJSON(); err != nil || string(got) != tt.json {
			t.Errorf("%+v prints\n%s, %v; want\n%s", tt.link, got, err, tt.json)
		}
	}
}
