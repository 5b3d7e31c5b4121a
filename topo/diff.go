package topo

import (
	"slices"
)

// Diff returns the plan that changes have into want. It first deletes, then creates
// and changes. An object that cannot change in place is deleted and created again,
// and so are all objects that depend on it: the kernel would delete them silently.
//
// Diff(have, nil) deletes every object with a step of its own. Without the step, the
// plan's reverse could not create it again.
func Diff(have, want State) Plan { return diffInWaves(have, want, defaultWaveSize) }

// diffInWaves is Diff with a number of namespaces per wave.
func diffInWaves(have, want State, wave int) Plan {
	if have.Equal(want) {
		return nil
	}
	gone := toDelete(have, want)
	var deletes, creates Plan
	for k, o := range have {
		w, wanted := want[k]
		switch {
		case gone[k]:
			deletes = append(deletes, Step{Have: o})
		case wanted && o != w:
			creates = append(creates, Step{o, w})
		}
	}
	for k, o := range want {
		if _, had := have[k]; !had || gone[k] {
			creates = append(creates, Step{Want: o})
		}
	}
	sortSteps(deletes, have)
	slices.Reverse(deletes)
	sortSteps(creates, want)
	if len(have) == 0 {
		creates = creates.InWaves(wave)
	}
	return append(deletes, creates...)
}

// sortSteps sorts steps by the order of the objects in s. At equal positions, it puts creations
// before changes: the changed object may refer to the new one. Two steps have different keys.
func sortSteps(steps Plan, s State) {
	if len(steps) == 0 {
		return
	}
	keys := make([]Key, len(steps))
	for i, step := range steps {
		keys[i] = step.Object().Key()
	}
	from := slices.Clone(steps)
	sorted := newOrder(s).sort(keys, func(i int) (o Object, change bool) {
		return from[i].Object(), from[i].Op() == Change
	})
	for i, k := range sorted {
		steps[i] = from[k.index]
	}
}

// toDelete returns the keys of the objects of have that must be deleted: those not in
// want, those that cannot change in place, and all that depend on either.
func toDelete(have, want State) map[Key]bool {
	gone := make(map[Key]bool)
	var todo []Key
	for k, o := range have {
		if w, wanted := want[k]; !wanted || o != w && !o.canBecome(w) {
			todo = append(todo, k)
		}
	}
	if len(todo) == 0 {
		return nil
	}
	users := dependents(have)
	for len(todo) > 0 {
		k := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !gone[k] {
			gone[k] = true
			todo = append(todo, users[k]...)
		}
	}
	return gone
}

// dependents returns, for each object of a state, the keys of the objects that
// depend on it.
func dependents(s State) map[Key][]Key {
	d := newDependencies(s)
	users := make(map[Key][]Key)
	for k, o := range s {
		for _, need := range d.of(o) {
			if owner, ok := d.providers[need]; ok && owner != k {
				users[owner] = append(users[owner], k)
			}
		}
	}
	return users
}

// dependencies finds what each object of a state depends on: its needs, and what it
// needs because of other objects of the state.
type dependencies struct {
	order
	providers map[Key]Key       // object keys by each key that an object provides
	addrs     map[Key][]Address // by the link's key
}

func newDependencies(s State) dependencies {
	d := dependencies{newOrder(s), make(map[Key]Key, len(s)), make(map[Key][]Address)}
	for k, o := range s {
		for _, p := range o.provides() {
			d.providers[p] = k
		}
		if a, ok := o.(Address); ok {
			d.addrs[a.onLink()] = append(d.addrs[a.onLink()], a)
		}
	}
	return d
}

// A needsInState object also needs objects because of others in the state; without the
// method, it does not.
type needsInState interface{ needsInState(d dependencies) []Key }

// of returns the keys that o depends on. The state may lack some of them.
func (d dependencies) of(o Object) []Key {
	keys := o.needs()
	if more, ok := o.(needsInState); ok {
		keys = append(keys, more.needsInState(d)...)
	}
	return keys
}
