package show

import (
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
)

// seen are bits of Link.Seen.
func seen(attrs ...uint16) (bits [2]uint64) {
	for _, a := range attrs {
		bits[a/64] |= 1 << (a % 64)
	}
	return bits
}

// TestOptions checks the options of each kind as ip -d link prints them, as text and as JSON. The expected output is
// that of ip 7.3; testdata/same compares vnet with ip on a kernel that has the kind.
func TestOptions(t *testing.T) {
	n := func(v uint64) uint64 { return v }
	addrs := func(all ...string) (list []netip.Addr) {
		for _, a := range all {
			list = append(list, netip.MustParseAddr(a))
		}
		return list
	}
	for _, tt := range []struct {
		kind    string
		options rtnl.Options
		text    string
		json    string
	}{
		{"vlan", rtnl.Options{"protocol": n(unix.ETH_P_8021Q), "id": n(5), "flags": n(1)},
			"protocol 802.1Q id 5 <REORDER_HDR> ", `{"protocol":"802.1Q","id":5,"flags":["REORDER_HDR"]}`},
		{
			"vlan", rtnl.Options{"id": n(5), "ingress-qos-map": []rtnl.QoS{{From: 1, To: 2}, {From: 3, To: 4}}},
			"id 5 \n      ingress-qos-map { 1:2 3:4 } ", `{"id":5,"ingress_qos":[{"from":1,"to":2},{"from":3,"to":4}]}`,
		},
		{
			"vxlan", rtnl.Options{"id": n(100), "remote": netip.MustParseAddr("10.0.0.2"), "dstport": n(4789), "ttl": n(0),
				"ageing": n(300), "udpcsum": n(1), "learning": n(1)},
			"id 100 remote 10.0.0.2 dstport 4789 ttl auto ageing 300 ",
			`{"id":100,"remote":"10.0.0.2","port":4789,"ttl":0,"ageing":300,"learning":true,"udp_csum":true}`,
		},
		{
			"vxlan", rtnl.Options{"id": n(7), "remote": netip.MustParseAddr("ff05::1"), "link": n(2),
				"reserved_bits": uint64(0xf7ffffff000000ff), "gbp": n(1), "learning": n(0), "udpcsum": n(0),
				"udp6zerocsumrx": n(1), "localbypass": n(0)},
			"id 7 group ff05::1 dev v2 reserved_bits 0xf7ffffff000000ff gbp nolearning noudp_csum udp_zero_csum6_rx " +
				"nolocalbypass ",
			`{"id":7,"group6":"ff05::1","link":"v2","reserved_bits":"0xf7ffffff000000ff","gbp":null,"learning":false,` +
				`"udp_csum":false,"udp_zero_csum6_rx":true,"localbypass":false}`,
		},
		{"macvlan", rtnl.Options{"mode": n(4), "flags": n(1), "bcqueuelen": n(1000)},
			"mode bridge nopromisc bcqueuelen 1000 ", `{"mode":"bridge","nopromisc":true,"bcqueuelen":1000}`},
		{"ipvlan", rtnl.Options{"mode": n(1), "flags": n(1)}, " mode l3 private ", `{"mode":"l3","private":true}`},
		{"vrf", rtnl.Options{"table": n(10)}, "table 10 ", `{"table":10}`},
		{
			"bridge", rtnl.Options{"ageing_time": n(30000), "bridge_id": uint64(0x8000_0a0b_0c0d_0e0f), "hello_timer": n(199),
				"group_fwd_mask": n(8), "mcast_last_member_count": n(2), "boolopt": n(0b00101<<32 | 0b00100)},
			"ageing_time 30000 bridge_id 8000.a:b:c:d:e:f hello_timer    1.99 group_fwd_mask 0x8 no_linklocal_learn 0 " +
				"mst_enabled 1 mcast_last_member_count 2 ",
			`{"ageing_time":30000,"bridge_id":"8000.a:b:c:d:e:f","hello_timer":1.99,"group_fwd_mask":"0x8",` +
				`"no_linklocal_learn":0,"mst_enabled":1,"mcast_last_member_cnt":2}`,
		},
		{
			"bridge_slave", rtnl.Options{"state": n(3), "cost": n(2), "hairpin": n(1), "id": n(0x8001),
				"group_fwd_mask": n(0x4001), "backup_port": n(2)},
			"state forwarding cost 2 hairpin on port_id 0x8001 group_fwd_mask 0x4001 group_fwd_mask_str lldp,stp backup_port " +
				"v2 ",
			`{"state":"forwarding","cost":2,"hairpin":true,"id":"0x8001","group_fwd_mask":"0x4001",` +
				`"group_fwd_mask_str":"lldp,stp","backup_port":"v2"}`,
		},
		{
			"bond", rtnl.Options{"mode": n(4), "active_slave": n(2), "primary": n(0),
				"arp_ip_target": addrs("10.0.0.1", "10.0.0.2"), "arp_validate": n(0), "num_grat_arp": n(1), "lacp_active": n(1),
				"lacp_rate": n(0), "coupled_control": n(1)},
			"mode 802.3ad active_slave v2 arp_ip_target 10.0.0.1,10.0.0.2 arp_validate none num_grat_arp 1 lacp_active on " +
				"lacp_rate slow coupled_control on ",
			`{"mode":"802.3ad","active_slave":"v2","arp_ip_target":["10.0.0.1","10.0.0.2"],"arp_validate":null,` +
				`"num_peer_notif":1,"ad_lacp_active":"on","ad_lacp_rate":"slow","coupled_control":true}`,
		},
		{
			"bond", rtnl.Options{"ad_info": rtnl.Options{"aggregator": n(1), "num_ports": n(2),
				"partner_mac": rtnl.LLAddr("\x02\x00\x00\x00\x00\x01")}},
			"ad_aggregator 1 ad_num_ports 2 ad_partner_mac 02:00:00:00:00:01 ",
			`{"ad_info":{"aggregator":1,"num_ports":2,"partner_mac":"02:00:00:00:00:01"}}`,
		},
		{
			"bond_slave", rtnl.Options{"state": n(1), "mii_status": n(2), "prio": uint64(1<<32 - 5),
				"ad_actor_oper_port_state": n(0b1000101)},
			"state BACKUP mii_status DOWN prio -5 ad_actor_oper_port_state 69 ad_actor_oper_port_state_str " +
				"<active,aggregating,defaulted> ",
			`{"state":"BACKUP","mii_status":"DOWN","prio":-5,"ad_actor_oper_port_state":69,` +
				`"ad_actor_oper_port_state_str":["active","aggregating","defaulted"]}`,
		},
	} {
		s := LinkStyle{Link: func(index uint32) (rtnl.Link, bool) { return rtnl.Link{Name: "v2"}, index == 2 }}
		m := s.options(tt.kind, tt.options)
		if got := m.text(); got != tt.text {
			t.Errorf("%s prints\n%q, want\n%q", tt.kind, got, tt.text)
		}
		if got, err := m.MarshalJSON(); err != nil || string(got) != tt.json {
			t.Errorf("%s prints\n%s, %v; want\n%s", tt.kind, got, err, tt.json)
		}
	}
}

