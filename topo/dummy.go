package topo

import "github.com/vnet-lab/vnet/internal/display"

// A Dummy is a dummy device: a link for addresses that drops all packets.
type Dummy struct{ Link }

// Type is "dummy".
func (d Dummy) Type() string { return "dummy" }

// String is "red: link d0 address 02:… type dummy".
func (d Dummy) String() string { return display.In(d.NS) + d.words() + " type dummy" }

func (d Dummy) canBecome(next Object) bool {
	n, ok := next.(Dummy)
	return ok && d.inPlace(n.Link)
}

func (d Dummy) normal() Object {
	d.Link = d.normalLink()
	return d
}

func (d Dummy) commands(w *scriptWriter, s Step) []command {
	return w.linkCommands(s, d.Link, Key{}, " type dummy")
}
