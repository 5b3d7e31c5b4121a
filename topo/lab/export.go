package lab

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/topo"
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
		for _, n := range withoutDefaultRoute(&t, s) {
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

	t       Topology
	netKeys []topo.Key       // for each network, the key of its bridge
	nets    map[topo.Key]int // networks by the key of their bridge
	hosts   map[string]int   // by namespace
	addrs   map[topo.Key][]netip.Prefix
	vlans   map[topo.Key][]topo.BridgeVLAN
}

func (e *exporter) topology() Topology {
	e.t, e.netKeys = Topology{Name: e.name}, nil
	e.nets, e.hosts = map[topo.Key]int{}, map[string]int{}
	e.addrs, e.vlans = map[topo.Key][]netip.Prefix{}, map[topo.Key][]topo.BridgeVLAN{}
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
	for n := range e.t.Networks {
		e.subnets(n)
	}
	for _, o := range e.objects {
		e.setting(o)
	}
	e.exportNAT()
	e.exportRoutes()
	e.dropDefaultNames()
	return e.t
}

// Host returns the host of a namespace and adds it if needed. The pointer is
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
	if slices.ContainsFunc(e.t.Networks, func(n Network) bool { return n.Name == b.Name }) {
		return // network names are unique; differences lists it
	}
	e.nets[b.Key()] = len(e.t.Networks)
	e.netKeys = append(e.netKeys, b.Key())
	e.t.Networks = append(e.t.Networks, Network{
		Name: b.Name, In: b.NS, MTU: omitDefault(b.MTU, topo.DefaultMTU), STP: b.STP, VLANFiltering: b.VLANFiltering,
		MAC: omitDefault(b.MAC, derivedMAC(e.name, cmp.Or(b.NS, topo.Machine), b.Name)),
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
			e.cable(a, b)
		case a.Master == "":
			e.attachment(a, b)
		case b.Master == "":
			e.attachment(b, a)
		}
	case topo.Port:
		if n, ok := e.nets[topo.LinkKey(o.NS, o.Master)]; ok {
			e.t.Networks[n].Uplink = o.Link
		}
	case topo.Dummy:
		e.device(o.Link, Device{Kind: topo.KindDummy})
	case topo.VLAN:
		e.device(o.Link, Device{Kind: topo.KindVLAN, Parent: o.Parent, ID: uint32(o.ID)})
	case topo.VXLAN:
		port := omitDefault(o.Port, topo.VXLANPort)
		e.device(o.Link, Device{Kind: topo.KindVXLAN, Parent: o.Parent, ID: o.ID, Local: o.Local, Remote: o.Remote, Port: port})
	case topo.Macvlan:
		parent, mode := parentName(o.NS, o.ParentNS, o.Parent), omitDefault(o.Mode, "bridge")
		e.device(o.Link, Device{Kind: topo.KindMACVLAN, Parent: parent, Mode: mode})
	case topo.Ipvlan:
		parent, mode := parentName(o.NS, o.ParentNS, o.Parent), omitDefault(o.Mode, "l2")
		e.device(o.Link, Device{Kind: topo.KindIPVLAN, Parent: parent, Mode: mode})
	}
}

func parentName(ns, parentNS, parent string) string {
	if ns == parentNS {
		return parent
	}
	return cmp.Or(parentNS, topo.Machine) + ":" + parent
}

func (e *exporter) device(l topo.Link, v Device) {
	v.Name, v.MTU, v.Network, v.Addresses = l.Name, l.MTU, l.Master, e.addrs[l.Key()]
	v.MAC = omitDefault(l.MAC, derivedMAC(e.name, cmp.Or(l.NS, topo.Machine), l.Name))
	h := e.host(l.NS)
	h.Devices = append(h.Devices, v)
}

func (e *exporter) cable(a, b topo.Link) {
	c := Link{MTU: omitDefault(a.MTU, topo.DefaultMTU), Impair: e.impairment(a, b), NoOffload: e.noOffload(a, b)}
	for i, l := range []topo.Link{a, b} {
		e.host(l.NS)
		c.Ends[i] = End{
			Host: cmp.Or(l.NS, topo.Machine), Device: l.Name, Addresses: e.addrs[l.Key()],
			MAC: omitDefault(l.MAC, derivedMAC(e.name, cmp.Or(l.NS, topo.Machine), l.Name)),
		}
	}
	e.t.Links = append(e.t.Links, c)
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
		MTU: omitDefault(l.MTU, cmp.Or(net.MTU, topo.DefaultMTU)),
	}
	for _, v := range e.vlans[peer.Key()] {
		if v.PVID && v.Untagged {
			a.VLAN = omitDefault(v.ID, defaultVLAN)
		} else {
			a.VLANs = append(a.VLANs, v.ID)
		}
	}
	net.IsolateHosts = net.IsolateHosts || peer.Isolated
	h := e.host(l.NS)
	h.Networks = append(h.Networks, a)
}

