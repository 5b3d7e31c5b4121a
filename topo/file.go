package topo

import (
	"net/netip"
	"time"
)

// The types of this file are the lab file as written: its keys, and for each a
// sentence that lab.schema.json hands on to editors. Topology is what they mean.

// fileLab is a lab: networks, hosts and cables of one machine, described by what they should be.
type fileLab struct {
	// Name of the lab. All that vnet makes for it is marked with the name, so `vnet down NAME` needs no file. Left out, the file's own name serves.
	Name string `yaml:"name"`
	// Defaults for every network, host and link that does not say otherwise.
	Defaults fileDefaults `yaml:"defaults"`
	// Networks by name: a switch (a Linux bridge) each.
	Networks table[fileNetwork] `yaml:"networks"`
	// Hosts by name: a network namespace each. The host "machine" is the machine itself.
	Hosts table[fileHost] `yaml:"hosts"`
	// Links: cables between two hosts, without a switch.
	Links []fileLink `yaml:"links"`
	// Expect lists facts that `vnet verify` proves with real packets: "red -> blue: ping".
	Expect []expectation `yaml:"expect"`

	At pos `yaml:"-"`
}

// fileDefaults are what networks, hosts and links have that do not say otherwise.
type fileDefaults struct {
	// Networks: the keys of a network, for each that lacks them.
	Networks *fileNetwork `yaml:"networks"`
	// Hosts: the keys of a host, for each that lacks them.
	Hosts *fileHost `yaml:"hosts"`
	// Links: the keys of a link, for each that lacks them.
	Links *fileLink `yaml:"links"`
}

// fileNetwork is a switch (a Linux bridge) and the subnets on it.
type fileNetwork struct {
	// Subnets, IPv4 and IPv6. The first address of each is the gateway's; hosts are given the next ones in their order.
	Subnets many[netip.Prefix] `yaml:"subnets"`
	// Gateway: who has the first address and is the hosts' default route: a host, or none; or other addresses for the switch's holder. Left out, whoever holds the switch, which is the machine unless `in` says otherwise.
	Gateway many[string] `yaml:"gateway"`
	// Nat: true lets the gateway masquerade what leaves these subnets; an address is used as the source instead.
	NAT natChoice `yaml:"nat"`
	// Routed lets the gateway forward between these subnets and the outside without NAT: the outside needs a route to them.
	Routed bool `yaml:"routed"`
	// In: the host whose namespace holds the switch. Left out, the machine.
	In string `yaml:"in"`
	// Uplink: a device of the holder, such as eth0, that is put into the switch, so that the outside is on this network.
	Uplink string `yaml:"uplink"`
	// Isolate: true keeps the hosts of this network from reaching each other; names of networks keep it from reaching those, nor they it.
	Isolate isolateChoice `yaml:"isolate"`
	// Fastpath: true lets established connections of TCP and UDP between this network and others that have it, cables and the outside pass by the routing and rules of its routers (a flowtable).
	Fastpath bool `yaml:"fastpath"`
	// MTU in bytes; auto is what the machine's own default route carries, as behind a VPN. Left out, 1500.
	MTU mtuChoice `yaml:"mtu"`
	// MAC address of the switch. Left out, one is derived from the names.
	MAC MAC `yaml:"mac"`
	// STP: run the spanning tree protocol.
	STP bool `yaml:"stp"`
	// VLAN filtering: keep VLANs apart by what each host's port says.
	VLANFiltering bool `yaml:"vlan_filtering"`
	// Repeat makes several of this entry: a number (from 1) or a range such as 5-20. "(n)", "(n+1)" and "(n-1)" inside become the number; a name without "(n)" has it appended.
	Repeat repeat `yaml:"repeat"`

	At pos `yaml:"-"`
}

