package topo

import (
	"net/netip"
	"time"
)

// Machine is the reserved name of the machine itself: the network namespace
// vnet runs in. It may stand wherever a host may.
const Machine = "machine"

// A Topology is a lab as its author means it: [Parse] makes it from a file,
// a program may fill it by hand, [Compile] turns it into a [State]. It says
// nothing twice and leaves out whatever Compile can work out.
type Topology struct {
	Name     string        // names the lab and marks what vnet makes for it
	Networks []Network     // in the order of the file, which decides who gets which address
	Hosts    []Host        // in the order of the file
	Cables   []Cable       // the file's links
	Expect   []Expectation // what Verify proves

	// WayOut are the links by which the machine reaches the outside: those of its networks
	// with Fastpath have fast paths to them. [Topology.Fit] finds them.
	WayOut []string

	source *source // the file it came from, for mistakes found later; nil if none
}

// A Network is a switch (a Linux bridge) and the subnets on it.
type Network struct {
	Name    string         // the bridge's device name, at most 15 bytes
	Subnets []netip.Prefix // masked; none means the switch carries no addresses of ours
	In      string         // the host whose namespace holds the switch; "" means the machine

	// Gateway is the host that has the first address of every subnet and is
	// every other host's default route. "" means whoever holds the switch;
	// NoGateway means nobody.
	Gateway     string
	GatewayAddr []netip.Addr // the gateway's addresses where they are not the first ones

	NAT    bool         // the gateway masquerades what leaves the subnets
	NATTo  []netip.Addr // source addresses to use instead of the leaving device's; implies NAT
	Routed bool         // the gateway forwards between the subnets and the outside without NAT

	Uplink       string   // a device of the holder's to put into the switch, for example eth0; it is never deleted
	IsolateHosts bool     // its hosts must not reach each other
	IsolateFrom  []string // networks it must not reach, nor they it
	// Fastpath lets established connections between this network and others that have it,
	// cables and the outside pass by the routing and rules of its routers.
	Fastpath bool

	MTU           int  // bytes; 0 means 1500
	MTUAuto       bool // MTU is for [Topology.Fit] to work out
	MAC           MAC  // zero means derived from the names
	STP           bool // run the spanning tree protocol
	VLANFiltering bool // keep VLANs apart by the ports' vlan and vlans

	at pos
}

// NoGateway as a network's Gateway: nobody has the first address and hosts get
// no default route from this network.
const NoGateway = "none"

// A Host is a network namespace and what is in it. The host named [Machine] is
// the machine itself: its networks, devices, routes and settings are added to
// what is there.
type Host struct {
	Name       string
	Namespace  string        // an existing namespace to take in: a name, a path, or a pid in digits; "" means one of our own
	Networks   []Attachment  // eth0, eth1 … in this order
	Devices    []Device      // further devices, made in this order
	Ports    []PortForward     // ports its gateway forwards to it
	Routes     []StaticRoute // besides the default route
	Neighbours []StaticNeigh
	Sysctls    []Setting // in the order of the file
	Aliases    []string  // further names other hosts find it by
	DNS        DNS
	Router     bool           // it forwards packets; set for whoever is a gateway
	NAT        []netip.Prefix // sources it masquerades
	Forwards   []PortForward      // ports it forwards to others
	Run        []string       // shell commands started after up and stopped by down

	at pos
}

// An Attachment is a host's port on a network.
type Attachment struct {
	Network   string
	Device    string         // the device's name in the host; "" means the next free ethN
	Addresses []netip.Addr   // in the network's subnets; a subnet without one gives the next free
	Own       []netip.Prefix // addresses with a prefix length of their own, which no subnet need hold
	NoAddress bool           // take no address from the network's subnets
	MTU       int            // bytes; 0 means the network's
	MAC       MAC            // zero means derived from the names
	VLAN      uint16         // untagged VLAN of the port, 1–4094; 0 means the switch's default
	VLANs     []uint16       // tagged VLANs of the port
	Impair    Impairment
	NoOffload bool // both ends fill in checksums themselves

	at pos
}

// A Cable joins two hosts directly, without a switch (a veth pair).
type Cable struct {
	Ends   [2]End
	MTU    int // bytes, both ends; 0 means 1500
	Impair Impairment

	NoOffload bool // both ends fill in checksums themselves

	at pos
}

// An End is one end of a Cable.
type End struct {
	Host      string
	Device    string // "" means the next free ethN of the host
	Addresses []netip.Prefix
	MAC       MAC // zero means derived from the names
}

