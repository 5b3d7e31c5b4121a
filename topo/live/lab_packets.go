package live

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nft/ruleset"
	"github.com/vnet-lab/vnet/topo"
)

// maxPackets limits the hosts' addresses: `up` follows the packets of each through all chains of other programs.
const maxPackets = 1024

// LabPackets are the packets of a lab, or of any lab, that pass a namespace, as far as they are known.
type LabPackets struct {
	// Ports are the links of the lab that are ports of bridges in the namespace.
	Ports    []string
	any      bool
	links    []string         // of the lab, in the namespace
	from, to []ruleset.Packet // routed packets from the hosts, and to them
	bridged  []ruleset.Packet // packets between hosts that a bridge gives to the rules for routed packets
	forwards [2]bool          // IPv4, IPv6: the lab makes the namespace forward them
	calls    map[string]bool  // the values of net.bridge.bridge-nf-call-*
}

// AnyLabPackets returns the packets of any lab that pass the machine. sysctl reads a number.
func AnyLabPackets(sysctl func(key string) (n int, ok bool)) (t LabPackets, err error) {
	t = LabPacketsOf(nil, "", nft.LinkGroup, sysctl)
	t.any, t.from, t.to = true, []ruleset.Packet{{InGroup: nft.LinkGroup}}, []ruleset.Packet{{OutGroup: nft.LinkGroup}}
	t.Ports, err = BridgePorts()
	return t, err
}

// LabPacketsOf returns the packets that pass a namespace of a lab with these objects; "" is the machine. group is the
// group of the lab's links there; 0 if they have none. sysctl reads a number in the namespace.
func LabPacketsOf(objects []topo.Object, ns string, group uint32, sysctl func(key string) (int, bool)) (t LabPackets) {
	var bridges []string
	var gateways, hosts []topo.Address
	for _, o := range objects {
		switch o := o.(type) {
		case topo.Sysctl:
			if o.NS == ns {
				t.forwards[0] = t.forwards[0] || o.Name == linux.ForwardingIPv4
				t.forwards[1] = t.forwards[1] || o.Name == linux.ForwardingIPv6
			}
		case topo.Address:
			if o.NS == ns {
				gateways = append(gateways, o)
			} else {
				hosts = append(hosts, o)
			}
		case topo.LinkObject:
			for _, l := range o.Links() {
				switch _, bridge := o.(topo.Bridge); {
				case l.NS != ns:
					continue
				case bridge:
					bridges = append(bridges, l.Name)
				case l.Master != "":
					t.Ports = append(t.Ports, l.Name)
				}
				t.links = append(t.links, l.Name)
			}
		}
	}
	t.addHosts(gateways, hosts, group)
	for _, name := range bridges {
		t.addBridged(name, group)
	}
	t.calls = map[string]bool{}
	for _, key := range bridgeCalls {
		n, ok := sysctl(key)
		t.calls[key] = ok && n == 1
	}
	return t
}

// bridgeCalls are the settings that make rules for routed packets see those between the ports of a bridge.
var bridgeCalls = []string{"net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables"}

// addHosts adds the packets of hosts in the subnets of the namespace's addresses. If no address is known, those that
// the namespace forwards may have any.
func (t *LabPackets) addHosts(gateways, hosts []topo.Address, group uint32) {
	for _, g := range gateways {
		for _, h := range hosts {
			if a := h.Prefix.Addr(); g.Prefix.Contains(a) && len(t.from) < maxPackets {
				t.from = append(t.from, ruleset.Packet{In: g.Link, InGroup: group, Source: a})
				t.to = append(t.to, ruleset.Packet{Out: g.Link, OutGroup: group, Target: a})
			}
		}
	}
	if len(gateways)+len(hosts) == 0 && t.forwards != [2]bool{} {
		t.from = []ruleset.Packet{{InGroup: group}}
		t.to = []ruleset.Packet{{OutGroup: group}}
	}
}

// addBridged adds packets from each host in the subnets of a bridge to another one. Without an address in the
// namespace, a bridge has no known subnets.
func (t *LabPackets) addBridged(bridge string, group uint32) {
	all := ruleset.Packet{In: bridge, Out: bridge, InGroup: group, OutGroup: group}
	known := false
	for i, p := range t.from {
		if p.In != bridge {
			continue
		}
		known = true
		for j, q := range t.from {
			if j != i && q.In == bridge && q.Source.Is4() == p.Source.Is4() {
				one := all
				one.Source, one.Target = p.Source, q.Source
				t.bridged = append(t.bridged, one)
				break
			}
		}
	}
	if !known {
		t.bridged = append(t.bridged, all)
	}
}

// Packets returns the packets that pass a chain. For any lab, packets between hosts and the machine itself are left
// out: many machines drop them on purpose.
func (t LabPackets) Packets(b ruleset.BaseChain) (all []ruleset.Packet) {
	links := t.Ports
	switch {
	case t.any && b.Family != "bridge" && (b.Hook == ruleset.Input || b.Hook == ruleset.Output):
		return nil
	case b.Hook == ruleset.Ingress, b.Hook == ruleset.Egress:
		links = slices.DeleteFunc(slices.Clone(b.Links), func(link string) bool {
			return !slices.Contains(t.Ports, link) && !slices.Contains(t.links, link)
		})
		fallthrough
	case b.Family == "bridge":
		for _, link := range links {
			p := ruleset.Packet{In: link}
			if b.Hook.Leaving() {
				p = ruleset.Packet{Out: link}
			}
			all = append(all, p)
		}
		return all
	}
	if !b.Hook.Leaving() {
		all = append(all, t.from...)
	}
	if b.Hook.Leaving() || b.Hook == ruleset.Forwarding {
		all = append(all, t.to...)
	}
	if b.Hook == ruleset.Forwarding {
		all = slices.DeleteFunc(all, func(p ruleset.Packet) bool { return !t.routes(p) })
		for _, p := range t.bridged {
			if t.BridgeCall(b, p.Source) != "" {
				all = append(all, p)
			}
		}
	}
	return all
}

// routes reports whether the lab makes the namespace forward a packet.
func (t LabPackets) routes(p ruleset.Packet) bool {
	switch {
	case t.any:
		return true
	case p.Source.Is4() || p.Target.Is4():
		return t.forwards[0]
	case p.Source.IsValid() || p.Target.IsValid():
		return t.forwards[1]
	}
	return t.forwards[0] || t.forwards[1]
}

// BridgeCall returns the setting that makes a chain for routed packets see those between the ports of a bridge from an
// address, or from any; "" if there is none.
func (t LabPackets) BridgeCall(b ruleset.BaseChain, from netip.Addr) string {
	for _, key := range bridgeCalls {
		v6 := strings.HasSuffix(key, "ip6tables")
		if b.Family == "ip" && v6 || b.Family == "ip6" && !v6 || b.Family == "bridge" || from.IsValid() && from.Is6() != v6 {
			continue
		}
		if t.calls[key] {
			return key
		}
	}
	return ""
}
