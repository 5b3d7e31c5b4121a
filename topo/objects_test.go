package topo

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/internal/linux"
)

// TestObjects: the text of objects, the feature of the kernel that each needs, and whether it needs
// IPv6. TestScripts has more texts.
func TestObjects(t *testing.T) {
	d0, red0 := Link{NS: "red", Name: "d0"}, Link{NS: "red", Name: "eth0"}
	for _, tt := range []struct {
		object  Object
		text    string
		feature string
		ipv6    bool
	}{
		{red, "netns red", "", false},
		{boxAdopted, "netns box adopted from other", "", false},
		{Dummy{d0}, "red: link d0 type dummy", "dummy", false},
		{VLAN{d0, "eth0", 7}, "red: link d0 link eth0 type vlan id 7", "vlan", false},
		{VXLAN{Link: d0, ID: 7, Port: 1}, "red: link d0 type vxlan id 7 dstport 1", "vxlan", false},
		{Macvlan{Link: d0, Parent: "eth9"}, "red: link d0 link eth9 type macvlan mode bridge", "macvlan", false},
		{Ipvlan{Link: d0, ParentNS: "red", Parent: "a", Mode: "l3"}, "red: link d0 link red: a type ipvlan mode l3",
			"ipvlan", false},
		{Bridge{Link: d0}, "red: link d0 type bridge", "", false},
		{Bridge{Link: d0, VLANFiltering: true}, "red: link d0 type bridge vlan_filtering 1",
			linux.FeatureVLANFiltering, false},
		{Bridge{Link: d0, Options: "max_age 700"}, "red: link d0 type bridge max_age 700", "", false},
		{Veth{[2]Link{d0, red0}}, "red: link d0 type veth peer red: link eth0", "", false},
		{Up{"red", "d0"}, "red: link d0 up", "", false},
		{Port{"red", "d0", "sw"}, "red: link d0 master sw", "", false},
		{BridgeVLAN{"red", "d0", 7, false, false}, "red: vlan dev d0 vid 7", "", false},
		{Qdisc{NS: "red", Link: "d0", Impairment: Impairment{Loss: 1}}, "red: qdisc dev d0 netem loss 1%",
			linux.FeatureNetem, false},
		{NoOffload{"red", "d0"}, "red: offload dev d0 off", linux.FeatureEthtool, false},
		{AddrGenNone{"red", "d0"}, "red: link d0 addrgenmode none", "", false},
		{Address{"red", "d0", prefix("10.0.0.1/24")}, "red: addr 10.0.0.1/24 dev d0", "", false},
		{Address{"red", "d0", prefix("fd00::1/64")}, "red: addr fd00::1/64 dev d0", "", true},
		{Neigh{"red", "d0", address("10.0.0.9"), mac1, false}, "red: neigh 10.0.0.9 dev d0 lladdr 02:00:00:00:00:01",
			"", false},
		{Neigh{"red", "d0", address("fd00::9"), mac1, false}, "red: neigh fd00::9 dev d0 lladdr 02:00:00:00:00:01", "", true},
		{Neigh{NS: "red", Link: "d0", Addr: address("fd00::9"), Proxy: true}, "red: neigh proxy fd00::9 dev d0", "", true},
		{Route{NS: "red", Dst: prefix("0.0.0.0/0"), Type: "prohibit"}, "red: route prohibit default", "", false},
		{Route{NS: "red", Dst: prefix("::/0"), Type: "prohibit"}, "red: route prohibit ::/0", "", true},
		{Rule{"red", false, 100, "from 10.0.0.0/8 lookup 7"}, "red: rule priority 100 from 10.0.0.0/8 lookup 7", "", false},
		{Rule{"", true, 5, "from all prohibit"}, "-6 rule priority 5 from all prohibit", "", true},
		{Sysctl{"red", linux.ForwardingIPv4, "1"}, "red: sysctl net.ipv4.ip_forward = 1", "", false},
		{Sysctl{"", linux.ForwardingIPv6, "1"}, "sysctl net.ipv6.conf.all.forwarding = 1", "", true},
		{Sysctl{"", "net/ipv6/conf/a.b/mtu", "1"}, "sysctl net/ipv6/conf/a.b/mtu = 1", "", true},
		{File{"red", "hosts", "a\nb\n"}, "red: file /etc/hosts (2 lines)", "", false},
		{Process{"red", "a\nb"}, `red: run "a\nb"`, "", false},
		{Masquerade{NS: "red", Source: prefix("10.0.0.0/24"), Out: "d0"}, "red: nat masquerade -s 10.0.0.0/24 -o d0",
			"", false},
		{SourceNAT{"red", prefix("10.0.0.0/24"), "d0", address("192.0.2.1")},
			"red: nat snat -s 10.0.0.0/24 -o d0 --to-source 192.0.2.1", "", false},
		{Forward{"red", "udp", address("192.0.2.1"), "d0", 80, 89, address("10.0.0.2"), 1080},
			"red: nat dnat -p udp -d 192.0.2.1 -i d0 --dport 80:89 --to-destination 10.0.0.2:1080-1089", "", false},
		{Forward{NS: "red", Proto: "tcp", First: 80, To: address("fd00::2")},
			"red: nat dnat -p tcp -6 --dport 80 --to-destination [fd00::2]:80", "", false},
		{Isolation{"red", "a", "b"}, "red: isolate a b", "", false},
		{Fastpath{"red", "d0", false}, "red: fastpath d0", linux.FeatureFlowtable, false},
		{Fastpath{"red", "d0", true}, "red: fastpath d0 port", linux.FeatureFlowtable, false},
		{HairpinFilter{"red", "d0"}, "red: nat hairpin d0", "", false},
		{AntispoofPort{NS: "red", Link: "d0"}, "red: nat antispoof d0", linux.FeatureBridgeFilter, false},
		{AntispoofPort{NS: "red", Link: "d0", Routes: true}, "red: nat antispoof d0 router",
			linux.FeatureBridgeFilter, false},
		{AntispoofPort{NS: "red", Link: "d0", Routes: true, Gateway: true}, "red: nat antispoof d0 gateway",
			linux.FeatureBridgeFilter, false},
		{PortAddress{NS: "red", Link: "d0", MAC: mac1}, "red: nat antispoof d0 lladdr 02:00:00:00:00:01", "", false},
		{PortAddress{NS: "red", Link: "d0", MAC: mac1, Addr: address("10.0.0.2")},
			"red: nat antispoof d0 lladdr 02:00:00:00:00:01 10.0.0.2", "", false},
		{OwnLink{"red", "d0"}, "red: nat own d0", "", false},
		{ClosedLink{"red", "d0"}, "red: nat closed d0", "", false},
		{SourceGate{"red", "d0", mac1}, "red: nat gate d0 lladdr 02:00:00:00:00:01", "", false},
		{AllowedSource{"red", "d0", prefix("10.0.0.0/8")}, "red: nat allow 10.0.0.0/8 d0", "", false},
	} {
		if got := tt.object.String(); got != tt.text {
			t.Errorf("got %q, want %q", got, tt.text)
		}
		if feature, ipv6 := Feature(tt.object), NeedsIPv6(tt.object); feature != tt.feature || ipv6 != tt.ipv6 {
			t.Errorf("%v needs feature %q, IPv6 %t; want %q, %t", tt.object, feature, ipv6, tt.feature, tt.ipv6)
		}
		if k := tt.object.Key(); k.NS != "red" && k.NS != "" && k.NS != "box" || !slices.Contains(Provides(tt.object), k) {
			t.Errorf("%v has key %v and provides %v", tt.object, k, Provides(tt.object))
		}
		if again := Normalize(Normalize(tt.object)); again != Normalize(tt.object) {
			t.Errorf("%v: the normal form of %v is %v", tt.object, Normalize(tt.object), again)
		}
	}
}

