package topo

import (
	"cmp"
	"fmt"
	"maps"
	"strings"
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
	o = o.Normal()
	if have, ok := s[o.Key()]; ok && have != o {
		return fmt.Errorf("%s contradicts %s", o, have)
	}
	s[o.Key()] = o
	return nil
}

func (s State) Put(o Object) {
	o = o.Normal()
	s[o.Key()] = o
}

// Equal reports whether both states have the same objects.
func (s State) Equal(other State) bool { return maps.Equal(s, other) }

// Objects lists the objects in the order of creation, without waves.
func (s State) Objects() []Object {
	creates := make(Plan, 0, len(s))
	for _, o := range s {
		creates = append(creates, Step{Want: o})
	}
	sortSteps(creates, s)
	objects := make([]Object, 0, len(s))
	for _, step := range creates {
		objects = append(objects, step.Want)
	}
	return objects
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
	if c := compareNames(a.NS, b.NS); c != 0 {
		return c
	}
	return cmp.Or(compareNames(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
}

// compareNames compares runs of digits as numbers.
func compareNames(a, b string) int {
	for a != "" && b != "" {
		if isDigit(a[0]) && isDigit(b[0]) {
			na, nb := digits(a), digits(b)
			x, y := strings.TrimLeft(a[:na], "0"), strings.TrimLeft(b[:nb], "0")
			if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y), cmp.Compare(na, nb)); c != 0 {
				return c
			}
			a, b = a[na:], b[nb:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func digits(s string) (n int) {
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}
