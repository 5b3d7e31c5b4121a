package topo

import (
	"fmt"
	"math"

	"github.com/vnet-lab/vnet/nft"
)

// maxRecord is how long a record may be, in bytes: ALTIFNAMSIZ of <linux/if.h>.
const maxRecord = 127

// limits notes what the kernel has no room for.
func (c *compiler) limits() {
	fast := map[string]int{}
	for _, o := range c.state {
		switch o := o.(type) {
		case Namespace:
			if o.From != "" {
				c.recorded(o, takenRecord(c.t.Name, o))
				c.recorded(o, takesRecord(c.t.Name, math.MaxUint32, o.Name))
			}
		case Route:
			if !c.owns(o.NS) {
				c.recorded(o, routeRecord(c.t.Name, o))
			}
		case Sysctl:
			if !c.owns(o.NS) {
				c.recorded(o, sysctlRecord(c.t.Name, o.Name))
			}
		case Fastpath:
			if fast[o.NS]++; fast[o.NS] == nft.MaxFastpaths+1 {
				c.bad(c.t.at(o.NS), "fastpath", fmt.Sprintf("%s would have fast paths on more than %d links", called(or(o.NS, Machine)), nft.MaxFastpaths), "the kernel can list no more")
			}
		}
	}
}

// recorded notes an object that is remembered in more letters than there is room for.
func (c *compiler) recorded(o Object, record string) {
	if len(record) > maxRecord {
		c.bad(c.t.at(o.Key().NS), "", fmt.Sprintf("%s cannot be remembered: %s has %d bytes, and a link's further name %d at most", o, record, len(record), maxRecord),
			"a shorter name of the lab or the host helps")
	}
}

// owns tells whether a namespace is one that the lab makes.
func (c *compiler) owns(ns string) bool {
	return ns != "" && c.state[Key{OfNamespace, ns, ""}] == Object(Namespace{Name: ns})
}

// at is where a namespace's host stands in the file.
func (t *Topology) at(ns string) pos {
	for i := range t.Hosts {
		if h := &t.Hosts[i]; nsOf(h.Name) == ns {
			return h.at
		}
	}
	return pos{1, 1}
}