// TestLinks prints a link with each option.
func TestLinks(t *testing.T) {
	l := rtnl.Link{
		Index: 3, Name: "v0", Type: unix.ARPHRD_ETHER, Flags: unix.IFF_BROADCAST | unix.IFF_MULTICAST | unix.IFF_UP,
		MTU: 1500, Qdisc: "noqueue",
		Address: "\x02\x00\x00\x00\x00\x01", Broadcast: "\xff\xff\xff\xff\xff\xff", OperState: 2, TxQueueLen: 1000,
		Parent: 2, NetnsImmutable: true,
		Alias: "some alias", AltNames: []string{"another"}, Kind: rtnl.Kind{Name: "veth"},
		Seen: seen(unix.IFLA_MTU, unix.IFLA_LINK, unix.IFLA_OPERSTATE, unix.IFLA_LINKMODE, unix.IFLA_GROUP,
			unix.IFLA_ADDRESS, unix.IFLA_BROADCAST, unix.IFLA_PROMISCUITY),
	}
	for _, tt := range []struct {
		what  string
		style Style
		want  string
	}{
		{"text", Style{},
			"3: v0@v1: <NO-CARRIER,BROADCAST,MULTICAST,UP,M-DOWN> mtu 1500 qdisc noqueue state DOWN mode DEFAULT group " +
				"default qlen 1000\n" +
				"    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff\n    alias some alias\n    altname another\n"},
		{"details", Style{Details: 1},
			"3: v0@v1: <NO-CARRIER,BROADCAST,MULTICAST,UP,M-DOWN> mtu 1500 qdisc noqueue state DOWN mode DEFAULT group " +
				"default qlen 1000\n" +
				"    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff promiscuity 0 netns-immutable \n    veth \n    alias " +
				"some alias\n    altname another\n"},
		{"numbers", Style{Numeric: true},
			"3: v0@v1: <NO-CARRIER,BROADCAST,MULTICAST,UP,M-DOWN> mtu 1500 qdisc noqueue state DOWN mode DEFAULT group 0 " +
				"qlen 1000\n" +
				"    link/[1] 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff\n    alias some alias\n    altname another\n"},
		{"one line", Style{Oneline: true},
			`3: v0@v1: <NO-CARRIER,BROADCAST,MULTICAST,UP,` +
				`M-DOWN> mtu 1500 qdisc noqueue state DOWN mode DEFAULT group default qlen 1000` +
				`\    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff\    alias some alias\    altname another` + "\n"},
		{"brief", Style{Brief: true},
			"v0@v1            DOWN           02:00:00:00:00:01 <NO-CARRIER,BROADCAST,MULTICAST,UP,M-DOWN> \n"},
		{"colours", Style{Brief: true, Color: true},
			"\x1b[1;36mv0@v1            \x1b[0m\x1b[1;31mDOWN           \x1b[0m\x1b[1;33m02:00:00:00:00:01 " +
				"\x1b[0m<NO-CARRIER,BROADCAST,MULTICAST,UP,M-DOWN> \n"},
		{"JSON", Style{JSON: true},
			`[{"ifindex":3,"link":"v1","ifname":"v0","flags":["NO-CARRIER","BROADCAST","MULTICAST","UP","M-DOWN"],` +
				`"mtu":1500,"qdisc":"noqueue","operstate":"DOWN",` +
				`"linkmode":"DEFAULT","group":"default","txqlen":1000,"link_type":"ether","address":"02:00:00:00:00:01",` +
				`"broadcast":"ff:ff:ff:ff:ff:ff","ifalias":"some alias","altnames":["another"]}]` + "\n"},
	} {
		s := LinkStyle{Style: tt.style, Link: func(index uint32) (rtnl.Link, bool) {
			return rtnl.Link{Name: "v1"},
				index == 2
		}}
		var out strings.Builder
		if err := Links(&out, []rtnl.Link{l}, s); err != nil || out.String() != tt.want {
			t.Errorf("%s: %v\n%q, want\n%q", tt.what, err, out.String(), tt.want)
		}
	}
}

