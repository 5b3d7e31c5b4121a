package topo

import (
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"
)

// A layout is a topology worked out: every device of every host under its name,
// with its addresses. Check looks for mistakes in it, Compile and Graph read
// it. It takes a topology with mistakes, too, and leaves out what cannot be.
type layout struct {
	t      *Topology
	hosts  map[string]int // index in t.Hosts
	nets   map[string]int // index in t.Networks
	ifaces []iface        // networks' switches, then hosts' ports, cable ends and devices
	of     map[string][]int
	on     [][]int // for each network, its ifaces: the switch first
}

// An iface is one network device of the lab.
type iface struct {
	host  string // who has it; Machine for the machine itself
	dev   string
	net   int         // the network it is on, or -1
	att   *Attachment // for a host's port on a network
	cable *Cable      // for the end of a cable
	end   int         // which end
	made  *Device     // for a further device
	addrs []netip.Prefix
	at    pos
}

// isSwitch tells whether i is a network's switch.
func (i *iface) isSwitch() bool {
	return i.net >= 0 && i.att == nil && i.made == nil
}

// newLayout works t out. The second result tells which subnets were too small
// for their hosts: the attachments that got no address.
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
		l.add(iface{host: t.holder(i), dev: t.Networks[i].Name, net: i, at: t.Networks[i].at})
	}
	for i := range t.Hosts {
		l.addHost(&t.Hosts[i])
	}
	for i := range t.Cables {
		c := &t.Cables[i]
		for end := range c.Ends {
			l.add(iface{host: c.Ends[end].Host, dev: c.Ends[end].Device, net: -1, cable: c, end: end, addrs: c.Ends[end].Addresses, at: c.at})
		}
	}
	for i := range t.Hosts {
		for k := range t.Hosts[i].Devices {
			v := &t.Hosts[i].Devices[k]
			net := -1
			if n, ok := l.nets[v.Network]; ok && v.Network != "" {
				net = n
			}
			l.add(iface{host: t.Hosts[i].Name, dev: v.Name, net: net, made: v, addrs: v.Addresses, at: v.at})
		}
	}
	l.nameDevices()
	return l, l.allot()
}

// addHost adds a host's ports. On a network that the host itself holds, it has
// the switch for a port.
func (l *layout) addHost(h *Host) {
	for k := range h.Networks {
		a := &h.Networks[k]
		n, ok := l.nets[a.Network]
		if !ok {
			continue
		}
		if l.t.holder(n) != h.Name {
			l.add(iface{host: h.Name, dev: a.Device, net: n, att: a, addrs: slices.Clone(a.Own), at: a.at})
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

// holder is who holds the switch of network n.
func (t *Topology) holder(n int) string {
	if in := t.Networks[n].In; in != "" {
		return in
	}
	return Machine
}

// gatewayOf is who has the gateway's addresses of network n, NoGateway if
// nobody has.
func (t *Topology) gatewayOf(n int) string {
	if g := t.Networks[n].Gateway; g != "" {
		return g
	}
	return t.holder(n)
}

// nameDevices gives eth0, eth1 … to the ports and cable ends without a name.
// The machine has such devices already: its own are named after the far end.
func (l *layout) nameDevices() {
	for host, list := range l.of {
		taken := make(map[string]bool, len(list))
		for _, i := range list {
			taken[l.ifaces[i].dev] = true
		}
		next := 0
		for _, i := range list {
			if l.ifaces[i].dev != "" || host == Machine {
				continue
			}
			for taken[ethName(next)] {
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

// machineName names the machine's device n after what it leads to.
func (l *layout) machineName(n int) string {
	i := &l.ifaces[n]
	host, dev := "", ""
	if i.cable != nil {
		host, dev = i.cable.Ends[1-i.end].Host, l.ifaces[n+1-2*i.end].dev
	} else {
		host, dev = l.t.holder(i.net), l.t.Networks[i.net].Name
	}
	name, _ := portName(l.t.Name, host, dev)
	return name
}

func ethName(n int) string { return "eth" + strconv.Itoa(n) }

// A way is how a host leaves a network: through whom, and over which port.
type way struct {
	net  int
	via  string     // the gateway
	addr netip.Addr // its address
	port *iface     // the host's
}

// wayOut returns the host's way out for a family (v4 or not): the first of its
// networks that has a gateway other than itself.
func (l *layout) wayOut(host string, v4 bool) (way, bool) {
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
				return way{i.net, g, l.gatewayAddr(i.net, s), i}, true
			}
		}
	}
	return way{}, false
}

// madeMTU is the MTU of a further device that says none: its parent's, or
// what is left of the link that its tunnel goes over.
func (l *layout) madeMTU(i *iface) int {
	v, under := i.made, defaultMTU
	for _, n := range l.of[i.host] {
		if p := &l.ifaces[n]; p != i && p.dev == v.Parent {
			under = l.mtuOf(p)
		}
	}
	if v.Kind != KindVXLAN {
		return under
	}
	if p := l.facing(i.host, v.Parent, v.Remote); p != nil && p != i {
		under = l.mtuOf(p)
	}
	if v.Remote.Is6() || v.Local.Is6() {
		return under - vxlanHeaders6
	}
	return under - vxlanHeaders4
}

// What a VXLAN puts before a packet: Ethernet, VXLAN, UDP and the outer IP
// header; RFC 7348, section 5.
const (
	vxlanHeaders4 = 14 + 8 + 8 + 20
	vxlanHeaders6 = 14 + 8 + 8 + 40
)

// mtuOf is the MTU of a device.
func (l *layout) mtuOf(i *iface) int {
	switch {
	case i.made != nil:
		return or(i.made.MTU, l.madeMTU(i))
	case i.cable != nil:
		return or(i.cable.MTU, defaultMTU)
	case i.att != nil && i.att.MTU != 0:
		return i.att.MTU
	}
	return or(l.t.Networks[i.net].MTU, defaultMTU)
}

const defaultMTU = 1500

// or returns v, or other where v is not set.
func or[T comparable](v, other T) T {
	if v != *new(T) {
		return v
	}
	return other
}

// macOf is the address given to the device, or one derived from the names, so
// that it is the same on every up and nobody else's.
func (l *layout) macOf(i *iface) MAC {
	mac := MAC{}
	switch {
	case i.made != nil:
		mac = i.made.MAC
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

// derivedMAC is a locally administered unicast address made of the names.
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
	// FNV mixes its upper bits little for short names: fold them.
	v := h.Sum64()
	v ^= v >> 33
	v *= 0xff51afd7ed558ccd
	return v ^ v>>33
}

// portName is the far end of a host's port: the device in the switch. It is
// "HOST-DEV" where that is a device name, and else short and stable.
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
