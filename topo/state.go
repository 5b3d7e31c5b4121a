package topo

import (
	"cmp"
	"fmt"
	"maps"
	"strings"
)

// A State is what is, or what should be: objects by their keys. The zero value
// can be read and is nothing at all.
type State map[Key]Object

// NewState makes a state of the objects. Of two with the same key the last one
// counts.
func NewState(objects ...Object) State {
	s := make(State, len(objects))
	for _, o := range objects {
		s.put(o)
	}
	return s
}

// Add puts an object in. One that contradicts what is there, having its key but
// not its properties, is an error; an equal one is none.
func (s State) Add(o Object) error {
	o = o.normal()
	if have, ok := s[o.Key()]; ok && have != o {
		return fmt.Errorf("%s contradicts %s", o, have)
	}
	s[o.Key()] = o
	return nil
}

func (s State) put(o Object) {
	o = o.normal()
	s[o.Key()] = o
}

// Equal tells whether both are the same.
func (s State) Equal(other State) bool { return maps.Equal(s, other) }

// Objects lists the objects in the order in which they would be made, if not in waves of hosts.
func (s State) Objects() []Object {
	makes := make(Plan, 0, len(s))
	for _, o := range s {
		makes = append(makes, Step{Want: o})
	}
	sortSteps(makes, s)
	objects := make([]Object, 0, len(s))
	for _, step := range makes {
		objects = append(objects, step.Want)
	}
	return objects
}

// String is a line an object.
func (s State) String() string {
	var b strings.Builder
	for _, o := range s.Objects() {
		b.WriteString(o.String() + "\n")
	}
	return b.String()
}

// compareKeys orders keys as a person would: eth2 before eth10.
func compareKeys(a, b Key) int {
	if c := compareNames(a.NS, b.NS); c != 0 {
		return c
	}
	return cmp.Or(compareNames(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
}

// compareNames takes runs of digits for the numbers they are.
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
