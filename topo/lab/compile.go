package lab

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// Compile returns the state that a topology describes: every device with its
// name, MAC and MTU, every address, route, sysctl and NAT rule. The same
// topology always gives the same state. The error is of type [Mistakes].
func Compile(t Topology) (topo.State, error) {
	l, err := checkedLayout(&t)
	if err != nil {
		return nil, err
	}
	c := newCompiler(l)
	c.objects()
	c.forwarding()
	return c.complete()
}

func newCompiler(l *Layout) *compiler {
	c := &compiler{
		MistakeList: syntax.MistakeList{Source: l.Topology.source}, t: l.Topology, l: l,
		state: make(topo.State, 10*len(l.Ifaces)+len(l.forwards)), forwards: l.forwards,
		forwarded: make(map[target]bool, len(l.forwards)),
		bySubnet:  map[string]map[netip.Prefix]*Iface{},
	}
	for _, p := range c.forwards {
		c.forwarded[target{p.gateway, p.to}] = true
	}
	return c
}

// objects makes all objects, except those that forwarding and complete make.
func (c *compiler) objects() {
	for i := range c.t.Hosts {
		c.host(&c.t.Hosts[i])
	}
	for n := range c.l.Ifaces {
		c.iface(n)
	}
	for n := range c.t.Networks {
		c.vlans(n)
		c.uplink(&c.t.Networks[n])
	}
	c.nat()
	c.isolation()
	c.closed()
	c.unrouted()
	c.isolatedHosts()
	c.fastpaths()
	c.hostsFiles()
}

// A compiler makes the objects of a topology. If two different objects have the same
// key, it reports a mistake; Check does not find all of these.
type compiler struct {
	syntax.MistakeList
	t     *Topology
	l     *Layout
	state topo.State

	// knownHostsFile is a text that the hosts file may have. If it has this text, the state gets
	// this same string: comparing a string with itself takes no time, however many hosts have it.
	knownHostsFile string

	forwards []resolvedForward // all port forwards
	// forwarded are the addresses to which ports are forwarded. If the host with
	// such an address connects to its own forwarded port, and NAT runs in the bridge
	// (see Topology.BridgeNetfilter), the packets leave the bridge by the port on which
	// they arrived. This port needs hairpin mode.
	forwarded map[target]bool

	bySubnet map[string]map[netip.Prefix]*Iface // for each host, its devices by subnet; see deviceTo
}

// A target is an address that a gateway forwards ports to.
type target struct {
	gateway string
	addr    netip.Addr
}

func (c *compiler) put(o topo.Object) {
	if err := c.state.Add(o); err != nil {
		c.Mistake(syntax.Pos{Line: 1, Column: 1}, "", err.Error(), "")
	}
}

// iface makes the objects of one device: link, up, addresses and qdisc.
func (c *compiler) iface(n int) {
	i := &c.l.Ifaces[n]
	ns := topo.NSOf(i.Host)
	switch {
	case i.IsLoopback():
	case i.Attachment != nil:
		c.port(i)
	case i.Link != nil && i.End == 0:
		c.linkPair(i, &c.l.Ifaces[n+1])
	case i.Link != nil:
	case i.Device != nil:
		c.device(i)
	default:
		net := &c.t.Networks[i.Network]
		c.put(topo.Bridge{Link: c.link(i), STP: net.STP, VLANFiltering: net.VLANFiltering, Options: net.Options})
	}
	if !i.IsLoopback() { // see namespace
		c.put(topo.Up{NS: ns, Link: i.Name})
	}
	for _, p := range i.Addrs {
		c.put(topo.Address{NS: ns, Link: i.Name, Prefix: p})
	}
}

// link returns the attributes that all kinds of devices have.
func (c *compiler) link(i *Iface) topo.Link {
	return topo.Link{NS: topo.NSOf(i.Host), Name: i.Name, MAC: c.l.macOf(i), MTU: c.l.mtuOf(i)}
}

// port connects a host to a network: a veth pair whose peer is in the bridge.
func (c *compiler) port(i *Iface) {
	net := &c.t.Networks[i.Network]
	bridgeHost := c.t.BridgeHost(i.Network)
	name, full := c.l.PortName(i)
	peer := topo.Link{
		NS: topo.NSOf(bridgeHost), Name: name, MTU: cmp.Or(net.MTU, linux.DefaultMTU), Master: net.Name,
		// The bridge's MAC. A bridge accepts frames to the MAC of any of its ports as frames to its
		// own host, and a [topo.SourceGate] recognizes routed packets by one MAC only.
		MAC:      c.l.macOf(&c.l.Ifaces[c.l.ByNetwork[i.Network][0]]),
		Isolated: net.IsolateHosts && i.Host != c.t.GatewayOf(i.Network),
	}
	for _, p := range i.Addrs {
		if c.t.BridgeNetfilter && c.forwarded[target{bridgeHost, p.Addr()}] {
			peer.Hairpin = true
			c.put(topo.HairpinFilter{NS: peer.NS, Link: name})
		}
	}
	if full != name {
		peer.AltName = full
	}
	// The two ends may have different MTUs. The peer keeps the network's MTU: a
	// smaller MTU of one host must not reduce that of the bridge.
	c.put(topo.Veth{Ends: [2]topo.Link{c.link(i), peer}})
	c.put(topo.Up{NS: peer.NS, Link: peer.Name})
	c.impair(i.Attachment.Impair, c.link(i).Key(), peer.Key())
	c.offload(i.Attachment.NoOffload, c.link(i).Key(), peer.Key())
}