// TestAddr prints addresses with their flags.
func TestAddr(t *testing.T) {
	for _, tt := range []struct {
		addr rtnl.Addr
		want string
	}{
		{
			rtnl.Addr{Prefix: netip.MustParsePrefix("10.0.0.1/24"), Broadcast: netip.MustParseAddr("10.0.0.255"), Label: "v0:x",
				Flags: unix.IFA_F_PERMANENT | unix.IFA_F_SECONDARY, Valid: rtnl.Forever, Preferred: rtnl.Forever},
			"    inet 10.0.0.1/24 brd 10.0.0.255 scope global secondary v0:x\n       valid_lft forever preferred_lft forever",
		},
		{
			rtnl.Addr{Prefix: netip.MustParsePrefix("10.0.0.1/32"), Peer: netip.MustParseAddr("10.0.0.2"), Metric: 5, Valid: 20,
				Preferred: 10},
			"    inet 10.0.0.1 peer 10.0.0.2/32 metric 5 scope global dynamic \n       valid_lft 20sec preferred_lft 10sec",
		},
		{
			rtnl.Addr{Prefix: netip.MustParsePrefix("fe80::1/64"), Scope: unix.RT_SCOPE_LINK,
				Flags: unix.IFA_F_PERMANENT | unix.IFA_F_TENTATIVE | unix.IFA_F_SECONDARY, Proto: 3, Valid: rtnl.Forever,
				Preferred: rtnl.Forever},
			"    inet6 fe80::1/64 scope link temporary tentative proto kernel_ll \n       valid_lft forever preferred_lft " +
				"forever",
		},
		{
			rtnl.Addr{Prefix: netip.MustParsePrefix("fd00::1/64"), Flags: unix.IFA_F_DEPRECATED, Proto: 77, Valid: 20,
				Preferred: 1<<32 - 3},
			"    inet6 fd00::1/64 scope global deprecated dynamic proto 0x4d \n       valid_lft 20sec preferred_lft -3sec",
		},
	} {
		if got := (LinkStyle{}).addr(tt.addr).text(); got != tt.want {
			t.Errorf("%v prints\n%q, want\n%q", tt.addr.Prefix, got, tt.want)
		}
	}
}

// TestIndentJSON checks that pretty JSON has iproute2's format.
func TestIndentJSON(t *testing.T) {
	for in, want := range map[string]string{
		"[]": "[ ]", "[{}]": "[ {} ]", `[{"a":1}]`: "[ {\n        \"a\": 1\n    } ]",
		`[{"a":[1,2],"b":{"c":"x,{y}: \"z\""}}]`: "[ {\n        \"a\": [ 1,2 ],\n        \"b\": {\n            \"c\": " +
			"\"x,{y}: \\\"z\\\"\"\n        }\n    } ]",
		`[{"a":1},{"a":2}]`:          "[ {\n        \"a\": 1\n    },{\n        \"a\": 2\n    } ]",
		`[{"a":{},"b":[],"c":"\\"}]`: "[ {\n        \"a\": {},\n        \"b\": [ ],\n        \"c\": \"\\\\\"\n    } ]",
		`[{"a":[{"b":1},2],"c":-1}]`: "[ {\n        \"a\": [ {\n                \"b\": 1\n            },2 ],\n" +
			"        \"c\": -1\n    } ]",
	} {
		if got := string(indentJSON([]byte(in))); got != want {
			t.Errorf("%s is printed as\n%q, want\n%q", in, got, want)
		}
	}
}

// Strings of JSON keep <, > and &, as ip(8) prints them. Brackets and quotes in them do not end anything.
func TestJSONStrings(t *testing.T) {
	for pretty, want := range map[bool]string{
		false: `[{"ifalias":"a<b>&\"{,\\"}]` + "\n", true: "[ {\n        \"ifalias\": \"a<b>&\\\"{,\\\\\"\n    } ]\n",
	} {
		var b strings.Builder
		err := JSON(&b, []map[string]string{{"ifalias": `a<b>&"{,\`}}, pretty)
		if err != nil || b.String() != want {
			t.Errorf("pretty %t: %q, %v; want %q", pretty, b.String(), err, want)
		}
	}
}
