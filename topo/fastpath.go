package topo

import (
	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/linux"
)

// A Fastpath is a device of a router's flowtable. Established TCP and UDP connections between
// two such devices skip routing and rules. A single device has no effect.
type Fastpath struct {
	NS   string // the router's
	Link string
	Port bool // the link is a port of a bridge that is itself in the flowtable
}

// Key implements [Object].
func (f Fastpath) Key() Key { return Key{OfNAT, f.NS, "fastpath " + f.Link} }

// String is "fastpath v-net-0", or "fastpath red-eth0 port".
func (f Fastpath) String() string {
	if f.Port {
		return display.In(f.NS) + f.Key().Name + " port"
	}
	return display.In(f.NS) + f.Key().Name
}

func (f Fastpath) needs() []Key {
	return []Key{{OfNamespace, f.NS, ""}, {OfLink, f.NS, f.Link}}
}
func (f Fastpath) provides() []Key                            { return []Key{f.Key()} }
func (f Fastpath) canBecome(Object) bool                      { return true }
func (f Fastpath) commands(w *scriptWriter, s Step) []command { return w.natCommands(s) }
func (f Fastpath) normal() Object                             { return f }

func (f Fastpath) feature() string { return linux.FeatureFlowtable }
