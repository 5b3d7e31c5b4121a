package topo

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Check returns every mistake of t as [Mistakes], or nil. Parse and Compile
// call it; a program that fills a Topology by hand may. It sees the topology
// alone: what the kernel lacks, or what is on the machine already, is found
// when a plan is made.
func Check(t Topology) error {
	k := &checker{critic: critic{src: t.source}, t: &t}
	k.all()
	return k.err()
}

type checker struct {
	critic
	t      *Topology
	layout *layout

	// unsure means that part of the file could not be read: what might only
	// follow from that is not said.
	unsure bool
}

func (k *checker) all() {
	k.names()
	l, without := newLayout(k.t)
	k.layout = l
	k.full(without)
	k.networks()
	for i := range k.t.Hosts {
		k.host(&k.t.Hosts[i])
	}
	k.cables()
	k.devices()
	k.addresses()
	k.published()
	k.expectations()
}

// full notes the networks whose subnets are too small for their hosts.
func (k *checker) full(without []*iface) {
	more := map[int]int{}
	for _, i := range without {
		more[i.net]++
	}
	for _, i := range without {
		n, others := more[i.net], ""
		if n == 0 {
			continue
		}
		if n > 1 {
			others = fmt.Sprintf(" and %d more", n-1)
		}
		more[i.net] = 0
		k.badf(i.at, "", "write a larger subnet, or address: none", "network %s has no address left for %s%s", k.t.Networks[i.net].Name, i.host, others)
	}
}

// badf is bad with a format for what is wrong.
func (k *checker) badf(at pos, text, do, format string, args ...any) {
	k.bad(at, text, fmt.Sprintf(format, args...), do)
}

// knownHost tells whether there is such a host; role says what it should be.
func (k *checker) knownHost(at pos, name, role string) bool {
	if _, ok := k.layout.hosts[name]; ok || name == Machine {
		return true
	}
	k.badf(at, name, didYouMean(name, k.hostNames()), "unknown host %q %s", name, role)
	return false
}

func (k *checker) hostNames() []string {
	names := make([]string, 0, len(k.t.Hosts))
	for i := range k.t.Hosts {
		names = append(names, k.t.Hosts[i].Name)
	}
	return names
}

func (k *checker) knownNetwork(at pos, name, role string) (int, bool) {
	n, ok := k.layout.nets[name]
	if !ok {
		names := make([]string, 0, len(k.t.Networks))
		for i := range k.t.Networks {
			names = append(names, k.t.Networks[i].Name)
		}
		k.badf(at, name, didYouMean(name, names), "unknown network %q %s", name, role)
	}
	return n, ok
}

// maxPorts is how many ports a Linux bridge takes (BR_MAX_PORTS, less one).
const maxPorts = 1023

func (k *checker) networks() {
	uplinks := map[string]string{}
	for n := range k.t.Networks {
		net := &k.t.Networks[n]
		k.subnets(net)
		k.gateway(n)
		k.isolation(net)
		k.mtu(net.at, net.MTU, net.Subnets)
		if net.In != "" {
			k.knownHost(net.at, net.In, "to hold network "+net.Name)
		}
		ports := 0
		for _, i := range k.layout.on[n] {
			if !k.layout.ifaces[i].isSwitch() {
				ports++
			}
		}
		if net.Uplink != "" {
			ports++
			k.device(net.at, net.Uplink, "uplink")
			if other := uplinks[k.t.holder(n)+":"+net.Uplink]; other != "" {
				k.badf(net.at, net.Uplink, "a device is in one switch only", "uplink %s is in network %s already", net.Uplink, other)
			}
			uplinks[k.t.holder(n)+":"+net.Uplink] = net.Name
		}
		if ports > maxPorts {
			k.badf(net.at, net.Name, "spread the hosts over several networks", "network %s has %d ports, a Linux bridge takes %d", net.Name, ports, maxPorts)
		}
	}
}

func (k *checker) subnets(net *Network) {
	for i, s := range net.Subnets {
		if !s.IsValid() {
			continue
		}
		if s != s.Masked() {
			k.badf(net.at, s.String(), "write "+s.Masked().String()+", and gateway: "+s.Addr().String()+" if that is meant", "subnet %s: the address goes beyond its prefix length", s)
		}
		for _, other := range net.Subnets[:i] {
			if other.Overlaps(s) {
				k.badf(net.at, s.String(), "", "subnets %s and %s of network %s overlap", other, s, net.Name)
			}
		}
	}
}

