package topo

import (
	"cmp"
	"fmt"
	"math"

	"github.com/vnet-lab/vnet/nft"
)

// maxRecord is the maximum length of a record in bytes: ALTIFNAMSIZ-1 of <linux/if.h>.
const maxRecord = 127

// limits reports what exceeds limits of the kernel.
func (c *compiler) limits() {
	fast := map[string]int{}
	for _, o := range c.state {
		switch o := o.(type) {
		case Namespace:
			if o.From != "" {
				c.checkRecord(o, adoptedRecord(c.t.Name, o.Name, o.From))
				c.checkRecord(o, adoptedIDRecord(c.t.Name, math.MaxUint32, o.Name))
			}
		case Route:
			if !c.owns(o.NS) {
				c.checkRecord(o, routeRecord(c.t.Name, o.Key().Name))
			}
		case Sysctl:
			if !c.owns(o.NS) {
				c.checkRecord(o, sysctlRecord(c.t.Name, o.Name))
			}
		case Fastpath:
			if fast[o.NS]++; fast[o.NS] == nft.MaxFastpaths+1 {
				message := fmt.Sprintf("%s would have fast paths on more than %d links",
					displayName(cmp.Or(o.NS, Machine)), nft.MaxFastpaths)
				c.mistake(c.t.at(o.NS), "fastpath", message, "this is the kernel's limit")
			}
		}
	}
}

// checkRecord reports a record of an object that is too long for an alternative name.
func (c *compiler) checkRecord(o Object, record string) {
	if len(record) > maxRecord {
		message := fmt.Sprintf("%s: the record %s has %d bytes, but an alternative name of a link has at most %d",
			o, record, len(record), maxRecord)
		c.mistake(c.t.at(o.Key().NS), "", message, "use a shorter name for the lab or the host")
	}
}

// owns reports whether the lab makes the namespace.
func (c *compiler) owns(ns string) bool {
	return ns != "" && c.state[Key{OfNamespace, ns, ""}] == Object(Namespace{Name: ns})
}

// at returns the position of a namespace's host in the file.
func (t *Topology) at(ns string) pos {
	for i := range t.Hosts {
		if h := &t.Hosts[i]; NSOf(h.Name) == ns {
			return h.at
		}
	}
	return pos{1, 1}
}
