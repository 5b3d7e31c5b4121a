package lab

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/subnet"
)

// Export converts a State to a Topology: the reverse of Compile. Use it for a
// network that was made by hand, or a lab whose file is lost. [Format] writes
// the topology as a lab file. The second result lists the differences between s
// and the compiled topology, with "-" and "+" as in a plan: what a lab file
// cannot express, such as another name of a bridge port.
func Export(name string, s topo.State) (Topology, []string) {
	e := &exporter{name: name, state: s, objects: s.Objects(), noGateway: map[topo.Key]bool{}}
	t := e.topology()
	// If the hosts of a network have no default route, the network has no gateway.
	for again := true; again; {
		again = false
		for _, n := range e.withoutDefaultRoute() {
			k := e.netKeys[n]
			again = again || !e.noGateway[k]
			e.noGateway[k] = true
		}
		if again {
			t = e.topology()
		}
	}
	return t, e.differences(&t)
}

// An exporter makes a topology from the objects of a state.
type exporter struct {
	name      string
	state     topo.State
	objects   []topo.Object
	noGateway map[topo.Key]bool // bridges of networks without a gateway, by key

	// The result so far, and indexes of it: with them, the time grows linearly with the
	// size of the lab.
	t         Topology
	netKeys   []topo.Key       // for each network, the key of its bridge
	nets      map[topo.Key]int // networks by the key of their bridge
	netNames  map[string]int   // networks by name
	attached  map[topo.Key]int // networks by the key of an attached device
	hosts     map[string]int   // by namespace
	addrs     map[topo.Key][]netip.Prefix
	vlans     map[topo.Key][]topo.BridgeVLAN
	layout    *Layout // of the networks and the hosts' links
	hostsFile string  // the content of the hosts file that aliases read last
}

// An attachmentRef is the place of an attachment in the topology.
type attachmentRef struct{ host, attachment int }

func (e *exporter) topology() Topology {
	hosts := e.namespaceCount()
	e.t, e.netKeys, e.hostsFile = Topology{Name: e.name, Hosts: make([]Host, 0, hosts+1)}, nil, ""
	e.nets, e.netNames, e.attached = map[topo.Key]int{}, map[string]int{}, make(map[topo.Key]int, hosts)
	e.hosts = make(map[string]int, hosts+1)
	e.addrs, e.vlans = make(map[topo.Key][]netip.Prefix, hosts), map[topo.Key][]topo.BridgeVLAN{}
	for _, o := range e.objects {
		switch o := o.(type) {
		case topo.Namespace:
			e.host(o.Name).Namespace = o.From
		case topo.Address:
			k := topo.LinkKey(o.NS, o.Link)
			e.addrs[k] = append(e.addrs[k], o.Prefix)
		case topo.BridgeVLAN:
			k := topo.LinkKey(o.NS, o.Link)
			e.vlans[k] = append(e.vlans[k], o)
		case topo.Bridge:
			e.bridge(o)
		}
	}
	for _, o := range e.objects {
		e.link(o)
	}
	for n, on := range e.attachments() {
		e.subnets(n, on)
	}
	e.layout, _ = NewLayout(&e.t)
	for _, o := range e.objects {
		e.hostKey(o)
	}
	e.exportNAT()
	e.dropDefaultNames()
	return e.t
}

// namespaceCount returns the number of namespaces, for the size of maps. Namespaces are the first
// objects; it returns 0 if there are no other objects.
func (e *exporter) namespaceCount() int {
	return max(0, slices.IndexFunc(e.objects, func(o topo.Object) bool { return o.Key().Kind != topo.OfNamespace }))
}

// host returns the host of a namespace and adds it if needed. The pointer is
// valid until the next host is added.
func (e *exporter) host(ns string) *Host {
	i, ok := e.hosts[ns]
	if !ok {
		i = len(e.t.Hosts)
		e.hosts[ns] = i
		e.t.Hosts = append(e.t.Hosts, Host{Name: cmp.Or(ns, topo.Machine)})
	}
	return &e.t.Hosts[i]
}

