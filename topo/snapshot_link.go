//go:build linux

package topo

import (
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
)

// unknownNS stands for a namespace that is none of the lab's: somebody moved a
// link there.
const unknownNS = "?"

// An end is a link in a view.
type end struct {
	view *spaceView
	link *rtnl.Link
}

// ends finds links by their own index and that of what they say they belong to.
type endTable map[[2]uint32][]end

// links puts in the lab's links: those with its mark, and their peers.
func (r *reading) links() {
	table := endTable{}
	for _, v := range r.views {
		for i := range v.links {
			l := &v.links[i]
			if l.Kind.Name == "veth" {
				at := [2]uint32{l.Index, l.Parent}
				table[at] = append(table[at], end{v, l})
			}
		}
	}
	for _, v := range r.views {
		for i := range v.links {
			if l := &v.links[i]; l.Alias == Mark(r.lab) && l.Name != "lo" && !v.ours[l.Index] {
				r.link(end{v, l}, table)
			}
		}
	}
}

func (r *reading) link(e end, table endTable) {
	e.view.ours[e.link.Index] = true
	l := e.common()
	o := e.link.Kind.Options
	switch e.link.Kind.Name {
	case "bridge":
		r.put(Bridge{Link: l, STP: optionNumber(o, "stp_state") != 0, VLANFiltering: optionNumber(o, "vlan_filtering") != 0})
	case "veth":
		r.veth(e, table)
	case "dummy":
		r.put(Dummy{l})
	case "vlan":
		r.put(VLAN{l, e.view.names[e.link.Parent], uint16(optionNumber(o, "id"))})
	case "vxlan":
		v := VXLAN{Link: l, ID: uint32(optionNumber(o, "id")), Port: uint16(optionNumber(o, "dstport")), Parent: e.view.names[uint32(optionNumber(o, "link"))]}
		v.Local, v.Remote = optionAddr(o, "local"), optionAddr(o, "remote")
		r.put(v)
	case "macvlan":
		ns, parent := r.parent(e)
		r.put(Macvlan{l, ns, parent, modeName(macvlanModes, optionNumber(o, "mode"))})
	case "ipvlan":
		ns, parent := r.parent(e)
		r.put(Ipvlan{l, ns, parent, modeName(ipvlanModes, optionNumber(o, "mode"))})
	}
}

// common is what all links have.
func (e end) common() Link {
	l := Link{NS: e.view.space.name, Name: e.link.Name, MTU: int(e.link.MTU), Master: e.view.names[e.link.Master]}
	if len(e.link.Address) == len(MAC{}) {
		l.MAC = MAC([]byte(e.link.Address))
	}
	for _, alt := range e.link.AltNames {
		if !strings.HasPrefix(alt, "vnet:") {
			l.AltName = alt
			break
		}
	}
	l.Isolated, l.Hairpin = optionNumber(e.link.Port, "isolated") != 0, optionNumber(e.link.Port, "hairpin") != 0
	return l
}

func optionNumber(o rtnl.Options, name string) uint64 {
	n, _ := o[name].(uint64)
	return n
}

func optionAddr(o rtnl.Options, name string) netip.Addr {
	a, _ := o[name].(netip.Addr)
	if a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}

func modeName(modes map[string]uint64, mode uint64) string {
	for name, n := range modes {
		if n == mode {
			return name
		}
	}
	return ""
}

func (r *reading) veth(near end, table endTable) {
	far, ok := r.peer(near, table)
	if !ok {
		// Its name is not known either; but of several such cables, each is one.
		nameless := near.view.space.name + ":" + near.link.Name
		r.put(Veth{Ends: [2]Link{near.common(), {NS: unknownNS, Name: nameless}}})
		return
	}
	far.view.ours[far.link.Index] = true
	r.put(Veth{Ends: [2]Link{near.common(), far.common()}})
	if near.link.Up() && far.link.Up() {
		r.waitFor(near)
		r.waitFor(far)
	}
}

func (r *reading) waitFor(e end) {
	if e.link.Flags&unix.IFF_LOWER_UP == 0 {
		r.unready = append(r.unready, waiting{e.view.space, e.link.Index})
	}
}

// peer finds the other end of a cable. Indexes alone may be those of another
// cable's end, in another namespace.
func (r *reading) peer(near end, table endTable) (end, bool) {
	for _, far := range table[[2]uint32{near.link.Parent, near.link.Index}] {
		// Each end says where the other one is. To look a namespace up by its number
		// takes the kernel longer the more numbers there are: the machine has one for
		// each host, a host one for the machine.
		asked, other := near, far
		if near.view.space.name == "" {
			asked, other = far, near
		}
		if asked.sees(other) {
			return far, true
		}
	}
	return end{}, false
}

// sees tells whether the namespace that a link says its peer or parent is in is
// that of the other one.
func (e end) sees(other end) bool {
	if e.link.ParentNSID == nil {
		return e.view == other.view
	}
	id, err := e.view.space.nsid(other.view.space)
	return err == nil && id == *e.link.ParentNSID
}

// nsid is the number that another namespace has in this one.
func (s *space) nsid(other *space) (int32, error) {
	if id, ok := s.nsids[other]; ok {
		return id, nil
	}
	var id int32
	err := other.withFile(func(ns *os.File) (err error) {
		id, err = s.conn.NSID(ns)
		return err
	})
	if err == nil && id >= 0 {
		s.nsids[other] = id
	}
	return id, err
}

// parent is the link that a macvlan or ipvlan stands on.
func (r *reading) parent(e end) (ns, name string) {
	if e.link.ParentNSID == nil {
		return e.view.space.name, e.view.names[e.link.Parent]
	}
	for _, v := range r.views {
		if id, err := e.view.space.nsid(v.space); err == nil && id == *e.link.ParentNSID {
			return v.space.name, v.names[e.link.Parent]
		}
	}
	return unknownNS, ""
}
