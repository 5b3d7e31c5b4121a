package lab

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/subnet"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// An Attachment connects a host to a network: a veth pair with one end in the bridge.
type Attachment struct {
	Network   string
	Device    string         // the device's name in the host; "" means the first free name of eth0, eth1 …
	Addresses []netip.Addr   // in the network's subnets; for a subnet without one, the next free address is used
	Prefixes  []netip.Prefix // addresses with an explicit prefix length, not necessarily in a subnet of the network
	NoAddress bool           // assign no address from the network's subnets
	MTU       int            // bytes; 0 means the network's
	MAC       topo.MAC       // zero means derived from the names
	VLAN      uint16         // untagged VLAN of the port, 1–4094; 0 means 1, or none if VLANs is set
	VLANs     []uint16       // tagged VLANs of the port
	Impair    topo.Impairment
	NoOffload bool // turn off checksum offload on both ends

	at syntax.Pos
}

var networksKey = hostKey{
	read: func(d *syntax.Decoder, f *fileHost, h *Host) {
		for i := range f.Networks.Table {
			e := &f.Networks.Table[i]
			h.Networks = append(h.Networks, e.Value.attachment(d, e.Key, e.At))
		}
	},
	check: func(k *checker, h *Host) {
		on := map[string]bool{}
		for i := range h.Networks {
			a := &h.Networks[i]
			if on[a.Network] {
				k.mistakef(a.at, a.Network, "list a network once", "%s is on network %s twice", h.Name, a.Network)
			}
			on[a.Network] = true
			k.attachment(h, a)
		}
	},
	format: (*Host).formatNetworks,
}

// formatNetworks writes the networks as a list of names if none has other keys.
func (h *Host) formatNetworks(m *syntax.Mapping) {
	var names []string
	plain := true
	for i := range h.Networks {
		names = append(names, h.Networks[i].Network)
		plain = plain && len(h.Networks[i].format()) == 0
	}
	if plain {
		m.List("networks", names)
		return
	}
	m.Table("networks", len(names), func(i int) (string, syntax.Mapping) { return names[i], h.Networks[i].format() })
}

// Read reads a list of network names, or a mapping of network names to keys.
func (as *attachments) Read(d *syntax.Decoder, n *yaml.Node) {
	switch {
	case n.Kind == yaml.MappingNode:
		d.Value(n, &as.Table)
	case syntax.IsNull(n):
	case n.Kind == yaml.ScalarNode:
		as.add(n.Value, n)
	default:
		for _, item := range n.Content {
			var name string
			if d.Value(item, &name); name != "" {
				as.add(name, item)
			}
		}
	}
}

func (as *attachments) add(name string, n *yaml.Node) {
	at := syntax.PosOf(n)
	as.Table = append(as.Table, syntax.Entry[fileAttachment]{Key: name, Value: fileAttachment{At: at}, At: at})
}

func (a *fileAttachment) attachment(d *syntax.Decoder, network string, at syntax.Pos) Attachment {
	att := Attachment{
		Network: network, Device: a.Name, MTU: a.MTU, MAC: a.MAC,
		VLAN: uint16(d.Within(at, "vlan", a.VLAN, 4094)), Impair: a.Impair.impairment(),
		NoOffload: bool(a.Offload), at: at,
	}
	for _, v := range a.VLANs {
		att.VLANs = append(att.VLANs, uint16(d.Within(at, "vlans", v, 4094)))
	}
	for _, s := range a.Address {
		if s == "none" {
			att.NoAddress = true
			continue
		}
		if p, err := syntax.ParsePrefix(s); err == nil {
			att.Prefixes = append(att.Prefixes, p)
		} else if addr, err := syntax.ParseAddr(s); err == nil {
			att.Addresses = append(att.Addresses, addr)
		} else {
			d.Mistake(at, s, "address: "+s+" is not an address", `write one such as 192.168.15.9 or fd00::9, or "none"`)
		}
	}
	return att
}

func (a *Attachment) format() (m syntax.Mapping) {
	address := slices.Concat(display.Addrs(a.Addresses), display.Prefixes(a.Prefixes))
	if a.NoAddress {
		address = append(address, "none")
	}
	m.One("address", address)
	m.Text("name", a.Device)
	m.MAC(a.MAC)
	m.Number("mtu", a.MTU)
	m.Number("vlan", int(a.VLAN))
	m.List("vlans", display.Texts(a.VLANs, func(v uint16) string { return strconv.Itoa(int(v)) }))
	m.Sub("impair", formatImpairment(a.Impair))
	formatOffload(&m, a.NoOffload)
	return m
}

func (k *checker) attachment(h *Host, a *Attachment) {
	n, ok := k.knownNetwork(a.at, a.Network, "for "+h.Name)
	if !ok {
		return
	}
	net := &k.t.Networks[n]
	for _, addr := range a.Addresses {
		k.requestedAddress(a.at, addr, net)
	}
	k.linkAddresses(a.at, a.Prefixes)
	k.mtu(a.at, a.MTU, net.Subnets)
	if limit := cmp.Or(net.MTU, linux.DefaultMTU); a.MTU > limit {
		k.mistakef(a.at, fmt.Sprint(a.MTU), fmt.Sprintf("increase the mtu of network %s too", net.Name),
			"mtu %d of %s is larger than the %d of network %s: the bridge would drop packets", a.MTU, h.Name, limit, net.Name)
	}
	if (a.VLAN != 0 || len(a.VLANs) > 0) && !net.VLANFiltering {
		k.mistakef(a.at, "vlan", fmt.Sprintf("write vlan_filtering: true for network %s", net.Name),
			"%s has VLANs on network %s, which has no VLAN filtering", h.Name, net.Name)
	}
	if a.VLAN != 0 && slices.Contains(a.VLANs, a.VLAN) {
		k.mistakef(a.at, fmt.Sprint(a.VLAN), "remove it from vlans",
			"VLAN %d of %s is both tagged and untagged", a.VLAN, h.Name)
	}
	k.impairment(a.at, a.Impair)
}

// requestedAddress checks an address that the file gives a host.
func (k *checker) requestedAddress(at syntax.Pos, a netip.Addr, net *Network) {
	s := subnet.Of(a, net.Subnets)
	switch {
	case !s.IsValid() && k.incomplete:
	case !s.IsValid() && len(net.Subnets) == 0:
		k.mistakef(at, a.String(), "add subnets to the network", "address %s: network %s has no subnets", a, net.Name)
	case !s.IsValid():
		k.mistakef(at, a.String(), "its subnets are "+display.JoinPrefixes(net.Subnets),
			"address %s is in no subnet of network %s", a, net.Name)
	default:
		k.edgeAddress(at, a, s)
	}
}
