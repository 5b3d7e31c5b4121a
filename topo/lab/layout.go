package lab

import (
	"cmp"
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/subnet"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// Forwards reports whether the host forwards packets, because the file says so or because it is the
// gateway of a network.
func (l *Layout) Forwards(h *Host) bool {
	if h.Router || len(h.NAT) > 0 || len(h.Forwards) > 0 {
		return true
	}
	return l.gateways[h.Name]
}

// A Layout lists every device of every host of a topology, with its name and
// addresses. Check looks for mistakes in it; Compile and package draw read it. If the
// topology has mistakes, the Layout leaves out what is not valid.
type Layout struct {
	Topology  *Topology
	Hosts     map[string]int   // the index in Topology.Hosts, by name
	nets      map[string]int   // the index in Topology.Networks, by name
	Ifaces    []Iface          // bridges, then devices on networks, then ends of links, then other devices
	ByHost    map[string][]int // for each host, the indexes of its Ifaces
	ByNetwork [][]int          // for each network, the indexes of its Ifaces: the bridge first

	gateways map[string]bool   // the hosts that are the gateway of a network
	forwards []resolvedForward // all port forwards, in the order of the hosts
	// For each network, the attachment of its gateway, and that of the host in whose namespace
	// its bridge is; nil if there is none.
	gatewayAttachment, bridgeAttachment []*Attachment
}

// An Iface is one network device of the lab.
type Iface struct {
	Host       string         // its host; [topo.Machine] for the machine itself
	Name       string         // the device's name
	Network    int            // the network it is on, or -1
	Attachment *Attachment    // for a device on a network, else nil
	Link       *Link          // for an end of a link, else nil
	End        int            // for an end of a link, its index in Link.Ends
	Device     *Device        // for an entry of a host's devices, else nil
	Addrs      []netip.Prefix // with the prefix lengths of their subnets
	at         syntax.Pos
}

// IsBridge reports whether i is the bridge of a network.
func (i *Iface) IsBridge() bool {
	return i.Network >= 0 && i.Attachment == nil && i.Device == nil
}

// HasAddr reports whether a is an address of the device.
func (i *Iface) HasAddr(a netip.Addr) bool {
	return slices.ContainsFunc(i.Addrs, func(p netip.Prefix) bool { return p.Addr() == a })
}

// NewLayout returns the layout of t. The second result lists the devices that
// got no address because their subnet is too small, once per subnet.
func NewLayout(t *Topology) (*Layout, []*Iface) {
	l := &Layout{
		Topology:  t,
		Hosts:     make(map[string]int, len(t.Hosts)),
		nets:      make(map[string]int, len(t.Networks)),
		ByHost:    make(map[string][]int, len(t.Hosts)+1),
		ByNetwork: make([][]int, len(t.Networks)),

		gateways:          make(map[string]bool, len(t.Networks)),
		gatewayAttachment: make([]*Attachment, len(t.Networks)),
		bridgeAttachment:  make([]*Attachment, len(t.Networks)),
	}
	for i := range t.Hosts {
		l.Hosts[t.Hosts[i].Name] = i
	}
	for i := range t.Networks {
		l.nets[t.Networks[i].Name] = i
		l.gateways[t.GatewayOf(i)] = true
		l.add(Iface{Host: t.BridgeHost(i), Name: t.Networks[i].Name, Network: i, at: t.Networks[i].at})
	}
	for i := range t.Hosts {
		l.addHost(&t.Hosts[i])
	}
	for i := range t.Links {
		link := &t.Links[i]
		for end := range link.Ends {
			e := &link.Ends[end]
			l.add(Iface{Host: e.Host, Name: e.Device, Network: -1, Link: link, End: end, Addrs: e.Addresses, at: link.at})
		}
	}
	for i := range t.Hosts {
		for k := range t.Hosts[i].Devices {
			v := &t.Hosts[i].Devices[k]
			net := -1
			if n, ok := l.nets[v.Network]; ok && v.Network != "" {
				net = n
			}
			l.add(Iface{Host: t.Hosts[i].Name, Name: v.Name, Network: net, Device: v, Addrs: v.Addresses, at: v.at})
		}
	}
	l.nameDevices()
	unassigned := l.assignAddresses()
	l.forwards = l.portForwards()
	return l, unassigned
}

// addHost adds a host's devices on networks. On a network whose bridge is in the
// host's namespace, it uses the bridge itself.
func (l *Layout) addHost(h *Host) {
	for k := range h.Networks {
		a := &h.Networks[k]
		n, ok := l.nets[a.Network]
		if !ok {
			continue
		}
		if l.gatewayAttachment[n] == nil && l.Topology.GatewayOf(n) == h.Name {
			l.gatewayAttachment[n] = a
		}
		if l.Topology.BridgeHost(n) == h.Name {
			l.bridgeAttachment[n] = cmp.Or(l.bridgeAttachment[n], a)
		} else {
			l.add(Iface{Host: h.Name, Name: a.Device, Network: n, Attachment: a, Addrs: slices.Clone(a.Prefixes), at: a.at})
		}
	}
}

func (l *Layout) add(i Iface) {
	if i.Network >= 0 {
		l.ByNetwork[i.Network] = append(l.ByNetwork[i.Network], len(l.Ifaces))
	}
	l.ByHost[i.Host] = append(l.ByHost[i.Host], len(l.Ifaces))
	l.Ifaces = append(l.Ifaces, i)
}

// nameDevices names the devices without a name eth0, eth1 … On the machine such
// names are in use already, so a device of the machine is named after its peer.
func (l *Layout) nameDevices() {
	for host, list := range l.ByHost {
		used := make(map[string]bool, len(list))
		for _, i := range list {
			used[l.Ifaces[i].Name] = true
		}
		next := 0
		for _, i := range list {
			if l.Ifaces[i].Name != "" || host == topo.Machine {
				continue
			}
			for used[ethName(next)] {
				next++
			}
			l.Ifaces[i].Name = ethName(next)
			next++
		}
	}
	for _, n := range l.ByHost[topo.Machine] {
		if i := &l.Ifaces[n]; i.Name == "" {
			i.Name = l.machineName(n)
		}
	}
}

// machineName returns a name for the machine's device n, made from its peer's or bridge's name.
func (l *Layout) machineName(n int) string {
	i := &l.Ifaces[n]
	host, dev := "", ""
	if i.Link != nil {
		peer := n + 1 - 2*i.End // the two ends of a link are neighbours in Ifaces
		host, dev = i.Link.Ends[1-i.End].Host, l.Ifaces[peer].Name
	} else {
		host, dev = l.Topology.BridgeHost(i.Network), l.Topology.Networks[i.Network].Name
	}
	name, _ := portName(l.Topology.Name, host, dev)
	return name
}

func ethName(n int) string { return "eth" + strconv.Itoa(n) }

// A gatewayRoute is a default route of a host: the gateway, and the device to it.
type gatewayRoute struct {
	net     int
	gateway string     // a host or Machine
	addr    netip.Addr // the gateway's address
	port    *Iface     // the host's device on the network
}

// defaultGateway returns the gateway of a host for IPv4 or IPv6: that of the
// first network that has a gateway other than the host itself.
func (l *Layout) defaultGateway(host string, v4 bool) (gatewayRoute, bool) {
	for _, k := range l.ByHost[host] {
		i := &l.Ifaces[k]
		if i.Attachment == nil {
			continue
		}
		g := l.Topology.GatewayOf(i.Network)
		if g == NoGateway || g == host {
			continue
		}
		for _, p := range i.Addrs {
			if s := subnet.Of(p.Addr(), l.Topology.Networks[i.Network].Subnets); s.IsValid() && p.Addr().Is4() == v4 {
				return gatewayRoute{i.Network, g, l.gatewayAddr(i.Network, s), i}, true
			}
		}
	}
	return gatewayRoute{}, false
}

// mtuOf returns the MTU of a device.
func (l *Layout) mtuOf(i *Iface) int {
	switch {
	case i.Device != nil:
		return cmp.Or(i.Device.MTU, l.deviceMTU(i))
	case i.Link != nil:
		return cmp.Or(i.Link.MTU, linux.DefaultMTU)
	case i.Attachment != nil && i.Attachment.MTU != 0:
		return i.Attachment.MTU
	}
	return cmp.Or(l.Topology.Networks[i.Network].MTU, linux.DefaultMTU)
}

// macOf returns the MAC address of a device: from the file, or derived from the
// names, so that it is unique and the same on every up. See also [Topology.OutsideLinks].
func (l *Layout) macOf(i *Iface) topo.MAC {
	mac := topo.MAC{}
	switch {
	case i.Device != nil:
		mac = i.Device.MAC
	case i.Link != nil:
		mac = i.Link.Ends[i.End].MAC
	case i.Attachment != nil:
		mac = i.Attachment.MAC
	default:
		mac = l.Topology.Networks[i.Network].MAC
	}
	if !mac.IsZero() {
		return mac
	}
	if outside := l.outsideMAC(i); !outside.IsZero() {
		return derivedMAC(l.Topology.Name, i.Host, i.Name, outside.String())
	}
	return derivedMAC(l.Topology.Name, i.Host, i.Name)
}

// derivedMAC returns a locally administered unicast address, a hash of the names.
func derivedMAC(names ...string) topo.MAC {
	h := nameHash(names...)
	return topo.MAC{0x02 | byte(h>>40)&0xfc, byte(h >> 32), byte(h >> 24), byte(h >> 16), byte(h >> 8), byte(h)}
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

// PortName returns the name of the bridge port of a device on a network: HOST-DEV if that is a
// valid device name, else a short name with a hash. full is HOST-DEV.
func (l *Layout) PortName(i *Iface) (name, full string) {
	return portName(l.Topology.Name, i.Host, i.Name)
}

func portName(lab, host, dev string) (name, full string) {
	full = host + "-" + dev
	if len(full) <= naming.MaxLinkName && validDevice(full) {
		return full, full
	}
	digits := strconv.FormatUint(nameHash(lab, host, dev), 36)
	digits = ("00000000" + digits)[len(digits):]
	return clip(host, naming.MaxLinkName-1-8) + "-" + digits[:8], full
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