// fileHost is a network namespace, and what is in it.
type fileHost struct {
	// Networks the host is on: a list of names, or names with what is particular. Its devices are eth0, eth1 … in this order.
	Networks attachments `yaml:"networks"`
	// Ports its gateway forwards to it, in Compose's words: "8080:80", "127.0.0.1:9000-9010:9000-9010", "[fd00::1]:53:53/udp".
	Ports many[publish] `yaml:"ports"`
	// Routes in ip(8)'s words: "10.2.0.0/16 via 10.0.0.2", "default via fd00::1 dev eth1", "blackhole 10.9.0.0/16", "10.0.0.0/8 nexthop via 10.0.0.1 weight 2 nexthop via 10.0.1.1".
	Routes many[route] `yaml:"routes"`
	// Neighbours that never expire, in ip(8)'s words: "10.0.0.9 lladdr 02:00:00:00:00:09 dev eth0".
	Neighbours many[neighbour] `yaml:"neighbours"`
	// Sysctls of the host: net.ipv4.conf.all.rp_filter: 0.
	Sysctls table[string] `yaml:"sysctls"`
	// Aliases: further names by which other hosts find it, and facts may call it.
	Aliases many[string] `yaml:"aliases"`
	// DNS: what its resolv.conf says. Left out, the machine's own.
	DNS fileDNS `yaml:"dns"`
	// Router: true lets the host forward packets; or what it masquerades and which ports it forwards. Whoever is a network's gateway is one without saying so.
	Router router `yaml:"router"`
	// Devices by name: dummy, vlan, vxlan, macvlan, ipvlan.
	Devices table[fileDevice] `yaml:"devices"`
	// Run: shell commands started in the host by up and stopped by down. One may end, but not fail: up and status tell.
	Run many[string] `yaml:"run"`
	// Namespace: an existing one to take in, by name, by path or by process id. It is configured, but never deleted.
	Namespace string `yaml:"namespace"`
	// Repeat makes several of this entry: a number (from 1) or a range such as 5-20. "(n)", "(n+1)" and "(n-1)" inside become the number; a name without "(n)" has it appended.
	Repeat repeat `yaml:"repeat"`

	At pos `yaml:"-"`
}

// fileAttachment is a host's port on a network.
type fileAttachment struct {
	// Address in the network's subnets, or any with a prefix length of its own; none for no address. Left out, the next free one of each subnet.
	Address many[string] `yaml:"address"`
	// Name of the device in the host. Left out, the next free of eth0, eth1 …
	Name string `yaml:"name"`
	// MAC address. Left out, one is derived from the names.
	MAC MAC `yaml:"mac"`
	// MTU in bytes. Left out, the network's.
	MTU int `yaml:"mtu"`
	// VLAN of the port, untagged: 1 to 4094.
	VLAN int `yaml:"vlan"`
	// VLANs of the port, tagged: 1 to 4094 each.
	VLANs many[int] `yaml:"vlans"`
	// Impair makes the link as bad as a real one.
	Impair fileImpair `yaml:"impair"`
	// Offload: off lets both ends fill in checksums themselves, as raw sockets and virtual machines behind the link need.
	Offload offloadChoice `yaml:"offload"`

	At pos `yaml:"-"`
}

// fileDNS is what a host's resolv.conf says.
type fileDNS struct {
	// Servers: addresses of name servers.
	Servers many[netip.Addr] `yaml:"servers"`
	// Search: domains tried for short names.
	Search many[string] `yaml:"search"`
}

// fileRouter is what a router does besides forwarding.
type fileRouter struct {
	// Nat: sources whose packets it masquerades on their way out.
	NAT many[netip.Prefix] `yaml:"nat"`
	// Ports it forwards to others: "8080:web:80", "2222:192.168.1.9:22/tcp".
	Ports many[forward] `yaml:"ports"`
}

