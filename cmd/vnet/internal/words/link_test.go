package words

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
)

func ptr[T any](v T) *T { return &v }

func up(up bool) (l rtnl.LinkConfig) { l.SetUp(up); return l }

// kind returns a link of a kind with options.
func kind(name string, o rtnl.Options) rtnl.Kind { return rtnl.Kind{Name: name, Options: o} }

func TestLinkVerb(t *testing.T) {
	for words, want := range map[string]string{
		"": "show", "a": "add", "add": "add", "s": "set", "set": "set", "sh": "show", "show": "show", "ls": "show",
		"list": "show", "l": "show",
		"c": "set", "r": "replace", "d": "delete", "del": "delete", "delete": "delete", "p": "property", "h": "help",
	} {
		w := Of(strings.Fields(words))
		if got := w.LinkVerb(); got != want || w.Err != nil {
			t.Errorf("link %s: %q, %v; want %q", words, got, w.Err, want)
		}
	}
	w := Of([]string{"dle"})
	if w.LinkVerb(); w.Err == nil || w.Err.(*Error).Hint == "" {
		t.Errorf("link dle: %v", w.Err)
	}
}

// TestLinkChange checks that equivalent commands give the same value.
func TestLinkChange(t *testing.T) {
	mac := rtnl.LLAddr("\x02\x00\x00\x00\x00\x01")
	veth := func(c LinkChange, peer LinkChange) LinkChange {
		c.Type, c.Config.Kind, c.Peer = "veth", kind("veth", nil), &peer
		return c
	}
	named := func(name string) LinkChange {
		return LinkChange{Name: name, Config: rtnl.LinkConfig{Name: name}}
	}
	dev := func(name string) LinkChange {
		c := named(name)
		c.Dev = name
		return c
	}
	for _, tt := range []struct {
		lines string // one per line, with the verb
		want  LinkChange
	}{
		{"add v0 type veth peer name v1\nadd dev v0 type veth peer name v1", veth(dev("v0"), named("v1"))},
		{"add v0 type veth peer v1", veth(dev("v0"), dev("v1"))},
		{"add name v0 type veth peer name v1", veth(named("v0"), named("v1"))},
		{
			"add name v0 address 02:00:00:00:00:01 netns red type veth peer name v1 mtu 1400 netns blue",
			veth(LinkChange{Name: "v0", NS: "red", Config: rtnl.LinkConfig{Name: "v0", Address: mac}},
				LinkChange{Name: "v1", NS: "blue", Config: rtnl.LinkConfig{Name: "v1", MTU: 1400}}),
		},
		{"set v0 up\nset dev v0 up\nset up dev v0\nset up v0", LinkChange{Dev: "v0", Config: up(true)}},
		{"set v0 down\nset down v0", LinkChange{Dev: "v0", Config: up(false)}},
		{"set mtu 1400 dev v0\nset v0 mtu 1400\nset dev v0 mtu 0x578",
			LinkChange{Dev: "v0", Config: rtnl.LinkConfig{MTU: 1400}}},
		{
			"set v0 address 02:00:00:00:00:01\nset address 2:0:0:0:0:1 dev v0\nset v0 addr 02:00:00:00:00:01",
			LinkChange{Dev: "v0", Config: rtnl.LinkConfig{Address: mac}},
		},
		{"set v0 netns red\nset netns red dev v0", LinkChange{Dev: "v0", NS: "red"}},
		{"set v0 netns 1234", LinkChange{Dev: "v0", NS: "1234"}},
		{"set v0 netns red name eth0 up", LinkChange{Dev: "v0", Name: "eth0", NS: "red", Rename: true,
			Config: rtnl.LinkConfig{Name: "eth0", Flags: unix.IFF_UP, Change: unix.IFF_UP}}},
		{"set v0 name v0", LinkChange{Dev: "v0", Name: "v0"}},
		{"set v0 master br0", LinkChange{Dev: "v0", Master: "br0"}},
		{"set v0 vrf blue", LinkChange{Dev: "v0", Master: "blue", VRF: true}},
		{"set v0 nomaster", LinkChange{Dev: "v0", Config: rtnl.LinkConfig{Master: ptr(uint32(0))}}},
		{"set group 7 down", LinkChange{Config: rtnl.LinkConfig{Group: ptr(uint32(7)), Change: unix.IFF_UP}}},
		{"set v0 alias some-alias", LinkChange{Dev: "v0", Config: rtnl.LinkConfig{Alias: ptr("some-alias")}}},
		{"set v0 txqueuelen 5\nset v0 qlen 5\nset v0 txqlen 5",
			LinkChange{Dev: "v0", Config: rtnl.LinkConfig{TxQueueLen: ptr(uint32(5))}}},
		{"set v0 arp off", LinkChange{Dev: "v0", Config: rtnl.LinkConfig{Flags: unix.IFF_NOARP, Change: unix.IFF_NOARP}}},
		{"set v0 promisc on multicast off", LinkChange{Dev: "v0",
			Config: rtnl.LinkConfig{Flags: unix.IFF_PROMISC, Change: unix.IFF_PROMISC | unix.IFF_MULTICAST}}},
		{"set v0 addrgenmode none", LinkChange{Dev: "v0", Config: rtnl.LinkConfig{AddrGenMode: ptr(rtnl.AddrGenNone)}}},
		{"set v0 carrier off", LinkChange{Dev: "v0", Config: rtnl.LinkConfig{Carrier: ptr(uint8(0))}}},
		{"set v0 xdp off", LinkChange{Dev: "v0", Config: rtnl.LinkConfig{XDPOff: ptr(uint32(0))}}},
		{"set v0 xdpgeneric off", LinkChange{Dev: "v0",
			Config: rtnl.LinkConfig{XDPOff: ptr(uint32(unix.XDP_FLAGS_SKB_MODE))}}},
		{"del v0\ndel dev v0", LinkChange{Dev: "v0"}},
		{"del v0 type bridge", LinkChange{Dev: "v0", Type: "bridge", Config: rtnl.LinkConfig{Kind: kind("bridge", nil)}}},
	} {
		for line := range strings.Lines(tt.lines) {
			w := Of(strings.Fields(line))
			got := w.LinkChange(w.LinkVerb())
			if w.Err != nil {
				t.Errorf("link %s: %v", line, w.Err)
				continue
			}
			if diff := cmp.Diff(tt.want, got, cmpAddr); diff != "" {
				t.Errorf("link %s: -want +got\n%s", line, diff)
			}
		}
	}
}

