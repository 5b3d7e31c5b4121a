package lab

import (
	"net/netip"
	"reflect"

	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// loopback is the name of the link that each namespace has. An entry of `devices` with this name adds
// addresses to it.
const loopback = "lo"

// IsLoopback reports whether i is the lo of its host.
func (i *Iface) IsLoopback() bool { return i.Device != nil && i.Name == loopback }

// loopback checks the entry of lo. The kernel accepts all packets to the subnet of an IPv4 address of lo. The lo of
// the machine and of adopted namespaces may only get single addresses, so that nothing else changes there.
func (k *checker) loopback(h *Host, v *Device) {
	other := *v
	other.Name, other.Addresses, other.at = "", nil, syntax.Pos{}
	if !reflect.DeepEqual(other, Device{}) {
		k.mistakef(v.at, v.Name, "write addresses only", "device lo of %s exists already: it can have addresses only",
			displayName(h.Name))
	}
	k.linkAddresses(v.at, v.Addresses)
	for _, p := range v.Addresses {
		if k.isAdopted(h.Name) && p.IsValid() && !p.IsSingleIP() {
			k.mistakef(v.at, p.String(), "write "+netip.PrefixFrom(p.Addr(), p.Addr().BitLen()).String(),
				"the lo of %s can only have addresses with the prefix length /32 or /128, because it is not the lab's own",
				displayName(h.Name))
		}
	}
}

// exportLoopback adds an address of lo to its host.
func (e *exporter) exportLoopback(o topo.Object) {
	a, ok := o.(topo.Address)
	if !ok || a.Link != loopback {
		return
	}
	h := e.host(a.NS)
	last := len(h.Devices) - 1
	if last < 0 || h.Devices[last].Name != loopback {
		h.Devices = append(h.Devices, Device{Name: loopback})
		last++
	}
	h.Devices[last].Addresses = append(h.Devices[last].Addresses, a.Prefix)
}
