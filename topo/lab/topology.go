package lab

import (
	"net/netip"

	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
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
	// with Fastpath has fast paths to them. [Topology.Fill] sets them.
	EgressLinks []string
	// OutsideMACs has the MAC addresses of the OutsideLinks that exist. [Topology.Fill] sets
	// it; without it, derived MAC addresses depend on the names only.
	OutsideMACs map[topo.Key]topo.MAC

	// BridgeNetfilter means that NAT may run in bridges, because br_netfilter is loaded. Then a host
	// needs hairpin mode to reach a port that is forwarded to itself.
	// [Topology.Fill] sets it.
	BridgeNetfilter bool

	source *syntax.Source // the file, for the places of mistakes found later; nil if there is none
}

// A Forward forwards ports to a host or an address (DNAT).
type Forward struct {
	Listen      netip.Addr // only packets to this address; invalid means any address of the gateway
	First, Last uint16     // the published ports, both included
	Host        string     // the target host; "" if To is set
	To          netip.Addr // a target address instead of a host
	ToFirst     uint16     // the target port of First; a range keeps its order
	Proto       string     // tcp, udp or sctp

	at syntax.Pos
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

	at syntax.Pos
}
