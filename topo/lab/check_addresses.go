package lab

import (
	"cmp"
	"net/netip"
	"slices"
	"sort"
	"strings"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/subnet"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// addresses checks all devices together: duplicate names, addresses and MACs,
// and overlapping subnets on one host.
func (k *checker) addresses() {
	k.duplicateDevices()
	for n := range k.t.Networks {
		k.duplicates(k.layout.ByNetwork[n], "network "+k.t.Networks[n].Name)
	}
	for i := range k.layout.Ifaces {
		if c := k.layout.Ifaces[i].Link; c != nil && k.layout.Ifaces[i].End == 0 {
			k.duplicates([]int{i, i + 1}, "the link "+c.Ends[0].Host+" – "+c.Ends[1].Host)
		}
	}
	for host, list := range k.layout.ByHost {
		k.overlaps(host, list)
	}
}

// duplicates reports addresses and MACs that two devices of one network or link have.
func (k *checker) duplicates(list []int, where string) {
	addrs := make(map[netip.Addr]string, len(list))
	macs := make(map[topo.MAC]string, len(list))
	for _, n := range list {
		i := &k.layout.Ifaces[n]
		for _, p := range i.Addrs {
			if other, used := addrs[p.Addr()]; used {
				k.mistakef(i.at, p.Addr().String(), "an address belongs to one host",
					"address %s of %s is already used by %s on %s", p.Addr(), displayName(i.Host), displayName(other), where)
			}
			addrs[p.Addr()] = i.Host
		}
		mac := k.layout.macOf(i)
		if other, used := macs[mac]; used {
			k.mistakef(i.at, mac.String(), "a MAC address belongs to one device",
				"MAC address %s of %s is already used by %s on %s", mac, displayName(i.Host), displayName(other), where)
		}
		macs[mac] = i.Host
	}
}

// overlaps reports overlapping subnets of different devices of one host: the
// host could not decide which device to send to.
func (k *checker) overlaps(host string, list []int) {
	type subnet struct {
		p    netip.Prefix // masked
		addr netip.Prefix // as in the file
		i    *Iface
	}
	var all []subnet
	for _, n := range list {
		for _, p := range k.layout.Ifaces[n].Addrs {
			// Every link has the link-local subnet; another check reports the whole Internet.
			// A single address of lo works also if it is in the subnet of another link.
			single := k.layout.Ifaces[n].IsLoopback() && p.IsSingleIP()
			if p.IsValid() && !p.Addr().IsLinkLocalUnicast() && p.Bits() > 0 && !single {
				all = append(all, subnet{p.Masked(), p, &k.layout.Ifaces[n]})
			}
		}
	}
	// Larger subnets first, so that a subnet comes after those that contain it.
	sort.SliceStable(all, func(i, j int) bool { // smaller in the binary than package slices
		a, b := all[i].p, all[j].p
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits())) < 0
	})
	var outer []subnet // those that contain the current one
	for _, s := range all {
		for len(outer) > 0 && !outer[len(outer)-1].p.Contains(s.p.Addr()) {
			outer = outer[:len(outer)-1]
		}
		if len(outer) > 0 && outer[len(outer)-1].i != s.i {
			k.overlapMistake(host, outer[len(outer)-1].i, outer[len(outer)-1].addr, s.i, s.addr)
		}
		outer = append(outer, s)
	}
}

func (k *checker) overlapMistake(host string, a *Iface, p netip.Prefix, b *Iface, q netip.Prefix) {
	if b.at.Compare(a.at) < 0 {
		a, p, b, q = b, q, a, p // report the later one
	}
	if a.Network >= 0 && a.Network == b.Network {
		return // twice on one network: another check reports that
	}
	hint, text := "choose subnets that do not overlap", q.String()
	if b.IsBridge() {
		text = q.Masked().String()
	}
	if b.IsBridge() || a.IsBridge() {
		hint += `, or gateway: none for one of the networks`
	}
	k.mistakef(b.at, text, hint, "subnets %s (%s) and %s (%s) overlap, and %s is in both",
		p.Masked(), k.linkName(a), q.Masked(), k.linkName(b), displayName(host))
}

func (k *checker) linkName(i *Iface) string {
	switch {
	case i.Network >= 0:
		return k.t.Networks[i.Network].Name
	case i.Link != nil:
		return "link to " + i.Link.Ends[1-i.End].Host
	}
	return i.Name
}

// portForwards checks that every port forward has a gateway and a target, and
// that no port is forwarded twice.
func (k *checker) portForwards() {
	for i := range k.t.Hosts {
		k.unreachableForwards(&k.t.Hosts[i])
	}
	all := slices.Clone(k.layout.forwards)
	sort.SliceStable(all, func(i, j int) bool {
		a, b := all[i], all[j]
		return cmp.Or(strings.Compare(a.gateway, b.gateway), strings.Compare(a.spec.Proto, b.spec.Proto),
			cmp.Compare(a.to.BitLen(), b.to.BitLen()), cmp.Compare(a.spec.First, b.spec.First)) < 0
	})
	for i, a := range all {
		for _, b := range all[i+1:] {
			if b.gateway != a.gateway || b.spec.Proto != a.spec.Proto ||
				b.to.BitLen() != a.to.BitLen() || b.spec.First > a.spec.Last {
				break
			}
			if a.spec != b.spec && linux.ListenOverlaps(a.spec.Listen, b.spec.Listen) {
				k.duplicateForward(a, b)
			}
		}
	}
}

