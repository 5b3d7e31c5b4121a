package topo

import (
	"net/netip"
	"strconv"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/mark"
)

// A Neigh is a permanent neighbour entry (ARP, NDP).
type Neigh struct {
	NS   string
	Link string
	Addr netip.Addr
	MAC  MAC
}

// Key implements [Object].
func (n Neigh) Key() Key { return Key{OfNeigh, n.NS, n.Addr.String() + " dev " + n.Link} }

// String is "red: neigh 10.0.0.9 dev eth0 lladdr 02:00:00:00:00:09".
func (n Neigh) String() string {
	return display.In(n.NS) + "neigh " + n.Key().Name + " lladdr " + n.MAC.String()
}

func (n Neigh) needs() []Key          { return []Key{{OfLink, n.NS, n.Link}, {OfUp, n.NS, n.Link}} }
func (n Neigh) provides() []Key       { return []Key{n.Key()} }
func (n Neigh) canBecome(Object) bool { return true }
func (n Neigh) normal() Object        { return n }

func (n Neigh) onLink() Key     { return Key{OfLink, n.NS, n.Link} }
func (n Neigh) needsIPv6() bool { return n.Addr.Is6() }

func (n Neigh) useIPv6(uses linkUses) {
	if n.Addr.Is6() {
		uses[n.onLink()] |= usesIPv6Otherwise
	}
}

func (n Neigh) commands(_ *scriptWriter, s Step) []command {
	if s.Want == nil {
		return []command{{n.NS, "ip", "neigh del " + n.Key().Name}}
	}
	words := n.Key().Name + " lladdr " + n.MAC.String() + " nud permanent proto " + strconv.Itoa(mark.Protocol)
	return []command{{n.NS, "ip", "neigh replace " + words}}
}
