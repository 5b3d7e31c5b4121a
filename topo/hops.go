package topo

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"unique"
)

// A Hop is one next hop of a route.
type Hop struct {
	Via    netip.Addr // invalid for a route directly to a device
	Device string     // "" means the device whose subnet contains Via
	Weight int        // weight in a multipath route, 1–256; 0 means 1
	Onlink bool       // Via is on the link although no subnet contains it
}

// Hops are the next hops of a route. They are comparable with ==; the order matters. The zero
// value has no hop.
type Hops struct {
	first unique.Handle[hopNode] // the zero handle ends the list
}

// A hopNode is an element of a list: equal lists have the same handle.
type hopNode struct {
	hop  Hop
	rest Hops
}

// NewHops returns the hops as a value. A single hop has no weight. A single hop that is zero
// is no hop.
func NewHops(hops ...Hop) Hops {
	var list Hops
	for _, h := range slices.Backward(hops) {
		h.Weight = max(h.Weight, 1)
		if len(hops) == 1 {
			h.Weight = 0
		}
		if len(hops) > 1 || h != (Hop{}) {
			list = Hops{unique.Make(hopNode{h, list})}
		}
	}
	return list
}

// All iterates over the hops.
func (h Hops) All() iter.Seq[Hop] {
	return func(yield func(Hop) bool) {
		for h != (Hops{}) {
			node := h.first.Value()
			if !yield(node.hop) {
				return
			}
			h = node.rest
		}
	}
}

// List returns the hops as a list.
func (h Hops) List() []Hop { return slices.Collect(h.All()) }

// String returns the hops in ip-route(8)'s words: "via 10.0.0.1 dev eth0" for
// one, "nexthop via … dev … weight 1 nexthop …" for several.
func (h Hops) String() string {
	var words []string
	for hop := range h.All() {
		if hop.Weight > 0 {
			words = append(words, "nexthop")
		}
		if hop.Via.IsValid() {
			words = append(words, "via "+hop.Via.String())
		}
		if hop.Device != "" {
			words = append(words, "dev "+hop.Device)
		}
		if hop.Weight > 0 {
			words = append(words, fmt.Sprintf("weight %d", hop.Weight))
		}
		if hop.Onlink {
			words = append(words, "onlink")
		}
	}
	return strings.Join(words, " ")
}

// MarshalText returns String as text.
func (h Hops) MarshalText() ([]byte, error) { return []byte(h.String()), nil }