// An Impairment makes a link as bad as a real one, in both directions. The
// zero value leaves it alone.
type Impairment struct {
	Delay  time.Duration // added to every packet
	Jitter time.Duration // the delay varies by so much either way
	Loss   float64       // percent of packets lost, 0–100
	Rate   uint64        // bits a second; 0 means unlimited
}

// Device kinds of a Host.
const (
	KindDummy   = "dummy"
	KindVLAN    = "vlan"
	KindVXLAN   = "vxlan"
	KindMACVLAN = "macvlan"
	KindIPVLAN  = "ipvlan"
)

// A Device is a device of a host that is neither a port of a network nor the
// end of a cable.
type Device struct {
	Name      string
	Kind      string // one of the Kind constants
	Parent    string // the device it stands on, of the same host or "machine:DEV"; needed by vlan, macvlan and ipvlan
	ID        uint32 // VLAN id 1–4094, or VXLAN network identifier 0–16777215
	Mode      string // macvlan: bridge, private, vepa, passthru; ipvlan: l2, l3, l3s; "" means bridge and l2
	Local     netip.Addr
	Remote    netip.Addr // vxlan: the other machine, or a multicast group
	Port      uint16     // vxlan: UDP port; 0 means 4789
	Network   string     // plug it into this network's switch
	Addresses []netip.Prefix
	MTU       int // bytes; 0 means the kernel's choice
	MAC       MAC // zero means derived from the names

	at pos
}

// A Publish forwards ports to a host, DNAT in the kernel's words.
type PortForward struct {
	Listen      netip.Addr // only packets to this address; invalid means to any address of the gateway
	First, Last uint16     // the published ports
	Host        string     // where they lead; "" if To is set
	To          netip.Addr // an address instead of a host
	ToFirst     uint16     // the port that First leads to; a range keeps its order
	Proto       string     // tcp, udp or sctp

	at pos
}

// A StaticRoute is a route in ip(8)'s words. Its kernel-made counterparts
// (those of the subnets a device is in) are not written.
type StaticRoute struct {
	Type  string       // unicast, blackhole, unreachable, prohibit
	Dst   netip.Prefix // 0.0.0.0/0 and ::/0 are the default route
	Hops  []Hop        // none for the types without one; several for multipath
	Src   netip.Addr   // preferred source; invalid means the kernel's choice
	Table uint32       // 0 means main
	// Metric orders routes to the same destination, the lowest wins. 0 is
	// the kernel's default: 0 for IPv4, 1024 for IPv6.
	Metric uint32
	MTU    int // bytes; 0 means the device's

	at pos
}

// A Hop is one next hop of a StaticRoute.
type Hop struct {
	Via    netip.Addr // invalid for a route that leads straight to a device
	Device string     // "" means the device through which Via is reached
	Weight int        // share in a multipath route, 1–256; 0 means 1
	Onlink bool       // Via is reachable although no subnet says so
}

// A StaticNeigh is a neighbour (ARP, ND) that never expires.
type StaticNeigh struct {
	Addr   netip.Addr
	MAC    MAC
	Device string // "" means the device whose subnet holds Addr

	at pos
}

// A Setting is one sysctl of a host.
type Setting struct {
	Key   string // net.ipv4.conf.all.rp_filter; the parts separated by dots or slashes
	Value string

	at pos
}

// DNS is what a host's /etc/resolv.conf says. The zero value leaves the
// machine's own.
type DNS struct {
	Servers []netip.Addr
	Search  []string
}

// Outcomes of an Expectation.
const (
	Answered    = "answered"    // a reply comes back; a TCP connection opens
	Refused     = "refused"     // the other side, or one on the way, says no at once
	Unreachable = "unreachable" // no reply at all, or word that there is no way
)

// Probes of an Expectation.
const (
	ProbePing = "ping" // ICMP and ICMPv6 echo
	ProbeTCP  = "tcp"
	ProbeUDP  = "udp"
	ProbeDNS  = "dns" // To is a name that must resolve inside From, to Addr if that is valid
)

// An Expectation is a fact of the lab that Verify proves with real packets.
type Expectation struct {
	From string     // a host or Machine
	To   string     // a host, Machine, or "" if Addr is set; a name for ProbeDNS
	Addr netip.Addr // the address to reach; invalid means every address of To the probe's family has

	Probe   string     // one of the Probe constants
	Family  int        // 4 or 6; 0 means each family both sides have
	Port    uint16     // of tcp and udp
	Size    int        // ping: bytes of the whole IP packet, sent unfragmented; 0 means small
	Outcome string     // one of the outcomes
	Not     bool       // the outcome must be any other
	Seen    netip.Addr // the source address the other side must see; invalid means any

	at pos
}
