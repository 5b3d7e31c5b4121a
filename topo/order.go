package topo

import (
	"sort"

	"github.com/vnet-lab/vnet/internal/naming"
)

// An order sorts the objects of states for creation: each comes after all that it needs.
type order struct {
	links map[Key]LinkObject // by key; a veth pair by both
}

func newOrder(states ...State) order {
	o := order{links: map[Key]LinkObject{}}
	for _, s := range states {
		for _, object := range s {
			o.add(object)
		}
	}
	return o
}

func (o order) add(object Object) {
	if link, ok := object.(LinkObject); ok {
		for _, k := range link.provides() {
			o.links[k] = link
		}
	}
}

// A sortKey is what an object is sorted by. Numbers are compared first, because comparing names takes much
// longer. Objects with the same number are of one kind and in one namespace.
type sortKey struct {
	number uint64
	name   string
	index  int
}

// sort sorts objects by their keys, no two of which are equal. at returns the object whose key is keys[i], and
// whether a step changes it.
func (o order) sort(keys []Key, at func(i int) (o Object, change bool)) []sortKey {
	namespaces := namespaceRanks(keys)
	sorted := make([]sortKey, len(keys))
	for i, k := range keys {
		object, change := at(i)
		p := o.of(k, object)
		p.change, p.namespace = change, namespaces[k.NS]
		sorted[i] = sortKey{p.number(), k.Name, i}
	}
	sort.Slice(sorted, func(i, j int) bool {
		a, b := &sorted[i], &sorted[j]
		if a.number != b.number {
			return a.number < b.number
		}
		return naming.Compare(a.name, b.name) < 0
	})
	return sorted
}

// namespaceRanks numbers the namespaces of the keys in the order of their names.
func namespaceRanks(keys []Key) map[string]int {
	ranks := map[string]int{}
	for _, k := range keys {
		ranks[k.NS] = 0
	}
	for i, ns := range naming.Sorted(ranks) {
		ranks[ns] = i
	}
	return ranks
}

// A position says where an object comes in the order: by place, depth, rank, change and namespace.
type position struct {
	place, depth, rank int  // less than 256
	change             bool // the step changes the object
	namespace          int  // the rank of the namespace
}

// number returns the position as a number, which is larger for a later position.
func (p position) number() uint64 {
	n := uint64(p.place)<<16 | uint64(p.depth)<<8 | uint64(p.rank)
	n <<= 1
	if p.change {
		n |= 1
	}
	return n<<32 | uint64(p.namespace)
}

// A ranked object comes before the objects of its kind with a higher rank; without the
// method, the rank is 0.
type ranked interface{ rank() int }

// An onLink object is on a link of its namespace; onLink returns the link's key.
type onLink interface{ onLink() Key }

// of returns the position of the object with key k.
func (o order) of(k Key, object Object) position {
	row := kinds[k.Kind]
	p := position{place: row.place}
	if r, ok := object.(ranked); ok {
		p.rank = r.rank()
	}
	if row.placeOnBridges == row.place && !row.parentsFirst {
		return p
	}
	link := k
	if on, ok := object.(onLink); ok {
		link = on.onLink()
	}
	if row.placeOnBridges != row.place && o.onBridge(link) {
		p.place = row.placeOnBridges
	}
	if row.parentsFirst {
		p.depth = o.depth(link)
	}
	return p
}

// onBridge reports whether a link or one of its parents is a bridge.
func (o order) onBridge(link Key) bool {
	for range mostParents {
		at, ok := o.links[link]
		if !ok {
			return false
		}
		if _, ok := at.(Bridge); ok {
			return true
		}
		link = at.parent()
	}
	return false
}

// mostParents limits a chain of parents. The kernel allows fewer, and no loops.
const mostParents = 16

// depth returns how many parents a link has, one above the other.
func (o order) depth(link Key) (depth int) {
	for at, ok := o.links[link]; ok && depth < mostParents; depth++ {
		if at, ok = o.links[at.parent()]; !ok {
			break
		}
	}
	return depth
}

// parentOf returns the key of a link's parent; zero if there is none, or no such link.
func (o order) parentOf(link Key) Key {
	if l, ok := o.links[link]; ok {
		return l.parent()
	}
	return Key{}
}
