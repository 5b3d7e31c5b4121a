package words

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
)

// TestLinkKeywords checks what each keyword changes in "link set v0". Numbers are the greatest.
func TestLinkKeywords(t *testing.T) {
	type change = func(*LinkChange)
	const most = 1<<32 - 1
	mac := rtnl.LLAddr("\x02\x00\x00\x00\x00\x01")
	flags := func(change, flags uint32) change {
		return func(c *LinkChange) { c.Config.Change, c.Config.Flags = change, flags }
	}
	for words, set := range map[string]change{
		"": func(*LinkChange) {},
		"index 2147483647 netns red": func(c *LinkChange) {
			c.Index, c.Config.NewIndex, c.NS = math.MaxInt32, math.MaxInt32, "red"
		},
		"link eth0":                   func(c *LinkChange) { c.Parent = "eth0" },
		"link-netns red":              func(c *LinkChange) { c.ParentNetns = "red" },
		"link-netnsid 5":              func(c *LinkChange) { c.Config.ParentNSID = ptr(int32(5)) },
		"broadcast 02:00:00:00:00:01": func(c *LinkChange) { c.Config.Broadcast = mac },
		"brd 02:00:00:00:00:01":       func(c *LinkChange) { c.Config.Broadcast = mac },
		"mtu 2147483647":              func(c *LinkChange) { c.Config.MTU = math.MaxInt32 },
		"qlen 2147483647":             func(c *LinkChange) { c.Config.TxQueueLen = ptr(uint32(math.MaxInt32)) },
		"xdpdrv off":                  func(c *LinkChange) { c.Config.XDPOff = ptr(uint32(unix.XDP_FLAGS_DRV_MODE)) },
		"xdpoffload off":              func(c *LinkChange) { c.Config.XDPOff = ptr(uint32(unix.XDP_FLAGS_HW_MODE)) },
		"multicast on":                flags(unix.IFF_MULTICAST, unix.IFF_MULTICAST),
		"allmulticast on":             flags(unix.IFF_ALLMULTI, unix.IFF_ALLMULTI),
		"trailers on":                 flags(unix.IFF_NOTRAILERS, 0),
		"trailers off":                flags(unix.IFF_NOTRAILERS, unix.IFF_NOTRAILERS),
		"arp on":                      flags(unix.IFF_NOARP, 0),
		"dynamic on":                  flags(unix.IFF_DYNAMIC, unix.IFF_DYNAMIC),
		"promisc on promisc off":      flags(unix.IFF_PROMISC, 0),
		"up down":                     flags(unix.IFF_UP, 0),
		"carrier on":                  func(c *LinkChange) { c.Config.Carrier = ptr(uint8(1)) },
		"protodown on":                func(c *LinkChange) { c.Config.ProtoDown = ptr(uint8(1)) },
		"vrf blue master br0":         func(c *LinkChange) { c.Master = "br0" },
		"group 4294967295":            func(c *LinkChange) { c.Config.Group = ptr(uint32(most)) },
		"mode DORMANT":                func(c *LinkChange) { c.Config.LinkMode = ptr(uint8(1)) },
		"mode default":                func(c *LinkChange) { c.Config.LinkMode = ptr(uint8(0)) },
		"addrgenmode eui64":           func(c *LinkChange) { c.Config.AddrGenMode = ptr(rtnl.AddrGenEUI64) },
		"addrgenmode random":          func(c *LinkChange) { c.Config.AddrGenMode = ptr(rtnl.AddrGenRandom) },
		"numtxqueues 3":               func(c *LinkChange) { c.Config.Limits.TxQueues = 3 },
		"numrxqueues 2147483647":      func(c *LinkChange) { c.Config.Limits.RxQueues = math.MaxInt32 },
		"gso_max_size 65536":          func(c *LinkChange) { c.Config.Limits.GSOMaxSize = 65536 },
		"gso_max_segs 7":              func(c *LinkChange) { c.Config.Limits.GSOMaxSegs = 7 },
		"gro_max_size 8":              func(c *LinkChange) { c.Config.Limits.GROMaxSize = 8 },
		"gso_ipv4_max_size 9":         func(c *LinkChange) { c.Config.Limits.GSOIPv4MaxSize = 9 },
		"gro_ipv4_max_size 10":        func(c *LinkChange) { c.Config.Limits.GROIPv4MaxSize = 10 },
		"state DORMANT":               func(c *LinkChange) { c.Config.OperState = ptr(uint8(5)) },
		"protodown_reason 3 on":       func(c *LinkChange) { c.Config.ProtoDownReason = ptr(uint64(8<<32 | 8)) },
		"protodown_reason 31 off":     func(c *LinkChange) { c.Config.ProtoDownReason = ptr(uint64(1 << 63)) },
		"help":                        func(c *LinkChange) { c.Help = true },
		"mtu 5 help mtu 6":            func(c *LinkChange) { c.Config.MTU, c.Help = 5, true },
		"name fifteen-bytes-x": func(c *LinkChange) {
			c.Name, c.Config.Name, c.Rename = "fifteen-bytes-x", "fifteen-bytes-x", true
		},
		"type bridge help": func(c *LinkChange) { c.Type, c.Config.Kind, c.Help = "bridge", kind("bridge", nil), true },
		"type vlan id 5 help": func(c *LinkChange) {
			c.Type, c.Config.Kind, c.Help = "vlan", kind("vlan", rtnl.Options{"id": uint64(5)}), true
		},
		"type veth": func(c *LinkChange) { c.Type, c.Config.Kind = "veth", kind("veth", nil) },
	} {
		w := Of(strings.Fields("v0 " + words))
		got := w.LinkChange("set")
		want := LinkChange{Dev: "v0"}
		set(&want)
		if diff := cmp.Diff(want, got, cmpAddr); diff != "" || w.Err != nil {
			t.Errorf("link set v0 %s: %v, -want +got\n%s", words, w.Err, diff)
		}
	}
}

