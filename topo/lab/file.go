package lab

import (
	"net/netip"
	"time"

	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// The types of this file describe the lab file: its keys, and a comment for each
// key that is copied to lab.schema.json and LAB.md. A Topology is made of them.

// fileLab is a lab: the networks, hosts and links that vnet makes on one machine.
type fileLab struct {
	// Name of the lab. vnet marks each object of the lab with this name, so `vnet down NAME` needs no
	// file. Default: the name of the file.
	Name string `yaml:"name"`
	// Defaults: keys for all networks, hosts and links. A key of the entry itself takes precedence.
	Defaults fileDefaults `yaml:"defaults"`
	// Networks by name. Each is a Linux bridge.
	Networks syntax.Table[fileNetwork] `yaml:"networks"`
	// Hosts by name. Each is a network namespace. The host "machine" is the machine itself.
	Hosts syntax.Table[fileHost] `yaml:"hosts"`
	// Links: veth pairs between two hosts, without a bridge.
	Links []fileLink `yaml:"links"`
	// Expect: facts that `vnet verify` proves with packets, for example "red -> blue: ping".
	Expect []expectation `yaml:"expect"`

	At syntax.Pos `yaml:"-"`
}

// fileDefaults are keys for all networks, hosts and links. A key of the entry itself takes precedence.
type fileDefaults struct {
	// Networks: keys of a network.
	Networks *fileNetwork `yaml:"networks"`
	// Hosts: keys of a host. They do not apply to "machine".
	Hosts *fileHost `yaml:"hosts"`
	// Links: keys of a link.
	Links *fileLink `yaml:"links"`
}

// fileNetwork is a Linux bridge and the subnets on it.
type fileNetwork struct {
	// Subnets, IPv4 and IPv6. The gateway has the first address of each; the hosts get the next ones, in
	// the order of the file.
	Subnets syntax.Many[netip.Prefix] `yaml:"subnets"`
	// Gateway: the host that has the first address and is the default gateway of the other hosts; or none.
	// An address here is the gateway's address instead of the first one. Default: the host in whose
	// namespace the bridge is (see `in`).
	Gateway syntax.Many[string] `yaml:"gateway"`
	// NAT: with true, the gateway masquerades packets that leave these subnets. With an address, it uses
	// this source address (SNAT). Write one for each IP version: packets of a version without one are masqueraded.
	NAT natChoice `yaml:"nat"`
	// Routed: the gateway forwards between these subnets and other networks without NAT. The other
	// networks need routes to these subnets. With true, all of the outside reaches the hosts;
	// with prefixes, only these sources do. Default: the outside reaches forwarded ports only (`ports`).
	Routed routedChoice `yaml:"routed"`
	// In: the host in whose namespace the bridge is. Default: the machine.
	In string `yaml:"in"`
	// Uplink: a device, such as eth0, that becomes a port of the bridge and connects this network to the
	// outside. It is in the same namespace as the bridge.
	Uplink string `yaml:"uplink"`
	// Isolate: with true, hosts of this network cannot reach each other. With names of networks, no
	// packets pass between this network and those.
	Isolate isolateChoice `yaml:"isolate"`
	// Antispoof: with true, hosts of this network send from their own MAC and IP addresses only, as this file
	// gives them, in ARP and neighbour discovery too. Only the gateway sends router advertisements, redirects
	// and answers of DHCP. Hosts that forward packets may send any source address. Frames with VLAN tags are
	// dropped. The kernel needs nftables for bridges (CONFIG_NF_TABLES_BRIDGE).
	Antispoof bool `yaml:"antispoof"`
	// Fastpath: with true, the routers of this network put established TCP and UDP connections into a
	// flowtable: their packets skip routing and nftables rules. It applies to connections with other
	// networks that have fastpath, with links and with the outside.
	Fastpath bool `yaml:"fastpath"`
	// MTU in bytes. auto is the MTU of the machine's default route, for example that of a VPN. Default: 1500.
	MTU mtuChoice `yaml:"mtu"`
	// MAC address of the bridge. Default: derived from the names.
	MAC topo.MAC `yaml:"mac"`
	// STP: run the spanning tree protocol on the bridge. A port forwards only after two forward delays, by default
	// after 30 seconds; up waits for it.
	STP bool `yaml:"stp"`
	// Forward delay of the spanning tree protocol, 2s to 30s. Without stp, from 0s. Default: 15s. All times of a
	// bridge are multiples of 100ms.
	ForwardDelay *time.Duration `yaml:"forward_delay"`
	// Hello time of the spanning tree protocol, 1s to 10s: the interval of its messages. Default: 2s.
	HelloTime *time.Duration `yaml:"hello_time"`
	// Maximum age of a message of the spanning tree protocol, 6s to 40s. Default: 20s.
	MaxAge *time.Duration `yaml:"max_age"`
	// Ageing time: how long the bridge keeps a MAC address that it learned at a port. With 0s it sends each frame to
	// all ports, like a hub. Default: 300s.
	AgeingTime *time.Duration `yaml:"ageing_time"`
	// Priority in the spanning tree protocol, 0 to 65535: the bridge with the lowest one is the root. Default: 32768.
	Priority *int `yaml:"priority"`
	// Group forward mask: protocols whose frames a bridge normally does not forward, but this one does: lldp, eapol, or
	// a mask such as 0x4000, whose bit N stands for the address 01:80:c2:00:00:0N, N in hexadecimal. Bits 0 to 2 (STP,
	// PAUSE, LACP) are not allowed. Default: none.
	GroupFwdMask syntax.Many[groupMask] `yaml:"group_fwd_mask"`
	// Multicast snooping: with false, the bridge sends multicast packets to all ports, not only to those behind which
	// hosts asked for the group (IGMP, MLD). Default: true.
	McastSnooping *bool `yaml:"mcast_snooping"`
	// Multicast querier: the bridge asks for members of multicast groups if no router does. Default: false.
	McastQuerier *bool `yaml:"mcast_querier"`
	// VLAN filtering: separate VLANs by the keys `vlan` and `vlans` of the hosts.
	VLANFiltering bool `yaml:"vlan_filtering"`
	// Repeat makes several copies of this entry: a count (from 1), or a range such as 5-20. "(n)", "(n+1)"
	// and "(n-1)" in the entry are replaced by numbers. A name without "(n)" gets it appended.
	Repeat syntax.Repeat `yaml:"repeat"`

	At syntax.Pos `yaml:"-"`
}

// fileHost is a network namespace and its content.
type fileHost struct {
	// Networks that the host is connected to: a list of names, or a mapping of names to keys. Its devices
	// are eth0, eth1 … in this order.
	Networks attachments `yaml:"networks"`
	// Ports that its gateway forwards to it, written as in Compose: "8080:80" forwards port 8080 of the gateway to
	// port 80 of the host. "127.0.0.1:9000-9010:9000-9010", "[fd00::1]:53:53/udp" begin with the address to listen
	// on. Clients with a link-local IPv6 address do not reach them.
	Ports syntax.Many[hostForward] `yaml:"ports"`
	// Routes, written as for ip-route(8): "10.2.0.0/16 via 10.0.0.2", "default via fd00::1 dev eth1",
	// "blackhole 10.9.0.0/16", "10.0.0.0/8 nexthop via 10.0.0.1 weight 2 nexthop via 10.0.1.1".
	Routes syntax.Many[fileRoute] `yaml:"routes"`
	// Rules of policy routing, written as for ip-rule(8): "from 10.0.0.0/8 lookup 100", "iif eth1 prohibit",
	// "-6 fwmark 0x7/0xff lookup main". A route with the word table belongs to that table. A rule without an address is
	// for IPv4 and IPv6; -4 or -6 before it selects one. The rules apply in the order of the file: the first
	// has priority 100, each other one more than the rule before, unless the word priority gives another.
	Rules syntax.Many[fileRule] `yaml:"rules"`
	// Neighbours: permanent neighbour entries, written as for ip-neighbour(8): "10.0.0.9 lladdr
	// 02:00:00:00:00:09 dev eth0". With "proxy 10.0.0.9 dev eth0", the host answers on eth0 for the address of
	// another host, and forwards its packets. For this it must be a router, with a route to the address.
	Neighbours syntax.Many[fileNeigh] `yaml:"neighbours"`
	// Sysctls of the host, for example net.ipv4.conf.all.rp_filter: 0. The machine and an adopted namespace cannot have
	// those that change all their links, such as net.ipv6.conf.all.disable_ipv6: write them for each link.
	Sysctls syntax.Table[string] `yaml:"sysctls"`
	// Aliases: other names of the host, for /etc/hosts and for facts.
	Aliases syntax.Many[string] `yaml:"aliases"`
	// DNS: the content of its resolv.conf. Default: the machine's file.
	DNS fileDNS `yaml:"dns"`
	// Router: with true, the host forwards packets. With keys, it also masquerades and forwards ports. The
	// gateway of a network always forwards packets.
	Router router `yaml:"router"`
	// Devices by name: dummy, vlan, vxlan, macvlan or ipvlan. The device lo has only the key addresses, for example
	// [10.255.0.1/32, "fd00::1/128"]; the other hosts need routes to them. On the machine and in adopted namespaces,
	// the prefix length is 32 or 128.
	Devices syntax.Table[fileDevice] `yaml:"devices"`
	// Run: shell commands that up starts in the host and down stops. A command may end. If it fails within 100 ms,
	// up reports that and undoes everything; if it fails later, only status reports it.
	Run syntax.Many[string] `yaml:"run"`
	// Namespace: an existing network namespace to adopt: a name, a path or a process id. vnet configures
	// it, but never deletes it.
	Namespace string `yaml:"namespace"`
	// Repeat makes several copies of this entry: a count (from 1), or a range such as 5-20. "(n)", "(n+1)"
	// and "(n-1)" in the entry are replaced by numbers. A name without "(n)" gets it appended.
	Repeat syntax.Repeat `yaml:"repeat"`

	At syntax.Pos `yaml:"-"`
}

// fileAttachment connects a host to a network: a veth pair with one end in the bridge.
type fileAttachment struct {
	// Address in the network's subnets, or any address with a prefix length; with "none", the host gets no address.
	// Default: the next free address of each subnet.
	Address syntax.Many[string] `yaml:"address"`
	// Name of the device in the host. Default: the next free name of eth0, eth1 …
	Name string `yaml:"name"`
	// MAC address. Default: derived from the names.
	MAC topo.MAC `yaml:"mac"`
	// MTU in bytes. Default: the network's.
	MTU int `yaml:"mtu"`
	// VLAN: the untagged VLAN of the bridge port, 1 to 4094. Default: 1, or none if the host has `vlans` here.
	VLAN int `yaml:"vlan"`
	// VLANs: the tagged VLANs of the bridge port, 1 to 4094 each.
	VLANs syntax.Many[int] `yaml:"vlans"`
	// Impair adds delay, loss and a rate limit.
	Impair fileImpair `yaml:"impair"`
	// Offload: off turns off checksum offload on both ends, so that packets carry complete checksums. Raw
	// sockets and virtual machines need this.
	Offload offloadChoice `yaml:"offload"`

	At syntax.Pos `yaml:"-"`
}

// fileDNS is the content of a host's resolv.conf.
type fileDNS struct {
	// Servers: addresses of name servers.
	Servers syntax.Many[netip.Addr] `yaml:"servers"`
	// Search: domains to append to short names.
	Search syntax.Many[string] `yaml:"search"`
}

// fileRouter is what a router does in addition to forwarding packets.
type fileRouter struct {
	// NAT: source subnets that it masquerades.
	NAT syntax.Many[netip.Prefix] `yaml:"nat"`
	// Ports that it forwards to other hosts: "8080:web:80", "2222:192.168.1.9:22/tcp".
	Ports syntax.Many[routerForward] `yaml:"ports"`
}

// fileDevice is a device of a host that is not an end of a veth pair.
type fileDevice struct {
	// Type of the device. Required, except for lo.
	Type string `yaml:"type" enum:"dummy,vlan,vxlan,macvlan,ipvlan"`
	// Parent: the parent device, of the same host or "machine:eth0". Required for vlan, macvlan and ipvlan.
	Parent string `yaml:"parent"`
	// ID: VLAN id (1 to 4094) or VXLAN network identifier (0 to 16777215).
	ID int `yaml:"id"`
	// Mode: for macvlan bridge (default), private, vepa or passthru; for ipvlan l2 (default), l3 or l3s.
	Mode string `yaml:"mode" enum:"bridge,private,vepa,passthru,l2,l3,l3s"`
	// Local: for vxlan, the source address of the tunnel. Default: the routes choose it.
	Local netip.Addr `yaml:"local"`
	// Remote: for vxlan, the address of the other tunnel endpoint, or a multicast group.
	Remote netip.Addr `yaml:"remote"`
	// Port: for vxlan, the UDP port. Default: 4789.
	Port int `yaml:"port"`
	// Network: the device becomes a port of this network's bridge.
	Network string `yaml:"network"`
	// Addresses with their prefix lengths.
	Addresses syntax.Many[netip.Prefix] `yaml:"addresses"`
	// MTU in bytes. Default: that of the parent or 1500; for vxlan, minus the tunnel headers.
	MTU int `yaml:"mtu"`
	// MAC address. Default: derived from the names. A macvlan of mode passthru has that of its parent.
	MAC topo.MAC `yaml:"mac"`

	At syntax.Pos `yaml:"-"`
}

// fileLink is a veth pair between two hosts.
type fileLink struct {
	// Endpoints: two hosts, each with an optional device name: [red:eth1, blue]. "machine" is the machine
	// itself.
	Endpoints []string `yaml:"endpoints"`
	// Addresses of the two ends, with prefix lengths: [10.0.0.1/30, 10.0.0.2/30]. Write a list for an end
	// with several addresses.
	Addresses []syntax.Many[netip.Prefix] `yaml:"addresses"`
	// MACs of the two ends. Default: derived from the names.
	MACs []topo.MAC `yaml:"macs"`
	// MTU of both ends in bytes. Default: 1500.
	MTU int `yaml:"mtu"`
	// Impair adds delay, loss and a rate limit, in both directions.
	Impair fileImpair `yaml:"impair"`
	// Offload: off turns off checksum offload on both ends, so that packets carry complete checksums. Raw
	// sockets and virtual machines need this.
	Offload offloadChoice `yaml:"offload"`
	// Repeat makes several copies of this entry: a count (from 1), or a range such as 5-20. "(n)", "(n+1)"
	// and "(n-1)" in the entry are replaced by numbers.
	Repeat syntax.Repeat `yaml:"repeat"`

	At syntax.Pos `yaml:"-"`
}

// fileImpair adds delay, loss and a rate limit to a link, in both directions (netem).
type fileImpair struct {
	// Delay added to every packet, for example 50ms.
	Delay time.Duration `yaml:"delay"`
	// Jitter: the delay of each packet is up to this much shorter or longer.
	Jitter time.Duration `yaml:"jitter"`
	// Loss: percentage of lost packets, for example 1.5%. Both ends of the link send TCP segments one by one
	// (gso_max_segs 1). What another host sends may still arrive as a packet of many segments, which is lost as one.
	Loss syntax.Percent `yaml:"loss"`
	// Rate limit in bits per second: 10mbit, 1gbit, 512kbit.
	Rate syntax.Bitrate `yaml:"rate"`
}

type (
	// mtuChoice is a number of bytes, or auto.
	mtuChoice struct {
		auto  bool
		bytes int
	}

	// groupMask is a mask of group addresses, or the name of a protocol.
	groupMask uint16

	// offloadChoice is on (false) or off (true).
	offloadChoice bool

	// natChoice is true, false, or addresses.
	natChoice struct {
		on bool
		to syntax.Many[netip.Addr]
	}

	// routedChoice is true, false, or sources.
	routedChoice struct {
		on   bool
		from syntax.Many[netip.Prefix]
	}

	// isolateChoice is true, false, or names of networks.
	isolateChoice struct {
		hosts bool
		from  syntax.Many[string]
	}

	// attachments is a list of network names, or a table of fileAttachment.
	attachments struct{ syntax.Table[fileAttachment] }

	// router is true, false, or a fileRouter.
	router struct {
		on bool
		fileRouter
	}

	expectation   struct{ list []Expectation }
	fileRoute     struct{ StaticRoute }
	fileRule      struct{ StaticRule }
	fileNeigh     struct{ StaticNeigh }
	hostForward   struct{ Forward }
	routerForward struct{ Forward }
)
