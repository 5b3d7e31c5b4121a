package lab

import (
	"cmp"
	"fmt"
	"math"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// limits reports what exceeds limits of the kernel.
func (c *compiler) limits() {
	fast := map[string]int{}
	for _, o := range c.state {
		switch o := o.(type) {
		case topo.Namespace:
			if o.From != "" {
				c.checkRecord(o, mark.Adopted(c.t.Name, o.Name, o.From))
				c.checkRecord(o, mark.AdoptedID(c.t.Name, math.MaxUint32, o.Name))
			}
		case topo.Route:
			if !c.owns(o.NS) {
				c.checkRecord(o, mark.Route(c.t.Name, o.Key().Name))
			}
		case topo.Sysctl:
			if !c.owns(o.NS) {
				c.checkRecord(o, mark.Sysctl(c.t.Name, o.Name))
			}
		case topo.Fastpath:
			if fast[o.NS]++; fast[o.NS] == linux.MaxFastpaths+1 {
				message := fmt.Sprintf("%s would have fast paths on more than %d links",
					displayName(cmp.Or(o.NS, topo.Machine)), linux.MaxFastpaths)
				c.Mistake(c.t.at(o.NS), "fastpath", message, "this is the kernel's limit")
			}
		}
	}
}

// checkRecord reports a record of an object that is too long for an alternative name.
func (c *compiler) checkRecord(o topo.Object, record string) {
	if len(record) > naming.MaxAltName {
		message := fmt.Sprintf("%s: the record %s has %d bytes, but an alternative name of a link has at most %d",
			o, record, len(record), naming.MaxAltName)
		c.Mistake(c.t.at(o.Key().NS), "", message, "use a shorter name for the lab or the host")
	}
}

// owns reports whether the lab creates the namespace; otherwise it is the machine's or an adopted one.
func (c *compiler) owns(ns string) bool {
	return ns != "" && c.state[topo.Key{Kind: topo.OfNamespace, NS: ns, Name: ""}] == topo.Object(topo.Namespace{Name: ns})
}

// at returns the position of a namespace's host in the file.
func (t *Topology) at(ns string) syntax.Pos {
	for i := range t.Hosts {
		if h := &t.Hosts[i]; topo.NSOf(h.Name) == ns {
			return h.at
		}
	}
	return syntax.Pos{Line: 1, Column: 1}
}