// TestSysctlPath: the parts of a setting's name, for both separators. See sysctl(8).
func TestSysctlPath(t *testing.T) {
	for name, want := range map[string]string{
		"net.ipv4.ip_forward":            "net ipv4 ip_forward",
		"net.ipv4.conf.eth0/5.rp_filter": "net ipv4 conf eth0.5 rp_filter",
		"net/ipv4/conf/eth0.5/rp_filter": "net ipv4 conf eth0.5 rp_filter",
		"vm":                             "vm",
	} {
		if got := strings.Join(Sysctl{Name: name}.Path(), " "); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// TestNeeds: what must exist before an object.
func TestNeeds(t *testing.T) {
	ns, link, up := Key{OfNamespace, "red", ""}, Key{OfLink, "red", "d0"}, Key{OfUp, "red", "d0"}
	d1 := Link{NS: "red", Name: "d1"}
	parent := Key{OfLink, "", "eth9"}
	for _, tt := range []struct {
		object Object
		want   []Key
	}{
		{red, nil},
		{Dummy{Link{NS: "red", Name: "d1", Master: "d0"}}, []Key{ns, link}},
		{VLAN{d1, "d0", 7}, []Key{ns, link}},
		{VXLAN{Link: d1}, []Key{ns}},
		{VXLAN{Link: d1, Parent: "d0"}, []Key{ns, link}},
		{Macvlan{Link: d1, Parent: "eth9"}, []Key{ns, {OfNamespace, "", ""}, parent}},
		{Ipvlan{Link: d1, Parent: "eth9"}, []Key{ns, {OfNamespace, "", ""}, parent}},
		{Up{"red", "d0"}, []Key{ns, link}},
		{Port{"red", "eth9", "d0"}, []Key{ns, link}},
		{BridgeVLAN{"red", "d0", 7, false, false}, []Key{link, {OfPort, "red", "d0"}}},
		{Qdisc{NS: "red", Link: "d0"}, []Key{link}},
		{NoOffload{"red", "d0"}, []Key{link}},
		{AddrGenNone{"red", "d0"}, []Key{link}},
		{Address{"red", "d0", prefix("10.0.0.1/24")}, []Key{link, up}},
		{Neigh{"red", "d0", address("10.0.0.9"), mac1, false}, []Key{link, up}},
		{Route{NS: "red", Dst: prefix("10.9.0.0/16"), Hops: NewHops(Hop{Device: "d0"})}, []Key{ns, link, up}},
		{Sysctl{"red", "net.ipv4.conf.d0.rp_filter", "1"}, []Key{ns, link}},
		{Sysctl{"red", "net.ipv4.neigh.d0.base_reachable_time_ms", "1"}, []Key{ns, link}},
		{Sysctl{"red", "net.ipv4.conf.all.rp_filter", "1"}, []Key{ns}},
		{Sysctl{"red", "net.ipv4.conf.default.rp_filter", "1"}, []Key{ns}},
		{Sysctl{"red", linux.ForwardingIPv4, "1"}, []Key{ns}},
		{Fastpath{"red", "d0", false}, []Key{ns, link}},
		{Rule{"red", false, 5, "iif d0 prohibit"}, []Key{ns}},
		{File{"red", "hosts", ""}, []Key{ns}}, {Process{"red", "sleep 1"}, []Key{ns}},
		{Isolation{"red", "a", "b"}, []Key{ns}},
		{Masquerade{NS: "red"}, []Key{ns}}, {SourceNAT{NS: "red"}, []Key{ns}}, {Forward{NS: "red"}, []Key{ns}},
		{OwnLink{"red", "d0"}, []Key{ns}}, {ClosedLink{"red", "d0"}, []Key{ns}}, {SourceGate{NS: "red"}, []Key{ns}},
		{AllowedSource{NS: "red"}, []Key{ns}},
	} {
		if got := Needs(tt.object); !slices.Equal(got, tt.want) {
			t.Errorf("%v needs %v, want %v", tt.object, got, tt.want)
		}
	}
}

// TestChanges: an object changes in place, or it is deleted and created again.
func TestChanges(t *testing.T) {
	link := func(change func(*Link)) Link {
		l := Link{NS: "red", Name: "d0", MAC: mac1}
		change(&l)
		return l
	}
	same := link(func(*Link) {})
	mtu := link(func(l *Link) { l.MTU = linux.DefaultMTU - 100 })
	withoutIPv6 := link(func(l *Link) { l.MTU = leastMTU6 - 1 })
	vxlan := VXLAN{Link: same, ID: 7, Remote: address("10.0.0.2")}
	route := Route{NS: "red", Dst: prefix("10.9.0.0/16"), Hops: NewHops(Hop{Device: "d0"})}
	for _, tt := range []struct {
		have, want Object
		inPlace    bool
	}{
		{Dummy{same}, Dummy{mtu}, true},
		{Dummy{same}, Dummy{link(func(l *Link) { l.MTU = leastMTU6 })}, true},
		{Dummy{same}, Dummy{withoutIPv6}, false},
		{Dummy{same}, VLAN{same, "eth0", 7}, false},
		{Bridge{Link: same}, Bridge{Link: mtu, STP: true}, true},
		{Bridge{Link: same}, Bridge{Link: withoutIPv6}, false},
		{Bridge{Link: same}, Dummy{same}, false},
		{VLAN{same, "eth0", 7}, VLAN{mtu, "eth0", 7}, true},
		{VLAN{same, "eth0", 7}, VLAN{withoutIPv6, "eth0", 7}, false},
		{VLAN{same, "eth0", 7}, VLAN{same, "eth0", 8}, false},
		{VLAN{same, "eth0", 7}, VLAN{same, "eth1", 7}, false},
		{vxlan, VXLAN{Link: mtu, ID: 7, Remote: vxlan.Remote}, true},
		{vxlan, VXLAN{Link: same, ID: 8, Remote: vxlan.Remote}, false},
		{vxlan, VXLAN{Link: withoutIPv6, ID: 7, Remote: vxlan.Remote}, false},
		{Macvlan{same, "", "eth9", ""}, Macvlan{mtu, "", "eth9", "bridge"}, true},
		{Macvlan{same, "", "eth9", ""}, Macvlan{same, "", "eth9", "vepa"}, false},
		{Macvlan{same, "", "eth9", ""}, Macvlan{same, "red", "eth9", ""}, false},
		{Macvlan{same, "", "eth9", ""}, Macvlan{same, "", "eth8", ""}, false},
		{Ipvlan{same, "", "eth9", ""}, Ipvlan{mtu, "", "eth9", "l2"}, true},
		{Ipvlan{same, "", "eth9", ""}, Ipvlan{same, "", "eth9", "l3"}, false},
		{Ipvlan{same, "", "eth9", ""}, Ipvlan{same, "red", "eth9", ""}, false},
		{Ipvlan{same, "", "eth9", ""}, Ipvlan{same, "", "eth8", ""}, false},
		{Veth{[2]Link{same, {Name: "a"}}}, Veth{[2]Link{mtu, {Name: "a", Master: "sw"}}}, true},
		{Veth{[2]Link{same, {Name: "a"}}}, Veth{[2]Link{{Name: "b"}, same}}, false},
		{Veth{[2]Link{same, {Name: "a"}}}, Veth{[2]Link{withoutIPv6, {Name: "a"}}}, false},
		{route, Route{NS: "red", Dst: route.Dst, Hops: NewHops(Hop{Device: "d1"})}, true},
		{route, Route{NS: "red", Dst: route.Dst, Type: "blackhole"}, false},
		{Rule{"", false, 5, "lookup 7"}, Rule{"", false, 5, "lookup 8"}, false},
		{Neigh{"red", "d0", address("10.0.0.9"), mac1, false}, Neigh{"red", "d0", address("10.0.0.9"), mac2, false}, true},
		{Sysctl{"", "net.a", "1"}, Sysctl{"", "net.a", "2"}, true},
		{File{"red", "hosts", "a"}, File{"red", "hosts", "b"}, true},
		{Port{"", "eth9", "a"}, Port{"", "eth9", "b"}, true},
		{red, Namespace{Name: "red", From: "x"}, false},
		{SourceGate{"", "sw", mac1}, SourceGate{"", "sw", mac2}, false},
		{BridgeVLAN{"", "a", 7, false, false}, BridgeVLAN{"", "a", 7, true, false}, true},
		{Fastpath{"", "a", false}, Fastpath{"", "a", true}, true},
		{SourceNAT{"", prefix("10.0.0.0/24"), "", address("192.0.2.1")},
			SourceNAT{"", prefix("10.0.0.0/24"), "", address("192.0.2.2")}, true},
	} {
		plan := Diff(NewState(tt.have), NewState(tt.want))
		if len(plan) == 0 || (len(plan) == 1 && plan[0].Op() == Change) != tt.inPlace {
			t.Errorf("%v to %v:\n%swant in place: %t", tt.have, tt.want, plan, tt.inPlace)
		}
	}
}

// TestChangeText: a change shows former values only where the text differs.
func TestChangeText(t *testing.T) {
	const forward = linux.ForwardingIPv4
	for want, step := range map[string]Step{
		"~ red: file /etc/hosts (1 lines)":              {File{"red", "hosts", "a\n"}, File{"red", "hosts", "b\n"}},
		"~ red: sysctl net.ipv4.ip_forward = 1 (was 0)": {Sysctl{"red", forward, "0"}, Sysctl{"red", forward, "1"}},
	} {
		if got := step.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestAdd: a state does not accept a different object with the same key.
func TestAdd(t *testing.T) {
	s := NewState()
	for _, o := range []Object{sw, red, sw} {
		if err := s.Add(o); err != nil {
			t.Error(err)
		}
	}
	other := Bridge{Link: Link{Name: "sw", MAC: mac1}}
	if err := s.Add(other); err == nil || !strings.Contains(err.Error(),
		"contradicts link sw address 02:00:00:00:00:02") {
		t.Errorf("Add: %v", err)
	}
	if got := s.String(); got != "netns red\nlink sw address 02:00:00:00:00:02 type bridge\n" {
		t.Errorf("the state is\n%s", got)
	}
}

// TestPlanJSON: the fields that the documentation of MarshalJSON promises.
func TestPlanJSON(t *testing.T) {
	plan := Diff(NewState(red, Sysctl{"red", "net.a", "1"}), NewState(sw, red, Sysctl{"red", "net.a", "2"}))
	text, err := plan.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal(text, &got); err != nil || !strings.HasSuffix(string(text), "\n]\n") {
		t.Fatalf("%v\n%s", err, text)
	}
	var lines []string
	for _, s := range got {
		_, have := s["have"]
		_, want := s["want"]
		lines = append(lines, strings.Join([]string{s["op"].(string), s["kind"].(string), s["text"].(string)}, "|"))
		if have != (s["op"] != "create") || !want {
			t.Errorf("%v: have %t, want %t", s["op"], have, want)
		}
	}
	want := []string{"create|link|link sw address 02:00:00:00:00:02 type bridge", "change|sysctl|red: sysctl net.a = 2"}
	if diff := cmp.Diff(want, lines); diff != "" || got[1]["namespace"] != "red" || got[0]["namespace"] != nil {
		t.Errorf("-want +got:\n%s%s", diff, text)
	}
	if mac := got[0]["want"].(map[string]any)["MAC"]; mac != "02:00:00:00:00:02" {
		t.Errorf("the MAC is %v", mac)
	}
	hops, err := json.Marshal(NewHops(Hop{Device: "eth0"}))
	if err != nil || string(hops) != `"dev eth0"` {
		t.Errorf("%s, %v", hops, err)
	}
	if text, err := (MAC{}).MarshalText(); text != nil || err != nil {
		t.Errorf("no MAC is %q, %v", text, err)
	}
}

func TestParseMAC(t *testing.T) {
	if got, err := ParseMAC("02:00:00:00:00:01"); got != mac1 || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"", "02:00", "02:00:00:00:00:00:00:01", "x"} {
		if got, err := ParseMAC(text); err == nil || !got.IsZero() {
			t.Errorf("ParseMAC(%q) = %v", text, got)
		}
	}
}

// TestErrors: the errors name the step and what was undone.
func TestErrors(t *testing.T) {
	step := &StepError{Step{Want: red}, syscall.EPERM}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{step, "add netns red: operation not permitted"},
		{&StepError{Step{Have: red}, syscall.EPERM}, "delete netns red: operation not permitted"},
		{&StepError{Step{red, red}, syscall.EPERM}, "change netns red: operation not permitted"},
		{&ApplyError{Err: step}, "add netns red: operation not permitted; nothing was changed"},
		{&ApplyError{Err: step, Undone: 1}, "add netns red: operation not permitted; the 1 step before was undone"},
		{&ApplyError{Err: step, Undone: 2}, "add netns red: operation not permitted; the 2 steps before were undone"},
		{&ApplyError{Err: step, Undone: 2, Undo: errors.Join(syscall.EBUSY, syscall.EIO)},
			"add netns red: operation not permitted; " +
				"undoing the steps before failed too: device or resource busy; input/output error"},
	} {
		if tt.err.Error() != tt.want || !errors.Is(tt.err, syscall.EPERM) {
			t.Errorf("got %q, want %q", tt.err, tt.want)
		}
	}
	if err := (&ApplyError{Err: step, Undo: syscall.EBUSY}); !errors.Is(err, syscall.EBUSY) {
		t.Error("the error of undoing is missing")
	}
}
