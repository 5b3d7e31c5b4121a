package lab

import (
	"net/netip"

	"github.com/vnet-lab/vnet/topo"
)

// A Topology is the content of a lab file. [Parse] makes it from a file, or a
// program fills it by hand. [Compile] turns it into a [topo.State] and adds what
// the Topology leaves out.
type Topology struct {
	Name     string        // Name of the lab; vnet marks its objects with it
	Networks []Network     // in the order of the file
	Hosts    []Host        // in the order of the file, which is the order of their addresses
	Links    []Link        // the links of the file
	Expect   []Expectation // what Verify proves

	// EgressLinks are the links by which the machine reaches other networks. A network
	// with Fastpath has fast paths to them. [Topology.FillEgress] sets them.
	EgressLinks []string

	source *source // the file, for the places of mistakes found later; nil if there is none
}

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
	// Fastpath puts established connections into a flowtable on the routers of this network:
	// they skip routing and nftables rules. It applies to connections between this network and
	// other networks with Fastpath, links and the outside.
	Fastpath bool

	MTU           int      // bytes; 0 means 1500
	MTUAuto       bool     // [Topology.FillEgress] sets MTU
	MAC           topo.MAC // zero means derived from the names
	STP           bool     // run the spanning tree protocol
	VLANFiltering bool     // separate VLANs by VLAN and VLANs of the hosts' attachments

	at pos
}

// NoGateway as a network's Gateway means: no host has the first address as a
// gateway, and hosts get no default route from this network.
const NoGateway = "none"

// A Host is a network namespace and its content. The host named [topo.Machine] is
// the machine itself: its networks, devices, routes and settings are added to
// the existing ones.
type Host struct {
	Name       string
	Namespace  string        // an existing namespace to adopt: a name, a path or a pid; "" means a new one
	Networks   []Attachment  // eth0, eth1 … in this order
	Devices    []Device      // other devices, made in this order
	Ports      []Forward     // ports that its gateway forwards to it
	Routes     []StaticRoute // in addition to the default route
	Neighbours []StaticNeigh
	Sysctls    []Setting // in the order of the file
	Aliases    []string  // other names in the hosts' /etc/hosts
	DNS        DNS
	Router     bool           // it forwards packets; a gateway does so without it
	NAT        []netip.Prefix // sources that it masquerades
	Forwards   []Forward      // ports that it forwards to other hosts
	Run        []string       // shell commands started after up and stopped by down

	at pos
}

// NamespaceOf returns the namespace of a host, as [Compile] makes it.
func (t *Topology) NamespaceOf(host string) topo.Namespace {
	for i := range t.Hosts {
		if h := &t.Hosts[i]; h.Name == host {
			return topo.Namespace{Name: host, From: h.Namespace}
		}
	}
	return topo.Namespace{Name: host}
}

// An Attachment connects a host to a network: a veth pair with one end in the bridge.
type Attachment struct {
	Network   string
	Device    string         // the device's name in the host; "" means the next free ethN
	Addresses []netip.Addr   // in the network's subnets; for a subnet without one, the next free address is used
	Prefixes  []netip.Prefix // addresses with an explicit prefix length, not necessarily in a subnet of the network
	NoAddress bool           // assign no address from the network's subnets
	MTU       int            // bytes; 0 means the network's
	MAC       topo.MAC       // zero means derived from the names
	VLAN      uint16         // untagged VLAN of the port, 1–4094; 0 means 1, or none if VLANs is set
	VLANs     []uint16       // tagged VLANs of the port
	Impair    topo.Impairment
	NoOffload bool // turn off checksum offload on both ends

	at pos
}

// A Link is a veth pair between two hosts, without a bridge.
type Link struct {
	Ends   [2]End
	MTU    int // bytes, both ends; 0 means 1500
	Impair topo.Impairment

	NoOffload bool // turn off checksum offload on both ends

	at pos
}

// An End is one end of a Link.
type End struct {
	Host      string
	Device    string // "" means the next free ethN of the host
	Addresses []netip.Prefix
	MAC       topo.MAC // zero means derived from the names
}

// A Forward forwards ports to a host or an address (DNAT).
type Forward struct {
	Listen      netip.Addr // only packets to this address; invalid means any address of the gateway
	First, Last uint16     // the published ports, both included
	Host        string     // the target host; "" if To is set
	To          netip.Addr // a target address instead of a host
	ToFirst     uint16     // the target port of First; a range keeps its order
	Proto       string     // tcp, udp or sctp

	at pos
}

// A StaticRoute is a route with the fields of ip-route(8). Routes that the
// kernel adds for the subnets of a device are not listed.
type StaticRoute struct {
	Type  string       // unicast, blackhole, unreachable, prohibit
	Dst   netip.Prefix // 0.0.0.0/0 and ::/0 are the default route
	Hops  []topo.Hop   // empty for types without a next hop; several for multipath
	Src   netip.Addr   // preferred source; invalid means the kernel's choice
	Table uint32       // 0 means main
	// Metric selects between routes to the same destination: the lowest wins.
	// 0 means the kernel's default: 0 for IPv4, 1024 for IPv6.
	Metric uint32
	MTU    int // bytes; 0 means the device's

	at pos
}

// A StaticNeigh is a permanent neighbour entry (ARP, ND).
type StaticNeigh struct {
	Addr   netip.Addr
	MAC    topo.MAC
	Device string // "" means the device whose subnet contains Addr

	at pos
}

// A Setting is one sysctl of a host.
type Setting struct {
	Key   string // for example net.ipv4.conf.all.rp_filter; separated by dots or slashes
	Value string

	at pos
}

// DNS is the content of a host's /etc/resolv.conf. With the zero value the
// host uses the machine's file.
type DNS struct {
	Servers []netip.Addr
	Search  []string
}

// Outcomes of an Expectation.
const (
	Answered    = "answered"    // a reply comes back; a TCP connection opens
	Refused     = "refused"     // TCP RST, or an ICMP error that says the port or the traffic is refused
	Unreachable = "unreachable" // no reply, or an ICMP error that says the destination is unreachable
)

// Probes of an Expectation.
const (
	ProbePing = "ping" // ICMP and ICMPv6 echo
	ProbeTCP  = "tcp"
	ProbeUDP  = "udp"
	ProbeDNS  = "dns" // From must resolve the name To; to Addr if that is valid
)

// An Expectation is a statement about the lab that Verify proves with packets.
type Expectation struct {
	From string     // a host or Machine
	To   string     // a host, Machine, or "" if Addr is set; a name for ProbeDNS
	Addr netip.Addr // the address to reach; invalid means an address of To in each family of the probe

	Probe   string     // one of the Probe constants
	Family  int        // 4 or 6; 0 means each family that both sides have
	Port    uint16     // for tcp and udp
	Size    int        // ping: size of the IP packet in bytes, sent with DF set; 0 means a small packet
	Outcome string     // one of the outcome constants
	Not     bool       // any outcome but Outcome is expected
	Seen    netip.Addr // the source address that the other side must see; invalid means any

	at pos
}
