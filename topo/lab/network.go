package lab

import (
	"net/netip"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
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
	NATTo  []netip.Addr // SNAT to the first one of each IP version; a version without one is masqueraded; implies NAT
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

	MTU           int                // bytes; 0 means 1500
	MTUAuto       bool               // [Topology.Fill] sets MTU
	MAC           topo.MAC           // zero means derived from the names
	STP           bool               // run the spanning tree protocol
	VLANFiltering bool               // separate VLANs by VLAN and VLANs of the hosts' attachments
	Options       topo.BridgeOptions // other options of the bridge; "" means the kernel's defaults

	at syntax.Pos
}

// NoGateway as a network's Gateway means: the network has no gateway, and hosts get no default route
// from it.
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

func (n *fileNetwork) network(d *syntax.Decoder, name string, at syntax.Pos) Network {
	net := Network{
		Name: name, Subnets: n.Subnets, In: n.In,
		NAT: n.NAT.on, NATTo: n.NAT.to, Routed: n.Routed.on, RoutedFrom: n.Routed.from,
		Uplink: n.Uplink, IsolateHosts: n.Isolate.hosts, Antispoof: n.Antispoof, Fastpath: n.Fastpath,
		MTU: n.MTU.bytes, MTUAuto: n.MTU.auto, MAC: n.MAC, STP: n.STP, VLANFiltering: n.VLANFiltering,
		Options: n.options(d, at), at: at,
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
		if a, err := syntax.ParseAddr(g); err == nil {
			net.GatewayAddr = append(net.GatewayAddr, a)
			continue
		}
		if net.Gateway != "" {
			d.Mistake(at, g, "two gateways: "+net.Gateway+" and "+g, "name one host")
		}
		net.Gateway = g
	}
	return net
}

// Read reads a number of bytes, or auto.
func (c *mtuChoice) Read(d *syntax.Decoder, n *yaml.Node) {
	syntax.Scalar(d, n, c, "expected an integer or auto", parseMTU)
}

func parseMTU(s string) (mtu mtuChoice, err error) {
	if s == "auto" {
		return mtuChoice{auto: true}, nil
	}
	mtu.bytes, err = strconv.Atoi(s)
	return mtu, err
}

// Read reads true, false, or addresses.
func (c *natChoice) Read(d *syntax.Decoder, n *yaml.Node) {
	if syntax.Bool(d, n, &c.on) {
		return
	}
	d.Value(n, &c.to)
	c.on = true
}

// Read reads true, false, or sources.
func (c *routedChoice) Read(d *syntax.Decoder, n *yaml.Node) {
	if syntax.Bool(d, n, &c.on) {
		return
	}
	d.Value(n, &c.from)
	c.on = true
}

// Read reads true, false, or names of networks.
func (c *isolateChoice) Read(d *syntax.Decoder, n *yaml.Node) {
	if on, err := syntax.ParseBool(n.Value); n.Kind == yaml.ScalarNode && err == nil {
		c.hosts = on // "on" and "no" are names of networks here
		return
	}
	d.Value(n, &c.from)
}

func (n *Network) format() (m syntax.Mapping) {
	m.List("subnets", display.Prefixes(n.Subnets))
	m.Text("in", n.In)
	gateway := display.Addrs(n.GatewayAddr)
	if n.Gateway != "" {
		gateway = append([]string{n.Gateway}, gateway...)
	}
	m.One("gateway", gateway)
	switch {
	case len(n.NATTo) > 0:
		m.One("nat", display.Addrs(n.NATTo))
	case n.NAT:
		m.Flag("nat", true)
	}
	if len(n.RoutedFrom) > 0 {
		m.One("routed", display.Prefixes(n.RoutedFrom))
	} else {
		m.Flag("routed", n.Routed)
	}
	m.Text("uplink", n.Uplink)
	switch {
	case n.IsolateHosts && len(n.IsolateFrom) > 0:
		m.List("isolate", append([]string{"hosts"}, n.IsolateFrom...))
	case len(n.IsolateFrom) > 0:
		m.List("isolate", n.IsolateFrom)
	default:
		m.Flag("isolate", n.IsolateHosts)
	}
	m.Flag("antispoof", n.Antispoof)
	m.Flag("fastpath", n.Fastpath)
	if n.MTUAuto {
		m.Text("mtu", "auto")
	} else {
		m.Number("mtu", n.MTU)
	}
	m.MAC(n.MAC)
	m.Flag("stp", n.STP)
	m.Flag("vlan_filtering", n.VLANFiltering)
	n.formatOptions(&m)
	return m
}
