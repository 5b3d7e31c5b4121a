package topo

import (
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"
)

// A layout lists every device of every host of a topology, with its name and
// addresses. Check looks for mistakes in it; Compile and Graph read it. It also
// works for a topology with mistakes, and then leaves out what is not valid.
type layout struct {
	t      *Topology
	hosts  map[string]int   // index in t.Hosts
	nets   map[string]int   // index in t.Networks
	ifaces []iface          // bridges, then devices on networks, ends of links, other devices
	of     map[string][]int // for each host, its ifaces
	on     [][]int          // for each network, its ifaces: the bridge first
}

// An iface is one network device of the lab.
type iface struct {
	host   string // its host; Machine for the machine itself
	dev    string
	net    int         // the network it is on, or -1
	att    *Attachment // for a device on a network, else nil
	cable  *Cable      // for an end of a link, else nil
	end    int         // index of the end of the link
	device *Device     // for an entry of a host's devices, else nil
	addrs  []netip.Prefix
	at     pos
}

// isBridge reports whether i is the bridge of a network.
func (i *iface) isBridge() bool {
	return i.net >= 0 && i.att == nil && i.device == nil
}

// newLayout returns the layout of t. The second result lists the devices that
// got no address because their subnet is too small, once per subnet.
func newLayout(t *Topology) (*layout, []*iface) {
	l := &layout{
		t:     t,
		hosts: make(map[string]int, len(t.Hosts)),
		nets:  make(map[string]int, len(t.Networks)),
		of:    make(map[string][]int, len(t.Hosts)+1),
		on:    make([][]int, len(t.Networks)),
	}
	for i := range t.Hosts {
		l.hosts[t.Hosts[i].Name] = i
	}
	for i := range t.Networks {
		l.nets[t.Networks[i].Name] = i
		l.add(iface{host: t.bridgeHost(i), dev: t.Networks[i].Name, net: i, at: t.Networks[i].at})
	}
	for i := range t.Hosts {
		l.addHost(&t.Hosts[i])
	}
	for i := range t.Cables {
		c := &t.Cables[i]
		for end := range c.Ends {
			e := &c.Ends[end]
			l.add(iface{host: e.Host, dev: e.Device, net: -1, cable: c, end: end, addrs: e.Addresses, at: c.at})
		}
	}
	for i := range t.Hosts {
		for k := range t.Hosts[i].Devices {
			v := &t.Hosts[i].Devices[k]
			net := -1
			if n, ok := l.nets[v.Network]; ok && v.Network != "" {
				net = n
			}
			l.add(iface{host: t.Hosts[i].Name, dev: v.Name, net: net, device: v, addrs: v.Addresses, at: v.at})
		}
	}
	l.nameDevices()
	return l, l.assignAddresses()
}

// addHost adds a host's devices on networks. On a network whose bridge is in the
// host's namespace, it uses the bridge itself.
func (l *layout) addHost(h *Host) {
	for k := range h.Networks {
		a := &h.Networks[k]
		n, ok := l.nets[a.Network]
		if !ok {
			continue
		}
		if l.t.bridgeHost(n) != h.Name {
			l.add(iface{host: h.Name, dev: a.Device, net: n, att: a, addrs: slices.Clone(a.Prefixes), at: a.at})
		}
	}
}

func (l *layout) add(i iface) {
	if i.net >= 0 {
		l.on[i.net] = append(l.on[i.net], len(l.ifaces))
	}
	l.of[i.host] = append(l.of[i.host], len(l.ifaces))
	l.ifaces = append(l.ifaces, i)
}

// bridgeHost returns the host in whose namespace the bridge of network n is.
func (t *Topology) bridgeHost(n int) string {
	if in := t.Networks[n].In; in != "" {
		return in
	}
	return Machine
}

// gatewayOf returns the host that is the gateway of network n, or NoGateway.
func (t *Topology) gatewayOf(n int) string {
	if g := t.Networks[n].Gateway; g != "" {
		return g
	}
	return t.bridgeHost(n)
}

// nameDevices names the devices without a name eth0, eth1 … On the machine such
// names are in use already; there, a device is named after its peer.
func (l *layout) nameDevices() {
	for host, list := range l.of {
		used := make(map[string]bool, len(list))
		for _, i := range list {
			used[l.ifaces[i].dev] = true
		}
		next := 0
		for _, i := range list {
			if l.ifaces[i].dev != "" || host == Machine {
				continue
			}
			for used[ethName(next)] {
				next++
			}
			l.ifaces[i].dev = ethName(next)
			next++
		}
	}
	for _, n := range l.of[Machine] {
		if i := &l.ifaces[n]; i.dev == "" {
			i.dev = l.machineName(n)
		}
	}
}

