package main

import (
	"fmt"
	"net/netip"
)

// A network is what each tool makes. Method check compares the kernel's state with it.
type network struct {
	Bridges []bridgeDevice
	Hosts   []host
	Pairs   []vethPair
	NAT     bool // masquerade packets that leave the first bridge's subnet
}

// A bridgeDevice is a bridge of the machine, with an address.
type bridgeDevice struct {
	Name string
	Addr netip.Prefix
}

// A host is a network namespace.
type host struct {
	Name     string
	Forwards bool
	Routes   []route
	Ports    []int // of the machine, forwarded to the host's webPort
}

// A route leads to Dst, 0.0.0.0/0 for the default route.
type route struct {
	Dst netip.Prefix
	Via netip.Addr
}

// A vethPair connects two hosts, or a bridge and a host. With a bridge, the first end is the bridge
// port.
type vethPair [2]end

// An end of a veth pair is in Host. If Host is "", it is in the machine, is a port of
// Bridge and has no address.
type end struct {
	Host, Device string
	Addr         netip.Prefix
	Bridge       string
}

// anywhere is the destination of a default route.
var anywhere = netip.MustParsePrefix("0.0.0.0/0")

// ends returns the ends of each host. Each pair begins with the host's end.
func (n network) ends() map[string][]vethPair {
	ends := make(map[string][]vethPair, len(n.Hosts))
	for _, c := range n.Pairs {
		ends[c[1].Host] = append(ends[c[1].Host], vethPair{c[1], c[0]})
		if c[0].Host != "" {
			ends[c[0].Host] = append(ends[c[0].Host], c)
		}
	}
	return ends
}

// peerAddr returns the address of an end, or of its bridge.
func (n network) peerAddr(e end) netip.Addr {
	for _, s := range n.Bridges {
		if e.Host == "" && s.Name == e.Bridge {
			return s.Addr.Addr()
		}
	}
	return e.Addr.Addr()
}

// star returns bridges with hosts on each. Their default route leads to the machine. more is the
// number of extra hosts on the first bridge.
func star(bridges, each, more int) network {
	var n network
	for s := range bridges {
		n.Bridges = append(n.Bridges, bridgeDevice{fmt.Sprintf("sw%d", s), bridgeAddr(s, 1)})
		for i := range each {
			n.addHost(s, bridgeAddr(s, i+2))
		}
	}
	for i := range more {
		n.addHost(0, bridgeAddr(0, each+2+i))
	}
	return n
}

// addHost adds a host to a bridge.
func (n *network) addHost(s int, addr netip.Prefix) {
	name, sw := fmt.Sprintf("h%d", len(n.Hosts)), n.Bridges[s]
	n.Hosts = append(n.Hosts, host{Name: name, Routes: []route{{anywhere, sw.Addr.Addr()}}})
	n.Pairs = append(n.Pairs, vethPair{{Device: name, Bridge: sw.Name}, {Host: name, Device: "eth0", Addr: addr}})
}

// bridgeAddr returns the i-th address in the subnet of the s-th bridge.
func bridgeAddr(s, i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(s), byte(i >> 8), byte(i)}), 16)
}

// pairAddr returns the i-th address (1 or 2) of the c-th veth pair between hosts.
func pairAddr(c, i int) netip.Prefix {
	a := 4*c + i
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(64 + a>>16), byte(a >> 8), byte(a)}), 30)
}

// chain returns routers in a row. Each has a route to the left for the first pair's
// subnet, and a default route to the right, so both ends of the chain reach each other.
func chain(routers int) network {
	var n network
	for i := range routers {
		r := host{Name: fmt.Sprintf("h%d", i), Forwards: true}
		if i > 1 {
			r.Routes = append(r.Routes, route{pairAddr(0, 0).Masked(), pairAddr(i-1, 1).Addr()})
		}
		if i < routers-1 {
			n.Pairs = append(n.Pairs, vethPair{
				{Host: r.Name, Device: "right", Addr: pairAddr(i, 1)},
				{Host: fmt.Sprintf("h%d", i+1), Device: "left", Addr: pairAddr(i, 2)},
			})
			r.Routes = append(r.Routes, route{anywhere, pairAddr(i, 2).Addr()})
		}
		n.Hosts = append(n.Hosts, r)
	}
	return n
}

// mesh returns hosts with a veth pair between any two of them.
func mesh(hosts int) network {
	var n network
	for i := range hosts {
		name := fmt.Sprintf("h%d", i)
		n.Hosts = append(n.Hosts, host{Name: name})
		for j := range i {
			c := len(n.Pairs)
			n.Pairs = append(n.Pairs, vethPair{
				{Host: fmt.Sprintf("h%d", j), Device: fmt.Sprintf("to%d", i), Addr: pairAddr(c, 1)},
				{Host: name, Device: fmt.Sprintf("to%d", j), Addr: pairAddr(c, 2)},
			})
		}
	}
	return n
}
