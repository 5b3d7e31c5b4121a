package topo

import (
	"net/netip"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/mark"
)

// An Address is an IP address of a link.
type Address struct {
	NS     string
	Link   string
	Prefix netip.Prefix // the address and the prefix length of its subnet
}

// Key implements [Object].
func (a Address) Key() Key { return Key{OfAddress, a.NS, a.Prefix.String() + " dev " + a.Link} }

// String is "red: addr 192.168.15.2/24 dev eth0".
func (a Address) String() string { return display.In(a.NS) + "addr " + a.Key().Name }

func (a Address) needs() []Key {
	// The kernel removes IPv6 addresses when the link goes down.
	return []Key{{OfLink, a.NS, a.Link}, {OfUp, a.NS, a.Link}}
}
func (a Address) provides() []Key       { return []Key{a.Key()} }
func (a Address) canBecome(Object) bool { return false }
func (a Address) normal() Object        { return a }

func (a Address) onLink() Key     { return Key{OfLink, a.NS, a.Link} }
func (a Address) needsIPv6() bool { return a.Prefix.Addr().Is6() }

func (a Address) useIPv6(uses linkUses) {
	use := usesIPv4Address
	if a.Prefix.Addr().Is6() {
		use = usesIPv6Address
	}
	uses[a.onLink()] |= use
}

// needsInState returns the other IPv4 addresses of the link in the same subnet. The first
// one added is the primary address; the kernel deletes the others with it.
func (a Address) needsInState(d dependencies) (keys []Key) {
	if !a.Prefix.Addr().Is4() {
		return nil
	}
	for _, b := range d.addrs[a.onLink()] {
		if b != a && b.Prefix.Masked() == a.Prefix.Masked() {
			keys = append(keys, b.Key())
		}
	}
	return keys
}

// reaches reports whether a next hop needs the address.
func (a Address) reaches(h Hop) bool {
	if !h.Via.IsValid() || h.Onlink {
		return a.Prefix.Addr().Is4()
	}
	return a.Prefix.Contains(h.Via)
}

// commands returns commands that also mark the address with a record on its link. To delete an
// address that vnet marked with [Protocol], the record need not exist.
func (a Address) commands(w *scriptWriter, s Step) []command {
	text := "addr " + ipVerb(s) + " " + a.Prefix.String() + " dev " + a.Link
	record := "link property " + ipVerb(s) + " dev " + a.Link + " altname " +
		mark.Address(w.lab, a.Prefix.String(), a.Link)
	if s.Op() == Delete {
		unmark := command{a.NS, "ip", record}.line(w.tool("ip", a.NS))
		return []command{{a.NS, "ip", text}, {text: unmark + " 2>/dev/null || :"}}
	}
	if a.Prefix.Addr().Is6() {
		text += " nodad"
	}
	return []command{{a.NS, "ip", record}, {a.NS, "ip", text}}
}
