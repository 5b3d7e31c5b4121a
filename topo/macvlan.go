package topo

import (
	"cmp"

	"github.com/vnet-lab/vnet/internal/display"
)

// A Macvlan is a macvlan device: it uses its parent's link layer with its own MAC.
type Macvlan struct {
	Link            // without MAC in the mode passthru, in which it has that of its parent
	ParentNS string // the parent's namespace, which may be another
	Parent   string
	Mode     string // bridge, private, vepa, passthru; "" means bridge
}

// Type is "macvlan".
func (m Macvlan) Type() string { return "macvlan" }

// String is "red: link mv0 address 02:… link eth0 type macvlan mode bridge".
func (m Macvlan) String() string {
	return display.In(m.NS) + m.words() + " link " + display.In(m.ParentNS) + m.Parent + m.typeWords()
}

func (m Macvlan) typeWords() string { return " type macvlan mode " + cmp.Or(m.Mode, "bridge") }

func (m Macvlan) needs() []Key {
	return append(m.Link.needs(), Key{OfNamespace, m.ParentNS, ""}, m.parent())
}

func (m Macvlan) parent() Key { return Key{OfLink, m.ParentNS, m.Parent} }

func (m Macvlan) canBecome(next Object) bool {
	n, ok := next.(Macvlan)
	return ok && m.inPlace(n.Link) && m.ParentNS == n.ParentNS && m.Parent == n.Parent && m.Mode == n.Mode
}

func (m Macvlan) normal() Object {
	m.Link, m.Mode = m.normalLink(), cmp.Or(m.Mode, "bridge")
	if m.Mode == "passthru" {
		m.MAC = MAC{}
	}
	return m
}

func (m Macvlan) commands(w *scriptWriter, s Step) []command {
	return w.linkCommands(s, m.Link, m.parent(), m.typeWords())
}
