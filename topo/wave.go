package topo

import (
	"cmp"
	"slices"
)

// defaultWaveSize is the highest number of namespaces in a wave.
const defaultWaveSize = 1024

// InWaves reorders the plan of a new lab with many namespaces into waves: each wave creates its
// namespaces, then their links, then what is on the links. Each wave keeps the plan's order. size is
// the highest number of namespaces in a wave; 0 means 1024. A plan of at most size namespaces stays the same.
//
//	h0 … h1023     namespaces, veth pairs, addresses, routes, files
//	h1024 … h2047  the same
//	…
//	the last wave  the rest of the machine, and of hosts with a bridge; programs
//
// The kernel's data about a wave is then still in the processor's caches. And for each
// message about a port of the machine, the kernel goes through the namespaces of one wave
// instead of all; see DescendingNSIDs in topo/live/internal/execute. A lab that exists already is changed
// without waves: its bridges are up, and a port may enter one only after the machine's rules are set.
func (p Plan) InWaves(size int) Plan {
	size = cmp.Or(size, defaultWaveSize)
	last := p.Waves(size)
	if last <= 1 {
		return p
	}
	w := waves{newOrder(), map[string]int{}, map[string]int{}, last}
	for _, s := range p {
		w.add(s.Want)
		if s.makesNamespace() {
			w.of[s.Want.Key().NS] = len(w.of) / size
		}
	}
	for k, link := range w.links {
		at, parent := w.link(link), link.parent()
		_, bridge := link.(Bridge)
		if bridge || w.links[parent] != nil && parent.NS != k.NS {
			at = w.last // set up after everything in other namespaces
		}
		for _, l := range link.Links() {
			w.complete[l.NS] = max(w.complete[l.NS], at)
		}
	}
	parts := make([]Plan, w.last+1)
	for _, s := range p {
		at := w.wave(s.Want)
		parts[at] = append(parts[at], s)
	}
	return slices.Concat(parts...)
}

// Waves returns the number of waves in which [Plan.InWaves] creates the plan's namespaces.
func (p Plan) Waves(size int) int {
	namespaces := 0
	for _, s := range p {
		if s.makesNamespace() {
			namespaces++
		}
	}
	size = cmp.Or(size, defaultWaveSize)
	return (namespaces + size - 1) / size
}

func (s Step) makesNamespace() bool {
	_, is := s.Want.(Namespace)
	return is && s.Have == nil
}

// waves finds the wave of each object.
type waves struct {
	order
	of       map[string]int // the wave that creates a namespace; 0 for existing ones
	complete map[string]int // the last wave that creates links of a namespace
	last     int
}

func (w waves) wave(o Object) int {
	k := o.Key()
	if link, ok := o.(LinkObject); ok {
		return w.link(link)
	}
	if k.Kind == OfNamespace {
		return w.of[k.NS]
	}
	switch kinds[k.Kind].wave {
	case lastWave:
		return w.last
	case withAllLinks:
		return max(w.of[k.NS], w.complete[k.NS])
	}
	for _, need := range o.needs() {
		// A port leads only to its bridge, which is set up last.
		if veth, ok := w.links[need].(Veth); ok && veth.isPort(need) {
			return w.link(veth)
		}
	}
	return max(w.of[k.NS], w.complete[k.NS])
}

// link returns the first wave in which a link's namespaces and parents exist.
func (w waves) link(link LinkObject) (at int) {
	for range mostParents {
		parent := link.parent()
		at = max(at, w.of[parent.NS])
		for _, l := range link.Links() {
			at = max(at, w.of[l.NS])
		}
		if link = w.links[parent]; link == nil {
			break
		}
	}
	return at
}

// isPort reports whether the end with this key is a bridge port.
func (v Veth) isPort(end Key) bool {
	return v.Ends[0].Key() == end && v.Ends[0].Master != "" || v.Ends[1].Key() == end && v.Ends[1].Master != ""
}