// TestKindOptions checks the options after "type".
func TestKindOptions(t *testing.T) {
	for _, tt := range []struct {
		words string
		want  rtnl.Options
		links map[string]string
	}{
		{"dummy", nil, nil},
		{"bridge vlan_filtering 1 mcast_snooping 0", rtnl.Options{"vlan_filtering": uint64(1), "mcast_snooping": uint64(0)},
			nil},
		{"bridge vlan_protocol 802.1ad vlan_default_pvid 0",
			rtnl.Options{"vlan_protocol": uint64(unix.ETH_P_8021AD), "vlan_default_pvid": uint64(0)}, nil},
		{"bridge no_linklocal_learn 1 mst_enabled 0", rtnl.Options{"boolopt": uint64(0b101<<32 | 0b001)}, nil},
		{"bridge group_address 01:80:c2:00:00:05 fdb_flush",
			rtnl.Options{"group_address": rtnl.LLAddr("\x01\x80\xc2\x00\x00\x05"), "fdb_flush": uint64(1)}, nil},
		{"vlan id 5", rtnl.Options{"id": uint64(5)}, nil},
		{"vlan protocol 802.1AD id 7 reorder_hdr off gvrp on",
			rtnl.Options{"protocol": uint64(unix.ETH_P_8021AD), "id": uint64(7), "flags": uint64(0b11<<32 | 0b10)}, nil},
		{"vlan id 5 ingress-qos-map 1:2 3:4 egress-qos-map 5:6",
			rtnl.Options{"id": uint64(5), "ingress-qos-map": []rtnl.QoS{{From: 1, To: 2}, {From: 3, To: 4}},
				"egress-qos-map": []rtnl.QoS{{From: 5, To: 6}}}, nil},
		{"vxlan id 100 local 10.0.0.1 remote 10.0.0.2 dstport 4789",
			rtnl.Options{"id": uint64(100), "local": ipa("10.0.0.1"), "remote": ipa("10.0.0.2"), "dstport": uint64(4789),
				"learning": uint64(1)}, nil},
		{"vxlan vni 100 group ff05::1 dev eth0 nolearning ttl inherit tos inherit",
			rtnl.Options{"id": uint64(100), "remote": ipa("ff05::1"), "learning": uint64(0), "ttl_inherit": uint64(1),
				"tos": uint64(1)}, map[string]string{"link": "eth0"}},
		{"vxlan id 1 srcport 1000 2000 df set ageing none ttl auto nolocalbypass",
			rtnl.Options{"id": uint64(1), "srcport": uint64(1000<<16 | 2000), "df": uint64(1), "ageing": uint64(0),
				"localbypass": uint64(0), "ttl": uint64(0), "learning": uint64(1)}, nil},
		{"vxlan external gpe reserved_bits 0xff",
			rtnl.Options{"external": uint64(1), "gpe": uint64(1), "reserved_bits": uint64(0xff), "learning": uint64(0),
				"dstport": uint64(4790)}, nil},
		{"macvlan mode private", rtnl.Options{"mode": uint64(1)}, nil},
		{"macvtap mode passthru nopromisc", rtnl.Options{"mode": uint64(8), "flags": uint64(1)}, nil},
		{"ipvlan mode l3s vepa", rtnl.Options{"mode": uint64(2), "flags": uint64(2)}, nil},
		{"vrf table 100", rtnl.Options{"table": uint64(100)}, nil},
		{"vrf table main", rtnl.Options{"table": uint64(254)}, nil},
		{"bond mode active-backup miimon 100", rtnl.Options{"mode": uint64(1), "miimon": uint64(100)}, nil},
		{"bond mode 4 lacp_rate fast xmit_hash_policy layer3+4",
			rtnl.Options{"mode": uint64(4), "lacp_rate": uint64(1), "xmit_hash_policy": uint64(1)}, nil},
		{"bond arp_ip_target 10.0.0.1,10.0.0.2 ns_ip6_target fd00::1",
			rtnl.Options{"arp_ip_target": []netip.Addr{ipa("10.0.0.1"), ipa("10.0.0.2")},
				"ns_ip6_target": []netip.Addr{ipa("fd00::1")}}, nil},
		{"bond primary eth0", rtnl.Options{}, map[string]string{"primary": "eth0"}},
		{"bond clear_active_slave num_unsol_na 3", rtnl.Options{"active_slave": uint64(0), "num_grat_arp": uint64(3)}, nil},
	} {
		w := Of(strings.Fields("add x type " + tt.words))
		got := w.LinkChange(w.LinkVerb())
		if w.Err != nil {
			t.Errorf("type %s: %v", tt.words, w.Err)
			continue
		}
		if diff := cmp.Diff(tt.want, got.Config.Kind.Options, cmpAddr); diff != "" {
			t.Errorf("type %s: -want +got\n%s", tt.words, diff)
		}
		if diff := cmp.Diff(tt.links, got.Links); diff != "" {
			t.Errorf("type %s: links: -want +got\n%s", tt.words, diff)
		}
	}
}

