package topo

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vnet-lab/vnet/internal/linux"
)

// TestOrder: what has to exist first is created first, and names are in the order of their numbers.
func TestOrder(t *testing.T) {
	want := []Object{
		Namespace{Name: "h2"}, Namespace{Name: "h10"},
		Bridge{Link: Link{Name: "z"}}, Veth{[2]Link{{Name: "p", Master: "z"}, {NS: "h2", Name: "eth0"}}},
		Dummy{Link{Name: "a"}},
		VLAN{Link: Link{Name: "a.1"}, Parent: "a", ID: 1}, VLAN{Link: Link{Name: "0"}, Parent: "a.1", ID: 2},
		Isolation{"", "a", "z"},
		Sysctl{"", linux.ForwardingIPv4, "1"}, Sysctl{"", "net.ipv4.conf.a.rp_filter", "1"},
		Up{"", "a"}, Up{"", "p"}, Up{"", "a.1"}, Up{"", "0"},
		Address{"", "a", prefix("10.0.0.1/24")},
		Up{"", "z"}, Address{"", "z", prefix("10.1.0.1/24")}, Neigh{"", "z", address("10.1.0.9"), mac1, false},
		Route{Dst: prefix("10.9.0.0/16"), Hops: NewHops(Hop{Device: "a"})},
		Route{Dst: prefix("10.8.0.0/16"), Hops: NewHops(Hop{Via: address("10.0.0.9"), Device: "a"})},
		File{"h2", "hosts", ""}, Process{"h2", "sleep 1"},
	}
	var got []string
	for _, o := range NewState(want...).Objects() {
		got = append(got, o.String())
	}
	for i, o := range want {
		if text := Normalize(o).String(); i >= len(got) || got[i] != text {
			t.Fatalf("object %d is not %q:\n%s", i, text, strings.Join(got, "\n"))
		}
	}
}

// TestCreationsBeforeChanges: a changed port may be in a bridge that is new.
func TestCreationsBeforeChanges(t *testing.T) {
	have := NewState(Veth{[2]Link{{Name: "a"}, {Name: "b"}}})
	want := NewState(Veth{[2]Link{{Name: "a", Master: "z"}, {Name: "b"}}}, Bridge{Link: Link{Name: "z"}},
		Neigh{"", "a", address("10.0.0.9"), mac1, false}, Route{Dst: prefix("10.9.0.0/16"), Type: "blackhole"})
	have.Put(Neigh{"", "a", address("10.0.0.1"), mac1, false})
	want.Put(Neigh{"", "a", address("10.0.0.1"), mac2, false})
	var ops []string
	for _, s := range Diff(have, want) {
		ops = append(ops, string(s.Op())+string(s.Object().Key().Kind))
	}
	if got := strings.Join(ops, " "); got != "+link ~link +neigh ~neigh +route" {
		t.Errorf("the steps are %s", got)
	}
}

// TestDependents: with an object that is deleted go all objects that need it.
func TestDependents(t *testing.T) {
	d0, d1 := Dummy{Link{Name: "d0"}}, Dummy{Link{Name: "d1"}}
	first, second := Address{"", "d0", prefix("10.0.0.1/24")}, Address{"", "d0", prefix("10.0.0.2/24")}
	far := Address{"", "d0", prefix("10.1.0.1/24")}
	via := Route{Dst: prefix("10.9.0.0/16"), Hops: NewHops(Hop{Via: address("10.0.0.9"), Device: "d0"})}
	onlink := Route{Dst: prefix("10.8.0.0/16"), Hops: NewHops(Hop{Via: address("10.7.0.9"), Device: "d0", Onlink: true})}
	direct := Route{Dst: prefix("10.7.0.0/16"), Hops: NewHops(Hop{Device: "d0"})}
	sixth := Route{Dst: prefix("fd09::/64"), Hops: NewHops(Hop{Device: "d0"})}
	source := via
	source.Dst, source.Src = prefix("10.6.0.0/16"), far.Prefix.Addr()
	vlan := VLAN{Link: Link{Name: "d0.7"}, Parent: "d0", ID: 7}
	have := NewState(d0, d1, Up{"", "d0"}, Up{"", "d1"}, first, second, far, via, onlink, direct, sixth, source, vlan,
		Up{"", "d0.7"}, Address{"", "d1", prefix("10.0.0.3/24")}, Address{"", "d0", prefix("fd00::1/64")})
	for _, tt := range []struct {
		without Object
		gone    []Object
	}{
		{d1, []Object{Up{"", "d1"}, Address{"", "d1", prefix("10.0.0.3/24")}}},
		{first, []Object{second, via, source, onlink, direct}},
		{far, []Object{source, onlink, direct}},
		{Address{"", "d0", prefix("fd00::1/64")}, nil},
		{Up{"", "d0"}, []Object{
			first, second, far, Address{"", "d0", prefix("fd00::1/64")}, via, onlink, direct, sixth, source, Up{"", "d0.7"},
		}},
		{via, nil},
	} {
		want := NewState(have.Objects()...)
		delete(want, tt.without.Key())
		var got, expected []string
		for _, s := range Diff(have, want) {
			if s.Op() == Delete {
				got = append(got, s.Have.String())
			}
		}
		for _, o := range append(tt.gone, tt.without) {
			expected = append(expected, Normalize(o).String())
		}
		slices.Sort(got)
		slices.Sort(expected)
		if !slices.Equal(got, expected) {
			t.Errorf("without %v:\n%s\nwant\n%s", tt.without, strings.Join(got, "\n"), strings.Join(expected, "\n"))
		}
	}
}

