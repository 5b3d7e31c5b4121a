package syntax

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// A Table is a mapping that keeps its order.
type Table[T any] []Entry[T]

// An Entry is a key of a Table with its value.
type Entry[T any] struct {
	Key   string
	Value T
	At    Pos // of the key
}

// Many is a list. The file may have a single value instead of a list of one.
type Many[T any] []T

// Read reads a mapping.
func (t *Table[T]) Read(d *Decoder, n *yaml.Node) {
	if IsNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.Mistake(PosOf(n), n.Value, fmt.Sprintf("%s: expected a mapping of names, not %s", d.key, ShapeOf(n)),
			"write \"name:\" and indent its keys below")
		return
	}
	pairs := d.Pairs(n)
	*t = make(Table[T], 0, len(pairs))
	outer := d.key
	for _, kv := range pairs {
		d.key = kv.Key.Value
		*t = append(*t, Entry[T]{Key: kv.Key.Value, At: PosOf(kv.Key)})
		d.Value(kv.Value, &(*t)[len(*t)-1].Value)
	}
	d.key = outer
}

// Read reads a list or a single value. It leaves out invalid values.
func (m *Many[T]) Read(d *Decoder, n *yaml.Node) {
	items := []*yaml.Node{n}
	switch {
	case n.Kind == yaml.SequenceNode:
		items = n.Content
	case IsNull(n):
		return
	}
	*m = slices.Grow(*m, len(items))
	for _, item := range items {
		before := d.count
		*m = append(*m, *new(T))
		d.Value(item, &(*m)[len(*m)-1])
		if d.count > before {
			*m = (*m)[:len(*m)-1] // drop an invalid value
		}
	}
}
