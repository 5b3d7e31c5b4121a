package topo

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// host checks what one host says of itself.
func (k *checker) host(h *Host) {
	if h.Name == Machine {
		k.machine(h)
	}
	on := map[string]bool{}
	for i := range h.Networks {
		a := &h.Networks[i]
		if on[a.Network] {
			k.badf(a.at, a.Network, "one port on a network is enough", "%s is on network %s twice", h.Name, a.Network)
		}
		on[a.Network] = true
		k.attachment(h, a)
	}
	k.routes(h)
	for i := range h.Neighbours {
		k.neighbour(h, &h.Neighbours[i])
	}
	for _, s := range h.Sysctls {
		k.sysctl(h, s)
	}
	for _, c := range h.Run {
		if strings.TrimSpace(c) == "" {
			k.badf(h.at, "run", "write a shell command", "%s: run has an empty command", h.Name)
		}
	}
	for _, d := range h.DNS.Search {
		if d != "." && !isDomain(d) {
			k.badf(h.at, d, domainForm, "dns: %q is no domain", d)
		}
	}
	for _, p := range h.NAT {
		if p != p.Masked() {
			k.badf(h.at, p.String(), "write "+p.Masked().String(), "nat %s: the address goes beyond its prefix length", p)
		}
	}
}

// machine checks what the machine, of all hosts, cannot have.
func (k *checker) machine(h *Host) {
	for _, v := range []struct {
		key string
		has bool
	}{
		{"namespace", h.Namespace != ""},
		{"ports", len(h.Ports) > 0},
		{"dns", len(h.DNS.Servers)+len(h.DNS.Search) > 0},
	} {
		if v.has {
			k.badf(h.at, v.key, "leave it out; a host may have it", "the machine cannot have %s", v.key)
		}
	}
}

func (k *checker) attachment(h *Host, a *Attachment) {
	n, ok := k.knownNetwork(a.at, a.Network, "for "+h.Name)
	if !ok {
		return
	}
	net := &k.t.Networks[n]
	for _, addr := range a.Addresses {
		k.ownAddress(a.at, addr, net)
	}
	k.mtu(a.at, a.MTU, net.Subnets)
	if most := or(net.MTU, defaultMTU); a.MTU > most {
		k.badf(a.at, fmt.Sprint(a.MTU), fmt.Sprintf("raise the mtu of network %s too", net.Name), "mtu %d of %s is above the %d of network %s: the switch would drop its packets", a.MTU, h.Name, most, net.Name)
	}
	if (a.VLAN != 0 || len(a.VLANs) > 0) && !net.VLANFiltering {
		k.badf(a.at, "vlan", fmt.Sprintf("write vlan_filtering: true at network %s", net.Name), "%s has VLANs on network %s, which does not tell them apart", h.Name, net.Name)
	}
	if a.VLAN != 0 && slices.Contains(a.VLANs, a.VLAN) {
		k.badf(a.at, fmt.Sprint(a.VLAN), "leave it out of vlans", "VLAN %d of %s is both tagged and untagged", a.VLAN, h.Name)
	}
	k.impairment(a.at, a.Impair)
}

// ownAddress checks an address that a host asks for.
func (k *checker) ownAddress(at pos, a netip.Addr, net *Network) {
	s := prefixOf(a, net.Subnets)
	switch {
	case !s.IsValid() && k.unsure:
	case !s.IsValid() && len(net.Subnets) == 0:
		k.badf(at, a.String(), "give the network subnets", "address %s: network %s has no subnets", a, net.Name)
	case !s.IsValid():
		k.badf(at, a.String(), "its subnets are "+joined(net.Subnets), "address %s is in no subnet of network %s", a, net.Name)
	case hostBits(s) > 1 && a == s.Addr():
		k.badf(at, a.String(), "the first for a host is "+firstAddr(s).String(), "address %s is that of the subnet %s itself", a, s)
	case hostBits(s) > 1 && a.Is4() && a.Compare(lastAddr(s)) > 0:
		k.badf(at, a.String(), "the last for a host is "+lastAddr(s).String(), "address %s is the broadcast address of %s", a, s)
	}
}

func joined(list []netip.Prefix) string {
	words := make([]string, len(list))
	for i, p := range list {
		words[i] = p.String()
	}
	return strings.Join(words, ", ")
}

// routes checks the host's routes, and that none is there twice.
func (k *checker) routes(h *Host) {
	seen := map[Key]bool{}
	for i := range h.Routes {
		r := &h.Routes[i]
		k.route(h, r)
		key := Route{Dst: r.Dst, Type: r.Type, Table: r.Table, Metric: r.Metric}.Key()
		if seen[key] {
			k.badf(r.at, r.Dst.String(), "write one with several nexthops, or different metrics", "%s has two routes to %s", h.Name, r.Dst)
		}
		seen[key] = true
	}
}

// route checks that each next hop can be reached and that somebody is there.
func (k *checker) route(h *Host, r *StaticRoute) {
	if r.Type != "unicast" && !slices.Contains(routeTypes, r.Type) {
		k.badf(r.at, r.Type, didYouMean(r.Type, routeTypes), "unknown type of route %q", r.Type)
	}
	for _, hop := range r.Hops {
		if hop.Device != "" && !k.hasDevice(r.at, h, hop.Device, "route "+r.Dst.String()) {
			continue
		}
		if hop.Via.IsValid() && !hop.Onlink {
			k.hop(h, r, hop)
		}
	}
}

