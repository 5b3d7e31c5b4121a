package topo

import (
	"net/netip"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/linux"
)

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

// An AntispoofPort is a bridge port whose frames have only the addresses of its [PortAddress] objects;
// see nft.Antispoof.
type AntispoofPort struct {
	NS      string // the bridge's
	Link    string // the port
	Routes  bool   // its host forwards packets of others: their source may be any
	Gateway bool   // its host may send router advertisements and be a DHCP server
}

// Key implements [Object].
func (a AntispoofPort) Key() Key { return Key{OfNAT, a.NS, "antispoof " + a.Link} }

// String is "nat antispoof red-eth0", and for hosts that forward packets "nat antispoof r-eth0 router"
// or "nat antispoof gw-eth0 gateway".
func (a AntispoofPort) String() string {
	s := display.In(a.NS) + "nat " + a.Key().Name
	switch {
	case a.Gateway:
		return s + " gateway"
	case a.Routes:
		return s + " router"
	}
	return s
}

func (a AntispoofPort) needs() []Key                               { return []Key{{OfNamespace, a.NS, ""}} }
func (a AntispoofPort) provides() []Key                            { return []Key{a.Key()} }
func (a AntispoofPort) canBecome(Object) bool                      { return true }
func (a AntispoofPort) commands(w *scriptWriter, s Step) []command { return w.natCommands(s) }
func (a AntispoofPort) feature() string                            { return linux.FeatureBridgeFilter }
func (a AntispoofPort) normal() Object {
	a.Routes = a.Routes || a.Gateway
	return a
}

// A PortAddress is an address that the frames of an [AntispoofPort] may have.
type PortAddress struct {
	NS   string // the bridge's
	Link string // the port
	MAC  MAC
	Addr netip.Addr // an IP address that MAC may have; invalid means MAC itself
}

// Key implements [Object].
func (p PortAddress) Key() Key { return Key{OfNAT, p.NS, p.words()} }

// String is "nat antispoof red-eth0 lladdr 02:00:00:00:00:01 10.0.0.2".
func (p PortAddress) String() string { return display.In(p.NS) + "nat " + p.words() }

func (p PortAddress) words() string {
	s := "antispoof " + p.Link + " lladdr " + p.MAC.String()
	if p.Addr.IsValid() {
		s += " " + p.Addr.String()
	}
	return s
}

func (p PortAddress) needs() []Key                               { return []Key{{OfNamespace, p.NS, ""}} }
func (p PortAddress) provides() []Key                            { return []Key{p.Key()} }
func (p PortAddress) canBecome(Object) bool                      { return false }
func (p PortAddress) commands(w *scriptWriter, s Step) []command { return w.natCommands(s) }
func (p PortAddress) normal() Object                             { return p }