// TestLinkTooGreat checks the limits of numbers, words that are missing, and words that are given twice.
func TestLinkTooGreat(t *testing.T) {
	for words, want := range map[string]string{
		"dle":                                `link command "dle" is unknown`,
		"xstats":                             `link command "xstats" is unknown`,
		"afstats":                            `link command "afstats" is unknown`,
		"set dev":                            `"dev" needs a value`,
		"set v0 v1":                          `word "v1" is unknown`,
		"set v0 name":                        `"name" needs a value`,
		"set v0 type":                        `"type" needs a value`,
		"set v0 name a name b":               `"name" is given twice`,
		"set v0 qlen 1 txqueuelen 2":         `"txqueuelen" is given twice`,
		"set v0 mtu 4294967296":              `"mtu": "4294967296" is not a number`,
		"set v0 master":                      `"master" needs a value`,
		"set v0 xdp":                         `"xdp" needs a value`,
		"set v0 addr":                        `"addr" needs a value`,
		"set v0 arp":                         `"arp" needs a value`,
		"set v0 name sixteen-bytes-xx":       `"sixteen-bytes-xx" has 16 bytes, a link's name has at most 15`,
		"add v0 type veth peer name a/b":     `"a/b" is not a name for a link`,
		"add v0 type veth peer a/b":          `"a/b" is not a name for a link`,
		"add v0 type veth peer v1 v2":        `word "v2" is unknown`,
		"add v0 type bridge priority":        `"priority" needs a value`,
		"add v0 type bridge priority x":      `"priority": "x" is not a number`,
		"add v0 type bridge root_id 5":       `bridge option "root_id" is unknown`,
		"add v0 type bridge vlan_protocol x": `"vlan_protocol" must be "802.1Q" or "802.1ad", not "x"`,
		"add v0 type bridge mst_enabled x":   `"mst_enabled": "x" is not a number`,
		"add v0 type vlan protocol 802.1x":   `"protocol" must be "802.1Q" or "802.1ad", not "802.1x"`,
		"add v0 type vlan id 65536":          `"id": "65536" is not a VLAN id`,
		"add v0 type vlan gvrp 1":            `"gvrp" must be "on" or "off", not "1"`,
		"add v0 type vlan bogus 1":           `vlan option "bogus" is unknown`,
		"add v0 type vlan ingress-qos-map 4294967296:1": `"ingress-qos-map": expected FROM:TO with two numbers, not ` +
			`"4294967296:1"`,
		"add v0 type vlan egress-qos-map 1:4294967296": `"egress-qos-map": expected FROM:TO with two numbers, not ` +
			`"1:4294967296"`,
		"add v0 type vlan egress-qos-map 1:2 3:x":    `"egress-qos-map": expected FROM:TO with two numbers, not "3:x"`,
		"add v0 type vxlan local red":                `expected an IP address, not "red"`,
		"add v0 type vxlan id 5 id 6":                `"vxlan id" is given twice`,
		"add v0 type vxlan id 16777216":              `id "16777216" is not a number up to 16777215`,
		"add v0 type vxlan id 5 external":            `vxlan: "external" and "id" cannot both be given`,
		"add v0 type vxlan dstport 5":                `vxlan: the id is missing: "id NUMBER" or "external" is required`,
		"add v0 type vxlan id 5 vnifilter":           `vxlan: "vnifilter" needs "external"`,
		"add v0 type vxlan id 5 group 10.0.0.9":      `"group" must be a multicast address, not "10.0.0.9"`,
		"add v0 type vxlan id 5 group 224.0.0.9":     `vxlan: "group" needs "dev", the link on which the group is`,
		"add v0 type vxlan id 5 remote any":          `"remote" must be an address, not "any"`,
		"add v0 type vxlan id 5 local 224.0.0.9":     `"local" cannot be a multicast address: "224.0.0.9"`,
		"add v0 type vxlan remote fd00::1 local 1.1": `expected an IPv6 address, not "1.1"`,
		"add v0 type vxlan remote 10.1 group 224.1":  `vxlan: "group" and "remote" cannot both be given`,
		"add v0 type vxlan id 5 df never":            `"df" must be "unset", "set" or "inherit", not "never"`,
		"add v0 type macvlan mode bridge nopromisc":  `macvlan: "nopromisc" is only for "mode passthru"`,
		"add v0 type macvlan macaddr add 1.2.3.4":    `"add": 01:02:03:04 is not a MAC address`,
		"add v0 type macvlan macaddr x":              `macvlan option "macaddr" is unknown`,
		"add v0 type macvlan flag x":                 `"flag" must be "nopromisc", "nodst" or "null", not "x"`,
		"add v0 type ipvlan private bridge":          `ipvlan option "bridge" is unknown`,
		"add v0 type veth peer name b9 foo":          `a new link has one name, not both "b9" and "foo"`,
		"add v0 type veth peer name b9 type veth":    `"type" is given twice: the type of the peer is veth, too`,
		"add v0 type veth foo":                       `expected "peer" after veth, not "foo"`,
		"add v0 name v1 type veth":                   `a new link has one name, not both "v1" and "v0"`,
		"add group 5 type veth":                      `the name is missing: a new link needs more than a group`,
		"add v0 index 5 index 6 type veth":           `"index" is given twice`,
		"add v0 index 0 type veth":                   `"index": 0 is not the index of a link`,
		"add v0 numtxqueues 5 numtx 6 type veth":     `"numtxqueues" is given twice`,
		"set v0 group 5 group 6":                     `"group" is given twice`,
		"set v0 index 77":                            "the index of a link cannot be changed",
		"set group 5 type bridge stp_state 1":        `the options of a kind cannot be set for a group`,
		"set v0 link-netns a link-netnsid 5":         `"link-netns" is given twice`,
		"add v0 type vxlan bogus":                    `vxlan option "bogus" is unknown`,
		"add v0 type vxlan df":                       `"df" needs a value`,
		"add v0 type ipvlan mode bridge":             `"bridge" is not a mode of ipvlan`,
		"add v0 type macvlan bogus":                  `macvlan option "bogus" is unknown`,
		"add v0 type vrf table mian":                 `"table": unknown routing table`,
		"add v0 type bond mode 7":                    `mode "7" is unknown`,
		"add v0 type bond ns_ip6_target 10.0.0.1":    `expected an IPv6 address, not "10.0.0.1"`,
		"add v0 type dummy x":                        `dummy option "x" is unknown`,
		"set v0 type bridge_slave cost x":            `"cost": "x" is not a number`,
		"set v0 type bridge_slave mcast_router x":    `"mcast_router": "x" is not a number`,
		"property add v0 altname":                    `"altname" needs a value`,
	} {
		w := Of(strings.Fields(words))
		if verb := w.LinkVerb(); verb == "property" {
			w.LinkProperty()
		} else if w.Err == nil {
			w.LinkChange(verb)
		}
		if w.Err == nil || w.Err.Error() != want {
			t.Errorf("link %s: %v, want %s", words, w.Err, want)
		}
	}
	for what, read := range map[string]func(*Words){
		"a link's name cannot be empty":      func(w *Words) { w.LinkChange("set") },
		`"" is not a valid alternative name`: func(w *Words) { w.altName("altname") },
		"-i needs the name of a device":      func(w *Words) { (&natReader{Words: w}).device("-i") },
		`expected an IPv6 address, not ""`:   func(w *Words) { w.Addr(unix.AF_INET6) },
		`property command "" is unknown`:     func(w *Words) { w.LinkProperty() },
		`word "" is unknown`:                 func(w *Words) { w.Unexpected(w.Next(), nil) },
		`"" is not a process id`:             func(w *Words) { w.pid(w.Next()) },
		`kind of rule "" is unknown`:         func(w *Words) { w.NATRules(0) },
		`netns command "" is unknown`:        func(w *Words) { w.Netns(false) },
		`expected an IP prefix, not ""`:      func(w *Words) { w.RouteSelection(0) },
	} {
		w := Of([]string{""})
		if read(w); w.Err == nil || w.Err.Error() != what {
			t.Errorf("an empty word: %v, want %s", w.Err, what)
		}
	}
}

