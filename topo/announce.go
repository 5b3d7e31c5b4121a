package topo

import (
	"net/netip"

	"github.com/vnet-lab/vnet/internal/linux"
)

// An Announcement sends the MAC address of an IP address to the neighbours of a link. Without it,
// they send packets to the former MAC address until their neighbour entries expire, in about half
// a minute.
type Announcement struct {
	NS   string // of the link that sends
	Link string
	Addr netip.Addr // invalid means all addresses of the link
	MAC  MAC        // of Addr
	// Router is the flag of an IPv6 neighbour advertisement: the host forwards IPv6 packets.
	Router bool
}

// Announcements returns what to announce after the plan changed have into want: all addresses of a
// link whose MAC address changed, and each new address that neighbours may know with another MAC
// address. For neighbours inside the lab, this is so if have has the address with another MAC address, or
// if stale returns true. Neighbours behind an uplink may know any address. If only they need the
// announcement, the uplink itself sends it, because a bridge would flood it to all its ports.
func (p Plan) Announcements(have, want State, stale func(netip.Addr, MAC) bool) (list []Announcement) {
	w := newStateLinks(want)
	former := formerMACs{}
	if len(have) > 0 {
		former = newFormerMACs(have)
	}
	for _, s := range p {
		switch o := s.Want.(type) {
		case Address:
			mac, addr := w.links[o.onLink()].MAC, o.Prefix.Addr()
			router := want[Key{OfSysctl, o.NS, linux.ForwardingIPv6}] == Object(Sysctl{o.NS, linux.ForwardingIPv6, "1"})
			if former.differ(addr, mac) || stale(addr, mac) {
				list = append(list, Announcement{o.NS, o.Link, addr, mac, router})
				continue
			}
			for _, out := range w.outside(o.onLink()) {
				list = append(list, Announcement{out.NS, out.Name, addr, mac, router})
			}
		case LinkObject:
			if s.Op() != Change {
				continue
			}
			for i, l := range o.Links() {
				if s.Have.(LinkObject).Links()[i].MAC != l.MAC {
					router := want[Key{OfSysctl, l.NS, linux.ForwardingIPv6}] == Object(Sysctl{l.NS, linux.ForwardingIPv6, "1"})
					list = append(list, Announcement{NS: l.NS, Link: l.Name, MAC: l.MAC, Router: router})
				}
			}
		}
	}
	return list
}

// formerMACs has, for each IP address, the MAC addresses of the links that had it.
type formerMACs map[netip.Addr][]MAC

func newFormerMACs(have State) formerMACs {
	w := newStateLinks(have)
	f := formerMACs{}
	for _, o := range have {
		if a, ok := o.(Address); ok {
			f[a.Prefix.Addr()] = append(f[a.Prefix.Addr()], w.links[a.onLink()].MAC)
		}
	}
	return f
}

// differ reports whether the address had another MAC address.
func (f formerMACs) differ(addr netip.Addr, mac MAC) bool {
	for _, m := range f[addr] {
		if m != mac {
			return true
		}
	}
	return false
}

// stateLinks has the links of a state, and says which of them connect the lab to the outside.
type stateLinks struct {
	links map[Key]Link
	peers map[Key]Link  // the other ends of veth pairs
	out   map[Key][]Key // the uplinks and VXLAN devices of bridges, and the parents of macvlan devices
	// filters has the bridges with VLAN filtering.
	filters map[Key]bool
}

func newStateLinks(s State) stateLinks {
	w := stateLinks{map[Key]Link{}, map[Key]Link{}, map[Key][]Key{}, map[Key]bool{}}
	for _, o := range s {
		switch o := o.(type) {
		case Port:
			bridge := Key{OfLink, o.NS, o.Master}
			w.out[bridge] = append(w.out[bridge], Key{OfLink, o.NS, o.Link})
		case VXLAN:
			bridge := Key{OfLink, o.NS, o.Master}
			w.out[bridge] = append(w.out[bridge], o.Key())
		case Macvlan:
			w.out[o.Key()] = []Key{o.parent()}
		case Veth:
			w.peers[o.Ends[0].Key()], w.peers[o.Ends[1].Key()] = o.Ends[1], o.Ends[0]
		case Bridge:
			w.filters[o.Key()] = o.VLANFiltering
		}
		if made, ok := o.(LinkObject); ok {
			for _, l := range made.Links() {
				w.links[l.Key()] = l
			}
		}
	}
	return w
}

// outside returns the links that can send packets of a link to the outside of the lab; none if the link is
// not connected to the outside. With VLAN filtering it returns the link itself: the bridge must add the tag.
func (w stateLinks) outside(link Key) []Key {
	at := link
	if peer, ok := w.peers[link]; ok {
		at = Key{OfLink, peer.NS, peer.Master}
	}
	if w.filters[at] && len(w.out[at]) > 0 {
		return []Key{link}
	}
	return w.out[at]
}
