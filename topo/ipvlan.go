package topo

import (
	"cmp"

	"github.com/vnet-lab/vnet/internal/display"
)

// An Ipvlan is an ipvlan device: it uses its parent's link layer and MAC.
type Ipvlan struct {
	Link            // without MAC
	ParentNS string // the parent's namespace, which may be another
	Parent   string
	Mode     string // l2, l3, l3s; "" means l2
}

// Type is "ipvlan".
func (i Ipvlan) Type() string { return "ipvlan" }

// String is "red: link iv0 link eth0 type ipvlan mode l2".
func (i Ipvlan) String() string {
	return display.In(i.NS) + i.words() + " link " + display.In(i.ParentNS) + i.Parent + i.typeWords()
}

func (i Ipvlan) typeWords() string { return " type ipvlan mode " + cmp.Or(i.Mode, "l2") }

func (i Ipvlan) needs() []Key {
	return append(i.Link.needs(), Key{OfNamespace, i.ParentNS, ""}, i.parent())
}

func (i Ipvlan) parent() Key { return Key{OfLink, i.ParentNS, i.Parent} }

func (i Ipvlan) canBecome(next Object) bool {
	n, ok := next.(Ipvlan)
	return ok && i.inPlace(n.Link) && i.ParentNS == n.ParentNS && i.Parent == n.Parent && i.Mode == n.Mode
}

func (i Ipvlan) normal() Object {
	i.Link, i.Mode = i.normalLink(), cmp.Or(i.Mode, "l2")
	i.MAC = MAC{}
	return i
}

func (i Ipvlan) commands(w *scriptWriter, s Step) []command {
	return w.linkCommands(s, i.Link, i.parent(), i.typeWords())
}
