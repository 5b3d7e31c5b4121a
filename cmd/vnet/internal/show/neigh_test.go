package show

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
)

// TestNeighs compares with ip(8)'s output.
func TestNeighs(t *testing.T) {
	const mac = rtnl.LLAddr("\x02\x00\x00\x00\x00\x01")
	four, six := netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fd00::2")
	used := rtnl.NeighCache{Confirmed: 250, Used: 100, Updated: 399, References: 2}
	for _, tt := range []struct {
		name, text, json string
		style            NeighStyle
		neigh            rtnl.Neigh
	}{
		{
			name: "permanent", neigh: rtnl.Neigh{Link: 2, Addr: four, LLAddr: mac, State: unix.NUD_PERMANENT},
			text: "10.0.0.2 dev v2 lladdr 02:00:00:00:00:01 PERMANENT \n",
			json: `[{"dst":"10.0.0.2","dev":"v2","lladdr":"02:00:00:00:00:01","state":["PERMANENT"]}]`,
		},
		{
			name: "unknown", style: NeighStyle{HideDev: true}, neigh: rtnl.Neigh{Link: 2, Addr: six, State: unix.NUD_FAILED},
			text: "fd00::2 FAILED \n", json: `[{"dst":"fd00::2","state":["FAILED"]}]`,
		},
		{
			name: "flags", neigh: rtnl.Neigh{
				Link: 2, Addr: six, LLAddr: mac, State: unix.NUD_STALE,
				Flags: unix.NTF_ROUTER | unix.NTF_EXT_LEARNED | unix.NTF_OFFLOADED, FlagsExt: 1, Protocol: 4,
			},
			text: "fd00::2 dev v2 lladdr 02:00:00:00:00:01 router extern_learn offload managed STALE proto static \n",
			json: `[{"dst":"fd00::2","dev":"v2","lladdr":"02:00:00:00:00:01","router":null,"extern_learn":null,` +
				`"offload":null,"managed":null,"state":["STALE"],"protocol":"static"}]`,
		},
		{
			name: "no state", neigh: rtnl.Neigh{Link: 2, Addr: four, Protocol: 77},
			text: "10.0.0.2 dev v2 proto 77 \n", json: `[{"dst":"10.0.0.2","dev":"v2","protocol":"77"}]`,
		},
		{
			name: "used", style: NeighStyle{Style: Style{Stats: 1}},
			neigh: rtnl.Neigh{Link: 2, Addr: four, LLAddr: mac, State: unix.NUD_REACHABLE, Cache: used, Probes: 4},
			text:  "10.0.0.2 dev v2 lladdr 02:00:00:00:00:01  ref 2 used 1/2/3probes 4 REACHABLE \n",
			json: `[{"dst":"10.0.0.2","dev":"v2","lladdr":"02:00:00:00:00:01","refcnt":2,"used":1,"confirmed":2,` +
				`"updated":3,"probes":4,"state":["REACHABLE"]}]`,
		},
		{
			name: "proxy", style: NeighStyle{Style: Style{Stats: 1}},
			neigh: rtnl.Neigh{Link: 2, Addr: six, Flags: unix.NTF_PROXY, Cache: used},
			text:  "fd00::2 dev v2 proxy \n", json: `[{"dst":"fd00::2","dev":"v2","proxy":null}]`,
		},
		{
			name: "brief", style: NeighStyle{Style: Style{Brief: true}},
			neigh: rtnl.Neigh{Link: 2, Addr: four, LLAddr: mac, State: unix.NUD_STALE, Flags: unix.NTF_ROUTER},
			text:  "10.0.0.2                                v2               02:00:00:00:00:01\n",
			json:  `[{"dst":"10.0.0.2","dev":"v2","lladdr":"02:00:00:00:00:01"}]`,
		},
		{
			name: "colours", style: NeighStyle{Style: Style{Color: true}},
			neigh: rtnl.Neigh{Link: 2, Addr: six, LLAddr: mac, State: unix.NUD_DELAY},
			text:  "\x1b[1;94mfd00::2 \x1b[0mdev \x1b[1;36mv2 \x1b[0mlladdr \x1b[1;33m02:00:00:00:00:01 \x1b[0mDELAY \n",
			json:  `[{"dst":"fd00::2","dev":"v2","lladdr":"02:00:00:00:00:01","state":["DELAY"]}]`,
		},
	} {
		tt.style.Link = func(uint32) string { return "v2" }
		var text, json strings.Builder
		if err := Neighs(&text, []rtnl.Neigh{tt.neigh}, tt.style); err != nil || text.String() != tt.text {
			t.Errorf("%s: %v\n%q, want\n%q", tt.name, err, text.String(), tt.text)
		}
		tt.style.JSON, tt.style.Color = true, false
		if err := Neighs(&json, []rtnl.Neigh{tt.neigh}, tt.style); err != nil || json.String() != tt.json+"\n" {
			t.Errorf("%s: %v\n%s, want\n%s", tt.name, err, json.String(), tt.json)
		}
	}
}

// full is a writer without space.
type full struct{}

var errFull = errors.New("no space left on device")

func (full) Write([]byte) (int, error) { return 0, errFull }

// TestFull checks that all printing functions return write errors.
func TestFull(t *testing.T) {
	link := LinkStyle{Link: func(uint32) (rtnl.Link, bool) { return rtnl.Link{}, false }}
	line := LinkStyle{Style: Style{Oneline: true}, Link: link.Link}
	addr := LinkAddrs{Link: rtnl.Link{Name: "v0"}, Addrs: []rtnl.Addr{{Prefix: netip.MustParsePrefix("10.0.0.1/24")}}}
	for name, err := range map[string]error{
		"links":         Links(full{}, []rtnl.Link{{Name: "v0"}}, link),
		"addresses":     Addrs(full{}, []LinkAddrs{addr}, link),
		"address lines": Addrs(full{}, []LinkAddrs{addr}, line),
		"neighbours": Neighs(full{}, []rtnl.Neigh{{Addr: netip.MustParseAddr("10.0.0.2")}},
			NeighStyle{Link: func(uint32) string { return "" }}),
		"routes": Routes(full{}, []rtnl.Route{{Dst: netip.MustParsePrefix("10.0.0.0/8")}},
			RouteStyle{Link: func(uint32) string { return "" }}),
		"namespaces": NetnsList(full{}, []Netns{{Name: "red"}}, Style{}),
		"numbers":    NSIDs(full{}, []NSID{{ID: 1}}, Style{}),
		"JSON":       NetnsList(full{}, []Netns{{Name: "red"}}, Style{JSON: true}),
	} {
		if !errors.Is(err, errFull) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