func (k *checker) gateway(n int) {
	net := &k.t.Networks[n]
	holder, g := k.t.holder(n), k.t.gatewayOf(n)
	for _, a := range net.GatewayAddr {
		if !prefixOf(a, net.Subnets).IsValid() {
			k.badf(net.at, a.String(), "", "gateway %s is in no subnet of network %s", a, net.Name)
		}
	}
	switch {
	case g == NoGateway && (net.NAT || net.Routed):
		k.badf(net.at, NoGateway, "name a gateway, or leave nat and routed out", "network %s has no gateway that could forward its packets", net.Name)
	case net.NAT && net.Routed:
		k.badf(net.at, "routed", "leave one of them out", "network %s is both nat and routed", net.Name)
	case net.NAT && len(net.Subnets) == 0:
		k.badf(net.at, "nat", "give the network subnets", "network %s has nat but no subnet to masquerade", net.Name)
	}
	if g == NoGateway || g == holder {
		return
	}
	if k.knownHost(net.at, g, "as gateway of network "+net.Name) && k.layout.attachmentOf(g, net.Name) == nil {
		k.badf(net.at, g, fmt.Sprintf("put %s into the networks of %s", net.Name, g), "gateway %s is not on network %s", g, net.Name)
	}
}

func (k *checker) isolation(net *Network) {
	for _, other := range net.IsolateFrom {
		if other == net.Name {
			k.badf(net.at, other, `write isolate: true to keep its own hosts apart`, "network %s cannot be isolated from itself", other)
			continue
		}
		n, ok := k.knownNetwork(net.at, other, "to be isolated from")
		if ok && !k.unsure && len(k.layout.routersOf(k.layout.nets[net.Name], n)) == 0 {
			k.badf(net.at, other, "leave isolate out, or give them one gateway", "networks %s and %s have no gateway in common that could keep them apart", net.Name, other)
		}
	}
}

// mtu checks a device's MTU: what Ethernet and IPv6 need at least.
func (k *checker) mtu(at pos, mtu int, addrs []netip.Prefix) {
	const least4, least6, most = 68, 1280, 65535
	if mtu == 0 {
		return
	}
	if mtu < least4 || mtu > most {
		k.badf(at, fmt.Sprint(mtu), fmt.Sprintf("write %d to %d", least4, most), "mtu %d is out of range", mtu)
		return
	}
	if mtu < least6 && slices.ContainsFunc(addrs, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		k.badf(at, fmt.Sprint(mtu), "", "mtu %d: IPv6 needs %d at least", mtu, least6)
	}
}

func (k *checker) impairment(at pos, i Impairment) {
	if i.Jitter > 0 && i.Delay == 0 {
		k.bad(at, "jitter", "jitter varies a delay, and there is none", "write delay too")
	}
	if !(i.Loss >= 0 && i.Loss <= 100) {
		k.badf(at, "loss", "", "loss %v is not between 0 and 100 percent", i.Loss)
	}
}

func (k *checker) cables() {
	for i := range k.t.Cables {
		c := &k.t.Cables[i]
		for _, e := range c.Ends {
			k.knownHost(c.at, e.Host, "in an endpoint")
		}
		k.mtu(c.at, c.MTU, slices.Concat(c.Ends[0].Addresses, c.Ends[1].Addresses))
		k.impairment(c.at, c.Impair)
		for _, v4 := range []bool{true, false} {
			a, b := ofFamily(c.Ends[0].Addresses, v4), ofFamily(c.Ends[1].Addresses, v4)
			if len(a) > 0 && len(b) > 0 && !anyShared(a, b) {
				k.badf(c.at, b[0].String(), "give both ends addresses of one subnet", "%s and %s are the ends of a link, but in different subnets", a[0], b[0])
			}
		}
	}
}

func ofFamily(list []netip.Prefix, v4 bool) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		if p.IsValid() && p.Addr().Is4() == v4 {
			out = append(out, p)
		}
	}
	return out
}

// anyShared tells whether two addresses see each other as neighbours, or one
// stands alone (a /32) and leaves that to routes.
func anyShared(a, b []netip.Prefix) bool {
	for _, p := range a {
		for _, q := range b {
			if p.IsSingleIP() || q.IsSingleIP() || p.Masked() == q.Masked() {
				return true
			}
		}
	}
	return false
}

func (k *checker) devices() {
	for h := range k.t.Hosts {
		host := &k.t.Hosts[h]
		for d := range host.Devices {
			k.made(host, &host.Devices[d])
		}
	}
	if len(k.list) > 0 {
		return // what follows needs parents that lead somewhere
	}
	for n := range k.layout.ifaces {
		k.carries(&k.layout.ifaces[n])
	}
}

var deviceModes = map[string][]string{
	KindMACVLAN: {"bridge", "private", "vepa", "passthru"},
	KindIPVLAN:  {"l2", "l3", "l3s"},
}

var deviceKinds = []string{KindDummy, KindVLAN, KindVXLAN, KindMACVLAN, KindIPVLAN}

