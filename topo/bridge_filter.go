package topo

import "github.com/vnet-lab/vnet/internal/display"

// A HairpinFilter drops frames that a bridge would send back to the port they came in by, except
// packets that NAT translated in the bridge. It is for ports with [Link.Hairpin].
type HairpinFilter struct {
	NS   string // the bridge's
	Link string // the port
}

// Key implements [Object].
func (h HairpinFilter) Key() Key { return Key{OfNAT, h.NS, "hairpin " + h.Link} }

// String is "nat hairpin red-eth0".
func (h HairpinFilter) String() string { return display.In(h.NS) + "nat " + h.Key().Name }

func (h HairpinFilter) needs() []Key                               { return []Key{{OfNamespace, h.NS, ""}} }
func (h HairpinFilter) provides() []Key                            { return []Key{h.Key()} }
func (h HairpinFilter) canBecome(Object) bool                      { return false }
func (h HairpinFilter) commands(w *scriptWriter, s Step) []command { return w.natCommands(s) }
func (h HairpinFilter) normal() Object                             { return h }
