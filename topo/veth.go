package topo

import "github.com/vnet-lab/vnet/internal/display"

// A Veth is a veth pair: two links, each the other's peer. The order of the ends does
// not matter; [State.Add] sorts them by namespace and name.
type Veth struct {
	Ends [2]Link
}

// Links returns both ends.
func (v Veth) Links() []Link { return v.Ends[:] }

// Key implements [Object]. It is the key of the first end.
func (v Veth) Key() Key { return v.sorted().Ends[0].Key() }

// Type is "veth".
func (v Veth) Type() string { return "veth" }

// String is "link red-eth0 address 02:… master v-net-0 type veth peer red: link eth0 address 02:…".
func (v Veth) String() string {
	return display.In(v.Ends[0].NS) + v.Ends[0].words() + " type veth peer " + display.In(v.Ends[1].NS) + v.Ends[1].words()
}

func (v Veth) needs() []Key { return append(v.Ends[0].needs(), v.Ends[1].needs()...) }

func (v Veth) parent() Key { return Key{} }
func (v Veth) rank() int   { return 1 }

func (v Veth) feature() string { return "" }

func (v Veth) provides() []Key {
	v = v.sorted()
	return []Key{v.Ends[0].Key(), v.Ends[1].Key()}
}

func (v Veth) canBecome(next Object) bool {
	n, ok := next.(Veth)
	return ok && v.Ends[0].inPlace(n.Ends[0]) && v.Ends[1].inPlace(n.Ends[1])
}

func (v Veth) normal() Object {
	v = v.sorted()
	for i := range v.Ends {
		v.Ends[i] = v.Ends[i].normalLink()
	}
	return v
}

func (v Veth) sorted() Veth {
	if compareKeys(v.Ends[1].Key(), v.Ends[0].Key()) < 0 {
		v.Ends[0], v.Ends[1] = v.Ends[1], v.Ends[0]
	}
	return v
}

func (v Veth) commands(w *scriptWriter, s Step) []command {
	near, far := v.Ends[0], v.Ends[1]
	if s.Op() == Change {
		was := s.Have.(Veth)
		return append(setLink(was.Ends[0], near, ""), setLink(was.Ends[1], far, "")...)
	}
	text := "link add name " + creationWords(near) + " type veth peer name " + creationWords(far)
	if far.NS != near.NS {
		text += " netns " + w.netnsWord(far.NS)
	}
	cmds := []command{{near.NS, "ip", text}}
	for _, l := range v.Ends {
		cmds = append(cmds, setLink(atCreation(l), l, w.markWords(l))...)
	}
	return cmds
}