func (e *exporter) bridge(b topo.Bridge) {
	if _, used := e.netNames[b.Name]; used {
		return // network names are unique; differences lists it
	}
	e.nets[b.Key()], e.netNames[b.Name] = len(e.t.Networks), len(e.t.Networks)
	e.netKeys = append(e.netKeys, b.Key())
	e.t.Networks = append(e.t.Networks, Network{
		Name: b.Name, In: b.NS, MTU: omitDefault(b.MTU, linux.DefaultMTU), STP: b.STP, VLANFiltering: b.VLANFiltering,
		Options: b.Options,
		MAC:     omitDefault(b.MAC, derivedMAC(e.name, cmp.Or(b.NS, topo.Machine), b.Name)),
	})
}

// omitDefault returns v, or the zero value if v is the default.
func omitDefault[T comparable](v, defaultValue T) T {
	if v == defaultValue {
		return *new(T)
	}
	return v
}

// link adds an attachment, an uplink, a link or a device if o is one.
func (e *exporter) link(o topo.Object) {
	switch o := o.(type) {
	case topo.Veth:
		a, b := o.Ends[0], o.Ends[1]
		switch {
		case a.Master == "" && b.Master == "":
			e.linkPair(a, b)
		case a.Master == "":
			e.attachment(a, b)
		case b.Master == "":
			e.attachment(b, a)
		}
	case topo.Port:
		if n, ok := e.nets[topo.LinkKey(o.NS, o.Master)]; ok {
			e.t.Networks[n].Uplink = o.Link
		}
	default:
		e.device(o)
	}
}

// impairment returns the impairment of a link if both ends have the same, else none.
func (e *exporter) impairment(a, b topo.Link) topo.Impairment {
	q, _ := e.state[topo.Key{Kind: topo.OfQdisc, NS: a.NS, Name: a.Name}].(topo.Qdisc)
	r, _ := e.state[topo.Key{Kind: topo.OfQdisc, NS: b.NS, Name: b.Name}].(topo.Qdisc)
	if q.Impairment != r.Impairment {
		return topo.Impairment{}
	}
	return q.Impairment
}

// noOffload reports whether offload is off on both ends.
func (e *exporter) noOffload(a, b topo.Link) bool {
	_, near := e.state[topo.NoOffload{NS: a.NS, Link: a.Name}.Key()]
	_, far := e.state[topo.NoOffload{NS: b.NS, Link: b.Name}.Key()]
	return near && far
}

// attachment adds a host's end l of a veth pair whose peer is in a bridge.
func (e *exporter) attachment(l, peer topo.Link) {
	n, ok := e.nets[topo.LinkKey(peer.NS, peer.Master)]
	if !ok {
		return
	}
	net := &e.t.Networks[n]
	a := Attachment{
		Network: net.Name, Device: l.Name,
		Impair: e.impairment(l, peer), NoOffload: e.noOffload(l, peer),
		MAC: omitDefault(l.MAC, derivedMAC(e.name, cmp.Or(l.NS, topo.Machine), l.Name)),
		MTU: omitDefault(l.MTU, cmp.Or(net.MTU, linux.DefaultMTU)),
	}
	for _, v := range e.vlans[peer.Key()] {
		if v.PVID && v.Untagged {
			a.VLAN = omitDefault(v.ID, defaultVLAN)
		} else {
			a.VLANs = append(a.VLANs, v.ID)
		}
	}
	net.IsolateHosts = net.IsolateHosts || peer.Isolated
	_, antispoof := e.state[topo.AntispoofPort{NS: peer.NS, Link: peer.Name}.Key()]
	net.Antispoof = net.Antispoof || antispoof
	h := e.host(l.NS)
	h.Networks = append(h.Networks, a)
	e.attached[l.Key()] = n
}

// attachments returns the attachments to each network, in the order of the hosts.
func (e *exporter) attachments() [][]attachmentRef {
	all := make([][]attachmentRef, len(e.t.Networks))
	for i := range e.t.Hosts {
		for k := range e.t.Hosts[i].Networks {
			n := e.netNames[e.t.Hosts[i].Networks[k].Network]
			all[n] = append(all[n], attachmentRef{i, k})
		}
	}
	return all
}

