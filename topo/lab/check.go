package lab

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vnet-lab/vnet/internal/spell"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/subnet"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// Check returns all mistakes of t as [Mistakes], or nil. Parse and Compile
// make the same checks. It does not look at the machine: package live finds missing
// kernel features and conflicts with existing objects.
func Check(t Topology) error {
	_, err := checkedLayout(&t)
	return err
}

// checkedLayout returns the layout of t, and all mistakes of t as [Mistakes], or nil.
func checkedLayout(t *Topology) (*Layout, error) {
	k := &checker{MistakeList: syntax.MistakeList{Source: t.source}, t: t}
	k.all()
	return k.layout, errorOf(&k.MistakeList)
}

type checker struct {
	syntax.MistakeList
	t      *Topology
	layout *Layout

	// incomplete means that part of the file could not be read, or that a network is unknown. Then
	// the checker does not report mistakes that may follow from the missing part.
	incomplete bool
}

func (k *checker) all() {
	k.names()
	l, unassigned := NewLayout(k.t)
	k.layout = l
	k.fullSubnets(unassigned)
	k.networks()
	for i := range k.t.Hosts {
		k.host(&k.t.Hosts[i])
	}
	k.links()
	k.devices()
	k.addresses()
	k.portForwards()
	k.expectations()
}

// fullSubnets reports the networks whose subnets are too small for their hosts.
func (k *checker) fullSubnets(unassigned []*Iface) {
	missing := map[int]int{}
	for _, i := range unassigned {
		missing[i.Network]++
	}
	for _, i := range unassigned {
		n, others := missing[i.Network], ""
		if n == 0 {
			continue
		}
		if n > 1 {
			others = fmt.Sprintf(" and %d more", n-1)
		}
		missing[i.Network] = 0
		k.mistakef(i.at, "", "write a larger subnet, or address: none",
			"network %s has no address left for %s%s", k.t.Networks[i.Network].Name, i.Host, others)
	}
}

// mistakef is mistake with a format for the message.
func (k *checker) mistakef(at syntax.Pos, text, hint, format string, args ...any) {
	k.Mistake(at, text, fmt.Sprintf(format, args...), hint)
}

// knownHost reports whether the host exists. If not, it adds the mistake "unknown host NAME ROLE".
func (k *checker) knownHost(at syntax.Pos, name, role string) bool {
	if _, ok := k.layout.Hosts[name]; ok || name == topo.Machine {
		return true
	}
	k.mistakef(at, name, spell.DidYouMean(name, k.hostNames()), "unknown host %q %s", name, role)
	return false
}

func (k *checker) hostNames() []string {
	names := make([]string, 0, len(k.t.Hosts))
	for i := range k.t.Hosts {
		names = append(names, k.t.Hosts[i].Name)
	}
	return names
}

func (k *checker) knownNetwork(at syntax.Pos, name, role string) (int, bool) {
	n, ok := k.layout.nets[name]
	if !ok {
		names := make([]string, 0, len(k.t.Networks))
		for i := range k.t.Networks {
			names = append(names, k.t.Networks[i].Name)
		}
		k.mistakef(at, name, spell.DidYouMean(name, names), "unknown network %q %s", name, role)
		k.incomplete = true
	}
	return n, ok
}

// maxPorts is the largest number of ports of a Linux bridge (BR_MAX_PORTS-1).
const maxPorts = 1023

func (k *checker) networks() {
	uplinks := map[string]string{}
	for n := range k.t.Networks {
		net := &k.t.Networks[n]
		k.subnets(net)
		k.gateway(n)
		k.isolation(net)
		k.antispoof(n)
		k.mtu(net.at, net.MTU, net.Subnets)
		k.bridgeOptions(net)
		if net.In != "" {
			k.knownHost(net.at, net.In, "for the bridge of network "+net.Name)
		}
		ports := 0
		for _, i := range k.layout.ByNetwork[n] {
			if !k.layout.Ifaces[i].IsBridge() {
				ports++
			}
		}
		if net.Uplink != "" {
			ports++
			k.deviceName(net.at, net.Uplink, "uplink")
			if other, is := k.layout.nets[net.Uplink]; is && k.t.BridgeHost(other) == k.t.BridgeHost(n) {
				k.mistakef(net.at, net.Uplink, "name another device",
					"uplink %s is the bridge of a network: a bridge cannot be a port of a bridge", net.Uplink)
			}
			if other := uplinks[k.t.BridgeHost(n)+":"+net.Uplink]; other != "" {
				k.mistakef(net.at, net.Uplink, "a device can be a port of one bridge only",
					"uplink %s is already in network %s", net.Uplink, other)
			}
			uplinks[k.t.BridgeHost(n)+":"+net.Uplink] = net.Name
		}
		if ports > maxPorts {
			k.mistakef(net.at, net.Name, "spread the hosts over several networks",
				"network %s has %d ports, but a Linux bridge has at most %d", net.Name, ports, maxPorts)
		}
	}
}

