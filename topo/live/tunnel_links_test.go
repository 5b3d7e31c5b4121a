package live

import (
	"os"
	"testing"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/execute"
)

const tunnelLinksLab = `name: tun
networks: {n: {subnets: [10.0.6.0/24, 'fd00:6::/64']}}
hosts:
  red: {networks: [n], devices: {mv0: {type: macvlan, parent: eth0}}}
  blue: {networks: [n]}
links: [{endpoints: [red, blue]}]`

// Where modules for tunnels are loaded, each new namespace has more links than lo; they have the first indexes.
// Here they are bridges.
func TestNewNamespaceWithLinks(t *testing.T) {
	lab, want := labtest.Compiled(t, tunnelLinksLab)
	k := openKernel(t, lab)
	k.calls.NewNetns = func(thread nsfs.Thread) (*os.File, error) {
		ns, err := execute.RealCalls.NewNetns(thread)
		if err != nil {
			return nil, err
		}
		c, err := rtnl.Dial(ns)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		return ns, c.Do(rtnl.AddLink(rtnl.LinkConfig{Name: "gre0", Index: 2, Kind: rtnl.Kind{Name: "bridge"}}),
			rtnl.AddLink(rtnl.LinkConfig{Name: "sit0", Index: 7, Kind: rtnl.Kind{Name: "bridge"}}))
	}
	checkUpAndDown(t, k, want)
}

// The same with real modules for tunnels. The machine's first tunnel loads them, and they stay.
func TestTunnelModules(t *testing.T) {
	c, err := rtnl.Dial(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tunnel := rtnl.LinkConfig{Name: "tunnel", Kind: rtnl.Kind{Name: "ipip"}}
	if c.Do(rtnl.AddLink(tunnel)) == nil {
		t.Cleanup(func() { c.Do(rtnl.DeleteLink(rtnl.LinkID{Name: "tunnel"})) })
	}
	if _, err := c.Link(rtnl.LinkID{Name: "tunl0"}); err != nil {
		t.Skip("this kernel has no ipip")
	}
	lab, want := labtest.Compiled(t, tunnelLinksLab)
	checkUpAndDown(t, openKernel(t, lab), want)
}

// checkUpAndDown brings a lab up, which also checks the result, and takes it down.
func checkUpAndDown(t *testing.T, k *Kernel, want topo.State) {
	t.Helper()
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}
