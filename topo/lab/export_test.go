package lab

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/internal/golden"
	"github.com/vnet-lab/vnet/topo"
)

// A compiled state that is exported, formatted, parsed and compiled again is the
// same, without differences.
func TestExportRoundTrip(t *testing.T) {
	for name, text := range golden.Examples(t) {
		t.Run(name, func(t *testing.T) {
			state, err := Compile(mustParse(t, name, text))
			if err != nil {
				t.Fatal(err)
			}
			lab, rest := Export(strings.TrimSuffix(name, ".yaml"), state)
			if len(rest) > 0 {
				t.Errorf("%d differences:\n%s\n%s", len(rest), strings.Join(rest[:min(len(rest), 20)], "\n"), Format(lab))
				return
			}
			again, err := Compile(mustParse(t, name, Format(lab)))
			if err != nil {
				t.Fatal(err)
			}
			if !again.Equal(state) {
				t.Errorf("another state:\n%s", Format(lab))
			}
		})
	}
}

// Red and blue as the cheat sheet makes them by hand: the lab file describes the
// same network. The names of the bridge ports are listed as differences, because
// a lab file cannot express them.
func TestExportOfHandMade(t *testing.T) {
	mac := func(n byte) topo.MAC { return topo.MAC{2, 0, 0, 0, 0, n} }
	var objects []topo.Object
	for n, host := range []string{"red", "blue"} {
		i := byte(n)
		addr := netip.AddrFrom4([4]byte{192, 168, 15, i + 2})
		objects = append(objects,
			topo.Namespace{Name: host}, topo.Up{NS: host, Link: "lo"}, topo.Up{NS: host, Link: "veth-" + host},
			topo.Up{NS: "", Link: "veth-" + host + "-br"},
			topo.Veth{Ends: [2]topo.Link{
				{NS: host, Name: "veth-" + host, MAC: mac(i)},
				{Name: "veth-" + host + "-br", MAC: mac(i + 10), Master: "v-net-0"},
			}},
			topo.Address{NS: host, Link: "veth-" + host, Prefix: netip.PrefixFrom(addr, 24)},
		)
	}
	objects = append(objects,
		topo.Bridge{Link: topo.Link{Name: "v-net-0", MAC: mac(99)}}, topo.Up{NS: "", Link: "v-net-0"},
		topo.Address{NS: "", Link: "v-net-0", Prefix: netip.MustParsePrefix("192.168.15.1/24")},
		topo.Route{NS: "red", Dst: netip.MustParsePrefix("0.0.0.0/0"), Hops: topo.NewHops(topo.Hop{
			Via: netip.MustParseAddr("192.168.15.1"), Device: "veth-red",
		})},
		topo.Sysctl{Name: "net.ipv4.ip_forward", Value: "1"},
		topo.Masquerade{Source: netip.MustParsePrefix("192.168.15.0/24")},
		topo.Masquerade{Source: netip.MustParsePrefix("10.0.0.0/8"), Out: "eth0"},
		topo.Forward{Proto: "tcp", First: 80, To: netip.MustParseAddr("192.168.15.2"), ToPort: 80},
		topo.Forward{Proto: "tcp", First: 81, To: netip.MustParseAddr("192.168.99.2"), ToPort: 80},
	)
	lab, rest := Export("byhand", topo.NewState(objects...))
	got := string(Format(lab)) + "---\n" + strings.Join(rest, "\n") + "\n"
	golden.File(t, "testdata/export-byhand.golden", got)
}
