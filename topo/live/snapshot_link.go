package live

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/convert"
)

// unknownNS is the name of any namespace that is not the lab's: somebody moved a link there.
const unknownNS = "?"

// A linkEntry is a link in the snapshot of a namespace.
type linkEntry struct {
	snapshot *netnsSnapshot
	link     *rtnl.Link
}

// A vethTable has veth ends by their own index and their peer's (IFLA_LINK).
type vethTable map[[2]uint32][]linkEntry

// links adds the lab's links: those with its mark, and their peers.
func (r *stateBuilder) links() {
	r.findVeths()
	for _, v := range r.snapshots {
		for i := range v.Links {
			if l := &v.Links[i]; l.Alias == mark.Of(r.lab) && l.Name != "lo" && !v.inLab[l.Index] {
				r.link(linkEntry{v, l})
			}
		}
	}
}

// findVeths fills the table of veth ends.
func (r *stateBuilder) findVeths() {
	r.veths = vethTable{}
	for _, v := range r.snapshots {
		for i := range v.Links {
			if l := &v.Links[i]; l.Kind.Name == "veth" {
				at := [2]uint32{l.Index, l.Parent}
				r.veths[at] = append(r.veths[at], linkEntry{v, l})
			}
		}
	}
}

func (r *stateBuilder) link(e linkEntry) {
	e.snapshot.inLab[e.link.Index] = true
	switch k := convert.LinkKindNamed(e.link.Kind.Name); {
	case k == nil:
	case k.Decode == nil:
		r.put(r.veth(e, r.commonConfig(e)))
	default:
		in := convert.ListedLink{Link: e.link, Names: e.snapshot.Names}
		in.Wanted = r.want[topo.LinkKey(e.snapshot.handle.Name, e.link.Name)]
		in.Resolve = func() (ns, name string) { return r.parent(e) }
		r.put(k.Decode(in, r.commonConfig(e)))
	}
}

// commonConfig returns the properties that all kinds of links have.
func (r *stateBuilder) commonConfig(e linkEntry) topo.Link {
	l := topo.Link{
		NS: e.snapshot.handle.Name, Name: e.link.Name, MTU: int(e.link.MTU), Master: e.snapshot.Names[e.link.Master],
	}
	if len(e.link.Address) == len(topo.MAC{}) {
		l.MAC = topo.MAC([]byte(e.link.Address))
	}
	l.AltName = r.altName(l.Key(), e.link.AltNames)
	l.Isolated = convert.OptionNumber(e.link.Port, "isolated") != 0
	l.Hairpin = convert.OptionNumber(e.link.Port, "hairpin") != 0
	return l
}

// altName returns the wanted alternative name of a link, if the link has it. It ignores other names, which other
// programs may have added. For a link that is not wanted, it returns the first alternative name.
func (r *stateBuilder) altName(link topo.Key, names []string) string {
	first := slices.IndexFunc(names, func(n string) bool { return !strings.HasPrefix(n, "vnet:") })
	if first < 0 {
		return ""
	}
	if r.wantedAltNames == nil {
		r.wantedAltNames = wantedAltNames(r.want)
	}
	wanted, known := r.wantedAltNames[link]
	switch {
	case !known:
		return names[first]
	case slices.Contains(names, wanted):
		return wanted
	}
	return ""
}

// wantedAltNames returns the alternative names of all links of a state; "" for a link without.
func wantedAltNames(want topo.State) map[topo.Key]string {
	names := map[topo.Key]string{}
	for _, o := range want {
		if o, ok := o.(topo.LinkObject); ok {
			for _, l := range o.Links() {
				names[l.Key()] = l.AltName
			}
		}
	}
	return names
}

// veth returns the pair of a veth end whose properties are l.
func (r *stateBuilder) veth(near linkEntry, l topo.Link) topo.Veth {
	far, ok := r.peer(near)
	if !ok {
		// The peer's name is unknown; this one distinguishes several such pairs.
		peerName := near.snapshot.handle.Name + ":" + near.link.Name
		return topo.Veth{Ends: [2]topo.Link{l, {NS: unknownNS, Name: peerName}}}
	}
	far.snapshot.inLab[far.link.Index] = true
	if near.link.Up() && far.link.Up() {
		r.noteCarrier(near, far)
		r.noteCarrier(far, near)
	}
	return topo.Veth{Ends: [2]topo.Link{l, r.commonConfig(far)}}
}

func (r *stateBuilder) noteCarrier(e, peer linkEntry) {
	if e.link.Flags&unix.IFF_LOWER_UP == 0 {
		r.withoutCarrier = append(r.withoutCarrier, carrierWait{
			carrierEnd{e.snapshot.handle, e.link.Index}, carrierEnd{peer.snapshot.handle, peer.link.Index}})
	}
}

// peer finds the other end of a veth pair. The indexes alone are not enough: links of
// other namespaces may have the same ones.
func (r *stateBuilder) peer(near linkEntry) (linkEntry, bool) {
	for _, far := range r.veths[[2]uint32{near.link.Parent, near.link.Index}] {
		// Each end has the nsid of the other's namespace. Looking up an nsid takes the
		// kernel longer the more nsids a namespace has: the machine has one for each
		// host, a host has one for the machine. So ask in the host.
		asked, other := near, far
		if near.snapshot.handle.Name == "" {
			asked, other = far, near
		}
		if asked.pointsTo(other) {
			return far, true
		}
	}
	return linkEntry{}, false
}

// pointsTo reports whether the link's IFLA_LINK_NETNSID is the namespace of other.
func (e linkEntry) pointsTo(other linkEntry) bool {
	if e.link.ParentNSID == nil {
		return e.snapshot == other.snapshot
	}
	id, err := e.snapshot.handle.NSID(other.snapshot.handle)
	return err == nil && id == *e.link.ParentNSID
}

// parent returns the parent of a macvlan or ipvlan device.
func (r *stateBuilder) parent(e linkEntry) (ns, name string) {
	if e.link.ParentNSID == nil {
		return e.snapshot.handle.Name, e.snapshot.Names[e.link.Parent]
	}
	for _, v := range r.snapshots {
		if id, err := e.snapshot.handle.NSID(v.handle); err == nil && id == *e.link.ParentNSID {
			return v.handle.Name, v.Names[e.link.Parent]
		}
	}
	return unknownNS, ""
}

// readOffloads reads the checksum offload of the links with the lab's record.
func (rd *reader) readOffloads(v *netnsSnapshot) error {
	var o *rtnl.Offload
	for _, l := range v.Links {
		if !slices.Contains(l.AltNames, mark.Offload(rd.table.Lab, l.Name)) {
			continue
		}
		if o == nil {
			var err error
			if o, err = v.handle.DialOffload(); err != nil {
				return err
			}
			defer o.Close()
		}
		on, err := o.Checksums(l.Name)
		if err != nil {
			return err
		}
		if !on {
			v.noOffload = append(v.noOffload, l.Name)
		}
	}
	return nil
}