// TestPortOptions checks that a port's options are set on the link, not on its kind.
func TestPortOptions(t *testing.T) {
	for words, want := range map[string]rtnl.Options{
		"bridge_slave isolated on hairpin off cost 7":    {"isolated": uint64(1), "hairpin": uint64(0), "cost": uint64(7)},
		"bridge_slave mcast_fast_leave on":               {"fastleave": uint64(1)},
		"bridge_slave state 4 mcast_router 2":            {"state": uint64(4), "mcast_router": uint64(2)},
		"bridge_slave nobackup_port":                     {"backup_port": uint64(0)},
		"bridge_slave neigh_vlan_suppress on locked off": {"neigh_vlan_suppress": uint64(1), "locked": uint64(0)},
		"bond_slave queue_id 3":                          {"queue_id": uint64(3)},
	} {
		w := Of(strings.Fields("set v0 type " + words))
		got := w.LinkChange(w.LinkVerb())
		portKind, _, _ := strings.Cut(words, " ")
		if w.Err != nil || got.Config.PortKind != portKind || got.Config.Kind.Name != "" {
			t.Errorf("type %s: %+v, %v", words, got.Config, w.Err)
		}
		if diff := cmp.Diff(want, got.Config.Port); diff != "" {
			t.Errorf("type %s: -want +got\n%s", words, diff)
		}
	}
}

