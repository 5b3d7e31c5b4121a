package topo

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unique"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/internal/mark"
)

// A Route is an entry of a routing table. Routes that the kernel creates itself, for
// the subnets of addresses, are not included.
type Route struct {
	NS  string
	Dst netip.Prefix // masked; 0.0.0.0/0 and ::/0 are the default route
	// Type is unicast, blackhole, unreachable or prohibit; "" means unicast.
	Type string
	// Hops are the next hops, each with its device; zero for types without next hops.
	Hops   Hops
	Src    netip.Addr // preferred source; invalid means the kernel's choice
	Table  uint32     // 0 means main
	Metric uint32     // 0 means the kernel's default: 0 for IPv4, 1024 for IPv6
	MTU    int        // bytes; 0 means the device's
}

// typeUnicast is the type of ordinary routes.
const typeUnicast = "unicast"

// Key implements [Object]: destination, table and metric.
func (r Route) Key() Key {
	r = r.plain()
	return Key{OfRoute, r.NS, r.dst() + r.place()}
}

func (r Route) dst() string {
	switch {
	case r.Dst.Bits() == 0 && r.Dst.Addr().Is4():
		return "default"
	case r.Dst.Bits() == 0:
		return "default6"
	}
	return r.Dst.String()
}

func (r Route) place() (s string) {
	if r.Table != 0 {
		s += " table " + strconv.FormatUint(uint64(r.Table), 10)
	}
	if r.Metric != 0 {
		s += " metric " + strconv.FormatUint(uint64(r.Metric), 10)
	}
	return s
}

// String is "red: route default via 192.168.15.1 dev eth0".
func (r Route) String() string { return display.In(r.NS) + "route " + r.words() }

// words returns the route in ip-route(8)'s words.
func (r Route) words() string { return r.wordsWith("") }

// wordsWith inserts more words before the hops, where ip(8) accepts them.
func (r Route) wordsWith(more string) string {
	dst := r.dst()
	if dst == "default6" {
		dst = "::/0"
	}
	if r.Type != "" && r.Type != typeUnicast {
		dst = r.Type + " " + dst
	}
	s := dst + r.place()
	if r.Src.IsValid() {
		s += " src " + r.Src.String()
	}
	if r.MTU != 0 {
		s += " mtu " + strconv.Itoa(r.MTU)
	}
	s += more
	if r.Hops != (Hops{}) {
		s += " " + r.Hops.String()
	}
	return s
}

func (r Route) needs() []Key {
	keys := []Key{{OfNamespace, r.NS, ""}}
	for h := range r.Hops.All() {
		keys = append(keys, Key{OfLink, r.NS, h.Device}, Key{OfUp, r.NS, h.Device})
	}
	return keys
}

func (r Route) provides() []Key { return []Key{r.Key()} }

func (r Route) canBecome(next Object) bool {
	n, ok := next.(Route)
	return ok && r.Type == n.Type
}

// rank puts routes with a next hop address (Via) last: unless they are onlink, the kernel accepts
// them only if a route to that address exists.
func (r Route) rank() int {
	for h := range r.Hops.All() {
		if h.Via.IsValid() && !h.Onlink {
			return 1
		}
	}
	return 0
}

func (r Route) needsIPv6() bool { return r.Dst.Addr().Is6() }

func (r Route) useIPv6(uses linkUses) {
	for h := range r.Hops.All() {
		if r.Dst.Addr().Is6() || h.Via.Is6() {
			uses[Key{OfLink, r.NS, h.Device}] |= usesIPv6Otherwise
		}
	}
}

func (r Route) needsInState(d dependencies) (keys []Key) {
	for h := range r.Hops.All() {
		keys = append(keys, r.hopAddresses(d, h)...)
	}
	return keys
}

// hopAddresses returns the addresses that a next hop of a route needs: those whose subnet
// contains Via, and the preferred source, which may be on lo. A next hop without Via needs all
// addresses of its link: the kernel deletes the route together with the last IPv4 address.
func (r Route) hopAddresses(d dependencies, h Hop) (keys []Key) {
	for _, a := range d.addrs[Key{OfLink, r.NS, h.Device}] {
		if a.Prefix.Addr().Is4() != r.Dst.Addr().Is4() && !h.Via.IsValid() {
			continue
		}
		if a.reaches(h) || r.Src == a.Prefix.Addr() {
			keys = append(keys, a.Key())
		}
	}
	for _, a := range d.addrs[Key{OfLink, r.NS, "lo"}] {
		if r.Src == a.Prefix.Addr() {
			keys = append(keys, a.Key())
		}
	}
	return keys
}

func (r Route) normal() Object { return r.plain() }

func (r Route) plain() Route {
	r.Dst = r.Dst.Masked()
	if r.Type == typeUnicast {
		r.Type = ""
	}
	if r.Table == linux.MainTable {
		r.Table = 0
	}
	if r.Metric == linux.Metric6 && r.Dst.Addr().Is6() {
		r.Metric = 0
	}
	return r
}

// commands returns commands that also write a record in namespaces that the lab did not create.
func (r Route) commands(w *scriptWriter, s Step) []command {
	cmds := []command{{r.NS, "ip", "route " + ipVerb(s) + " " + r.wordsWith(" proto "+strconv.Itoa(mark.Protocol))}}
	record := command{r.NS, "ip", "link property " + ipVerb(s) + " dev lo altname " + mark.Route(w.lab, r.Key().Name)}
	n, _ := w.state[Key{OfNamespace, r.NS, ""}].(Namespace)
	switch {
	case r.NS != "" && n.From == "" || s.Op() == Change:
		return cmds
	case s.Op() == Create:
		return []command{record, cmds[0]}
	}
	return append(cmds, record)
}

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

// NewHops returns the hops as a value. The weight of a single hop is ignored. A single zero hop
// means no hop.
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
