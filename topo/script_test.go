package topo

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/internal/golden"
	"github.com/vnet-lab/vnet/internal/linux"
)

// A scriptCase is a change from one state to another and back.
type scriptCase struct {
	name       string
	have, want []Object
}

var (
	boxAdopted = Namespace{Name: "box", From: "other"}
	red        = Namespace{Name: "red"}
	mac1, mac2 = MAC{2, 0, 0, 0, 0, 1}, MAC{2, 0, 0, 0, 0, 2}
	eth0       = Link{NS: "red", Name: "eth0", MAC: mac1}
	sw         = Bridge{Link: Link{Name: "sw", MAC: mac2}}
	pair       = Veth{Ends: [2]Link{{Name: "red-eth0", MAC: mac2, Master: "sw"}, eth0}}
)

func port(change func(*Link)) Veth {
	p := pair
	change(&p.Ends[0])
	return p
}

func address(s string) netip.Addr { return netip.MustParseAddr(s) }

// linkCases are about namespaces and links.
var linkCases = []scriptCase{
	{"a namespace", nil, []Object{red, Up{"red", "lo"}}},
	{"a namespace adopted by name", nil, []Object{boxAdopted}},
	{"namespaces adopted by path and process", nil,
		[]Object{Namespace{Name: "path", From: "/run/it's/ns"}, Namespace{Name: "pid", From: "4711"}}},
	{"an object in a namespace that has no name", []Object{Namespace{Name: "pid", From: "4711"}},
		[]Object{Namespace{Name: "pid", From: "4711"}, Up{"pid", "lo"}}},
	{"a bridge and a port", []Object{red}, []Object{red, sw, pair, Up{"", "sw"}, Up{"", "red-eth0"}, Up{"red", "eth0"}}},
	{"a bridge with all options", nil, []Object{Bridge{Link: Link{Name: "br", MTU: 9000}, STP: true,
		VLANFiltering: true, Options: "forward_delay 200 mcast_snooping 0"}}},
	{"options of a bridge", []Object{sw}, []Object{Bridge{Link: sw.Link, STP: true, VLANFiltering: true}}},
	{"other options of a bridge", []Object{Bridge{Link: sw.Link, Options: "ageing_time 0 mcast_snooping 0"}},
		[]Object{Bridge{Link: sw.Link, Options: "ageing_time 100 group_fwd_mask 16384"}}},
	{"a change of a bridge's MTU and MAC", []Object{sw}, []Object{Bridge{Link: Link{Name: "sw", MAC: mac1, MTU: 1400}}}},
	{"a port leaves its bridge", []Object{red, sw, pair}, []Object{red, sw, port(func(l *Link) { l.Master = "" })}},
	{"options of a port", []Object{red, sw, pair},
		[]Object{red, sw, port(func(l *Link) { l.Isolated, l.Hairpin, l.AltName = true, true, "red-eth0-of-sw" })}},
	{"another alternative name", []Object{red, sw, port(func(l *Link) { l.AltName = "one" })},
		[]Object{red, sw, port(func(l *Link) { l.AltName = "two" })}},
	{"a veth pair of the machine and of an adopted namespace", []Object{boxAdopted},
		[]Object{boxAdopted, Veth{Ends: [2]Link{{Name: "tobox", MTU: 1400}, {NS: "box", Name: "up"}}}}},
	{"a veth pair in one namespace", []Object{red},
		[]Object{red, Veth{Ends: [2]Link{{NS: "red", Name: "a"}, {NS: "red", Name: "b"}}}}},
	{"devices", []Object{red}, []Object{
		red, Dummy{Link: Link{NS: "red", Name: "d0", MAC: mac1}},
		VLAN{Link: Link{NS: "red", Name: "d0.7"}, Parent: "d0", ID: 7},
		Macvlan{Link: Link{NS: "red", Name: "mv0"}, Parent: "eth9", Mode: "private"},
		Ipvlan{Link: Link{NS: "red", Name: "iv0"}, ParentNS: "red", Parent: "d0"},
		VXLAN{Link: Link{NS: "red", Name: "vx0"}, ID: 5, Local: address("10.0.0.1"), Remote: address("10.0.0.2")},
		VXLAN{Link: Link{NS: "red", Name: "vx1"}, ID: 6, Remote: address("ff05::1"), Parent: "d0", Port: 8472},
	}},
	{"MTUs of devices", []Object{Dummy{Link: Link{Name: "d0"}}, VLAN{Link: Link{Name: "v"}, Parent: "d0", ID: 7}},
		[]Object{Dummy{Link: Link{Name: "d0", MTU: 1400}}, VLAN{Link: Link{Name: "v", MTU: 1300}, Parent: "d0", ID: 7}}},
	{"an uplink", []Object{sw}, []Object{sw, Port{"", "eth9", "sw"}}},
	{"an uplink changes its bridge", []Object{sw, Bridge{Link: Link{Name: "other"}}, Port{"", "eth9", "sw"}},
		[]Object{sw, Bridge{Link: Link{Name: "other"}}, Port{"", "eth9", "other"}}},
	{"VLANs of ports", []Object{red, sw, pair}, []Object{red, sw, pair,
		BridgeVLAN{"", "red-eth0", 10, true, true}, BridgeVLAN{"", "red-eth0", 20, false, false},
		BridgeVLAN{"", "sw", 1, true, true}}},
	{"impairments", []Object{red, sw, pair}, []Object{red, sw, pair,
		Qdisc{NS: "red", Link: "eth0", Impairment: Impairment{
			Delay: 50 * time.Millisecond, Jitter: 1500 * time.Microsecond, Loss: 2.5, Rate: 1e6,
		}},
		Qdisc{Link: "red-eth0", Impairment: Impairment{Delay: time.Second}}, NoOffload{"red", "eth0"}}},
	{"an impairment without its rate and loss", []Object{Qdisc{Link: "eth9", Impairment: Impairment{Rate: 1e6, Loss: 1}}},
		[]Object{Qdisc{Link: "eth9", Impairment: Impairment{Delay: time.Millisecond}}}},
}

