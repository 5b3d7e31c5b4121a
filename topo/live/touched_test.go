package live

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/topo"
)

// TestTouches: a plan touches the namespaces in which it changes more than files; if it deletes or
// changes a link, it touches all.
func TestTouches(t *testing.T) {
	file, up := topo.File{NS: "a", Name: "hosts", Content: "x"}, topo.Up{NS: "b", Link: "eth0"}
	veth := topo.Veth{Ends: [2]topo.Link{{Name: "v"}, {NS: "c", Name: "eth0"}}}
	for _, tt := range []struct {
		plan    topo.Plan
		touched string // of the namespaces "" (written -), a, b, c
	}{
		{topo.Plan{{Want: file}, {Have: file, Want: topo.File{NS: "a", Name: "hosts", Content: "y"}}}, ""},
		{topo.Plan{{Want: file}, {Want: up}}, "b"},
		{topo.Plan{{Have: up}}, "b"},
		{topo.Plan{{Want: veth}}, "-c"},
		{topo.Plan{{Want: topo.Namespace{Name: "a"}}}, "a"},
		{topo.Plan{{Have: veth}}, "-abc"},
	} {
		touches, got := touchedBy(tt.plan), ""
		for _, ns := range []string{"", "a", "b", "c"} {
			if _, touched := touches.of(ns); touched {
				got += cmp.Or(ns, "-")
			}
		}
		if got != tt.touched {
			t.Errorf("%vtouches %q, want %q", tt.plan, got, tt.touched)
		}
	}
}

// TestTouchedLinks: a plan touches the links that it names or needs, and lo, which has the records.
// A setting or a program touches all links of its namespace.
func TestTouchedLinks(t *testing.T) {
	veth := topo.Veth{Ends: [2]topo.Link{{Name: "v", Master: "sw"}, {NS: "c", Name: "eth0"}}}
	over := topo.Macvlan{Link: topo.Link{NS: "c", Name: "m"}, Parent: "d0"}
	for _, tt := range []struct {
		plan topo.Plan
		want string
	}{
		{topo.Plan{{Want: veth}}, "lo sw v"},
		{topo.Plan{
			{Want: veth}, {Want: topo.Up{Link: "v"}}, {Want: topo.AddrGenNone{Link: "v"}}, {Want: topo.Up{Link: "lo"}},
		}, "lo sw v"},
		{topo.Plan{{Want: veth}, {Want: topo.Up{Link: "sw"}}}, "any"},
		{topo.Plan{{Want: over}, {Want: topo.Dummy{Link: topo.Link{Name: "d1"}}}}, "d0 d1 lo"},
		{topo.Plan{{Want: topo.Dummy{Link: topo.Link{Name: "d1"}}}, {Want: over}}, "d0 d1 lo"},
		{topo.Plan{{Want: topo.Port{Link: "eth0", Master: "sw"}}}, "any"},
		{topo.Plan{{Have: topo.Up{Link: "v"}}}, "any"},
		{topo.Plan{{Want: topo.Address{Link: "v", Prefix: netip.MustParsePrefix("10.0.0.1/24")}}}, "any"},
		{topo.Plan{{Want: topo.Sysctl{Name: "net.ipv4.ip_forward", Value: "1"}}, {Want: veth}}, "any"},
		{topo.Plan{{Want: veth}, {Want: topo.Process{Command: "sleep 1"}}}, "any"},
	} {
		links, _ := touchedBy(tt.plan).of("")
		got := strings.Join(slices.Sorted(maps.Keys(links)), " ")
		if links == nil {
			got = "any"
		}
		if got != tt.want {
			t.Errorf("%vtouches %q, want %q", tt.plan, got, tt.want)
		}
	}
}