// TestLinkMistakes checks the error, the hint and ip's exit status; 0 means the usual 255.
func TestLinkMistakes(t *testing.T) {
	for _, tt := range []struct {
		words, want, hint string
		status            int
	}{
		{"add v0", `link add v0: the type is missing: "type" is required`,
			"link add NAME type veth | bridge | vlan | vxlan | macvlan | ipvlan | vrf | dummy", 1},
		{"set", `the link is missing: "dev" is required`, "", 0},
		{"set v0 mtu", `"mtu" needs a value`, "", 0},
		{"set v0 mtu big", `"mtu": "big" is not a number`, "", 0},
		{"set v0 mtu 1 mtu 2", `"mtu" is given twice`, "", 0},
		{"set v0 netns a netns b", `"netns" is given twice`, "", 0},
		{"set v0 upp", `word "upp" is unknown`, `did you mean "up"?`, 0},
		{"set v0 arp maybe", `"arp" must be "on" or "off", not "maybe"`, "", 1},
		{"set v0 address 02-00", `"address": "02-00" is not a link-layer address`, "", 1},
		{"set v0 addrgenmode eui46", `addrgenmode "eui46" is unknown`, `did you mean "eui64"?`, 0},
		{"set v0 mode sleeping", `"mode" must be "default" or "dormant", not "sleeping"`, "", 0},
		{"set v0 group nobody", `group "nobody" is unknown`, "", 0},
		{"set v0 xdp obj prog.o", `"xdp" must be "off", not "obj"`,
			"vnet cannot load XDP programs; use bpftool net attach xdp ...", 0},
		{"set v0 name a/b", `"a/b" is not a name for a link`, "", 0},
		{"add a/b type bridge", `"a/b" is not a name for a link`, "", 2},
		{"add name a:b type bridge", `"a:b" is not a name for a link`, "", 2},
		{"add name fifteen:bytes-x type bridge", `"fifteen:bytes-x" is not a name for a link`, "", 2},
		{"add sixteen-bytes-xx type bridge", `"sixteen-bytes-xx" has 16 bytes, a link's name has at most 15`,
			"use a short name and add the long one as an alternative name: link property add dev SHORT altname " +
				"sixteen-bytes-xx", 2},
		{"add name sixteen-bytes-xx type bridge", `"sixteen-bytes-xx" has 16 bytes, a link's name has at most 15`,
			"use a short name and add the long one as an alternative name: link property add dev SHORT altname " +
				"sixteen-bytes-xx", 0},
		{"add x type bridge vlan_filterin 1 x", `bridge option "x" is unknown`, "", 1},
		{"add x type bridge ageing 5 bogus", `bridge option "bogus" is unknown`, "", 1},
		{"add x type macvlan mode open", `"open" is not a mode of macvlan`, "", 1},
		{"add x type veth nearby", `expected "peer" after veth, not "nearby"`, "", 1},
		{"add x type vlan id many", `"id": "many" is not a VLAN id`, "a VLAN id is a number from 0 to 4094", 0},
		{"add x type vlan id 5 ingress-qos-map 1-2", `"ingress-qos-map": expected FROM:TO with two numbers, not "1-2"`, "",
			1},
		{"add x type vxlan id 5 df never", `"df" must be "unset", "set" or "inherit", not "never"`, "", 0},
		{"add x type bond mode active-bakup", `mode "active-bakup" is unknown`, `did you mean "active-backup"?`, 0},
		{"add x type bond arp_ip_target 10.0.0.x", `expected an IPv4 address, not "10.0.0.x"`, "", 1},
		{"set x type bridge_slave state blocking", `"state": "blocking" is not a number`,
			"0 disabled, 1 listening, 2 learning, 3 forwarding, 4 blocking", 0},
		{"set x type bridge_slave hairpin yes", `"hairpin" must be "on" or "off", not "yes"`, "", 1},
	} {
		w := Of(strings.Fields(tt.words))
		w.LinkChange(w.LinkVerb())
		e, ok := w.Err.(*Error)
		if !ok || e.Text != tt.want || e.Hint != tt.hint || e.Status != tt.status {
			t.Errorf("link %s: %#v\nwant %q, %q, %d", tt.words, w.Err, tt.want, tt.hint, tt.status)
		}
	}
}

