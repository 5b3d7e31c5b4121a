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
	Addr netip.Addr // of the neighbour
	MAC  MAC        // of the neighbour; zero for Proxy
	// Proxy means that the host answers on the link for the address, with the MAC address of the link.
	Proxy bool
}

// Key implements [Object].
func (n Neigh) Key() Key {
	if n.Proxy {
		return Key{OfProxy, n.NS, n.words()}
	}
	return Key{OfNeigh, n.NS, n.words()}
}

// words returns what identifies the entry, in ip-neighbour(8)'s words.
func (n Neigh) words() string {
	if n.Proxy {
		return "proxy " + n.Addr.String() + " dev " + n.Link
	}
	return n.Addr.String() + " dev " + n.Link
}

// String is "red: neigh 10.0.0.9 dev eth0 lladdr 02:00:00:00:00:09".
func (n Neigh) String() string {
	s := display.In(n.NS) + "neigh " + n.words()
	if !n.Proxy {
		s += " lladdr " + n.MAC.String()
	}
	return s
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

// commands returns commands that also write a record of a proxy entry: it may be on a link of the machine.
func (n Neigh) commands(w *scriptWriter, s Step) []command {
	words := n.words()
	switch {
	case n.Proxy:
		entry := command{n.NS, "ip", "neigh " + ipVerb(s) + " " + words}
		record := command{n.NS, "ip", "link property " + ipVerb(s) + " dev lo altname " +
			mark.Proxy(w.lab, n.Addr.String(), n.Link)}
		if s.Want == nil {
			return []command{entry, record}
		}
		entry.text += " proto " + strconv.Itoa(mark.Protocol)
		return []command{record, entry}
	case s.Want == nil:
		return []command{{n.NS, "ip", "neigh del " + words}}
	}
	words += " lladdr " + n.MAC.String() + " nud permanent proto " + strconv.Itoa(mark.Protocol)
	return []command{{n.NS, "ip", "neigh replace " + words}}
}
