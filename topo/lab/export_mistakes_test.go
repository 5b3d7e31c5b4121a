package lab

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/topo"
)

// TestExportListsWhatItLeavesOut: each state has an object that a lab file cannot express. Export lists it as
// missing, and does not write something that is nearly the same.
func TestExportListsWhatItLeavesOut(t *testing.T) {
	slow := topo.Impairment{Delay: time.Second}
	pair := topo.Veth{Ends: [2]topo.Link{{NS: "red", Name: "a"}, {Name: "b"}}}
	inBridge := topo.Veth{Ends: [2]topo.Link{{NS: "red", Name: "a"}, {Name: "b", Master: "gone"}}}
	for name, tt := range map[string]struct {
		objects []topo.Object
		missing string
	}{
		"a second bridge of this name": {
			[]topo.Object{topo.Bridge{Link: topo.Link{NS: "red", Name: "br"}}, topo.Bridge{Link: topo.Link{Name: "br"}}},
			"- red: link br ",
		},
		"an impairment of one end": {
			[]topo.Object{pair, topo.Qdisc{NS: "red", Link: "a", Impairment: slow}}, "- red: qdisc",
		},
		"no offload on one end":                {[]topo.Object{pair, topo.NoOffload{NS: "red", Link: "a"}}, "- red: "},
		"a port of a bridge that is not there": {[]topo.Object{inBridge}, "- link b "},
		"a forward from one link": {[]topo.Object{topo.Forward{
			In: "eth0", Proto: "tcp", First: 80, To: netip.MustParseAddr("10.0.0.2"), ToPort: 80,
		}}, "- nat dnat "},
	} {
		objects := append([]topo.Object{topo.Namespace{Name: "red"}}, tt.objects...)
		topology, rest := Export("x", topo.NewState(objects...))
		if !slices.ContainsFunc(rest, func(line string) bool { return strings.HasPrefix(line, tt.missing) }) {
			t.Errorf("%s: no line begins with %q:\n%s\n%s", name, tt.missing, strings.Join(rest, "\n"), Format(topology))
		}
	}
}

// TestExportOfMistakes: a network that works in the kernel, but is a mistake in a lab file. Export returns the
// mistakes, and the topology with all its settings.
func TestExportOfMistakes(t *testing.T) {
	addr := netip.MustParsePrefix("10.0.0.1/24")
	topology, rest := Export("x", topo.NewState(
		topo.Namespace{Name: "red"},
		topo.Dummy{Link: topo.Link{NS: "red", Name: "d0"}}, topo.Dummy{Link: topo.Link{NS: "red", Name: "d1"}},
		topo.Address{NS: "red", Link: "d0", Prefix: addr}, topo.Address{NS: "red", Link: "d1", Prefix: addr},
		topo.Sysctl{NS: "red", Name: linux.ForwardingIPv4, Value: "1"},
	))
	if len(rest) != 1 || !strings.Contains(rest[0], "overlap, and red is in both") {
		t.Errorf("mistakes: %q", rest)
	}
	if h := topology.Hosts[0]; !h.Router || len(h.Sysctls) != 1 || h.Sysctls[0].Key != linux.ForwardingIPv4 {
		t.Errorf("host: %+v", h)
	}
}

// TestExportRouter: forwarding that no other key implies becomes router: true, and no sysctl.
func TestExportRouter(t *testing.T) {
	state := topo.NewState(
		topo.Namespace{Name: "red"},
		topo.Dummy{Link: topo.Link{NS: "red", Name: "d0"}},
		topo.Address{NS: "red", Link: "d0", Prefix: netip.MustParsePrefix("10.0.0.1/24")},
		topo.Sysctl{NS: "red", Name: linux.ForwardingIPv4, Value: "1"},
		topo.Sysctl{NS: "red", Name: "net.ipv4.conf.all.rp_filter", Value: "2"},
	)
	topology, _ := Export("x", state)
	h := topology.Hosts[0]
	if !h.Router || len(h.Sysctls) != 1 || h.Sysctls[0].Key != "net.ipv4.conf.all.rp_filter" {
		t.Errorf("host: %+v", h)
	}
}