// displayName returns the name of a host for a sentence.
func displayName(host string) string {
	if host == topo.Machine {
		return "the machine"
	}
	return host
}

func (k *checker) duplicateForward(a, b resolvedForward) {
	if b.spec.at.Line < a.spec.at.Line {
		a, b = b, a
	}
	k.mistakef(b.spec.at, b.spec.String(), "use another port, or listen on different addresses",
		"port %d/%s of %s is forwarded twice: to %s and to %s", max(a.spec.First, b.spec.First), b.spec.Proto,
		displayName(a.gateway), cmp.Or(a.host, a.to.String()), cmp.Or(b.host, b.to.String()))
}

// unreachableForwards reports the port forwards of h that have no gateway or no target.
func (k *checker) unreachableForwards(h *Host) {
	for n := range h.Ports {
		p := &h.Ports[n]
		if h.Name != topo.Machine && !k.incomplete && len(k.layout.forwardsToHost(h, p)) == 0 {
			k.mistakef(p.at, p.String(), "connect the host to a network with a gateway and a subnet of that address family",
				"port %s of %s: no gateway can forward it", p, h.Name)
		}
	}
	for n := range h.Forwards {
		p := &h.Forwards[n]
		if p.Host != "" && !k.knownHost(p.at, p.Host, "to forward a port to") {
			continue
		}
		if !k.incomplete && len(k.layout.forwardsOfRouter(h, p)) == 0 {
			hint := cmp.Or(p.Host, p.To.String()) + " and the address to listen on must have the same address family"
			k.mistakef(p.at, p.String(), hint, "port %s of router %s has no target address", p, h.Name)
		}
	}
}

// expectations checks the hosts and names in facts.
func (k *checker) expectations() {
	known := make(map[string]bool)
	for i := range k.t.Expect {
		x := &k.t.Expect[i]
		ok := known[x.From] || k.knownHost(x.at, x.From, "in a fact")
		known[x.From] = ok
		if x.Probe == ProbeDNS && !isDomain(x.To) {
			k.mistakef(x.at, x.To, domainForm, "%q is not a domain name", x.To)
		}
		if x.To != "" && x.Probe != ProbeDNS {
			toOK := known[x.To] || k.knownHost(x.at, x.To, "in a fact")
			known[x.To] = toOK
			ok = ok && toOK
		}
		if ok && x.Probe != ProbeDNS && x.Outcome == Answered && !x.Not {
			k.reachable(x)
		}
	}
}

// reachable checks that both sides of a fact have addresses of the same family.
func (k *checker) reachable(x *Expectation) {
	if k.incomplete || x.From == topo.Machine || x.To == topo.Machine ||
		k.isAdopted(x.From) || x.To != "" && k.isAdopted(x.To) {
		return // it may have addresses that are not in the file
	}
	from, to := k.layout.familiesOf(x.From), [2]bool{x.Addr.Is4(), x.Addr.Is6()}
	if x.To != "" {
		to = k.layout.familiesOf(x.To)
	}
	for n, family := range []int{4, 6} {
		if from[n] && to[n] && (x.Family == 0 || x.Family == family) {
			return
		}
	}
	k.mistakef(x.at, "", "give both an address of the same family",
		"%s and %s have no addresses of the same family", x.From, cmp.Or(x.To, x.Addr.String()))
}

// linkAddresses checks the addresses of a device, with their prefix lengths.
func (k *checker) linkAddresses(at syntax.Pos, addrs []netip.Prefix) {
	for _, p := range addrs {
		switch kind, kindIn := subnet.Kind(p.Addr()), subnet.KindIn(p.Masked()); {
		case !p.IsValid():
		case kind != "":
			k.mistakef(at, p.String(), "write an address such as 10.0.0.1/24 or fd00::1/64", "address %s is a %s address",
				p.Addr(), kind)
		case p.Bits() == 0:
			k.mistakef(at, p.String(), "write the length of its subnet, such as /24 or /64",
				"the subnet of address %s is the whole Internet", p)
		case kindIn != "":
			k.mistakef(at, p.String(), "write the length of its subnet, such as /24 or /64",
				"the subnet of address %s has %s addresses", p, kindIn)
		case p.Addr().Is4():
			k.edgeAddress(at, p.Addr(), p.Masked())
		}
	}
}

// edgeAddress reports the network address and the broadcast address of a subnet.
func (k *checker) edgeAddress(at syntax.Pos, a netip.Addr, s netip.Prefix) {
	switch {
	case subnet.HostBits(s) > 1 && a == s.Addr():
		k.mistakef(at, a.String(), "the first address for a host is "+subnet.First(s).String(),
			"address %s is the network address of %s", a, s)
	case subnet.HostBits(s) > 1 && a.Is4() && a.Compare(subnet.Last(s)) > 0:
		k.mistakef(at, a.String(), "the last address for a host is "+subnet.Last(s).String(),
			"address %s is the broadcast address of %s", a, s)
	}
}
