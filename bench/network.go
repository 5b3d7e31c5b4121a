package main

import (
	"fmt"
	"net/netip"
)

// A network is what every contestant has to make, and what is checked before
// its time counts.
type network struct {
	Switches []bridge
	Hosts    []host
	Cables   []cable
	NAT      bool // what leaves the first switch's subnet is masqueraded
}

// A bridge is a switch in the machine, which has an address on it.
type bridge struct {
	Name string
	Addr netip.Prefix
}

// A host is a network namespace.
type host struct {
	Name     string
	Forwards bool
	Routes   []route
	Ports    []int // of the machine, which lead to the host's webPort
}

// A route leads to Dst; the default is 0.0.0.0/0.
type route struct {
	Dst netip.Prefix
	Via netip.Addr
}

// A cable joins two hosts, or a switch and a host: then its first end is the
// switch's.
type cable [2]end

// An end of a cable is in a host or, where that is "", in the machine, where it
// is a port of Switch and has no address.
type end struct {
	Host, Link string
	Addr       netip.Prefix
	Switch     string
}

// anywhere is what a default route leads to.
var anywhere = netip.MustParsePrefix("0.0.0.0/0")

// ends are those of a host, each with the one across.
func (n network) ends() map[string][]cable {
	ends := make(map[string][]cable, len(n.Hosts))
	for _, c := range n.Cables {
		ends[c[1].Host] = append(ends[c[1].Host], cable{c[1], c[0]})
		if c[0].Host != "" {
			ends[c[0].Host] = append(ends[c[0].Host], c)
		}
	}
	return ends
}

// across is the address that is reached over a cable from its other end.
func (n network) across(e end) netip.Addr {
	for _, s := range n.Switches {
		if e.Host == "" && s.Name == e.Switch {
			return s.Addr.Addr()
		}
	}
	return e.Addr.Addr()
}

// star is so many switches with so many hosts on each, which have the machine as
// their default route; more are put on the first switch.
func star(switches, each, more int) network {
	var n network
	for s := range switches {
		n.Switches = append(n.Switches, bridge{fmt.Sprintf("sw%d", s), hall(s, 1)})
		for i := range each {
			n.plug(s, hall(s, i+2))
		}
	}
	for i := range more {
		n.plug(0, hall(0, each+2+i))
	}
	return n
}

// plug adds a host to a switch.
func (n *network) plug(s int, addr netip.Prefix) {
	name, sw := fmt.Sprintf("h%d", len(n.Hosts)), n.Switches[s]
	n.Hosts = append(n.Hosts, host{Name: name, Routes: []route{{anywhere, sw.Addr.Addr()}}})
	n.Cables = append(n.Cables, cable{{Link: name, Switch: sw.Name}, {Host: name, Link: "eth0", Addr: addr}})
}

// hall is the I-th address of the S-th switch's subnet.
func hall(s, i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(s), byte(i >> 8), byte(i)}), 16)
}

// street is the I-th of two addresses of the C-th cable between hosts.
func street(c, i int) netip.Prefix {
	a := 4*c + i
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(64 + a>>16), byte(a >> 8), byte(a)}), 30)
}

// chain is routers in a row. Each knows what is on its left by the first cable's
// subnet, and what is on its right by its default route, so that the ends reach
// each other.
func chain(routers int) network {
	var n network
	for i := range routers {
		r := host{Name: fmt.Sprintf("h%d", i), Forwards: true}
		if i > 1 {
			r.Routes = append(r.Routes, route{street(0, 0).Masked(), street(i-1, 1).Addr()})
		}
		if i < routers-1 {
			n.Cables = append(n.Cables, cable{
				{Host: r.Name, Link: "right", Addr: street(i, 1)},
				{Host: fmt.Sprintf("h%d", i+1), Link: "left", Addr: street(i, 2)},
			})
			r.Routes = append(r.Routes, route{anywhere, street(i, 2).Addr()})
		}
		n.Hosts = append(n.Hosts, r)
	}
	return n
}

// mesh is hosts with a cable from each to every other.
func mesh(hosts int) network {
	var n network
	for i := range hosts {
		name := fmt.Sprintf("h%d", i)
		n.Hosts = append(n.Hosts, host{Name: name})
		for j := range i {
			c := len(n.Cables)
			n.Cables = append(n.Cables, cable{
				{Host: fmt.Sprintf("h%d", j), Link: fmt.Sprintf("to%d", i), Addr: street(c, 1)},
				{Host: name, Link: fmt.Sprintf("to%d", j), Addr: street(c, 2)},
			})
		}
	}
	return n
}