// made checks a further device of a host.
func (k *checker) made(host *Host, v *Device) {
	if !slices.Contains(deviceKinds, v.Kind) {
		k.badf(v.at, v.Kind, didYouMean(v.Kind, deviceKinds), "device %s: unknown type %q", v.Name, v.Kind)
		return
	}
	k.mtu(v.at, v.MTU, v.Addresses)
	if v.Mode != "" && !slices.Contains(deviceModes[v.Kind], v.Mode) {
		k.badf(v.at, v.Mode, didYouMean(v.Mode, deviceModes[v.Kind]), "device %s: a %s has no mode %q", v.Name, v.Kind, v.Mode)
	}
	k.parent(host, v)
	switch {
	case v.Kind == KindVLAN && (v.ID < 1 || v.ID > 4094):
		k.badf(v.at, "id", "write id: 1 to 4094", "device %s: a vlan needs its id", v.Name)
	case v.Kind == KindVXLAN && v.ID >= 1<<24:
		k.badf(v.at, "id", "the largest is 16777215", "device %s: id %d is out of range", v.Name, v.ID)
	}
	if v.Local.IsValid() && v.Remote.IsValid() && v.Local.Is4() != v.Remote.Is4() {
		k.badf(v.at, v.Remote.String(), "", "device %s: local and remote are of different families", v.Name)
	}
	if v.Network == "" {
		return
	}
	n, ok := k.knownNetwork(v.at, v.Network, "for device "+v.Name)
	if ok && k.t.holder(n) != host.Name {
		k.badf(v.at, v.Network, fmt.Sprintf("write the device among those of %s, or in: %s at the network", k.t.holder(n), host.Name), "device %s of %s cannot be plugged into network %s, whose switch %s holds", v.Name, called(host.Name), v.Network, called(k.t.holder(n)))
	}
}

// carries notes a device that carries less than the network it is plugged into.
func (k *checker) carries(i *iface) {
	if i.made == nil || i.net < 0 || k.unsure {
		return
	}
	net := &k.t.Networks[i.net]
	if most, want := k.layout.mtuOf(i), or(net.MTU, defaultMTU); most < want {
		k.badf(i.at, i.dev, fmt.Sprintf("write mtu: %d at network %s", most, net.Name), "device %s carries packets of %d bytes, network %s those of %d", i.dev, most, net.Name, want)
	}
}

// parent checks the device that v stands on.
func (k *checker) parent(host *Host, v *Device) {
	needs := v.Kind == KindVLAN || v.Kind == KindMACVLAN || v.Kind == KindIPVLAN
	switch {
	case v.Parent == "" && needs:
		do := "write parent: eth0"
		if v.Kind != KindVLAN {
			do += ", or machine:eth0 for one of the machine's"
		}
		k.badf(v.at, v.Name, do, "device %s: a %s stands on another device", v.Name, v.Kind)
		return
	case v.Parent == "":
		return
	case v.Kind == KindDummy:
		k.badf(v.at, v.Parent, "leave parent out", "device %s: a dummy stands on nothing", v.Name)
		return
	}
	if k.standsOnItself(host, v) {
		k.badf(v.at, v.Parent, "", "device %s of %s stands on itself in the end", v.Name, host.Name)
		return
	}
	owner, dev := host.Name, v.Parent
	if on, of, ok := strings.Cut(v.Parent, ":"); ok {
		owner, dev = on, of
		if owner != host.Name && owner != Machine {
			k.badf(v.at, v.Parent, "name a device of the same host, or machine:DEV", "device %s: parent %s is another host's", v.Name, v.Parent)
			return
		}
		if owner != host.Name && v.Kind != KindMACVLAN && v.Kind != KindIPVLAN {
			k.badf(v.at, v.Parent, "make it in the machine, or use macvlan", "device %s: a %s cannot stand on another namespace's %s", v.Name, v.Kind, dev)
			return
		}
	}
	if !k.device(v.at, dev, "parent") || owner == Machine || k.takenIn(owner) {
		return // devices of the machine's own are not known here
	}
	if dev == v.Name || !slices.Contains(k.deviceNames(owner), dev) {
		k.badf(v.at, dev, didYouMean(dev, k.deviceNames(owner)), "device %s: %s has no device %q to stand on", v.Name, owner, dev)
	}
}

// standsOnItself tells whether a chain of parents leads back to where it began.
func (k *checker) standsOnItself(host *Host, v *Device) bool {
	at := v
	for range host.Devices {
		n := slices.IndexFunc(host.Devices, func(d Device) bool { return d.Name == at.Parent })
		if n < 0 {
			return false
		}
		at = &host.Devices[n]
	}
	return true
}

// deviceNames lists what devices a host has.
func (k *checker) deviceNames(host string) []string {
	names := []string{}
	for _, i := range k.layout.of[host] {
		names = append(names, k.layout.ifaces[i].dev)
	}
	return names
}

func (k *checker) takenIn(host string) bool { return k.layout.takenIn(host) }
