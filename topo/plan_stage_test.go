package topo

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vnet-lab/vnet/internal/linux"
)

// TestWithoutImpliedDeletes: what the kernel deletes with a link or a namespace has no step of
// its own; everything else has.
func TestWithoutImpliedDeletes(t *testing.T) {
	veth := Veth{Ends: [2]Link{{Name: "red"}, {NS: "red", Name: "eth0"}}}
	have := NewState(Namespace{Name: "red"}, Namespace{Name: "box", From: "box"}, Bridge{Link: Link{Name: "sw"}}, veth,
		Up{"", "sw"}, Up{"", "red"}, Up{"red", "eth0"}, Up{"red", "lo"}, Address{"red", "eth0", prefix("10.0.0.2/24")},
		Sysctl{"red", linux.ForwardingIPv4, "1"}, Sysctl{"box", linux.ForwardingIPv4, "1"},
		Sysctl{"", linux.ForwardingIPv4, "1"},
		Address{"box", "eth9", prefix("10.0.0.9/24")}, Route{NS: "red", Dst: prefix("10.9.0.0/16"), Type: "blackhole"},
		Route{Dst: prefix("10.9.0.0/16"), Type: "blackhole"}, File{"red", "hosts", "10.0.0.2 red\n"})
	var got []string
	for _, s := range Diff(have, nil).WithoutImpliedDeletes(func(string) bool { return false }) {
		got = append(got, s.String())
	}
	want := []string{}
	for _, s := range Diff(have, nil) {
		switch o := s.Have.(type) {
		case Up:
			continue
		case Address:
			if o.NS == "red" {
				continue
			}
		case Sysctl:
			if o.NS == "red" {
				continue
			}
		case Route:
			if o.NS == "red" {
				continue
			}
		}
		want = append(want, s.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(want) != 9 {
		t.Errorf("%d steps remain, want 9: two namespaces, two links, an address, two settings, a route, a file", len(want))
	}
}

// TestWithoutImpliedDeletesOfLinks: a link is deleted with its namespaces, unless one of them is
// kept or held.
func TestWithoutImpliedDeletesOfLinks(t *testing.T) {
	veth := func(from, to string) Veth {
		return Veth{Ends: [2]Link{{NS: from, Name: "to" + to}, {NS: to, Name: "to" + from}}}
	}
	have := NewState(
		Namespace{Name: "a"}, Namespace{Name: "b"}, Namespace{Name: "held"}, Namespace{Name: "box", From: "box"},
		veth("a", "b"), veth("a", "box"), veth("", "a"), veth("b", "held"),
		Dummy{Link{Name: "nic"}}, Dummy{Link{NS: "a", Name: "d"}},
		Macvlan{Link{NS: "a", Name: "m"}, "", "nic", "bridge"}, VLAN{Link{NS: "a", Name: "v"}, "d", 7})
	var remaining []Object
	for _, s := range Diff(have, nil).WithoutImpliedDeletes(func(ns string) bool { return ns == "held" }) {
		remaining = append(remaining, s.Have)
	}
	for _, o := range []Object{veth("a", "b"), Dummy{Link{NS: "a", Name: "d"}}, VLAN{Link{NS: "a", Name: "v"}, "d", 7}} {
		if slices.Contains(remaining, o.normal()) {
			t.Errorf("%v has a step of its own", o)
		}
	}
	if len(remaining) != len(have)-3 {
		t.Errorf("%d steps remain of %d, want all but three: %v", len(remaining), len(have), remaining)
	}
}

// TestStages: one stage configures the links of namespaces and writes files. The files are at its
// end, or at its beginning when they are deleted.
func TestStages(t *testing.T) {
	want := NewState(Namespace{Name: "red"}, Up{"red", "lo"}, Address{"red", "lo", prefix("10.0.0.2/24")},
		Route{NS: "red", Dst: prefix("10.9.0.0/16"), Type: "blackhole"}, File{"red", "hosts", ""})
	waves := append(Diff(nil, want), Step{Want: Up{"blue", "lo"}},
		Step{Want: File{"blue", "hosts", ""}}, Step{Want: File{"grey", "hosts", ""}})
	for _, tt := range []struct {
		plan Plan
		want []int
	}{
		{Diff(nil, want), []int{1, 4}},
		{waves, []int{1, 4, 3}},
		{waves.Reverse(), []int{3, 4, 1}},
	} {
		var got []int
		for _, stage := range tt.plan.Stages() {
			got = append(got, len(stage))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%v-want +got:\n%s", tt.plan, diff)
		}
	}
}

// TestRulesLast: rules go after the links that they protect, and before the namespaces; a Fastpath goes
// before its link.
func TestRulesLast(t *testing.T) {
	p := Plan{
		{Have: ClosedLink{Link: "sw"}}, {Have: Fastpath{Link: "sw"}},
		{Have: Bridge{Link: Link{Name: "sw"}}}, {Have: Namespace{Name: "red"}},
	}
	want := Plan{p[1], p[2], p[0], p[3]}
	if got := p.RulesLast(); got.String() != want.String() {
		t.Errorf("got:\n%s", got)
	}
}
