package lab

import (
	"cmp"
	"slices"

	"github.com/vnet-lab/vnet/internal/linux"
)

// NeedsEgress reports whether a network takes its MTU from the machine (`mtu: auto`) or has a
// fast path to the outside: then [Topology.FillEgress] has to be called before [Compile].
func (t Topology) NeedsEgress() bool {
	return slices.ContainsFunc(t.Networks, func(n Network) bool { return n.MTUAuto || n.Fastpath })
}

// FillEgress sets the values that depend on the machine. The arguments are the links of the
// machine's default routes, and the smallest of their MTUs in bytes. Networks with `mtu: auto`
// get this MTU, or 1500 if it is 0. EgressLinks becomes the list of these links if a network has
// `fastpath: true`.
func (t *Topology) FillEgress(links []string, mtu int) {
	for i := range t.Networks {
		n := &t.Networks[i]
		if n.MTUAuto {
			n.MTU = cmp.Or(mtu, linux.DefaultMTU)
		}
		if n.Fastpath {
			t.EgressLinks = links
		}
	}
}
