package topo

import "cmp"

// An order sorts the objects of states for creation: each comes after all that it needs.
type order struct {
	links map[Key]Object // by key; a veth pair by both
}

func newOrder(states ...State) order {
	o := order{links: map[Key]Object{}}
	for _, s := range states {
		for _, object := range s {
			if object.Key().Kind == OfLink {
				for _, k := range object.provides() {
					o.links[k] = object
				}
			}
		}
	}
	return o
}

// The places in the order. Bridges are set up after everything that makes hosts send
// packets, and addresses on bridges come after that. Otherwise packets from new ports are
// flooded to all earlier ports, and a thousand hosts take four times as long.
const (
	placeNamespace = iota
	placeLink
	placePort
	placeVLAN
	placeQdisc
	placeOffload
	placeSysctl
	placeNAT
	placeAddrGen
	placeUp
	placeAddress
	placeNeigh
	placeBridgeUp
	placeBridgeAddress
	placeBridgeNeigh
	placeRoute
	placeFile
	placeProcess
)

// places has the place of each kind, and its place for objects on a bridge.
var places = map[Kind][2]int{
	OfNamespace:  {placeNamespace, placeNamespace},
	OfLink:       {placeLink, placeLink},
	OfPort:       {placePort, placePort},
	OfBridgeVLAN: {placeVLAN, placeVLAN},
	OfQdisc:      {placeQdisc, placeQdisc},
	OfOffload:    {placeOffload, placeOffload},
	OfSysctl:     {placeSysctl, placeSysctl},
	OfNAT:        {placeNAT, placeNAT},
	OfAddrGen:    {placeAddrGen, placeAddrGen},
	OfUp:         {placeUp, placeBridgeUp},
	OfAddress:    {placeAddress, placeBridgeAddress},
	OfNeigh:      {placeNeigh, placeBridgeNeigh},
	OfRoute:      {placeRoute, placeRoute},
	OfFile:       {placeFile, placeFile},
	OfProcess:    {placeProcess, placeProcess},
}

// A position is the position of an object in the order.
type position struct {
	place, depth, rank int
	key                Key
}

func (o order) of(object Object) position {
	k := object.Key()
	p := position{place: places[k.Kind][0], key: k}
	switch x := object.(type) {
	case Up:
		p.place, p.depth = o.placeOn(k, x.Link), o.depth(o.links[Key{OfLink, x.NS, x.Link}], 0)
	case Address:
		p.place = o.placeOn(k, x.Link)
	case Neigh:
		p.place = o.placeOn(k, x.Link)
	case Route:
		p.rank = rankOfRoute(x)
	case Sysctl:
		p.rank = rankOfSysctl(x)
	default:
		if k.Kind == OfLink {
			p.depth, p.rank = o.depth(object, 0), rankOfLink(object)
		}
	}
	return p
}

func (o order) placeOn(k Key, link string) int {
	at := Key{OfLink, k.NS, link}
	for range mostParents {
		if _, ok := o.links[at].(Bridge); ok {
			return places[k.Kind][1]
		}
		at = parentOf(o.links[at])
	}
	return places[k.Kind][0]
}

// mostParents limits a chain of parents. The kernel allows fewer, and no loops.
const mostParents = 16

// depth returns how many parents a link has, one above the other.
func (o order) depth(link Object, from int) int {
	parent, ok := o.links[parentOf(link)]
	if !ok || from == mostParents {
		return from
	}
	return o.depth(parent, from+1)
}

// parentOf returns the key of a link's parent; zero if it has none.
func parentOf(link Object) Key {
	switch l := link.(type) {
	case VLAN:
		return Key{OfLink, l.NS, l.Parent}
	case VXLAN:
		return Key{OfLink, l.NS, l.Parent}
	case Macvlan:
		return Key{OfLink, l.ParentNS, l.Parent}
	case Ipvlan:
		return Key{OfLink, l.ParentNS, l.Parent}
	}
	return Key{}
}

// rankOfLink puts bridges before their ports.
func rankOfLink(link Object) int {
	switch link.(type) {
	case Bridge:
		return 0
	case Veth:
		return 1
	}
	return 2
}

// rankOfRoute puts routes to a device before routes through a gateway: they may lead
// to the gateway.
func rankOfRoute(r Route) int {
	for _, h := range r.NextHops() {
		if h.Via.IsValid() && !h.Onlink {
			return 1
		}
	}
	return 0
}

// rankOfSysctl puts settings for all links before settings for one link: writing the
// former (for example ip_forward) may change the latter.
func rankOfSysctl(s Sysctl) int {
	if s.link() != "" {
		return 1
	}
	return 0
}

// comparePlaces compares everything but the keys.
func comparePlaces(a, b position) int {
	return cmp.Or(cmp.Compare(a.place, b.place), cmp.Compare(a.depth, b.depth), cmp.Compare(a.rank, b.rank))
}
