package topo

// waveHosts is how many namespaces are made at most before what is in them is.
const waveHosts = 1024

// inWaves has many namespaces of a new lab made in waves, each with its links and all that is
// on them, instead of all namespaces, then all links. makes is in order, and stays so in
// each wave.
//
//	h0 … h1023     namespaces, cables, addresses, routes, files
//	h1024 … h2047  the same
//	…
//	the last wave  what else is in the machine, and in hosts with a switch; programs
//
// What the kernel works on is then still in the caches of the processor; and in each message
// about a port of the machine's, it goes through the namespaces of one wave instead of
// all; see [Kernel.fallingIDs]. A lab of which something is there is changed without: its
// switches are up, and no port may come into one before the machine's rules are in.
func inWaves(makes Plan, want State, size int) Plan {
	births := makes.births()
	if births <= size {
		return makes
	}
	w := waves{newOrder(want), map[string]int{}, map[string]int{}, (births-1)/size + 1}
	for _, s := range makes {
		if s.makesNamespace() {
			w.of[s.Want.Key().NS] = len(w.of) / size
		}
	}
	for k, link := range w.links {
		at, parent := w.link(link), parentOf(link)
		_, bridge := link.(Bridge)
		if bridge || w.links[parent] != nil && parent.NS != k.NS {
			at = w.last // what is raised behind all that is elsewhere
		}
		for _, l := range link.(linked).links() {
			w.full[l.NS] = max(w.full[l.NS], at)
		}
	}
	parts := make([]Plan, w.last+1)
	for _, s := range makes {
		at := w.wave(s.Want)
		parts[at] = append(parts[at], s)
	}
	makes = makes[:0]
	for _, part := range parts {
		makes = append(makes, part...)
	}
	return makes
}

// births is how many namespaces the plan makes.
func (p Plan) births() (n int) {
	for _, s := range p {
		if s.makesNamespace() {
			n++
		}
	}
	return n
}

func (s Step) makesNamespace() bool {
	_, is := s.Want.(Namespace)
	return is && s.Have == nil
}

// waves say in which one objects are made.
type waves struct {
	order
	of   map[string]int // in which a namespace is; 0 for those that are there
	full map[string]int // in which all links of a namespace are there
	last int
}

func (w waves) wave(o Object) int {
	k := o.Key()
	switch k.Kind {
	case OfNamespace:
		return w.of[k.NS]
	case OfLink:
		return w.link(o)
	case OfProcess:
		return w.last
	case OfNAT, OfSysctl: // all of a namespace at once; those of all links change each link's
		return max(w.of[k.NS], w.full[k.NS])
	}
	for _, need := range o.needs() {
		// Through a port nothing but its switch is reached, and that comes up last.
		if cable, ok := w.links[need].(Veth); ok && cable.isPort(need) {
			return w.link(cable)
		}
	}
	return max(w.of[k.NS], w.full[k.NS])
}

// link is the wave in which all is there that a link is in and stands on.
func (w waves) link(link Object) (at int) {
	for range mostParents {
		parent := parentOf(link)
		at = max(at, w.of[parent.NS])
		for _, l := range link.(linked).links() {
			at = max(at, w.of[l.NS])
		}
		if link = w.links[parent]; link == nil {
			break
		}
	}
	return at
}

// isPort tells whether the end of that key is in a switch.
func (v Veth) isPort(end Key) bool {
	return v.Ends[0].Key() == end && v.Ends[0].Master != "" || v.Ends[1].Key() == end && v.Ends[1].Master != ""
}
