package topo

import (
	"cmp"
	"fmt"
	"maps"
	"strings"

	"github.com/vnet-lab/vnet/internal/naming"
)

// A State is a set of objects by key: what exists, or what should exist. The zero
// value is an empty state that can be read.
type State map[Key]Object

// NewState returns a state with the objects. If two have the same key, it keeps
// the last one.
func NewState(objects ...Object) State {
	s := make(State, len(objects))
	for _, o := range objects {
		s.Put(o)
	}
	return s
}

// Add adds an object. It returns an error if the state has a different object with
// the same key.
func (s State) Add(o Object) error {
	o = o.normal()
	k := o.Key()
	if have, ok := s[k]; ok && have != o {
		return fmt.Errorf("%s contradicts %s", o, have)
	}
	s[k] = o
	return nil
}

// Put adds an object, and replaces one with the same key.
func (s State) Put(o Object) {
	o = o.normal()
	s[o.Key()] = o
}

// Equal reports whether both states have the same objects.
func (s State) Equal(other State) bool { return maps.Equal(s, other) }

// Objects lists the objects in the order of creation, without waves.
func (s State) Objects() []Object {
	// One pass over the map: in a large one, each access waits for memory.
	o, keys, objects := newOrder(), make([]Key, 0, len(s)), make([]Object, 0, len(s))
	for k, object := range s {
		keys, objects = append(keys, k), append(objects, object)
		o.add(object)
	}
	sorted := o.sort(keys, func(i int) (o Object, change bool) { return objects[i], false })
	inOrder := make([]Object, len(sorted))
	for i, k := range sorted {
		inOrder[i] = objects[k.index]
	}
	return inOrder
}

// String returns one line per object.
func (s State) String() string {
	var b strings.Builder
	for _, o := range s.Objects() {
		b.WriteString(o.String() + "\n")
	}
	return b.String()
}

// compareKeys orders keys by namespace, name and kind, with eth2 before eth10.
func compareKeys(a, b Key) int {
	if c := naming.Compare(a.NS, b.NS); c != 0 {
		return c
	}
	return cmp.Or(naming.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
}
