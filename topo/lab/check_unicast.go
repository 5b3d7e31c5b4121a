package lab

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// notUnicast are the addresses that no link can have, and what they are. The kernel refuses them, or drops packets
// from and to them.
var notUnicast = []struct {
	prefix netip.Prefix
	kind   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast"},
	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}

// kindOfAddress returns what an address is; "" if a link can have it.
func kindOfAddress(a netip.Addr) string { return kindOfAddresses(netip.PrefixFrom(a, a.BitLen())) }

// kindOfAddresses returns what an address in p is; "" if links can have all of them.
func kindOfAddresses(p netip.Prefix) string {
	for _, special := range notUnicast {
		limited := special.kind != "broadcast" || p.IsSingleIP() // the last subnet has this address in any case
		if limited && special.prefix.Overlaps(p) {
			return special.kind
		}
	}
	return ""
}

// unicastSubnet reports a subnet whose addresses no host can have.
func (k *checker) unicastSubnet(at syntax.Pos, s netip.Prefix) {
	const hint = "write a subnet such as 10.0.0.0/24 or fd00::/64"
	if s.Bits() == 0 {
		k.mistakef(at, s.String(), hint, "subnet %s is the whole Internet", s)
	} else if kind := kindOfAddresses(s); kind != "" {
		k.mistakef(at, s.String(), hint, "subnet %s has %s addresses", s, kind)
	}
}

// linkAddresses checks the addresses of a device, with their prefix lengths.
func (k *checker) linkAddresses(at syntax.Pos, addrs []netip.Prefix) {
	for _, p := range addrs {
		switch kind := kindOfAddress(p.Addr()); {
		case !p.IsValid():
		case kind != "":
			k.mistakef(at, p.String(), "write an address such as 10.0.0.1/24 or fd00::1/64", "address %s is a %s address",
				p.Addr(), kind)
		case p.Bits() == 0:
			k.mistakef(at, p.String(), "write the length of its subnet, such as /24 or /64",
				"the subnet of address %s is the whole Internet", p)
		case p.Addr().Is4():
			k.edgeAddress(at, p.Addr(), p.Masked())
		}
	}
}

// edgeAddress reports the network address and the broadcast address of a subnet.
func (k *checker) edgeAddress(at syntax.Pos, a netip.Addr, s netip.Prefix) {
	switch {
	case hostBits(s) > 1 && a == s.Addr():
		k.mistakef(at, a.String(), "the first address for a host is "+firstAddr(s).String(),
			"address %s is the network address of %s", a, s)
	case hostBits(s) > 1 && a.Is4() && a.Compare(lastAddr(s)) > 0:
		k.mistakef(at, a.String(), "the last address for a host is "+lastAddr(s).String(),
			"address %s is the broadcast address of %s", a, s)
	}
}

// tunnel checks the addresses of a device that tunnels packets.
func (k *checker) tunnel(host *Host, v *Device) {
	if v.Remote.IsValid() && v.Remote.IsUnspecified() {
		k.mistakef(v.at, v.Remote.String(), "remove remote",
			"device %s: the remote address %s is unspecified", v.Name, v.Remote)
	}
	if k.incomplete || host.Name == topo.Machine || k.isAdopted(host.Name) {
		return // it may have addresses that are not in the file
	}
	if v.Local.IsValid() && !k.hostHas(host.Name, v.Local) {
		k.mistakef(v.at, v.Local.String(), "write an address of the host, or remove local",
			"device %s: %s does not have the local address %s", v.Name, host.Name, v.Local)
	}
	if v.Remote.IsValid() && k.hostHas(host.Name, v.Remote) {
		k.mistakef(v.at, v.Remote.String(), "write the address of the other end",
			"device %s: remote %s is an address of %s itself", v.Name, v.Remote, host.Name)
	}
}

// nonForwarding returns the host that has the address of a next hop and certainly does not forward the packets of the
// route; "" if there is none.
func (k *checker) nonForwarding(i *Iface, r *StaticRoute, hop netip.Addr) string {
	name := k.ownerOf(i, hop)
	n, ok := k.layout.Hosts[name]
	if !ok || name == topo.Machine || k.isAdopted(name) {
		return ""
	}
	h := &k.t.Hosts[n]
	if k.layout.Forwards(h) || len(h.Run) > 0 { // a routing daemon turns forwarding on
		return ""
	}
	if r.Dst.Bits() > 0 && len(k.layout.ByHost[name]) > 1 {
		return "" // the user of a host with several links may turn forwarding on later
	}
	for _, s := range h.Sysctls {
		if key := strings.ReplaceAll(s.Key, "/", "."); key == linux.ForwardingIPv4 || strings.HasSuffix(key, "forwarding") {
			return "" // 0 is deliberate, too
		}
	}
	for _, n := range k.layout.ByHost[name] {
		own := func(p netip.Prefix) bool { return r.Dst.Bits() > 0 && r.Dst.Contains(p.Addr()) }
		if slices.ContainsFunc(k.layout.Ifaces[n].Addrs, own) {
			return "" // at least these packets arrive
		}
	}
	return name
}

// ownerOf returns the host of the lab on i's link that has an address; "" if there is none.
func (k *checker) ownerOf(i *Iface, a netip.Addr) string {
	if i.Link != nil {
		if other := i.Link.Ends[1-i.End].Host; k.hostHas(other, a) {
			return other
		}
		return ""
	}
	if i.Network < 0 {
		return ""
	}
	for _, n := range k.layout.ByNetwork[i.Network] {
		if other := k.layout.Ifaces[n].Host; k.hostHas(other, a) {
			return other
		}
	}
	return ""
}
