package lab

import (
	"net/netip"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/topo"
)

// A Network is a Linux bridge and the subnets on it.
type Network struct {
	Name    string         // the bridge's device name, at most 15 bytes
	Subnets []netip.Prefix // masked; none means vnet assigns no addresses on this network
	In      string         // the host whose namespace holds the bridge; "" means the machine

	// Gateway is the host that has the first address of every subnet and is the
	// default gateway of the other hosts. "" means the host that holds the
	// bridge; NoGateway means no host.
	Gateway     string
	GatewayAddr []netip.Addr // the gateway's addresses where they are not the first ones

	NAT    bool         // the gateway masquerades packets that leave the subnets
	NATTo  []netip.Addr // SNAT to these addresses instead of masquerading; implies NAT
	Routed bool         // the gateway forwards between the subnets and other networks without NAT
	// RoutedFrom are the sources outside the lab that reach the hosts of a routed network; none means all.
	RoutedFrom []netip.Prefix

	Uplink       string   // a device to put into the bridge, for example eth0; it is never deleted
	IsolateHosts bool     // hosts of this network cannot reach each other
	IsolateFrom  []string // no packets between this network and these
	Antispoof    bool     // hosts of this network send from their own addresses only
	// Fastpath puts established connections into a flowtable on the routers of this network:
	// they skip routing and nftables rules. It applies to connections between this network and
	// other networks with Fastpath, links and the outside.
	Fastpath bool

	MTU           int      // bytes; 0 means 1500
	MTUAuto       bool     // [Topology.Fill] sets MTU
	MAC           topo.MAC // zero means derived from the names
	STP           bool     // run the spanning tree protocol
	VLANFiltering bool     // separate VLANs by VLAN and VLANs of the hosts' attachments

	at pos
}

// NoGateway as a network's Gateway means: no host has the first address as a
// gateway, and hosts get no default route from this network.
const NoGateway = "none"

// BridgeHost returns the host in whose namespace the bridge of network n is.
func (t *Topology) BridgeHost(n int) string {
	if in := t.Networks[n].In; in != "" {
		return in
	}
	return topo.Machine
}

// GatewayOf returns the host that is the gateway of network n, or NoGateway.
func (t *Topology) GatewayOf(n int) string {
	if g := t.Networks[n].Gateway; g != "" {
		return g
	}
	return t.BridgeHost(n)
}

func (n *fileNetwork) network(d *decoder, name string, at pos) Network {
	net := Network{
		Name: name, Subnets: n.Subnets, In: n.In,
		NAT: n.NAT.on, NATTo: n.NAT.to, Routed: n.Routed.on, RoutedFrom: n.Routed.from,
		Uplink: n.Uplink, IsolateHosts: n.Isolate.hosts, Antispoof: n.Antispoof, Fastpath: n.Fastpath,
		MTU: n.MTU.bytes, MTUAuto: n.MTU.auto, MAC: n.MAC, STP: n.STP, VLANFiltering: n.VLANFiltering,
		at: at,
	}
	if net.In == topo.Machine {
		net.In = ""
	}
	for _, from := range n.Isolate.from {
		if from == "hosts" {
			net.IsolateHosts = true
		} else {
			net.IsolateFrom = append(net.IsolateFrom, from)
		}
	}
	for _, g := range n.Gateway {
		if a, err := parseAddr(g); err == nil {
			net.GatewayAddr = append(net.GatewayAddr, a)
			continue
		}
		if net.Gateway != "" {
			d.mistake(at, g, "two gateways: "+net.Gateway+" and "+g, "name one host")
		}
		net.Gateway = g
	}
	return net
}

func (n *Network) format() (m mapping) {
	m.list("subnets", display.Prefixes(n.Subnets))
	m.text("in", n.In)
	gateway := display.Addrs(n.GatewayAddr)
	if n.Gateway != "" {
		gateway = append([]string{n.Gateway}, gateway...)
	}
	m.one("gateway", gateway)
	switch {
	case len(n.NATTo) > 0:
		m.one("nat", display.Addrs(n.NATTo))
	case n.NAT:
		m.flag("nat", true)
	}
	if len(n.RoutedFrom) > 0 {
		m.one("routed", display.Prefixes(n.RoutedFrom))
	} else {
		m.flag("routed", n.Routed)
	}
	m.text("uplink", n.Uplink)
	switch {
	case n.IsolateHosts && len(n.IsolateFrom) > 0:
		m.list("isolate", append([]string{"hosts"}, n.IsolateFrom...))
	case len(n.IsolateFrom) > 0:
		m.list("isolate", n.IsolateFrom)
	default:
		m.flag("isolate", n.IsolateHosts)
	}
	m.flag("antispoof", n.Antispoof)
	m.flag("fastpath", n.Fastpath)
	if n.MTUAuto {
		m.text("mtu", "auto")
	} else {
		m.number("mtu", n.MTU)
	}
	m.mac(n.MAC)
	m.flag("stp", n.STP)
	m.flag("vlan_filtering", n.VLANFiltering)
	return m
}