// machineName returns a name for the machine's device n, made from its peer's or bridge's name.
func (l *layout) machineName(n int) string {
	i := &l.ifaces[n]
	host, dev := "", ""
	if i.cable != nil {
		host, dev = i.cable.Ends[1-i.end].Host, l.ifaces[n+1-2*i.end].dev
	} else {
		host, dev = l.t.bridgeHost(i.net), l.t.Networks[i.net].Name
	}
	name, _ := portName(l.t.Name, host, dev)
	return name
}

func ethName(n int) string { return "eth" + strconv.Itoa(n) }

// A gatewayRoute is a default route of a host: the gateway, and the device to it.
type gatewayRoute struct {
	net     int
	gateway string     // a host or Machine
	addr    netip.Addr // the gateway's address
	port    *iface     // the host's device on the network
}

// defaultGateway returns the gateway of a host for IPv4 or IPv6: that of the
// first network that has a gateway other than the host itself.
func (l *layout) defaultGateway(host string, v4 bool) (gatewayRoute, bool) {
	for _, k := range l.of[host] {
		i := &l.ifaces[k]
		if i.att == nil {
			continue
		}
		g := l.t.gatewayOf(i.net)
		if g == NoGateway || g == host {
			continue
		}
		for _, p := range i.addrs {
			if s := prefixOf(p.Addr(), l.t.Networks[i.net].Subnets); s.IsValid() && p.Addr().Is4() == v4 {
				return gatewayRoute{i.net, g, l.gatewayAddr(i.net, s), i}, true
			}
		}
	}
	return gatewayRoute{}, false
}

// deviceMTU returns the MTU of a device for which the file has none: that of its
// parent, or for vxlan that of the underlying device minus the tunnel headers.
func (l *layout) deviceMTU(i *iface) int {
	v, under := i.device, defaultMTU
	for _, n := range l.of[i.host] {
		if p := &l.ifaces[n]; p != i && p.dev == v.Parent {
			under = l.mtuOf(p)
		}
	}
	if v.Kind != KindVXLAN {
		return under
	}
	if p := l.deviceFor(i.host, v.Parent, v.Remote); p != nil && p != i {
		under = l.mtuOf(p)
	}
	if v.Remote.Is6() || v.Local.Is6() {
		return under - vxlanHeaders6
	}
	return under - vxlanHeaders4
}

// Bytes that VXLAN adds to a packet: inner Ethernet, VXLAN, UDP and outer IP
// header; RFC 7348, section 5.
const (
	vxlanHeaders4 = 14 + 8 + 8 + 20
	vxlanHeaders6 = 14 + 8 + 8 + 40
)

// mtuOf returns the MTU of a device.
func (l *layout) mtuOf(i *iface) int {
	switch {
	case i.device != nil:
		return or(i.device.MTU, l.deviceMTU(i))
	case i.cable != nil:
		return or(i.cable.MTU, defaultMTU)
	case i.att != nil && i.att.MTU != 0:
		return i.att.MTU
	}
	return or(l.t.Networks[i.net].MTU, defaultMTU)
}

const defaultMTU = 1500

// or returns v, or other if v is the zero value.
func or[T comparable](v, other T) T {
	if v != *new(T) {
		return v
	}
	return other
}

// macOf returns the MAC address of a device: from the file, or derived from the
// names, so that it is unique and the same on every up.
func (l *layout) macOf(i *iface) MAC {
	mac := MAC{}
	switch {
	case i.device != nil:
		mac = i.device.MAC
	case i.cable != nil:
		mac = i.cable.Ends[i.end].MAC
	case i.att != nil:
		mac = i.att.MAC
	default:
		mac = l.t.Networks[i.net].MAC
	}
	if !mac.IsZero() {
		return mac
	}
	return derivedMAC(l.t.Name, i.host, i.dev)
}

// derivedMAC returns a locally administered unicast address, a hash of the names.
func derivedMAC(names ...string) MAC {
	h := nameHash(names...)
	return MAC{0x02 | byte(h>>40)&0xfc, byte(h >> 32), byte(h >> 24), byte(h >> 16), byte(h >> 8), byte(h)}
}

func nameHash(names ...string) uint64 {
	h := fnv.New64a()
	for _, n := range names {
		h.Write([]byte(n))
		h.Write([]byte{0})
	}
	// FNV mixes the upper bits of short names badly, so mix them again.
	v := h.Sum64()
	v ^= v >> 33
	v *= 0xff51afd7ed558ccd
	return v ^ v>>33
}

// portName returns the name of the bridge end of a host's veth pair: HOST-DEV if
// that is a valid device name, else a short name with a hash. full is HOST-DEV.
func portName(lab, host, dev string) (name, full string) {
	full = host + "-" + dev
	if len(full) <= maxDevName && validDevice(full) {
		return full, full
	}
	digits := strconv.FormatUint(nameHash(lab, host, dev), 36)
	digits = ("00000000" + digits)[len(digits):]
	return clip(host, maxDevName-1-8) + "-" + digits[:8], full
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