// hasDevice tells whether h has the device; a host that is taken in may have
// others than the lab's.
func (k *checker) hasDevice(at pos, h *Host, dev, role string) bool {
	names := k.deviceNames(h.Name)
	if dev == "lo" || k.unsure || k.takenIn(h.Name) || slices.Contains(names, dev) {
		return true
	}
	k.badf(at, dev, didYouMean(dev, names), "%s: %s has no device %q", role, h.Name, dev)
	return false
}

func (k *checker) hop(h *Host, r *StaticRoute, hop Hop) {
	if hop.Via.IsLinkLocalUnicast() {
		if hop.Device == "" {
			k.badf(r.at, hop.Via.String(), "write dev, too", "route %s: the link-local address %s is on every link", r.Dst, hop.Via)
		}
		return
	}
	i := k.facing(h.Name, hop.Device, hop.Via)
	switch {
	case k.unsure || i == nil && k.takenIn(h.Name):
	case i == nil:
		k.badf(r.at, hop.Via.String(), "name an address that is, or write onlink", "route %s leads through nowhere: %s is in no subnet of %s%s", r.Dst, hop.Via, called(h.Name), onDevice(hop.Device))
	case holds(i, hop.Via):
		k.badf(r.at, hop.Via.String(), "", "route %s: %s is an address of %s itself", r.Dst, hop.Via, called(h.Name))
	case !k.somebodyHas(i, hop.Via):
		k.badf(r.at, hop.Via.String(), k.whoElse(i, hop.Via), "route %s: nobody has the gateway's address %s", r.Dst, hop.Via)
	}
}

func onDevice(dev string) string {
	if dev == "" {
		return ""
	}
	return " on " + dev
}

// facing returns the device of the host whose subnet holds a.
func (k *checker) facing(host, dev string, a netip.Addr) *iface {
	return k.layout.facing(host, dev, a)
}

// facing returns the device of the host, dev if that is given, whose subnet
// holds a; nil if none does.
func (l *layout) facing(host, dev string, a netip.Addr) *iface {
	var best *iface
	bits := -1
	for _, n := range l.of[host] {
		i := &l.ifaces[n]
		if dev != "" && i.dev != dev {
			continue
		}
		for _, p := range i.addrs {
			if p.IsValid() && p.Bits() > bits && p.Contains(a) && (!p.IsSingleIP() || p.Addr() == a) {
				best, bits = i, p.Bits()
			}
		}
	}
	return best
}

func holds(i *iface, a netip.Addr) bool {
	return slices.ContainsFunc(i.addrs, func(p netip.Prefix) bool { return p.Addr() == a })
}

// somebodyHas tells whether the address is had on i's link by another, or may
// be by somebody outside the lab.
func (k *checker) somebodyHas(i *iface, a netip.Addr) bool {
	switch {
	case i.cable != nil:
		other := i.cable.Ends[1-i.end]
		return slices.ContainsFunc(other.Addresses, func(p netip.Prefix) bool { return p.Addr() == a }) || len(other.Addresses) == 0
	case i.made != nil || i.net < 0 || k.t.Networks[i.net].Uplink != "":
		return true
	}
	for _, n := range k.layout.on[i.net] {
		other := &k.layout.ifaces[n]
		if other.made != nil || k.onAnyDevice(other.host, a) {
			return true
		}
	}
	return false
}

// onAnyDevice tells whether the host has the address: on its port, or on a
// VLAN that its port carries.
func (k *checker) onAnyDevice(host string, a netip.Addr) bool {
	for _, n := range k.layout.of[host] {
		if holds(&k.layout.ifaces[n], a) {
			return true
		}
	}
	return false
}

// whoElse names who has an address of a's family on i's link.
func (k *checker) whoElse(i *iface, a netip.Addr) string {
	var have []string
	add := func(host string, addrs []netip.Prefix) {
		for _, p := range addrs {
			if p.Addr().Is4() == a.Is4() && len(have) < 4 && host != i.host {
				have = append(have, called(host)+" has "+p.Addr().String())
			}
		}
	}
	if i.cable != nil {
		add(i.cable.Ends[1-i.end].Host, i.cable.Ends[1-i.end].Addresses)
	} else {
		for _, n := range k.layout.on[i.net] {
			add(k.layout.ifaces[n].host, k.layout.ifaces[n].addrs)
		}
	}
	return strings.Join(have, ", ")
}

func (k *checker) neighbour(h *Host, nb *StaticNeigh) {
	if nb.Device != "" {
		k.hasDevice(nb.at, h, nb.Device, "neighbour "+nb.Addr.String())
		return
	}
	if k.facing(h.Name, "", nb.Addr) == nil && !k.unsure {
		k.badf(nb.at, nb.Addr.String(), "write dev", "neighbour %s is in no subnet of %s", nb.Addr, h.Name)
	}
}

func (k *checker) sysctl(h *Host, s Setting) {
	key := strings.ReplaceAll(s.Key, "/", ".")
	switch {
	case !strings.HasPrefix(key, "net."):
		k.badf(s.at, s.Key, "only net.… belongs to a network namespace", "sysctl %s is the whole machine's", s.Key)
	case strings.Contains(s.Key, "..") || strings.Contains(s.Key, " ") || !printable(s.Key) || strings.HasSuffix(key, "."):
		k.badf(s.at, s.Key, "", "%q cannot be a sysctl's name", s.Key)
	case s.Value == "":
		k.badf(s.at, s.Key, "", "sysctl %s of %s has no value", s.Key, h.Name)
	case !printable(strings.ReplaceAll(s.Value, "\t", " ")):
		k.badf(s.at, s.Key, "write one line", "the value of sysctl %s of %s holds what cannot be shown", s.Key, h.Name)
	}
}