// fileDevice is a device of a host that is neither a port of a network nor the end of a link.
type fileDevice struct {
	// Type of the device.
	Type string `yaml:"type" enum:"dummy,vlan,vxlan,macvlan,ipvlan"`
	// Parent: the device it stands on, of the same host or "machine:eth0"; vlan, macvlan and ipvlan need one.
	Parent string `yaml:"parent"`
	// ID: VLAN id (1 to 4094) or VXLAN network identifier (0 to 16777215).
	ID int `yaml:"id"`
	// Mode: macvlan: bridge (default), private, vepa, passthru; ipvlan: l2 (default), l3, l3s.
	Mode string `yaml:"mode" enum:"bridge,private,vepa,passthru,l2,l3,l3s"`
	// Local: vxlan: the address it sends from.
	Local netip.Addr `yaml:"local"`
	// Remote: vxlan: the other machine's address, or a multicast group.
	Remote netip.Addr `yaml:"remote"`
	// Port: vxlan: UDP port. Left out, 4789.
	Port int `yaml:"port"`
	// Network whose switch it is plugged into.
	Network string `yaml:"network"`
	// Addresses with their prefix lengths.
	Addresses many[netip.Prefix] `yaml:"addresses"`
	// MTU in bytes. Left out, the kernel's choice.
	MTU int `yaml:"mtu"`
	// MAC address. Left out, one is derived from the names.
	MAC MAC `yaml:"mac"`

	At pos `yaml:"-"`
}

// fileLink is a cable between two hosts (a veth pair).
type fileLink struct {
	// Endpoints: two hosts, each with the device's name if it matters: [red:eth1, blue]. "machine" is the machine itself.
	Endpoints []string `yaml:"endpoints"`
	// Addresses of the two ends, with prefix lengths: [10.0.0.1/30, 10.0.0.2/30]; an end with several has a list of its own.
	Addresses []many[netip.Prefix] `yaml:"addresses"`
	// MACs of the two ends. Left out, they are derived from the names.
	MACs []MAC `yaml:"macs"`
	// MTU in bytes, of both ends. Left out, 1500.
	MTU int `yaml:"mtu"`
	// Impair makes the link as bad as a real one, in both directions.
	Impair fileImpair `yaml:"impair"`
	// Offload: off lets both ends fill in checksums themselves, as raw sockets and virtual machines behind the link need.
	Offload offloadChoice `yaml:"offload"`
	// Repeat makes several of this entry: a number (from 1) or a range such as 5-20. "(n)", "(n+1)" and "(n-1)" inside become the number.
	Repeat repeat `yaml:"repeat"`

	At pos `yaml:"-"`
}

// fileImpair makes a link as bad as a real one, in both directions.
type fileImpair struct {
	// Delay added to every packet: 50ms.
	Delay time.Duration `yaml:"delay"`
	// Jitter: the delay varies by so much either way.
	Jitter time.Duration `yaml:"jitter"`
	// Loss: percent of packets lost: 1.5%.
	Loss percent `yaml:"loss"`
	// Rate: bits a second: 10mbit, 1gbit, 512kbit.
	Rate bitrate `yaml:"rate"`
}

// A table is a mapping whose order counts.
type table[T any] []entry[T]

type entry[T any] struct {
	Key   string
	Value T
	at    pos // of the key
}

// many is a list that may be written as one value.
type many[T any] []T

type (
	percent float64
	bitrate uint64
	repeat  struct{ first, last int }

	// mtuChoice is a number of bytes, or auto.
	mtuChoice struct {
		auto  bool
		bytes int
	}

	// offloadChoice is on (false) or off (true).
	offloadChoice bool

	// natChoice is true, false, or addresses.
	natChoice struct {
		on bool
		to many[netip.Addr]
	}

	// isolateChoice is true, false, or names of networks.
	isolateChoice struct {
		hosts bool
		from  many[string]
	}

	// attachments is a list of names, or a table of fileAttachment.
	attachments struct{ table[fileAttachment] }

	// router is true, false, or a fileRouter.
	router struct {
		on bool
		fileRouter
	}

	expectation struct{ list []Expectation }
	publish     struct{ PortForward }
	forward     struct{ PortForward }
	route       struct{ StaticRoute }
	neighbour   struct{ StaticNeigh }
)