// hostCases are about what is configured on links and in namespaces.
var hostCases = []scriptCase{
	{"addresses", []Object{red, sw, pair}, []Object{red, sw, pair, Up{"red", "eth0"},
		Address{"red", "eth0", prefix("10.0.0.2/24")}, Address{"red", "eth0", prefix("fd00::2/64")}}},
	{"only IPv4 addresses", []Object{red, sw, pair},
		[]Object{red, sw, pair, Address{"red", "eth0", prefix("10.0.0.2/24")}, AddrGenNone{"red", "eth0"}}},
	{"a link that is up loses IPv6", []Object{Dummy{Link: Link{Name: "d0"}}, Up{"", "d0"}},
		[]Object{Dummy{Link: Link{Name: "d0"}}, Up{"", "d0"}, AddrGenNone{"", "d0"}}},
	{"a setting of IPv6 for a link", []Object{red},
		[]Object{red, Dummy{Link: eth0}, Sysctl{"red", "net.ipv6.conf.eth0.disable_ipv6", "0"}}},
	{"neighbours", []Object{red, sw, pair},
		[]Object{red, sw, pair, Neigh{"red", "eth0", address("fd00::9"), mac1, false}}},
	{"another neighbour", []Object{red, sw, pair, Neigh{"red", "eth0", address("10.0.0.9"), mac1, false}},
		[]Object{red, sw, pair, Neigh{"red", "eth0", address("10.0.0.9"), mac2, false}}},
	{"a proxy entry", []Object{red, sw, pair},
		[]Object{red, sw, pair, Neigh{NS: "red", Link: "eth0", Addr: address("fd00::9"), Proxy: true}}},
	{"routes", []Object{red}, []Object{red,
		Route{NS: "red", Dst: prefix("::/0"), Hops: NewHops(Hop{Via: address("fd00::1"), Device: "eth0"})},
		Route{NS: "red", Dst: prefix("10.9.0.0/16"), Type: "blackhole", Table: 7, Metric: 3},
		Route{NS: "red", Dst: prefix("10.8.0.0/16"), Src: address("10.0.0.2"), MTU: 1400,
			Hops: NewHops(Hop{Device: "eth0"})},
		Route{NS: "red", Dst: prefix("10.7.0.0/16"), Table: linux.MainTable, Type: "unicast",
			Hops: NewHops(Hop{Device: "eth0"})},
		Route{NS: "red", Dst: prefix("fd07::/64"), Metric: linux.Metric6, Hops: NewHops(Hop{Device: "eth0"})}}},
	{"rules of policy routing", []Object{red}, []Object{red,
		Rule{"red", false, 100, "from 10.9.0.0/16 lookup 7"}, Rule{"red", false, 101, "iif eth0 ipproto tcp prohibit"},
		Rule{"red", true, 101, "iif eth0 prohibit"}}},
	{"another table", []Object{Rule{"", false, 9, "lookup 7"}}, []Object{Rule{"", false, 9, "lookup 8"}}},
	{"a route of the machine", nil, []Object{Route{Dst: prefix("10.9.0.0/16"), Hops: NewHops(Hop{Device: "eth9"})}}},
	{"another hop", []Object{Route{Dst: prefix("10.9.0.0/16"), Hops: NewHops(Hop{Device: "eth9"})}},
		[]Object{Route{Dst: prefix("10.9.0.0/16"),
			Hops: NewHops(Hop{Via: address("10.0.0.9"), Device: "eth9", Onlink: true})}}},
	{"another type of route", []Object{Route{Dst: prefix("10.9.0.0/16"), Type: "blackhole"}},
		[]Object{Route{Dst: prefix("10.9.0.0/16"), Type: "prohibit"}}},
	{"settings", []Object{red, sw, pair}, []Object{red, sw, pair,
		Sysctl{"red", linux.ForwardingIPv4, "1"}, Sysctl{"red", "net.ipv4.conf.eth0.rp_filter", "2"}}},
	{"settings of the machine", nil, []Object{Sysctl{"", "net.ipv4.tcp_rmem", "1\t2  3"},
		Sysctl{"", linux.ForwardingIPv4, "1"}}},
	{"forwarding in an adopted namespace", []Object{boxAdopted},
		[]Object{boxAdopted, Sysctl{"box", linux.ForwardingIPv6, "1"}}},
	{"another value", []Object{Sysctl{"", "net.core.somaxconn", "1"}}, []Object{Sysctl{"", "net.core.somaxconn", "2"}}},
	{"files", []Object{red}, []Object{red, File{"red", "hosts", "10.0.0.2 red\n.\n..\n"}}},
	{"programs", []Object{red}, []Object{red, Process{"red", "echo 'a'; sleep 1"}, Process{"", "sleep 2"}}},
	{"NAT rules of every kind", []Object{red}, []Object{red,
		Masquerade{NS: "red", Source: prefix("10.0.0.0/24")},
		SourceNAT{"red", prefix("10.1.0.0/24"), "", address("192.0.2.1")},
		Forward{NS: "red", Proto: "tcp", First: 80, To: address("10.0.0.2")}, Isolation{"red", "a", "b"},
		Fastpath{"red", "a", false}, OwnLink{"red", "a"}, ClosedLink{"red", "a"}, SourceGate{"red", "a", mac1},
		AllowedSource{"red", "a", prefix("10.0.0.0/8")}}},
	{"NAT rules", []Object{red, Masquerade{NS: "red", Source: prefix("10.0.0.0/24")},
		Forward{NS: "red", Proto: "tcp", First: 80, To: address("10.0.0.2")}},
		[]Object{red, Masquerade{NS: "red", Source: prefix("10.0.0.0/24")},
			Forward{NS: "red", Proto: "tcp", First: 80, To: address("10.0.0.3")},
			Isolation{"", "a", "b"}}},
}