// subnets derives the subnets of a network, and its gateway, from the addresses
// on it.
func (e *exporter) subnets(n int) {
	net, k := &e.t.Networks[n], e.netKeys[n]
	own := e.addrs[k]
	for _, p := range own {
		e.addSubnet(net, p)
	}
	for i := range e.t.Hosts {
		for _, a := range e.t.Hosts[i].Networks {
			if a.Network == net.Name {
				for _, p := range e.addrs[topo.LinkKey(topo.NSOf(e.t.Hosts[i].Name), a.Device)] {
					e.addSubnet(net, p)
				}
			}
		}
	}
	e.gateway(net, k, own)
	for i := range e.t.Hosts {
		h := &e.t.Hosts[i]
		for j := range h.Networks {
			if a := &h.Networks[j]; a.Network == net.Name && a.Device != "" {
				e.assignAddresses(net, a, e.addrs[topo.LinkKey(topo.NSOf(h.Name), a.Device)])
			}
		}
	}
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
		first = first && p.Addr() == firstAddr(p.Masked())
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

// assignAddresses sets the addresses of an attachment: without prefix lengths
// if there is one in each subnet.
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

// setting adds an object that belongs to one host: a neighbour, program, sysctl or file.
func (e *exporter) setting(o topo.Object) {
	switch o := o.(type) {
	case topo.Neigh:
		h := e.host(o.NS)
		h.Neighbours = append(h.Neighbours, StaticNeigh{Addr: o.Addr, MAC: o.MAC, Device: o.Link})
	case topo.Process:
		h := e.host(o.NS)
		h.Run = append(h.Run, o.Command)
	case topo.Sysctl:
		h := e.host(o.NS)
		h.Sysctls = append(h.Sysctls, Setting{Key: o.Name, Value: o.Value})
	case topo.File:
		switch o.Name {
		case "hosts":
			e.aliases(o.Content)
		case "resolv.conf":
			e.host(o.NS).DNS = ParseResolv(o.Content)
		}
	}
}

// aliases reads the aliases of hosts from a hosts file.
func (e *exporter) aliases(text string) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 3 {
			continue
		}
		if i, ok := e.hosts[omitDefault(words[1], topo.Machine)]; ok && len(e.t.Hosts[i].Aliases) == 0 {
			e.t.Hosts[i].Aliases = words[2:]
		}
	}
}

// ParseResolv reads the text of a resolv.conf.
func ParseResolv(text string) (d DNS) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) > 1 && words[0] == "nameserver":
			if a, err := parseAddr(words[1]); err == nil {
				d.Servers = append(d.Servers, a)
			}
		case len(words) > 1 && words[0] == "search":
			d.Search = words[1:]
		}
	}
	return d
}

// exportRoutes adds the routes, except default routes that follow from gateways.
func (e *exporter) exportRoutes() {
	l, _ := NewLayout(&e.t)
	for _, o := range e.objects {
		r, ok := o.(topo.Route)
		if !ok {
			continue
		}
		gw, ok := l.defaultGateway(cmp.Or(r.NS, topo.Machine), r.Dst.Addr().Is4())
		implied := topo.Route{NS: r.NS, Dst: defaultRoute(r.Dst.Addr().Is4())}
		if ok {
			implied.Hops = topo.NewHops(topo.Hop{Via: gw.addr, Device: gw.port.Name})
		}
		if ok && r == implied {
			continue
		}
		h := e.host(r.NS)
		h.Routes = append(h.Routes, StaticRoute{
			Type: cmp.Or(r.Type, topo.TypeUnicast), Dst: r.Dst, Hops: r.Hops.List(), Src: r.Src,
			Table: r.Table, Metric: r.Metric, MTU: r.MTU,
		})
	}
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
// route to hosts that have none in s.
func withoutDefaultRoute(t *Topology, s topo.State) (nets []int) {
	l, _ := NewLayout(t)
	for i := range t.Hosts {
		for _, v4 := range []bool{true, false} {
			gw, ok := l.defaultGateway(t.Hosts[i].Name, v4)
			if _, has := s[topo.Route{NS: t.Hosts[i].Name, Dst: defaultRoute(v4)}.Key()]; ok && !has {
				nets = append(nets, gw.net)
			}
		}
	}
	return nets
}

// differences removes sysctls from t that follow from other keys. It returns the
// differences between the state and the compiled t.
func (e *exporter) differences(t *Topology) []string {
	e.removeImplied(t)
	made, err := Compile(*t)
	if err != nil {
		return strings.Split(err.Error(), "\n")
	}
	var lines []string
	for _, o := range e.objects {
		if made[o.Key()] != o && o.Key().Kind != topo.OfAddrGen {
			lines = append(lines, "- "+o.String())
		}
	}
	protected := slices.ContainsFunc(e.objects, isProtection)
	for _, o := range made.Objects() {
		if e.state[o.Key()] != o && o.Key().Kind != topo.OfAddrGen && (protected || !isProtection(o)) {
			lines = append(lines, "+ "+o.String())
		}
	}
	return lines
}

// removeImplied removes the sysctls from t that compiling t would make anyway. It
// sets router instead of the sysctls for forwarding.
func (e *exporter) removeImplied(t *Topology) {
	settings := make([][]Setting, len(t.Hosts))
	for i := range t.Hosts {
		settings[i], t.Hosts[i].Sysctls = t.Hosts[i].Sysctls, nil
	}
	e.setRouters(t)
	implied, _ := Compile(*t)
	for i := range t.Hosts {
		for _, s := range settings[i] {
			o := topo.Normalize(topo.Sysctl{NS: topo.NSOf(t.Hosts[i].Name), Name: s.Key, Value: s.Value})
			if implied[o.Key()] != o {
				t.Hosts[i].Sysctls = append(t.Hosts[i].Sysctls, s)
			}
		}
	}
}

// setRouters sets Router for hosts that forward packets and are not a gateway.
func (e *exporter) setRouters(t *Topology) {
	implied, _ := Compile(*t)
	for i := range t.Hosts {
		for _, key := range []string{topo.ForwardingIPv4, topo.ForwardingIPv6} {
			k := topo.Sysctl{NS: topo.NSOf(t.Hosts[i].Name), Name: key}.Key()
			if s, ok := e.state[k].(topo.Sysctl); ok && s.Value == "1" && implied[k] == nil {
				t.Hosts[i].Router = true
			}
		}
	}
}
