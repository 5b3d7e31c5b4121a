package topo

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/linux"
)

// A VXLAN is a tunnel for Ethernet over UDP; RFC 7348.
type VXLAN struct {
	Link
	ID     uint32     // network identifier, 0–16777215
	Local  netip.Addr // source address; invalid means that the routes choose it
	Remote netip.Addr // the other machine, or a multicast group
	Parent string     // the link for a multicast group; "" means that the routes choose it
	Port   uint16     // UDP port; 0 means 4789
}

// Type is "vxlan".
func (v VXLAN) Type() string { return "vxlan" }

// String is "east: link vx0 … type vxlan id 50 local 10.50.0.1 remote 10.50.0.2 dstport 4789".
func (v VXLAN) String() string { return display.In(v.NS) + v.words() + v.typeWords() }

func (v VXLAN) typeWords() string {
	s := fmt.Sprintf(" type vxlan id %d", v.ID)
	if v.Local.IsValid() {
		s += " local " + v.Local.String()
	}
	switch {
	case v.Remote.IsMulticast():
		s += " group " + v.Remote.String()
	case v.Remote.IsValid():
		s += " remote " + v.Remote.String()
	}
	if v.Parent != "" {
		s += " dev " + v.Parent
	}
	return s + " dstport " + strconv.Itoa(int(cmp.Or(v.Port, linux.VXLANPort)))
}

func (v VXLAN) parent() Key {
	if v.Parent == "" {
		return Key{}
	}
	return Key{OfLink, v.NS, v.Parent}
}

func (v VXLAN) needs() []Key {
	if v.Parent == "" {
		return v.Link.needs()
	}
	return append(v.Link.needs(), v.parent())
}

func (v VXLAN) canBecome(next Object) bool {
	n, ok := next.(VXLAN)
	n2 := n
	n2.Link = v.Link
	return ok && v.inPlace(n.Link) && v == n2
}

func (v VXLAN) normal() Object {
	v.Link, v.Port = v.normalLink(), cmp.Or(v.Port, linux.VXLANPort)
	return v
}

func (v VXLAN) useIPv6(uses linkUses) {
	if v.Remote.Is6() || v.Local.Is6() {
		uses[Key{OfLink, v.NS, v.Parent}] |= usesIPv6Otherwise
	}
}

func (v VXLAN) commands(w *scriptWriter, s Step) []command {
	return w.linkCommands(s, v.Link, Key{}, v.typeWords()) // typeWords names the parent
}