// TestKindWords checks options whose words are not the names of attributes.
func TestKindWords(t *testing.T) {
	n := func(v uint64) uint64 { return v }
	const mac5 = rtnl.LLAddr("\x02\x00\x00\x00\x00\x05")
	for words, want := range map[string]rtnl.Options{
		"bridge no_linklocal_learn 0 mst_enabled 1":          {"boolopt": n(0b101<<32 | 0b100)},
		"bridge fdb_local_vlan_0 1":                          {"boolopt": n(0b10000<<32 | 0b10000)},
		"bridge mcast_vlan_snooping 3":                       {"boolopt": n(0b10<<32 | 0b10)},
		"bridge vlan_protocol 802.1Q":                        {"vlan_protocol": n(unix.ETH_P_8021Q)},
		"bridge mcast_querier_interval 18446744073709551615": {"mcast_querier_interval": n(1<<64 - 1)},
		"vlan id 65535":                                      {"id": n(65535)},
		"vlan bridge_binding on mvrp off":                    {"flags": n(0b11000<<32 | 0b10000)},
		"vlan loose_binding on":                              {"flags": n(0b100<<32 | 0b100)},
		"vlan protocol 802.1q egress-qos-map 4294967295:4294967295": {"protocol": n(unix.ETH_P_8021Q),
			"egress-qos-map": []rtnl.QoS{{From: 1<<32 - 1, To: 1<<32 - 1}}},
		"vxlan vni 16777215 ttl 5 tos 6 ageing 7":            {"id": n(1<<24 - 1), "ttl": n(5), "tos": n(6), "ageing": n(7)},
		"vxlan hoplimit inherit dsfield inherit":             {"ttl_inherit": n(1), "tos": n(1)},
		"vxlan maxaddress unlimited df inherit":              {"df": n(2), "maxaddr": n(0)},
		"vxlan maxaddress 9 df unset":                        {"maxaddr": n(9), "df": n(0)},
		"vxlan local 0.0.0.0 remote 10.0.0.1":                {"local": ipa("0.0.0.0"), "remote": ipa("10.0.0.1")},
		"vxlan external":                                     {"external": n(1)},
		"vxlan learning l2 nol3":                             {"learning": n(1), "l2miss": n(1), "l3miss": n(0)},
		"vxlan srcport 0 0 dstport 0 ttl auto":               {"ttl": n(0)},
		"vxlan remote fd00::1 local default tos 0x20":        {"remote": ipa("fd00::1"), "local": ipa("::"), "tos": n(0x20)},
		"vxlan srcport 1 65535":                              {"srcport": n(1<<16 | 65535)},
		"vxlan port 65535 1":                                 {"srcport": n(65535<<16 | 1)},
		"vxlan flowlabel 5 dstport 6":                        {"flowlabel": n(5), "dstport": n(6)},
		"macvlan mode source bcqueuelen 5":                   {"mode": n(16), "bcqueuelen": n(5)},
		"macvlan mode passthru flag nopromisc nod flag null": {"mode": n(8), "flags": n(3)},
		"macvlan macaddr add 02:00:00:00:00:05":              {"macaddr_mode": n(0), "macaddr": mac5},
		"macvlan macaddr set 02:00:00:00:00:05 mode vepa": {"macaddr_mode": n(3), "macaddr_data": []rtnl.LLAddr{mac5},
			"mode": n(2)},
		"macvlan macaddr flush":                          {"macaddr_mode": n(2)},
		"macvlan mode vepa":                              {"mode": n(2)},
		"macvtap mode bridge":                            {"mode": n(4)},
		"ipvlan mode l2":                                 {"mode": n(0), "flags": n(0)},
		"ipvlan private mode l3":                         {"mode": n(1), "flags": n(1)},
		"ipvtap bridge mode l2":                          {"mode": n(0), "flags": n(0)},
		"bond mode 6 arp_validate 0 ad_select count":     {"mode": n(6), "arp_validate": n(0), "ad_select": n(2)},
		"bond mode balance-rr lacp_active on":            {"mode": n(0), "lacp_active": n(1)},
		"bond ad_actor_system 02:00:00:00:00:01":         {"ad_actor_system": rtnl.LLAddr("\x02\x00\x00\x00\x00\x01")},
		"vrf table 4294967295":                           {"table": n(1<<32 - 1)},
		"bridge_slave state 0 priority 7 mcast_router 1": {"state": n(0), "priority": n(7), "mcast_router": n(1)},
		"bridge_slave fdb_flush":                         {"fdb_flush": n(1)},
		"bond_slave prio 5":                              {"prio": n(5)},
	} {
		w := Of(strings.Fields("v0 type " + words))
		got := w.LinkChange("set")
		if diff := cmp.Diff(want, optionsOf(got), cmpAddr); diff != "" || w.Err != nil {
			t.Errorf("type %s: %v, -want +got\n%s", words, w.Err, diff)
		}
	}
}

// optionsOf returns the options of the kind or of the port; a link has one of them here.
func optionsOf(c LinkChange) rtnl.Options {
	if c.Config.Port != nil {
		return c.Config.Port
	}
	return c.Config.Kind.Options
}
