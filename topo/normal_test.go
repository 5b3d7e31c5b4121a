package topo

import (
	"slices"
	"testing"

	"github.com/vnet-lab/vnet/internal/linux"
)

// TestNormal: values that mean the same are one object of a state.
func TestNormal(t *testing.T) {
	d0 := Link{NS: "red", Name: "d0"}
	full := Link{NS: "red", Name: "d0", MTU: linux.DefaultMTU}
	near, far := Link{Name: "red-eth0", MTU: linux.DefaultMTU}, Link{NS: "red", Name: "eth0", MTU: linux.DefaultMTU}
	impaired := func(i Impairment) Object { return Qdisc{NS: "red", Link: "d0", Impairment: i} }
	blackhole := Route{NS: "red", Dst: prefix("10.9.0.0/16"), Type: "blackhole"}
	for _, tt := range []struct{ object, want Object }{
		{Dummy{Link{NS: "red", Name: "d0", Isolated: true, Hairpin: true}}, Dummy{full}},
		{Ipvlan{Link: Link{NS: "red", Name: "d0", MAC: mac1}, Parent: "a"}, Ipvlan{Link: full, Parent: "a", Mode: "l2"}},
		{Macvlan{Link: d0, Parent: "a"}, Macvlan{Link: full, Parent: "a", Mode: "bridge"}},
		{Macvlan{Link: Link{NS: "red", Name: "d0", MAC: mac1}, Mode: "passthru"}, Macvlan{Link: full, Mode: "passthru"}},
		{VXLAN{Link: d0, ID: 7}, VXLAN{Link: full, ID: 7, Port: linux.VXLANPort}},
		{Veth{[2]Link{far, near}}, Veth{[2]Link{near, far}}},
		{Masquerade{Source: prefix("10.0.0.7/24")}, Masquerade{Source: prefix("10.0.0.0/24")}},
		{SourceNAT{Source: prefix("10.0.0.7/24")}, SourceNAT{Source: prefix("10.0.0.0/24")}},
		{AllowedSource{Source: prefix("10.0.0.7/24")}, AllowedSource{Source: prefix("10.0.0.0/24")}},
		{AntispoofPort{Link: "d0", Gateway: true}, AntispoofPort{Link: "d0", Gateway: true, Routes: true}},
		{AntispoofPort{Link: "d0", Routes: true}, AntispoofPort{Link: "d0", Routes: true}},
		{AntispoofPort{Link: "d0"}, AntispoofPort{Link: "d0"}},
		{Forward{First: 80}, Forward{First: 80, Last: 80, ToPort: 80}},
		{Route{NS: "red", Dst: prefix("10.9.8.7/16"), Type: "blackhole", Table: linux.MainTable}, blackhole},
		{Route{Dst: blackhole.Dst, Metric: linux.Metric6}, Route{Dst: blackhole.Dst, Metric: linux.Metric6}},
		{Route{Dst: prefix("::/0"), Metric: linux.Metric6, Type: "unicast"}, Route{Dst: prefix("::/0")}},
		{Rule{"red", false, 5, "fwmark 7 to 0.0.0.0/0 from 10.9.8.7/16"},
			Rule{"red", false, 5, "from 10.9.0.0/16 fwmark 0x7 lookup main"}},
		{Rule{"red", true, 5, "no words of ip"}, Rule{"red", true, 5, "no words of ip"}},
		{impaired(Impairment{Rate: 1003, Loss: 0.12345678}), impaired(Impairment{Rate: 1000, Loss: 0.123457})},
		{Qdisc{NS: "red", Link: "d0", GSO: true}, impaired(Impairment{})},
		{Sysctl{"", "net/ipv4/conf/all/forwarding", "1"}, Sysctl{"", linux.ForwardingIPv4, "1"}},
		{Sysctl{"", "net.ipv4.tcp_rmem", "0x1000 -010 0X1f"}, Sysctl{"", "net.ipv4.tcp_rmem", "4096 -8 31"}},
		{Sysctl{"", "net.x", "0 -0 00 08 0b1 0o7 0_1 0x -5"}, Sysctl{"", "net.x", "0 0 0 08 0b1 0o7 0_1 0x -5"}},
		{Sysctl{"", linux.ReservedPorts, "9000,8081,8080,0x1f93-8090,8085"},
			Sysctl{"", linux.ReservedPorts, "8080-8081,8083-8090,9000"}},
		{Sysctl{"", linux.ReservedPorts, "8080,"}, Sysctl{"", linux.ReservedPorts, "8080,"}},
		{Sysctl{"", linux.ReservedPorts, "9-8,7"}, Sysctl{"", linux.ReservedPorts, "9-8,7"}},
		{Sysctl{"", linux.ReservedPorts, ""}, Sysctl{"", linux.ReservedPorts, ""}},
		{Sysctl{"", "net.ipv6.conf.d0.stable_secret", "fd00::1"},
			Sysctl{"", "net.ipv6.conf.d0.stable_secret", "fd00:0000:0000:0000:0000:0000:0000:0001"}},
		{Sysctl{"", "net.x", "- + 1-010 fq 0xfull"}, Sysctl{"", "net.x", "- + 1-010 fq 0xfull"}},
		{Sysctl{"", "net.core.rps_default_mask", "010"}, Sysctl{"", "net.core.rps_default_mask", "010"}},
		{Sysctl{"", "net/ipv4/conf/a.b/rp_filter", " 1 \t2"}, Sysctl{"", "net.ipv4.conf.a/b.rp_filter", "1 2"}},
	} {
		s, put := NewState(), NewState(tt.object)
		if err := s.Add(tt.object); err != nil || len(s) != 1 || s[tt.want.Key()] != tt.want || !s.Equal(put) {
			t.Errorf("%v is %v in the state, want %v (%v)", tt.object, s.Objects(), tt.want, err)
		}
	}
	if reversed := (Veth{[2]Link{far, near}}); reversed.Key() != near.Key() ||
		!slices.Equal(reversed.provides(), []Key{near.Key(), far.Key()}) {
		t.Errorf("the key is %v, it provides %v", reversed.Key(), reversed.provides())
	}
}
