package convert

import (
	"cmp"
	"net/netip"
	"reflect"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// A LinkKind says how vnet creates and reads the links of a kind. To support another kind, add it
// to LinkKinds.
type LinkKind struct {
	Name string // the kernel's; see [rtnl.Kind]
	// Sample is an object of the kind. If a kernel may lack the kind, vnet first creates the
	// sample in a namespace whose only other link is SampleParent.
	Sample topo.Object
	// Encode returns what the request for an object needs; nil for veth, whose request creates two links.
	Encode func(o topo.Object) NewLink
	// Decode returns the object of a link that was read. l has the properties that all kinds have. It is nil for
	// veth: an object has both ends.
	Decode func(in ListedLink, l topo.Link) topo.Object
}

// A ListedLink is a link as the kernel lists it, with the other links that it names by their indexes.
type ListedLink struct {
	*rtnl.Link
	Names map[uint32]string // of the links in its namespace by index
	// Resolve returns the link of IFLA_LINK, which may be in another namespace.
	Resolve func() (ns, name string)
	Wanted  topo.Object // the object that the lab should have with this name; nil if unknown
}

// A NewLink is what a request to create a link consists of.
type NewLink struct {
	topo.Link
	ParentNS, Parent string // Parent is "" if the link has none
	// parentOption is the option that has the parent's index; "" means the attribute IFLA_LINK.
	parentOption string
	Options      rtnl.Options
}

// SetParent writes the parent's index into a request.
func (n NewLink) SetParent(c *rtnl.LinkConfig, index uint32) {
	if n.parentOption == "" {
		c.Parent = index
		return
	}
	c.Kind.Options[n.parentOption] = uint64(index)
}

// SampleParent is the name of the parent of samples.
const SampleParent = "parent"

// LinkKinds are the kinds of links that labs have.
var LinkKinds = []LinkKind{
	{
		Name: "bridge", Sample: topo.Bridge{VLANFiltering: true},
		Encode: func(o topo.Object) NewLink { return encodeBridge(o.(topo.Bridge)) },
		Decode: func(in ListedLink, l topo.Link) topo.Object {
			return topo.Bridge{Link: l, STP: in.option("stp_state") != 0, VLANFiltering: in.option("vlan_filtering") != 0,
				Options: topo.NewBridgeOptions(in.bridgeOption)}
		},
	},
	{Name: "veth", Sample: topo.Veth{}},
	{
		Name: topo.Dummy{}.Type(), Sample: topo.Dummy{},
		Encode: func(o topo.Object) NewLink { return NewLink{Link: o.(topo.Dummy).Link} },
		Decode: func(_ ListedLink, l topo.Link) topo.Object { return topo.Dummy{Link: l} },
	},
	{
		Name: topo.VLAN{}.Type(), Sample: topo.VLAN{Parent: SampleParent, ID: 1},
		Encode: func(o topo.Object) NewLink {
			v := o.(topo.VLAN)
			return NewLink{Link: v.Link, ParentNS: v.NS, Parent: v.Parent, Options: rtnl.Options{"id": uint64(v.ID)}}
		},
		Decode: func(in ListedLink, l topo.Link) topo.Object {
			return topo.VLAN{Link: l, Parent: in.Names[in.Parent], ID: uint16(in.option("id"))}
		},
	},
	{
		Name: topo.VXLAN{}.Type(), Sample: topo.VXLAN{ID: 1},
		Encode: func(o topo.Object) NewLink { return encodeVXLAN(o.(topo.VXLAN)) },
		Decode: func(in ListedLink, l topo.Link) topo.Object {
			return topo.VXLAN{
				Link: l, ID: uint32(in.option("id")), Port: uint16(in.option("dstport")),
				Parent: in.Names[uint32(in.option("link"))],
				Local:  in.addrOption("local"), Remote: in.addrOption("remote"),
			}
		},
	},
	{
		Name: topo.Macvlan{}.Type(), Sample: topo.Macvlan{Parent: SampleParent},
		Encode: func(o topo.Object) NewLink {
			m := o.(topo.Macvlan)
			mode := modeOption(naming.LabMacvlanModes, m.Mode)
			return NewLink{Link: m.Link, ParentNS: m.ParentNS, Parent: m.Parent, Options: mode}
		},
		Decode: func(in ListedLink, l topo.Link) topo.Object {
			ns, parent := in.Resolve()
			return topo.Macvlan{Link: l, ParentNS: ns, Parent: parent, Mode: naming.LabMacvlanModes.Name(in.option("mode"))}
		},
	},
	{
		Name: topo.Ipvlan{}.Type(), Sample: topo.Ipvlan{Parent: SampleParent},
		Encode: func(o topo.Object) NewLink {
			i := o.(topo.Ipvlan)
			mode := modeOption(naming.IpvlanModes, i.Mode)
			return NewLink{Link: i.Link, ParentNS: i.ParentNS, Parent: i.Parent, Options: mode}
		},
		Decode: func(in ListedLink, l topo.Link) topo.Object {
			ns, parent := in.Resolve()
			return topo.Ipvlan{Link: l, ParentNS: ns, Parent: parent, Mode: naming.IpvlanModes.Name(in.option("mode"))}
		},
	},
}

// LinkKindOf returns the kind of an object; nil if the object is not a link.
func LinkKindOf(o topo.Object) *LinkKind {
	for i := range LinkKinds {
		if reflect.TypeOf(LinkKinds[i].Sample) == reflect.TypeOf(o) {
			return &LinkKinds[i]
		}
	}
	return nil
}

// LinkKindNamed returns the kind with the kernel's name, nil if labs do not have it.
func LinkKindNamed(name string) *LinkKind {
	for i := range LinkKinds {
		if LinkKinds[i].Name == name {
			return &LinkKinds[i]
		}
	}
	return nil
}

// encodeBridge returns what the request for a bridge needs.
func encodeBridge(b topo.Bridge) NewLink {
	return NewLink{Link: b.Link, Options: BridgeOptions(topo.Bridge{}, b)}
}

// BridgeOptions returns the options in which b differs from was.
func BridgeOptions(was, b topo.Bridge) rtnl.Options {
	options := rtnl.Options{}
	for name, value := range b.OptionsSince(was) {
		options[name] = value
	}
	return options
}

func encodeVXLAN(v topo.VXLAN) NewLink {
	o := rtnl.Options{"id": uint64(v.ID), "dstport": uint64(cmp.Or(v.Port, linux.VXLANPort)), "learning": uint64(1)}
	if v.Local.IsValid() {
		o["local"] = v.Local
	}
	if v.Remote.IsValid() {
		o["remote"] = v.Remote
	}
	return NewLink{Link: v.Link, ParentNS: v.NS, Parent: v.Parent, parentOption: "link", Options: o}
}

// modeOption returns the option for a mode of a macvlan or ipvlan link. "" is the first mode.
func modeOption(modes naming.Modes, mode string) rtnl.Options {
	number, _ := modes.Number(cmp.Or(mode, modes[0].Name))
	return rtnl.Options{"mode": number}
}

// bridgeOption returns an option of a bridge, the default if the kernel does not report it. If the kernel reports a
// value of the spanning tree instead of the bridge's own one, it returns the wanted value; see fromTree.
func (l ListedLink) bridgeOption(row *topo.BridgeOption) uint64 {
	v, ok := l.Kind.Options[row.Name].(uint64)
	switch {
	case l.option("stp_state") != 0 && l.fromTree(row.Name):
		wanted, _ := l.Wanted.(topo.Bridge)
		return wanted.Options.Get(row)
	case !ok:
		return row.Default
	}
	return v
}

// fromTree reports whether a bridge with a spanning tree has a value that is not its own: a time of the root, or the
// short ageing time while the topology changes.
func (l ListedLink) fromTree(name string) bool {
	switch name {
	case "forward_delay", "hello_time", "max_age":
		return l.option("root_id") != l.option("bridge_id")
	case "ageing_time":
		return l.option("topology_change") != 0
	}
	return false
}

// option returns an option of the link's kind that is a number; 0 if it has none.
func (l ListedLink) option(name string) uint64 { return OptionNumber(l.Kind.Options, name) }

// OptionNumber returns an option that is a number; 0 if there is none.
func OptionNumber(o rtnl.Options, name string) uint64 {
	n, _ := o[name].(uint64)
	return n
}

func (l ListedLink) addrOption(name string) netip.Addr {
	a, _ := l.Kind.Options[name].(netip.Addr)
	if a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}
