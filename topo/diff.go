package topo

import (
	"cmp"
	"slices"
)

// Diff is what to do so that have becomes want. It first deletes, then creates
// and changes. What cannot change in place is deleted and created, and so is all
// that stands on it: the kernel would take that away without saying so.
//
// Diff(have, nil) takes all away, one by one: what a plan leaves to the kernel,
// its reverse could not bring back.
func Diff(have, want State) Plan { return diff(have, want, waveHosts) }

// diff makes namespaces in waves of a size.
func diff(have, want State, wave int) Plan {
	if have.Equal(want) {
		return nil
	}
	gone := doomed(have, want)
	var deletes, makes Plan
	for k, o := range have {
		w, wanted := want[k]
		switch {
		case gone[k]:
			deletes = append(deletes, Step{Have: o})
		case wanted && o != w:
			makes = append(makes, Step{o, w})
		}
	}
	for k, o := range want {
		if _, had := have[k]; !had || gone[k] {
			makes = append(makes, Step{Want: o})
		}
	}
	sortSteps(deletes, have)
	slices.Reverse(deletes)
	sortSteps(makes, want)
	if len(have) == 0 {
		makes = inWaves(makes, want, wave)
	}
	return append(deletes, makes...)
}

// sortSteps puts steps into the order of a state's objects, and what is created before
// what is changed where that leaves it open: the change may be one to it.
func sortSteps(steps Plan, s State) {
	if len(steps) == 0 {
		return
	}
	o := newOrder(s)
	from, at, list := slices.Clone(steps), make([]position, len(steps)), make([]int, len(steps))
	for i, s := range steps {
		at[i], list[i] = o.of(s.Object()), i
	}
	slices.SortStableFunc(list, func(a, b int) int { // of numbers: a step is large to move
		c := cmp.Or(comparePlaces(at[a], at[b]), cmp.Compare(from[a].Op(), from[b].Op())) // "+" before "~"
		if c == 0 {                                                                       // which is much of the work
			c = compareKeys(at[a].key, at[b].key)
		}
		return c
	})
	for i, n := range list {
		steps[i] = from[n]
	}
}

// doomed are the keys of what has to be deleted of have: what is not wanted, what
// cannot become what is wanted, and what stands on either.
func doomed(have, want State) map[Key]bool {
	gone := make(map[Key]bool)
	var todo []Key
	for k, o := range have {
		if w, wanted := want[k]; !wanted || o != w && !o.becomes(w) {
			todo = append(todo, k)
		}
	}
	if len(todo) == 0 {
		return nil
	}
	standing := dependents(have)
	for len(todo) > 0 {
		k := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !gone[k] {
			gone[k] = true
			todo = append(todo, standing[k]...)
		}
	}
	return gone
}

// dependents are, by the keys of the objects of a state, the keys of those that
// stand on them.
func dependents(s State) map[Key][]Key {
	f := newFooting(s)
	standing := make(map[Key][]Key)
	for k, o := range s {
		for _, need := range f.of(o) {
			if owner, ok := f.owners[need]; ok && owner != k {
				standing[owner] = append(standing[owner], k)
			}
		}
	}
	return standing
}

// A footing knows what each object of a state stands on: what it needs by its
// own words, and what it needs because of what else there is.
type footing struct {
	order
	owners map[Key]Key       // by all keys that are provided, the object's own
	addrs  map[Key][]Address // by the link's key
}

func newFooting(s State) footing {
	f := footing{newOrder(s), make(map[Key]Key, len(s)), make(map[Key][]Address)}
	for k, o := range s {
		for _, p := range o.provides() {
			f.owners[p] = k
		}
		if a, ok := o.(Address); ok {
			link := Key{OfLink, a.NS, a.Link}
			f.addrs[link] = append(f.addrs[link], a)
		}
	}
	return f
}

// of returns the keys of all that o stands on; some may be nobody's.
func (f footing) of(o Object) []Key {
	keys := o.needs()
	switch x := o.(type) {
	case Up: // a VLAN goes down with its parent
		if p := parentOf(f.links[Key{OfLink, x.NS, x.Link}]); p.NS == x.NS {
			keys = append(keys, Key{OfUp, p.NS, p.Name})
		}
	case Address:
		keys = append(keys, f.siblings(x)...)
	case Route:
		for _, h := range x.NextHops() {
			keys = append(keys, f.footOf(x, h)...)
		}
	}
	return keys
}

// siblings are the other IPv4 addresses of the subnet on the link: the first that
// was added is the primary one, with which the kernel deletes the others.
func (f footing) siblings(a Address) (keys []Key) {
	if !a.Prefix.Addr().Is4() {
		return nil
	}
	for _, b := range f.addrs[Key{OfLink, a.NS, a.Link}] {
		if b != a && b.Prefix.Masked() == a.Prefix.Masked() {
			keys = append(keys, b.Key())
		}
	}
	return keys
}

// footOf are the addresses that a next hop of a route needs: those in whose
// subnet the gateway is, and the preferred source. A route without a gateway in a
// subnet goes with the last IPv4 address of its link, whichever that is.
func (f footing) footOf(r Route, h Hop) (keys []Key) {
	for _, a := range f.addrs[Key{OfLink, r.NS, h.Device}] {
		if a.Prefix.Addr().Is4() != r.Dst.Addr().Is4() && !h.Via.IsValid() {
			continue
		}
		if a.holds(h) || r.Src == a.Prefix.Addr() {
			keys = append(keys, a.Key())
		}
	}
	return keys
}

func (a Address) holds(h Hop) bool {
	if !h.Via.IsValid() || h.Onlink {
		return a.Prefix.Addr().Is4()
	}
	return a.Prefix.Contains(h.Via)
}
