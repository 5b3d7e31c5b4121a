package topo

import (
	"cmp"
	"fmt"
	"net/netip"
	"sort"
	"strings"
)

// addresses checks what can only be seen of all devices together: names,
// addresses and MACs that two have, subnets that overlap where one host has
// both.
func (k *checker) addresses() {
	k.clashes()
	for n := range k.t.Networks {
		k.twice(k.layout.on[n], "network "+k.t.Networks[n].Name)
	}
	for i := range k.layout.ifaces {
		if c := k.layout.ifaces[i].cable; c != nil && k.layout.ifaces[i].end == 0 {
			k.twice([]int{i, i + 1}, "the link "+c.Ends[0].Host+" – "+c.Ends[1].Host)
		}
	}
	for host, list := range k.layout.of {
		k.overlaps(host, list)
	}
}

// twice notes the addresses and MACs that two devices of one link have.
func (k *checker) twice(list []int, where string) {
	addrs := make(map[netip.Addr]string, len(list))
	macs := make(map[MAC]string, len(list))
	for _, n := range list {
		i := &k.layout.ifaces[n]
		for _, p := range i.addrs {
			if other, taken := addrs[p.Addr()]; taken {
				k.badf(i.at, p.Addr().String(), "an address belongs to one host", "address %s of %s is taken by %s on %s", p.Addr(), called(i.host), called(other), where)
			}
			addrs[p.Addr()] = i.host
		}
		mac := k.layout.macOf(i)
		if other, taken := macs[mac]; taken {
			k.badf(i.at, mac.String(), "a MAC address belongs to one device", "MAC address %s of %s is taken by %s on %s", mac, called(i.host), called(other), where)
		}
		macs[mac] = i.host
	}
}

// overlaps notes the subnets of different devices of one host that overlap: it
// could not tell which way to send.
func (k *checker) overlaps(host string, list []int) {
	type had struct {
		p    netip.Prefix // masked
		addr netip.Prefix // as it was written
		i    *iface
	}
	var all []had
	for _, n := range list {
		for _, p := range k.layout.ifaces[n].addrs {
			if p.IsValid() && !p.Addr().IsLinkLocalUnicast() { // of which each link has its own
				all = append(all, had{p.Masked(), p, &k.layout.ifaces[n]})
			}
		}
	}
	// Wider ones first, so that what overlaps stands behind what holds it.
	sort.SliceStable(all, func(i, j int) bool {
		a, b := all[i].p, all[j].p
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits())) < 0
	})
	var wide []had // those that hold the address at hand
	for _, h := range all {
		for len(wide) > 0 && !wide[len(wide)-1].p.Contains(h.p.Addr()) {
			wide = wide[:len(wide)-1]
		}
		if len(wide) > 0 && wide[len(wide)-1].i != h.i {
			k.overlap(host, wide[len(wide)-1].i, wide[len(wide)-1].addr, h.i, h.addr)
		}
		wide = append(wide, h)
	}
}

func (k *checker) overlap(host string, a *iface, p netip.Prefix, b *iface, q netip.Prefix) {
	if b.at.line < a.at.line || b.at.line == a.at.line && b.at.col < a.at.col {
		a, p, b, q = b, q, a, p // blame the later one
	}
	if a.net >= 0 && a.net == b.net {
		return // on one network twice: said already
	}
	do, text := "choose subnets that do not", q.String()
	if b.isSwitch() {
		text = q.Masked().String()
	}
	if b.isSwitch() || a.isSwitch() {
		do += `, or gateway: none for one of the networks`
	}
	k.badf(b.at, text, do, "subnets %s (%s) and %s (%s) overlap, and %s is in both", p.Masked(), k.linkName(a), q.Masked(), k.linkName(b), called(host))
}

func (k *checker) linkName(i *iface) string {
	switch {
	case i.net >= 0:
		return k.t.Networks[i.net].Name
	case i.cable != nil:
		return "link to " + i.cable.Ends[1-i.end].Host
	}
	return i.dev
}

// published checks that every published port has somebody to publish it, and
// no two the same.
func (k *checker) published() {
	for i := range k.t.Hosts {
		k.nobody(&k.t.Hosts[i])
	}
	all := k.layout.publications()
	sort.SliceStable(all, func(i, j int) bool {
		a, b := all[i], all[j]
		return cmp.Or(strings.Compare(a.gateway, b.gateway), strings.Compare(a.p.Proto, b.p.Proto), cmp.Compare(a.to.BitLen(), b.to.BitLen()), cmp.Compare(a.p.First, b.p.First)) < 0
	})
	for i, a := range all {
		for _, b := range all[i+1:] {
			if b.gateway != a.gateway || b.p.Proto != a.p.Proto || b.to.BitLen() != a.to.BitLen() || b.p.First > a.p.Last {
				break
			}
			if a.p != b.p && listenMeets(a.p.Listen, b.p.Listen) {
				k.publishedTwice(a, b)
			}
		}
	}
}

// called names a host in a sentence.
func called(host string) string {
	if host == Machine {
		return "the machine"
	}
	return host
}

// listenMeets tells whether a packet can be for both addresses, the invalid
// one being any.
func listenMeets(a, b netip.Addr) bool {
	return a == b || !a.IsValid() || !b.IsValid() || a.IsUnspecified() || b.IsUnspecified()
}

func (k *checker) publishedTwice(a, b publication) {
	if b.p.at.line < a.p.at.line {
		a, b = b, a
	}
	k.badf(b.p.at, b.p.String(), "publish another port, or listen at different addresses", "port %d/%s of %s is published twice: for %s and for %s", max(a.p.First, b.p.First), b.p.Proto, called(a.gateway), a.host, b.host)
}

// nobody notes the published ports of h that take effect nowhere.
func (k *checker) nobody(h *Host) {
	for n := range h.Ports {
		p := &h.Ports[n]
		if h.Name != Machine && !k.unsure && len(k.layout.publicationsOf(h, p)) == 0 {
			k.badf(p.at, p.String(), "put the host on a network with a gateway and subnets of that family", "port %s of %s: nobody is there to publish it", p, h.Name)
		}
	}
	for n := range h.Forwards {
		p := &h.Forwards[n]
		if p.Host != "" && !k.knownHost(p.at, p.Host, "to forward a port to") {
			continue
		}
		if !k.unsure && len(k.layout.forwardsOf(h, p)) == 0 {
			k.badf(p.at, p.String(), fmt.Sprintf("%s and the one it listens at must be of one family", or(p.Host, p.To.String())), "port %s of router %s leads to no address", p, h.Name)
		}
	}
}

// expectations checks that facts speak of who and what there is.
func (k *checker) expectations() {
	known := make(map[string]bool)
	for i := range k.t.Expect {
		x := &k.t.Expect[i]
		ok := known[x.From] || k.knownHost(x.at, x.From, "in a fact")
		known[x.From] = ok
		if x.Probe == ProbeDNS && !isDomain(x.To) {
			k.badf(x.at, x.To, domainForm, "%q is no name to be found", x.To)
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

// reachable checks that both sides of a fact have addresses of one family.
func (k *checker) reachable(x *Expectation) {
	if k.unsure || x.From == Machine || x.To == Machine || k.takenIn(x.From) || x.To != "" && k.takenIn(x.To) {
		return // they may have addresses of their own
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
	k.badf(x.at, "", "give both of them addresses of one family", "%s and %s have no addresses to reach each other by", x.From, or(x.To, x.Addr.String()))
}