// TestScripts: testdata/scripts.golden has the steps and the commands of each case. If you change it,
// compare with what the manual pages of ip(8), bridge(8), tc(8) and sysctl(8) say.
func TestScripts(t *testing.T) {
	var b strings.Builder
	for _, tt := range slices.Concat(linkCases, hostCases) {
		have, want := NewState(tt.have...), NewState(tt.want...)
		fmt.Fprintf(&b, "===== %s\n%s", tt.name, scriptOf(t, have, want))
		fmt.Fprintf(&b, "----- and back\n%s\n", scriptOf(t, want, have))
	}
	golden.File(t, "testdata/scripts.golden", b.String())
}

// scriptOf returns the plan and its script. Rules are listed as text, with + and -.
func scriptOf(t *testing.T, have, want State) string {
	plan := Diff(have, want)
	script, err := plan.Commands("web", have, NATScript{
		Rules: func(table string, have, want []Object) (string, error) {
			return fmt.Sprintf("%s: %v instead of %v\n", table, want, have), nil
		},
		Guard: func(ipv6 bool) string { return fmt.Sprintf("guard, ipv6 %t\n", ipv6) },
	})
	if err != nil {
		t.Fatal(err)
	}
	_, commands, _ := strings.Cut(script, "# Lab")
	return plan.String() + "# Lab" + commands
}