// subnets sets the subnets and the gateway of network n, and the addresses of its
// attachments. It derives them from the addresses of the bridge and of the
// attachments.
func (e *exporter) subnets(n int, on []attachmentRef) {
	net, k := &e.t.Networks[n], e.netKeys[n]
	own := e.addrs[k]
	for _, p := range own {
		e.addSubnet(net, p)
	}
	for _, ref := range on {
		for _, p := range e.addressesOf(ref) {
			e.addSubnet(net, p)
		}
	}
	e.gateway(net, k, own)
	for _, ref := range on {
		e.assignAddresses(net, &e.t.Hosts[ref.host].Networks[ref.attachment], e.addressesOf(ref))
	}
}

// addressesOf returns the addresses of the device of an attachment.
func (e *exporter) addressesOf(ref attachmentRef) []netip.Prefix {
	h := &e.t.Hosts[ref.host]
	return e.addrs[topo.LinkKey(topo.NSOf(h.Name), h.Networks[ref.attachment].Device)]
}

func (e *exporter) addSubnet(net *Network, p netip.Prefix) {
	if s := p.Masked(); !p.IsSingleIP() && !slices.ContainsFunc(net.Subnets, s.Overlaps) {
		net.Subnets = append(net.Subnets, s)
	}
}

// gateway sets the gateway of a network. It is the host with the bridge if the
// bridge has one address in each subnet. If not, there is no gateway, and the
// host with the bridge gets an attachment with the bridge's addresses.
func (e *exporter) gateway(net *Network, k topo.Key, own []netip.Prefix) {
	has := map[netip.Prefix]int{}
	first := true
	for _, p := range own {
		has[p.Masked()]++
		first = first && p.Addr() == subnet.First(p.Masked())
	}
	isGateway := len(own) == len(net.Subnets) && len(has) == len(own) && !e.noGateway[k]
	switch {
	case isGateway && len(own) > 0 && !first:
		for _, p := range own {
			net.GatewayAddr = append(net.GatewayAddr, p.Addr())
		}
	case isGateway:
	default:
		net.Gateway = NoGateway
		if len(own) > 0 {
			h := e.host(k.NS)
			h.Networks = append(h.Networks, Attachment{Network: net.Name, Prefixes: own, NoAddress: true})
		}
	}
}

// assignAddresses sets the addresses of an attachment. It omits the prefix lengths
// if the attachment has one address in each subnet.
func (e *exporter) assignAddresses(net *Network, a *Attachment, addrs []netip.Prefix) {
	plain := len(addrs) == len(net.Subnets)
	for _, s := range net.Subnets {
		plain = plain && slices.ContainsFunc(addrs, func(p netip.Prefix) bool { return p.Masked() == s })
	}
	for _, p := range addrs {
		if plain {
			a.Addresses = append(a.Addresses, p.Addr())
		} else {
			a.Prefixes = append(a.Prefixes, p)
		}
	}
	a.NoAddress = !plain && len(net.Subnets) > 0
}

// dropDefaultNames removes device names that are the default: eth0, eth1 …
func (e *exporter) dropDefaultNames() {
	for i := range e.t.Hosts {
		h := &e.t.Hosts[i]
		plain := h.Name != topo.Machine
		for n := range h.Networks {
			plain = plain && h.Networks[n].Device == ethName(n)
		}
		for n := range h.Networks {
			if plain {
				h.Networks[n].Device = ""
			}
		}
	}
}

// withoutDefaultRoute returns the networks whose gateway would give a default
// route to hosts that have none in the state.
func (e *exporter) withoutDefaultRoute() (nets []int) {
	for i := range e.t.Hosts {
		host := e.t.Hosts[i].Name
		for _, v4 := range []bool{true, false} {
			gw, ok := e.layout.defaultGateway(host, v4)
			if _, has := e.state[topo.Route{NS: host, Dst: defaultRoute(v4)}.Key()]; ok && !has {
				nets = append(nets, gw.net)
			}
		}
	}
	return nets
}
