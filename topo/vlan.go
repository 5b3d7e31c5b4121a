package topo

import (
	"fmt"

	"github.com/vnet-lab/vnet/internal/display"
)

// A VLAN is a device for one VLAN (802.1Q) of another link in its namespace.
type VLAN struct {
	Link
	Parent string // the link whose packets have the VLAN tag
	ID     uint16 // 1–4094
}

// Type is "vlan".
func (v VLAN) Type() string { return "vlan" }

// String is "red: link eth0.10 address 02:… link eth0 type vlan id 10".
func (v VLAN) String() string {
	return fmt.Sprintf("%s%s link %s type vlan id %d", display.In(v.NS), v.words(), v.Parent, v.ID)
}

func (v VLAN) parent() Key  { return Key{OfLink, v.NS, v.Parent} }
func (v VLAN) needs() []Key { return append(v.Link.needs(), v.parent()) }

func (v VLAN) canBecome(next Object) bool {
	n, ok := next.(VLAN)
	return ok && v.inPlace(n.Link) && v.Parent == n.Parent && v.ID == n.ID
}

func (v VLAN) normal() Object {
	v.Link = v.normalLink()
	return v
}

func (v VLAN) commands(w *scriptWriter, s Step) []command {
	return w.linkCommands(s, v.Link, v.parent(), fmt.Sprintf(" type vlan id %d", v.ID))
}