// TestApplyAnyway: one failed step does not keep the others from being executed, and the end of the
// context does.
func TestApplyAnyway(t *testing.T) {
	plan := Diff(NewState(Dummy{Link{Name: "a"}}, Dummy{Link{Name: "b"}}, red, Sysctl{"", "net.a", "1"}), nil)
	ctx, cancel := context.WithCancel(context.Background())
	var done []string
	do := func(_ context.Context, stage []Step) error {
		for _, s := range stage {
			switch text := s.String(); text {
			case "- link b type dummy", "- sysctl net.a = 1":
				return &StepError{s, syscall.EBUSY}
			}
		}
		for _, s := range stage {
			done = append(done, s.String())
		}
		return nil
	}
	err := ApplyAnyway(ctx, plan, do)
	const want = "delete sysctl net.a = 1: device or resource busy\ndelete link b type dummy: device or resource busy"
	if got := strings.Join(done, "|"); got != "- link a type dummy|- netns red" || err == nil || err.Error() != want {
		t.Errorf("%s, %v", got, err)
	}
	cancel()
	done = nil
	if err := ApplyAnyway(ctx, plan, do); !errors.Is(err, context.Canceled) || len(done) > 0 {
		t.Errorf("%v after %v", err, done)
	}
}

// If a program cannot be stopped, its namespace remains, and with it everything that shows whose the program is.
func TestApplyAnywayKeepsPrograms(t *testing.T) {
	plan := Diff(NewState(red, Process{"red", "a"}, Process{"red", "b"}, Dummy{Link{Name: "d"}}), nil)
	var done []string
	err := ApplyAnyway(t.Context(), plan, func(_ context.Context, stage []Step) error {
		for _, s := range stage {
			if s.Have == (Process{"red", "a"}) {
				return &StepError{s, syscall.EPERM}
			}
			done = append(done, s.String())
		}
		return nil
	})
	if got := strings.Join(done, "|"); got != "- red: run b" && got != "- red: run b|- red: run b" || err == nil {
		t.Errorf("%s, %v", got, err)
	}
}

// TestWaves: the namespaces of a large lab are created in groups, each with its links.
func TestWaves(t *testing.T) {
	state := NewState(sw, Up{"", "sw"}, Sysctl{"", linux.ForwardingIPv4, "1"}, Process{"h1", "sleep 1"})
	for _, host := range []string{"h1", "h2", "h3"} {
		state.Put(Namespace{Name: host})
		state.Put(Veth{[2]Link{{Name: host + "-eth0", Master: "sw"}, {NS: host, Name: "eth0"}}})
		state.Put(Up{"", host + "-eth0"})
		state.Put(Sysctl{host, linux.ForwardingIPv4, "1"})
	}
	plan := Diff(nil, state)
	for size, want := range map[int]int{1: 3, 2: 2, 3: 1, 4: 1, 0: 1} {
		if got := plan.Waves(size); got != want {
			t.Errorf("%d waves of %d, want %d", got, size, want)
		}
	}
	if !slices.Equal(plan.InWaves(3), plan) {
		t.Error("one wave changes the order")
	}
	var got []string
	for _, s := range plan.InWaves(2) {
		got = append(got, strings.TrimPrefix(string(s.Want.Key().Kind)+" "+s.Want.Key().NS+" "+s.Want.Key().Name, "netns "))
	}
	want := []string{
		"h1 ", "h2 ", "link  sw", "link  h1-eth0", "link  h2-eth0", "sysctl h1 net.ipv4.ip_forward",
		"sysctl h2 net.ipv4.ip_forward", "up  h1-eth0", "up  h2-eth0",
		"h3 ", "link  h3-eth0", "sysctl h3 net.ipv4.ip_forward", "up  h3-eth0",
		"sysctl  net.ipv4.ip_forward", "up  sw", "process h1 sleep 1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}
