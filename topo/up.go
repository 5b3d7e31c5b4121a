package topo

import "github.com/vnet-lab/vnet/internal/display"

// An Up sets a link up, also lo, which is down in a new namespace. Links without
// an Up are down. Bridges are set up after all other links: otherwise packets from
// new ports would be flooded to all earlier ports.
type Up struct {
	NS   string
	Link string
}

// Key implements [Object].
func (u Up) Key() Key { return Key{OfUp, u.NS, u.Link} }

// String is "red: link eth0 up".
func (u Up) String() string { return display.In(u.NS) + "link " + u.Link + " up" }

func (u Up) needs() []Key {
	return []Key{{OfNamespace, u.NS, ""}, {OfLink, u.NS, u.Link}}
}
func (u Up) provides() []Key       { return []Key{u.Key()} }
func (u Up) canBecome(Object) bool { return false }
func (u Up) normal() Object        { return u }

func (u Up) onLink() Key { return Key{OfLink, u.NS, u.Link} }

// needsInState returns the Up of the link's parent: a VLAN device goes down with its parent.
func (u Up) needsInState(d dependencies) []Key {
	if p := d.parentOf(u.onLink()); p.NS == u.NS {
		return []Key{{OfUp, p.NS, p.Name}}
	}
	return nil
}

func (u Up) commands(_ *scriptWriter, s Step) []command {
	return []command{{u.NS, "ip", "link set dev " + u.Link + map[Op]string{Create: " up", Delete: " down"}[s.Op()]}}
}