func (k *checker) subnets(net *Network) {
	for i, s := range net.Subnets {
		if !s.IsValid() {
			continue
		}
		if s != s.Masked() {
			hint := fmt.Sprintf("write %s, and gateway: %s if it is the gateway's address", s.Masked(), s.Addr())
			k.mistakef(net.at, s.String(), hint, "subnet %s has bits set after the prefix length", s)
		}
		k.unicastSubnet(net.at, s)
		for _, other := range net.Subnets[:i] {
			if other.Overlaps(s) {
				k.mistakef(net.at, s.String(), "", "subnets %s and %s of network %s overlap", other, s, net.Name)
			}
		}
	}
}

// unicastSubnet adds a mistake if no host can have addresses of the subnet.
func (k *checker) unicastSubnet(at syntax.Pos, s netip.Prefix) {
	const hint = "write a subnet such as 10.0.0.0/24 or fd00::/64"
	if s.Bits() == 0 {
		k.mistakef(at, s.String(), hint, "subnet %s is the whole Internet", s)
	} else if kind := subnet.KindIn(s); kind != "" {
		k.mistakef(at, s.String(), hint, "subnet %s has %s addresses", s, kind)
	}
}

func (k *checker) gateway(n int) {
	net := &k.t.Networks[n]
	in, g := k.t.BridgeHost(n), k.t.GatewayOf(n)
	for _, a := range net.GatewayAddr {
		if s := subnet.Of(a, net.Subnets); !s.IsValid() {
			k.mistakef(net.at, a.String(), "", "gateway %s is in no subnet of network %s", a, net.Name)
		} else if a.Is4() {
			k.edgeAddress(net.at, a, s)
		}
	}
	k.natSources(net)
	switch {
	case g == NoGateway && (net.NAT || net.Routed):
		k.mistakef(net.at, NoGateway, "name a gateway, or remove nat and routed",
			"network %s has no gateway that could forward its packets", net.Name)
	case net.NAT && net.Routed:
		k.mistakef(net.at, "routed", "remove one of them", "network %s has both nat and routed", net.Name)
	case net.NAT && len(net.Subnets) == 0:
		k.mistakef(net.at, "nat", "add subnets to the network", "network %s has nat but no subnets", net.Name)
	}
	if g == NoGateway || g == in {
		return
	}
	if k.knownHost(net.at, g, "as gateway of network "+net.Name) && k.layout.gatewayAttachment[n] == nil {
		k.mistakef(net.at, g, fmt.Sprintf("add %s to the networks of %s", net.Name, g),
			"gateway %s is not on network %s", g, net.Name)
	}
}

// natSources checks the fixed sources of a network's packets: one for each address family of its subnets.
func (k *checker) natSources(net *Network) {
	for i, a := range net.NATTo {
		sameFamily := func(b netip.Addr) bool { return a.Is4() == b.Is4() }
		hasSubnet := slices.ContainsFunc(net.Subnets, func(p netip.Prefix) bool { return sameFamily(p.Addr()) })
		switch kind := subnet.KindForNAT(a); {
		case kind != "":
			k.mistakef(net.at, a.String(), "write an address of the gateway, or nat: true",
				"nat of network %s: packets cannot have the %s address %s as their source", net.Name, kind, a)
		case slices.ContainsFunc(net.NATTo[:i], sameFamily):
			k.mistakef(net.at, a.String(), "write one address for each address family",
				"nat of network %s: %s has no effect after another address of its family", net.Name, a)
		case !hasSubnet && len(net.Subnets) > 0:
			k.mistakef(net.at, a.String(), "remove it, or add a subnet",
				"nat of network %s: no subnet has the address family of %s", net.Name, a)
		}
	}
}

func (k *checker) isolation(net *Network) {
	for _, other := range net.IsolateFrom {
		if other == net.Name {
			k.mistakef(net.at, other, "write isolate: true to isolate the hosts of the network from each other",
				"network %s cannot be isolated from itself", other)
			continue
		}
		n, ok := k.knownNetwork(net.at, other, "in isolate")
		if ok && !k.incomplete && len(k.layout.routersOf(k.layout.nets[net.Name], n)) == 0 {
			k.mistakef(net.at, other, "remove isolate, or give both networks the same gateway",
				"networks %s and %s have no common gateway that could isolate them", net.Name, other)
		}
	}
}

// mtu checks the range of an MTU, and the minimum of IPv6.
func (k *checker) mtu(at syntax.Pos, mtu int, addrs []netip.Prefix) {
	const min4, min6, largest = 68, 1280, 65535
	if mtu == 0 {
		return
	}
	if mtu < min4 || mtu > largest {
		k.mistakef(at, fmt.Sprint(mtu), fmt.Sprintf("write %d to %d", min4, largest), "mtu %d is out of range", mtu)
		return
	}
	if mtu < min6 && slices.ContainsFunc(addrs, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		k.mistakef(at, fmt.Sprint(mtu), "", "mtu %d: IPv6 needs at least %d", mtu, min6)
	}
}

// deviceNames returns the names of the host's devices.
func (k *checker) deviceNames(host string) []string {
	names := []string{}
	for _, i := range k.layout.ByHost[host] {
		names = append(names, k.layout.Ifaces[i].Name)
	}
	return names
}

func (k *checker) isAdopted(host string) bool { return k.layout.isAdopted(host) }
