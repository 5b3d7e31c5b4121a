package live

import (
	"cmp"
	"net/netip"
	"reflect"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// A linkKind says how vnet creates and reads the links of a kind. To support another kind, add it
// to linkKinds.
type linkKind struct {
	name string // the kernel's; see [rtnl.Kind]
	// sample is an object of the kind. If a kernel may lack the kind, vnet first creates the
	// sample in a namespace whose only other link is scratchParentName.
	sample topo.Object
	// encode returns what the request for an object needs; nil if tasks makes the whole request.
	encode func(o topo.Object) newLink
	// decode returns the object of a link. l has the properties that all kinds have.
	decode func(r *stateBuilder, e linkEntry, l topo.Link) topo.Object
	// tasks returns the tasks that create a link; nil means those of newLinkTasks.
	tasks func(rb *requestBuilder, o topo.Object) ([]task, error)
}

// A newLink is what a request to create a link consists of.
type newLink struct {
	topo.Link
	parentNS, parent string // parent is "" if the link has none
	// parentOption is the option that has the parent's index; "" means the attribute IFLA_LINK.
	parentOption string
	options      rtnl.Options
}

// setParent writes the parent's index into a request.
func (n newLink) setParent(c *rtnl.LinkConfig, index uint32) {
	if n.parentOption == "" {
		c.Parent = index
		return
	}
	c.Kind.Options[n.parentOption] = uint64(index)
}

var linkKinds = []linkKind{
	{
		name: "bridge", sample: topo.Bridge{VLANFiltering: true},
		encode: func(o topo.Object) newLink { return encodeBridge(o.(topo.Bridge)) },
		tasks:  func(rb *requestBuilder, o topo.Object) ([]task, error) { return rb.bridgeTasks(o.(topo.Bridge)) },
		decode: func(_ *stateBuilder, e linkEntry, l topo.Link) topo.Object {
			return topo.Bridge{Link: l, STP: e.option("stp_state") != 0, VLANFiltering: e.option("vlan_filtering") != 0}
		},
	},
	{
		name: "veth", sample: topo.Veth{},
		tasks:  func(rb *requestBuilder, o topo.Object) ([]task, error) { return rb.vethTasks(o.(topo.Veth)) },
		decode: func(r *stateBuilder, e linkEntry, l topo.Link) topo.Object { return r.veth(e, l) },
	},
	{
		name: linux.TypeDummy, sample: topo.Dummy{},
		encode: func(o topo.Object) newLink { return newLink{Link: o.(topo.Dummy).Link} },
		decode: func(_ *stateBuilder, _ linkEntry, l topo.Link) topo.Object { return topo.Dummy{Link: l} },
	},
	{
		name: linux.TypeVLAN, sample: topo.VLAN{Parent: scratchParentName, ID: 1},
		encode: func(o topo.Object) newLink {
			v := o.(topo.VLAN)
			return newLink{Link: v.Link, parentNS: v.NS, parent: v.Parent, options: rtnl.Options{"id": uint64(v.ID)}}
		},
		decode: func(_ *stateBuilder, e linkEntry, l topo.Link) topo.Object {
			return topo.VLAN{Link: l, Parent: e.snapshot.names[e.link.Parent], ID: uint16(e.option("id"))}
		},
	},
	{
		name: linux.TypeVXLAN, sample: topo.VXLAN{ID: 1},
		encode: func(o topo.Object) newLink { return encodeVXLAN(o.(topo.VXLAN)) },
		decode: func(_ *stateBuilder, e linkEntry, l topo.Link) topo.Object {
			return topo.VXLAN{
				Link: l, ID: uint32(e.option("id")), Port: uint16(e.option("dstport")),
				Parent: e.snapshot.names[uint32(e.option("link"))],
				Local:  e.addrOption("local"), Remote: e.addrOption("remote"),
			}
		},
	},
	{
		name: linux.TypeMacvlan, sample: topo.Macvlan{Parent: scratchParentName},
		encode: func(o topo.Object) newLink {
			m := o.(topo.Macvlan)
			mode := modeOption(naming.LabMacvlanModes, m.Mode)
			return newLink{Link: m.Link, parentNS: m.ParentNS, parent: m.Parent, options: mode}
		},
		decode: func(r *stateBuilder, e linkEntry, l topo.Link) topo.Object {
			ns, parent := r.parent(e)
			return topo.Macvlan{Link: l, ParentNS: ns, Parent: parent, Mode: naming.LabMacvlanModes.Name(e.option("mode"))}
		},
	},
	{
		name: linux.TypeIpvlan, sample: topo.Ipvlan{Parent: scratchParentName},
		encode: func(o topo.Object) newLink {
			i := o.(topo.Ipvlan)
			mode := modeOption(naming.IpvlanModes, i.Mode)
			return newLink{Link: i.Link, parentNS: i.ParentNS, parent: i.Parent, options: mode}
		},
		decode: func(r *stateBuilder, e linkEntry, l topo.Link) topo.Object {
			ns, parent := r.parent(e)
			return topo.Ipvlan{Link: l, ParentNS: ns, Parent: parent, Mode: naming.IpvlanModes.Name(e.option("mode"))}
		},
	},
}

// linkKindOf returns the kind of an object, nil if it is not a link.
func linkKindOf(o topo.Object) *linkKind {
	for i := range linkKinds {
		if reflect.TypeOf(linkKinds[i].sample) == reflect.TypeOf(o) {
			return &linkKinds[i]
		}
	}
	return nil
}

// linkKindNamed returns the kind with the kernel's name, nil if labs do not have it.
func linkKindNamed(name string) *linkKind {
	for i := range linkKinds {
		if linkKinds[i].name == name {
			return &linkKinds[i]
		}
	}
	return nil
}

func encodeBridge(b topo.Bridge) newLink {
	return newLink{Link: b.Link, options: bridgeOptions(topo.Bridge{}, b)}
}

// bridgeOptions returns the options in which b differs from was.
func bridgeOptions(was, b topo.Bridge) rtnl.Options {
	options := rtnl.Options{}
	for name, value := range b.OptionsSince(was) {
		options[name] = value
	}
	return options
}

func encodeVXLAN(v topo.VXLAN) newLink {
	o := rtnl.Options{"id": uint64(v.ID), "dstport": uint64(cmp.Or(v.Port, linux.VXLANPort)), "learning": uint64(1)}
	if v.Local.IsValid() {
		o["local"] = v.Local
	}
	if v.Remote.IsValid() {
		o["remote"] = v.Remote
	}
	return newLink{Link: v.Link, parentNS: v.NS, parent: v.Parent, parentOption: "link", options: o}
}

// modeOption returns the option for a mode of a macvlan or ipvlan link. "" is the first mode.
func modeOption(modes naming.Modes, mode string) rtnl.Options {
	number, _ := modes.Number(cmp.Or(mode, modes[0].Name))
	return rtnl.Options{"mode": number}
}

// option returns an option of the link's kind that is a number; 0 if it has none.
func (e linkEntry) option(name string) uint64 { return optionNumber(e.link.Kind.Options, name) }

func optionNumber(o rtnl.Options, name string) uint64 {
	n, _ := o[name].(uint64)
	return n
}

func (e linkEntry) addrOption(name string) netip.Addr {
	a, _ := e.link.Kind.Options[name].(netip.Addr)
	if a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}