func (c *compiler) offload(off bool, links ...topo.Key) {
	for _, l := range links {
		if off {
			c.put(topo.NoOffload{NS: l.NS, Link: l.Name})
		}
	}
}

func (c *compiler) impair(i topo.Impairment, links ...topo.Key) {
	if i == (topo.Impairment{}) {
		return
	}
	for _, l := range links {
		c.put(topo.Qdisc{NS: l.NS, Link: l.Name, Impairment: i})
	}
}

// defaultVLAN is the VLAN of ports without VLANs in the file: the bridge's default PVID.
const defaultVLAN = 1

// vlans sets the VLANs of each port of a bridge with VLAN filtering. The bridge
// itself and ports without VLANs are in the default VLAN. The uplink and other
// devices in the bridge are in all VLANs.
func (c *compiler) vlans(n int) {
	net := &c.t.Networks[n]
	if !net.VLANFiltering {
		return
	}
	ns := topo.NSOf(c.t.BridgeHost(n))
	var tagged []uint16
	for _, k := range c.l.ByNetwork[n] {
		if a := c.l.Ifaces[k].Attachment; a != nil {
			tagged = append(tagged, a.VLANs...)
			if a.VLAN > defaultVLAN {
				tagged = append(tagged, a.VLAN)
			}
		}
	}
	for _, k := range c.l.ByNetwork[n] {
		i := &c.l.Ifaces[k]
		switch {
		case i.Attachment != nil:
			name, _ := c.l.PortName(i)
			untagged := i.Attachment.VLAN
			if untagged == 0 && len(i.Attachment.VLANs) == 0 {
				untagged = defaultVLAN
			}
			c.addVLANs(ns, name, untagged, i.Attachment.VLANs)
		case i.Device != nil:
			c.addVLANs(ns, i.Name, defaultVLAN, tagged)
		default:
			c.addVLANs(ns, i.Name, defaultVLAN, nil)
		}
	}
	if net.Uplink != "" {
		c.addVLANs(ns, net.Uplink, defaultVLAN, tagged)
	}
}

func (c *compiler) addVLANs(ns, port string, untagged uint16, tagged []uint16) {
	for _, id := range tagged {
		c.put(topo.BridgeVLAN{NS: ns, Link: port, ID: id})
	}
	if untagged != 0 {
		c.put(topo.BridgeVLAN{NS: ns, Link: port, ID: untagged, Untagged: true, PVID: true})
	}
}

func (c *compiler) uplink(net *Network) {
	if net.Uplink != "" {
		c.put(topo.Port{NS: topo.NSOf(cmp.Or(net.In, topo.Machine)), Link: net.Uplink, Master: net.Name})
	}
}

// complete adds what depends on the hosts that forward packets, the sysctls of the file, which replace
// those made so far, and what follows from them. It returns the state.
func (c *compiler) complete() (topo.State, error) {
	c.antispoof()
	c.addSysctls()
	c.limits()
	if err := errorOf(&c.MistakeList); err != nil {
		return nil, err
	}
	c.state.AddAddrGenNone()
	return c.state, nil
}

// forwarding turns on forwarding on every host that forwards packets.
func (c *compiler) forwarding() {
	for i := range c.t.Hosts {
		if h := &c.t.Hosts[i]; h.Name != topo.Machine && c.l.Forwards(h) {
			c.forward(h.Name)
		}
	}
	if c.machineForwards() {
		c.forward("")
	}
}

// forward turns on forwarding for each address family that the host has.
func (c *compiler) forward(ns string) {
	has := c.l.familiesOf(cmp.Or(ns, topo.Machine))
	if has[0] {
		c.put(topo.Sysctl{NS: ns, Name: linux.ForwardingIPv4, Value: "1"})
	}
	if has[1] {
		c.put(topo.Sysctl{NS: ns, Name: linux.ForwardingIPv6, Value: "1"})
	}
}

// machineForwards reports whether the machine forwards packets: because of its
// router key, a second network or link of the lab, NAT, routed or a port
// forward.
func (c *compiler) machineForwards() bool {
	if h, ok := c.l.Hosts[topo.Machine]; ok && c.l.Forwards(&c.t.Hosts[h]) {
		return true
	}
	links := 0
	for _, k := range c.l.ByHost[topo.Machine] {
		if i := &c.l.Ifaces[k]; len(i.Addrs) > 0 && !i.IsLoopback() {
			links++
		}
	}
	if links > 1 {
		return true
	}
	for n := range c.t.Networks {
		net := &c.t.Networks[n]
		if c.t.GatewayOf(n) == topo.Machine && (net.NAT || len(net.NATTo) > 0 || net.Routed) {
			return true
		}
	}
	return slices.ContainsFunc(c.forwards, func(p resolvedForward) bool { return p.gateway == topo.Machine })
}
