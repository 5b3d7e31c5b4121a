package lab

import (
	"cmp"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/internal/spell"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// A Device is a device of a host that is not an end of a veth pair: a dummy, VLAN, VXLAN,
// macvlan or ipvlan device. An entry for lo only adds addresses; lo exists without the lab.
type Device struct {
	Name      string
	Kind      string     // dummy, vlan, vxlan, macvlan or ipvlan
	Parent    string     // its parent device, of the same host or "machine:DEV"; required for vlan, macvlan and ipvlan
	ID        uint32     // VLAN id 1–4094, or VXLAN network identifier 0–16777215
	Mode      string     // macvlan: bridge, private, vepa, passthru; ipvlan: l2, l3, l3s; "" means bridge and l2
	Local     netip.Addr // vxlan: the source address; invalid means that the routes choose it
	Remote    netip.Addr // vxlan: the other VTEP, or a multicast group
	Port      uint16     // vxlan: UDP port; 0 means 4789
	Network   string     // make it a port of this network's bridge
	Addresses []netip.Prefix
	MTU       int      // bytes; 0 means the parent's or 1500, for vxlan minus the tunnel headers
	MAC       topo.MAC // zero means derived from the names

	at syntax.Pos
}

// The compiler and the exporter handle devices together with the other links of the host; the exporter handles
// lo here.
var devicesKey = hostKey{
	read: func(d *syntax.Decoder, f *fileHost, h *Host) {
		for i := range f.Devices {
			h.Devices = append(h.Devices, f.Devices[i].Value.device(d, f.Devices[i].Key, f.Devices[i].At))
		}
	},
	export: (*exporter).exportLoopback,
	format: func(h *Host, m *syntax.Mapping) {
		m.Table("devices", len(h.Devices), func(i int) (string, syntax.Mapping) {
			return h.Devices[i].Name, h.Devices[i].format()
		})
	},
}

// device converts an entry of the file.
func (v *fileDevice) device(d *syntax.Decoder, name string, at syntax.Pos) Device {
	return Device{
		Name: name, Kind: v.Type, Parent: v.Parent, Mode: v.Mode,
		ID:    uint32(d.Within(at, "id", v.ID, 1<<24-1)),
		Local: v.Local, Remote: v.Remote,
		Port:      uint16(d.Within(at, "port", v.Port, 65535)),
		Network:   v.Network,
		Addresses: v.Addresses, MTU: v.MTU, MAC: v.MAC, at: at,
	}
}

func (v *Device) format() (m syntax.Mapping) {
	m.Text("type", v.Kind)
	m.Text("parent", v.Parent)
	m.Number("id", int(v.ID))
	m.Text("mode", v.Mode)
	m.Addr("local", v.Local)
	m.Addr("remote", v.Remote)
	m.Number("port", int(v.Port))
	m.Text("network", v.Network)
	m.List("addresses", display.Prefixes(v.Addresses))
	m.Number("mtu", v.MTU)
	m.MAC(v.MAC)
	return m
}

// A deviceKind is a type of device, with everything in which the types differ. All types share the
// keys of fileDevice.
type deviceKind struct {
	name   string
	parent parentRule
	modes  []string // the first is the default; none if it has no modes

	check   func(k *checker, v *Device) // additional checks; may be nil
	headers func(v *Device) int         // bytes that it adds to each packet; nil means none

	// object returns the object. link has the device's name, MAC, MTU and master.
	object func(link topo.Link, v *Device, parentNS, parent string) topo.Object
	// export is the reverse of object: it reports whether o is of this type, and returns its link and its own keys.
	export func(o topo.Object) (topo.Link, Device, bool)
}

// A parentRule says whether a device has a parent, and where the parent may be.
type parentRule int

const (
	noParent        parentRule = iota
	optionalParent             // in the same host
	requiredParent             // in the same host
	requiredOutside            // in the same host or on the machine
)

func (r parentRule) required() bool { return r == requiredParent || r == requiredOutside }

// deviceKinds are the types of devices, in the order of the manual.
var deviceKinds = []deviceKind{
	{
		name: topo.Dummy{}.Type(),
		object: func(link topo.Link, _ *Device, _, _ string) topo.Object {
			return topo.Dummy{Link: link}
		},
		export: func(o topo.Object) (topo.Link, Device, bool) {
			d, ok := o.(topo.Dummy)
			return d.Link, Device{}, ok
		},
	},
	{
		name: topo.VLAN{}.Type(), parent: requiredParent,
		check: func(k *checker, v *Device) {
			if v.ID < 1 || v.ID > 4094 {
				k.mistakef(v.at, "id", "write id: 1 to 4094", "device %s: a vlan needs an id", v.Name)
			}
		},
		object: func(link topo.Link, v *Device, _, parent string) topo.Object {
			return topo.VLAN{Link: link, Parent: parent, ID: uint16(v.ID)}
		},
		export: func(o topo.Object) (topo.Link, Device, bool) {
			d, ok := o.(topo.VLAN)
			return d.Link, Device{Parent: d.Parent, ID: uint32(d.ID)}, ok
		},
	},
	{
		name: topo.VXLAN{}.Type(), parent: optionalParent,
		check: func(k *checker, v *Device) {
			if v.ID >= 1<<24 {
				k.mistakef(v.at, "id", "the largest is 16777215", "device %s: id %d is out of range", v.Name, v.ID)
			}
		},
		headers: vxlanHeaders,
		object: func(link topo.Link, v *Device, _, parent string) topo.Object {
			return topo.VXLAN{Link: link, ID: v.ID, Local: v.Local, Remote: v.Remote, Parent: parent, Port: v.Port}
		},
		export: func(o topo.Object) (topo.Link, Device, bool) {
			d, ok := o.(topo.VXLAN)
			port := omitDefault(d.Port, linux.VXLANPort)
			return d.Link, Device{Parent: d.Parent, ID: d.ID, Local: d.Local, Remote: d.Remote, Port: port}, ok
		},
	},
	{
		name: topo.Macvlan{}.Type(), parent: requiredOutside, modes: naming.LabMacvlanModes.Names(),
		check: func(k *checker, v *Device) {
			if v.Mode == passthru && !v.MAC.IsZero() {
				k.mistakef(v.at, "mac", "remove mac", "device %s: in mode passthru, a macvlan has the MAC address of its parent",
					v.Name)
			}
		},
		object: func(link topo.Link, v *Device, parentNS, parent string) topo.Object {
			return topo.Macvlan{Link: link, ParentNS: parentNS, Parent: parent, Mode: v.Mode}
		},
		export: func(o topo.Object) (topo.Link, Device, bool) {
			d, ok := o.(topo.Macvlan)
			return d.Link, Device{Parent: parentName(d.NS, d.ParentNS, d.Parent), Mode: d.Mode}, ok
		},
	},
	{
		name: topo.Ipvlan{}.Type(), parent: requiredOutside, modes: naming.IpvlanModes.Names(),
		object: func(link topo.Link, v *Device, parentNS, parent string) topo.Object {
			link.MAC = topo.MAC{} // that of the parent
			return topo.Ipvlan{Link: link, ParentNS: parentNS, Parent: parent, Mode: v.Mode}
		},
		export: func(o topo.Object) (topo.Link, Device, bool) {
			d, ok := o.(topo.Ipvlan)
			return d.Link, Device{Parent: parentName(d.NS, d.ParentNS, d.Parent), Mode: d.Mode}, ok
		},
	},
}

// kindNames returns the names of the types.
func kindNames() []string {
	return display.Texts(deviceKinds, func(d deviceKind) string { return d.name })
}

// kind returns the type of the device, nil if it is unknown.
func (v *Device) kind() *deviceKind {
	if n := slices.IndexFunc(deviceKinds, func(d deviceKind) bool { return d.name == v.Kind }); n >= 0 {
		return &deviceKinds[n]
	}
	return nil
}

// device checks an entry of the devices of a host.
func (k *checker) device(host *Host, v *Device) {
	if v.Name == loopback {
		k.loopback(host, v)
		return
	}
	kind := v.kind()
	if kind == nil {
		k.mistakef(v.at, v.Kind, spell.DidYouMean(v.Kind, kindNames()), "device %s: unknown type %q", v.Name, v.Kind)
		return
	}
	k.mtu(v.at, v.MTU, v.Addresses)
	k.linkAddresses(v.at, v.Addresses)
	if v.Mode != "" && !slices.Contains(kind.modes, v.Mode) {
		k.mistakef(v.at, v.Mode, spell.DidYouMean(v.Mode, kind.modes),
			"device %s: a %s has no mode %q", v.Name, v.Kind, v.Mode)
	}
	k.parent(host, v, kind.parent)
	if kind.check != nil {
		kind.check(k, v)
	}
	if v.Local.IsValid() && v.Remote.IsValid() && v.Local.Is4() != v.Remote.Is4() {
		k.mistakef(v.at, v.Remote.String(), "", "device %s: local and remote have different address families", v.Name)
	}
	k.tunnel(host, v)
	k.masterOf(host, v)
}

// device makes the object of an entry of the devices of a host.
func (c *compiler) device(i *Iface) {
	v, link := i.Device, c.link(i)
	link.Master = v.Network
	parent, parentNS := v.Parent, link.NS
	if owner, dev, ok := strings.Cut(v.Parent, ":"); ok {
		parent, parentNS = dev, topo.NSOf(owner)
	}
	c.put(v.kind().object(link, v, parentNS, parent))
}

// device adds o to the devices of its host if it is a device.
func (e *exporter) device(o topo.Object) {
	for n := range deviceKinds {
		kind := &deviceKinds[n]
		l, v, ok := kind.export(o)
		if !ok {
			continue
		}
		v.Kind, v.Name, v.MTU, v.Network, v.Addresses = kind.name, l.Name, l.MTU, l.Master, e.addrs[l.Key()]
		v.MAC = omitDefault(l.MAC, derivedMAC(e.name, cmp.Or(l.NS, topo.Machine), l.Name))
		if len(kind.modes) > 0 {
			v.Mode = omitDefault(v.Mode, kind.modes[0])
		}
		h := e.host(l.NS)
		h.Devices = append(h.Devices, v)
	}
}

func parentName(ns, parentNS, parent string) string {
	if ns == parentNS {
		return parent
	}
	return cmp.Or(parentNS, topo.Machine) + ":" + parent
}

// deviceMTU returns the MTU of a device for which the file has none: that of its
// parent, or for a tunnel that of the underlying device minus the tunnel headers.
func (l *Layout) deviceMTU(i *Iface) int {
	v, under := i.Device, linux.DefaultMTU
	for _, n := range l.ByHost[i.Host] {
		if p := &l.Ifaces[n]; p != i && p.Name == v.Parent {
			under = l.mtuOf(p)
		}
	}
	kind := v.kind()
	if kind == nil || kind.headers == nil {
		return under
	}
	if p := l.deviceFor(i.Host, v.Parent, v.Remote); p != nil && p != i {
		under = l.mtuOf(p)
	}
	return under - kind.headers(v)
}

// vxlanHeaders returns the bytes that VXLAN adds to a packet: inner Ethernet, VXLAN, UDP and
// outer IP header; RFC 7348, section 5.
func vxlanHeaders(v *Device) int {
	const ethernet, vxlan, udp, ipv4, ipv6 = 14, 8, 8, 20, 40
	if v.Remote.Is6() || v.Local.Is6() {
		return ethernet + vxlan + udp + ipv6
	}
	return ethernet + vxlan + udp + ipv4
}

// passthru is the mode of a macvlan that has its parent alone, with the parent's MAC address.
const passthru = "passthru"

// loopback is the name of the link that each namespace has. An entry of `devices` with this name adds
// addresses to it.
const loopback = "lo"

// IsLoopback reports whether i is the lo of its host.
func (i *Iface) IsLoopback() bool { return i.Device != nil && i.Name == loopback }

// loopback checks the entry of lo. The kernel accepts all packets to the subnet of an IPv4 address of lo. The lo of
// the machine and of adopted namespaces may only get single addresses, so that nothing else changes there.
func (k *checker) loopback(h *Host, v *Device) {
	other := *v
	other.Name, other.Addresses, other.at = "", nil, syntax.Pos{}
	if !reflect.DeepEqual(other, Device{}) {
		k.mistakef(v.at, v.Name, "write addresses only", "device lo of %s exists already: it can have addresses only",
			displayName(h.Name))
	}
	k.linkAddresses(v.at, v.Addresses)
	for _, p := range v.Addresses {
		if k.isAdopted(h.Name) && p.IsValid() && !p.IsSingleIP() {
			k.mistakef(v.at, p.String(), "write "+netip.PrefixFrom(p.Addr(), p.Addr().BitLen()).String(),
				"the lo of %s can only have addresses with the prefix length /32 or /128, because it is not the lab's own",
				displayName(h.Name))
		}
	}
}

// exportLoopback adds an address of lo to its host.
func (e *exporter) exportLoopback(o topo.Object) {
	a, ok := o.(topo.Address)
	if !ok || a.Link != loopback {
		return
	}
	h := e.host(a.NS)
	last := len(h.Devices) - 1
	if last < 0 || h.Devices[last].Name != loopback {
		h.Devices = append(h.Devices, Device{Name: loopback})
		last++
	}
	h.Devices[last].Addresses = append(h.Devices[last].Addresses, a.Prefix)
}
