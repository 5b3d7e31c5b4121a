//go:build linux

// Package member attaches single namespaces to a network, one at a time, with as many requests to the kernel, however
// many are there already. A container engine's plugin and programs that run sandboxes use it; a lab, which is made as a
// whole, does not.
//
//	    machine (or the namespace that the process runs in)
//	┌───────────────────────────────────────────────────────────────┐
//	│  bridge BRIDGE  10.77.0.1/24  fd00:77::1/64                   │
//	│   ├── vn3f…  altnames 4:NET:10.77.0.5, p4:tcp:*:8080 …        │   the member's link: all state is here
//	│   └── vn91…                                                   │
//	│  nft table vnet__NET: masquerade, published ports             │
//	└──────┬────────────────────────────────────────────────────────┘
//	       └── eth0 10.77.0.5/24 in the member's namespace
//
// There is no state file. A member takes an address, or a port of the machine, with an alternative name of its link on
// the machine's side: the kernel refuses the same name for another link, and removes it with the link. The member that
// has an address owns the forwards to it.
//
// Attach, Detach and Sweep may run at the same time, in any number of processes. Those for the same member wait for
// each other, and so do those that make or remove the same network. Their locks are files in /run/vnet; if the process
// may not write there, it takes no lock.
package member

import (
	"net/netip"

	"github.com/vnet-lab/vnet/nft"
)

// A Network is what members are attached to: a bridge of the machine. Attach makes the parts that are missing, and
// changes those that differ.
type Network struct {
	Name    string   // unique on the machine; the marks of its members contain it
	Bridge  string   // the name of the bridge, which others may have made
	Subnets []Subnet // none: layer 2 only
	MTU     uint32   // of the members' links, in bytes, from 68, with IPv6 from 1280; 0 is the kernel's default

	Gateway      bool // the bridge has the gateway addresses, and the machine forwards
	DefaultRoute bool // each member has a default route by the gateway; implies Gateway
	Masquerade   bool // packets of members to other networks get the machine's address
	Isolate      bool // members do not reach each other
	Hairpin      bool // a member reaches its own published ports
	// Routed opens the members' own addresses to other networks; otherwise only published ports are reachable.
	Routed bool
}

// A Subnet is one of a network's address ranges.
type Subnet struct {
	Prefix  netip.Prefix // masked
	Gateway netip.Addr   // the zero value is the first address of the prefix
	Ranges  []Range      // addresses to give; none: all but network, broadcast and gateway
}

// A Range is a range of addresses; both ends belong to it.
type Range struct{ First, Last netip.Addr }

// A Member is one link of one namespace on a network.
type Member struct {
	ID        string       // of the container or sandbox, as its engine names it
	Link      string       // the link's name in the namespace, for example eth0
	NS        string       // the namespace: a path, a process ID, or a name in /run/netns
	Addresses []netip.Addr // fixed addresses, at most one per subnet; the others are chosen
	MAC       [6]byte      // zero: derived from the address
	Routes    []Route
	Ports     []Port
}

// A Route is a route in the member's namespace. The zero Via is the network's gateway of the same family.
type Route struct {
	To     netip.Prefix
	Via    netip.Addr
	MTU    uint32
	AdvMSS uint32
	Metric uint32
	Table  uint32
	Scope  uint8
}

// A Port is a published port: connections to the machine's port are forwarded to the member's. Attach refuses a port of
// another member; it does not look for programs that listen on it, nor for forwards of other tables.
type Port struct {
	Proto    nft.Proto
	Host     netip.Addr // the machine's address; the zero value is each address
	HostPort uint16
	Port     uint16 // the member's
}

// Attached is what Attach made, or what is there.
type Attached struct {
	Network   string
	ID        string
	Bridge    Interface // on the machine
	Host      Interface // the member's link on the machine's side
	Link      Interface // in the namespace
	NS        string    // as the Member had it; "" if it is not known
	Addresses []Address
	Routes    []Route
	Ports     []Port
}

// An Interface is one link that is part of an attachment.
type Interface struct {
	Name string
	MAC  [6]byte
	MTU  uint32
}

// An Address is an address of a member with the length of its subnet.
type Address struct {
	Prefix  netip.Prefix
	Gateway netip.Addr // the zero value: none
}

// An ID identifies a member of a network.
type ID struct{ Container, Link string }
