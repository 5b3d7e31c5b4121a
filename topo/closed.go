package topo

import (
	"net/netip"

	"github.com/vnet-lab/vnet/internal/display"
)

// An OwnLink is a link of a router to one of the lab's networks. Packets that are forwarded from it
// may leave through a [ClosedLink] of the same namespace.
type OwnLink struct {
	NS   string // the router's
	Link string
}

// Key implements [Object].
func (o OwnLink) Key() Key { return Key{OfNAT, o.NS, "own " + o.Link} }

// String is "nat own v-net-0".
func (o OwnLink) String() string { return display.In(o.NS) + "nat " + o.Key().Name }

func (o OwnLink) needs() []Key                               { return []Key{{OfNamespace, o.NS, ""}} }
func (o OwnLink) provides() []Key                            { return []Key{o.Key()} }
func (o OwnLink) canBecome(Object) bool                      { return false }
func (o OwnLink) commands(w *scriptWriter, s Step) []command { return w.natCommands(s) }
func (o OwnLink) normal() Object                             { return o }

// A ClosedLink leads to a private network. Its router forwards packets to it that arrive on an
// [OwnLink] or from an [AllowedSource], that go to a forwarded port, or that belong to a connection
// accepted before. It drops all others.
type ClosedLink struct {
	NS   string // the router's
	Link string
}

// Key implements [Object].
func (c ClosedLink) Key() Key { return Key{OfNAT, c.NS, "closed " + c.Link} }

// String is "nat closed v-net-0".
func (c ClosedLink) String() string { return display.In(c.NS) + "nat " + c.Key().Name }

func (c ClosedLink) needs() []Key                               { return []Key{{OfNamespace, c.NS, ""}} }
func (c ClosedLink) provides() []Key                            { return []Key{c.Key()} }
func (c ClosedLink) canBecome(Object) bool                      { return false }
func (c ClosedLink) commands(w *scriptWriter, s Step) []command { return w.natCommands(s) }
func (c ClosedLink) normal() Object                             { return c }

// A SourceGate drops routed packets that arrive on a link if their source address is not behind
// this link. The router itself does not accept such packets either. MAC is the router's address on
// the link: routed packets have it as their destination, and packets that a bridge passes between
// its ports do not.
type SourceGate struct {
	NS   string // the router's
	Link string
	MAC  MAC
}

// Key implements [Object].
func (g SourceGate) Key() Key { return Key{OfNAT, g.NS, "gate " + g.Link} }

// String is "nat gate v-net-0 lladdr 02:00:00:00:00:01".
func (g SourceGate) String() string {
	return display.In(g.NS) + "nat " + g.Key().Name + " lladdr " + g.MAC.String()
}

func (g SourceGate) needs() []Key                               { return []Key{{OfNamespace, g.NS, ""}} }
func (g SourceGate) provides() []Key                            { return []Key{g.Key()} }
func (g SourceGate) canBecome(Object) bool                      { return false }
func (g SourceGate) commands(w *scriptWriter, s Step) []command { return w.natCommands(s) }
func (g SourceGate) normal() Object                             { return g }

// An AllowedSource is a prefix outside the lab. The router forwards its packets to a [ClosedLink].
type AllowedSource struct {
	NS     string       // the router's
	Link   string       // the ClosedLink's
	Source netip.Prefix // of the packets
}

// Key implements [Object].
func (a AllowedSource) Key() Key {
	return Key{OfNAT, a.NS, "allow " + a.Source.String() + " " + a.Link}
}

// String is "nat allow 10.0.0.0/8 v-net-0".
func (a AllowedSource) String() string { return display.In(a.NS) + "nat " + a.Key().Name }

func (a AllowedSource) needs() []Key                               { return []Key{{OfNamespace, a.NS, ""}} }
func (a AllowedSource) provides() []Key                            { return []Key{a.Key()} }
func (a AllowedSource) canBecome(Object) bool                      { return false }
func (a AllowedSource) commands(w *scriptWriter, s Step) []command { return w.natCommands(s) }
func (a AllowedSource) normal() Object {
	a.Source = a.Source.Masked()
	return a
}