func TestLinkSelection(t *testing.T) {
	for words, want := range map[string]LinkSelection{
		"":                        {},
		"v0":                      {Dev: "v0"},
		"dev v0":                  {Dev: "v0"},
		"up":                      {Up: true},
		"dev v0 up type veth":     {Dev: "v0", Up: true, Kind: "veth"},
		"master br0":              {Master: "br0"},
		"vrf blue":                {Master: "blue", VRF: true},
		"nomaster":                {NoMaster: true},
		"type bridge_slave":       {PortKind: "bridge_slave"},
		"group default type vlan": {Group: ptr(uint32(0)), Kind: "vlan"},
		"help":                    {Help: true},
	} {
		w := Of(strings.Fields(words))
		got := w.LinkSelection()
		if diff := cmp.Diff(want, got); diff != "" || w.Err != nil {
			t.Errorf("link show %s: %v -want +got\n%s", words, w.Err, diff)
		}
	}
	port := rtnl.Link{Flags: unix.IFF_UP, Master: 3, Group: 7, Kind: kind("veth", nil), PortKind: "bridge_slave"}
	for _, tt := range []struct {
		s      LinkSelection
		master uint32
		want   bool
	}{
		{LinkSelection{}, 0, true}, {LinkSelection{Up: true}, 0, true}, {LinkSelection{NoMaster: true}, 0, false},
		{LinkSelection{}, 3, true}, {LinkSelection{}, 4, false}, {LinkSelection{Group: ptr(uint32(7))}, 0, true},
		{LinkSelection{Group: ptr(uint32(0))}, 0, false}, {LinkSelection{Kind: "veth"}, 0, true},
		{LinkSelection{Kind: "bridge"}, 0, false},
		{LinkSelection{PortKind: "bridge_slave"}, 0, true}, {LinkSelection{PortKind: "bond_slave"}, 0, false},
	} {
		if got := tt.s.Matches(port, tt.master); got != tt.want {
			t.Errorf("%+v with master %d: %t", tt.s, tt.master, got)
		}
	}
	down := rtnl.Link{}
	for _, tt := range []struct {
		s      LinkSelection
		master uint32
		want   bool
	}{
		{LinkSelection{}, 0, true}, {LinkSelection{Up: true}, 0, false}, {LinkSelection{NoMaster: true}, 0, true},
		{LinkSelection{}, 3, false}, {LinkSelection{Kind: "veth"}, 0, false},
		{LinkSelection{Group: ptr(uint32(0))}, 0, true},
	} {
		if got := tt.s.Matches(down, tt.master); got != tt.want {
			t.Errorf("%+v with master %d, a link that is down: %t", tt.s, tt.master, got)
		}
	}
	for words, want := range map[string]string{
		"group nobody": `group "nobody" is unknown`, "group": `"group" needs a value`, "type": `"type" needs a value`,
		"dev": `"dev" needs a value`, "v0 v1": `word "v1" is unknown`, "v0 upp": `word "upp" is unknown`,
	} {
		w := Of(strings.Fields(words))
		if w.LinkSelection(); w.Err == nil || w.Err.Error() != want {
			t.Errorf("link show %s: %v, want %s", words, w.Err, want)
		}
	}
}

func TestLinkProperty(t *testing.T) {
	w := Of(strings.Fields("add dev v0 altname one altname two"))
	if diff := cmp.Diff(LinkProperty{Dev: "v0", AltNames: []string{"one", "two"}}, w.LinkProperty()); diff != "" ||
		w.Err != nil {
		t.Error(w.Err, diff)
	}
	w = Of(strings.Fields("del v0 altname one"))
	if diff := cmp.Diff(LinkProperty{Delete: true, Dev: "v0", AltNames: []string{"one"}}, w.LinkProperty()); diff != "" ||
		w.Err != nil {
		t.Error(w.Err, diff)
	}
	w = Of(strings.Fields("help dev v0"))
	if diff := cmp.Diff(LinkProperty{Help: true}, w.LinkProperty()); diff != "" || w.Err != nil {
		t.Error(w.Err, diff)
	}
	for words, want := range map[string]string{
		"altname":              `property command "altname" is unknown`,
		"add altname x":        `the link is missing: "dev" is required`,
		"add v0 altname a/b":   `"a/b" is not a valid alternative name`,
		"add v0 v1":            `"v1" is unknown: expected dev NAME altname NAME`,
		"add dev v0 altname":   `"altname" needs a value`,
		"remove v0 altname ab": `property command "remove" is unknown`,
	} {
		w := Of(strings.Fields(words))
		if w.LinkProperty(); w.Err == nil || w.Err.Error() != want {
			t.Errorf("link property %s: %v, want %s", words, w.Err, want)
		}
	}
}
