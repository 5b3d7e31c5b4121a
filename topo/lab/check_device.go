package lab

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/internal/spell"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/subnet"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

func (k *checker) devices() {
	for h := range k.t.Hosts {
		host := &k.t.Hosts[h]
		for d := range host.Devices {
			k.device(host, &host.Devices[d])
		}
	}
	if k.Found() {
		return // the others need valid parents
	}
	k.exclusiveDevices()
	for n := range k.layout.Ifaces {
		k.parentMTU(&k.layout.Ifaces[n])
		k.deviceMTU(&k.layout.Ifaces[n])
	}
}

// exclusiveDevices reports devices that cannot exist beside another one of the file: VXLAN devices of a host that would
// receive the same packets, and a macvlan beside one of mode passthru.
func (k *checker) exclusiveDevices() {
	macvlans := map[string]*Device{} // by parent
	for h := range k.t.Hosts {
		host := &k.t.Hosts[h]
		k.vxlans(host)
		for d := range host.Devices {
			v := &host.Devices[d]
			if v.Kind != (topo.Macvlan{}).Type() {
				continue
			}
			parent := v.Parent
			if !strings.Contains(parent, ":") {
				parent = host.Name + ":" + parent
			}
			if other := macvlans[parent]; other != nil && (other.Mode == passthru || v.Mode == passthru) {
				k.mistakef(v.at, v.Name, "use another mode for both, or another parent",
					"device %s: a macvlan of mode passthru is the only one of its parent, which also has %s", v.Name, other.Name)
			}
			macvlans[parent] = v
		}
	}
}

func (k *checker) vxlans(host *Host) {
	type packets struct {
		id             uint32
		port           uint16
		is6, linkLocal bool
	}
	seen := map[packets]string{}
	for d := range host.Devices {
		v := &host.Devices[d]
		if v.Kind != (topo.VXLAN{}).Type() {
			continue
		}
		is6 := v.Local.Is6() || v.Remote.Is6()
		p := packets{v.ID, cmp.Or(v.Port, linux.VXLANPort), is6, is6 && v.Local.IsLinkLocalUnicast()}
		if other := seen[p]; other != "" {
			k.mistakef(v.at, v.Name, "give them different ids or ports",
				"devices %s and %s of %s have the same id and port", other, v.Name, displayName(host.Name))
		}
		seen[p] = v.Name
	}
}

// parentMTU reports a device that has a larger MTU than its parent.
func (k *checker) parentMTU(i *Iface) {
	if v := i.Device; v == nil || v.MTU == 0 || v.Kind != (topo.Macvlan{}).Type() && v.Kind != (topo.VLAN{}).Type() {
		return
	}
	owner, dev := i.Host, i.Device.Parent
	if on, of, ok := strings.Cut(dev, ":"); ok {
		owner, dev = on, of
	}
	for _, n := range k.layout.ByHost[owner] {
		if p := &k.layout.Ifaces[n]; p.Name == dev && k.layout.mtuOf(p) < i.Device.MTU {
			k.mistakef(i.at, fmt.Sprint(i.Device.MTU), fmt.Sprintf("write at most %d", k.layout.mtuOf(p)),
				"device %s: mtu %d is larger than the %d of its parent", i.Name, i.Device.MTU, k.layout.mtuOf(p))
		}
	}
}

// masterOf checks the network whose bridge the device becomes a port of.
func (k *checker) masterOf(host *Host, v *Device) {
	if v.Network == "" {
		return
	}
	n, ok := k.knownNetwork(v.at, v.Network, "for device "+v.Name)
	if ok && k.t.BridgeHost(n) != host.Name {
		in := k.t.BridgeHost(n)
		hint := fmt.Sprintf("move the device to %s, or write in: %s for the network", in, host.Name)
		k.mistakef(v.at, v.Network, hint, "device %s of %s cannot be a port of network %s: its bridge is in %s",
			v.Name, displayName(host.Name), v.Network, displayName(in))
	}
}

// deviceMTU reports a device whose MTU is smaller than that of its network.
func (k *checker) deviceMTU(i *Iface) {
	if i.Device == nil || i.Network < 0 || k.incomplete {
		return
	}
	net := &k.t.Networks[i.Network]
	if mtu, want := k.layout.mtuOf(i), cmp.Or(net.MTU, linux.DefaultMTU); mtu < want {
		k.mistakef(i.at, i.Name, fmt.Sprintf("write mtu: %d for network %s", mtu, net.Name),
			"device %s has an MTU of %d, less than the %d of network %s", i.Name, mtu, want, net.Name)
	}
}

// parent checks the parent device of v.
func (k *checker) parent(host *Host, v *Device, rule parentRule) {
	switch {
	case v.Parent == "" && rule.required():
		hint := "write parent: eth0"
		if rule == requiredOutside {
			hint += ", or parent: machine:eth0 for a device of the machine"
		}
		k.mistakef(v.at, v.Name, hint, "device %s: a %s needs a parent", v.Name, v.Kind)
		return
	case v.Parent == "":
		return
	case rule == noParent:
		k.mistakef(v.at, v.Parent, "remove parent", "device %s: a %s has no parent", v.Name, v.Kind)
		return
	}
	if k.isOwnAncestor(host, v) {
		k.mistakef(v.at, v.Parent, "",
			"device %s of %s is its own parent, directly or through other devices", v.Name, host.Name)
		return
	}
	if n := slices.IndexFunc(host.Devices, func(d Device) bool { return d.Name == v.Parent }); n >= 0 &&
		v.Kind == host.Devices[n].Kind && rule == requiredOutside {
		k.mistakef(v.at, v.Parent, "write parent: "+host.Devices[n].Parent,
			"device %s: a %s cannot have the %s %s as its parent", v.Name, v.Kind, v.Kind, v.Parent)
		return
	}
	owner, dev := host.Name, v.Parent
	if on, of, ok := strings.Cut(v.Parent, ":"); ok {
		owner, dev = on, of
		if owner != host.Name && owner != topo.Machine {
			k.mistakef(v.at, v.Parent, "name a device of the same host, or machine:DEV",
				"device %s: parent %s belongs to another host", v.Name, v.Parent)
			return
		}
		if owner != host.Name && rule != requiredOutside {
			k.mistakef(v.at, v.Parent, "move the device to the machine, or use macvlan",
				"device %s: a %s cannot have the parent %s in another namespace", v.Name, v.Kind, dev)
			return
		}
	}
	if !k.deviceName(v.at, dev, "parent") || owner == topo.Machine || k.isAdopted(owner) {
		return // the other devices of the machine or an adopted namespace are unknown here
	}
	if dev == v.Name || !slices.Contains(k.deviceNames(owner), dev) {
		k.mistakef(v.at, dev, spell.DidYouMean(dev, k.deviceNames(owner)),
			"device %s: %s has no device %q to be its parent", v.Name, owner, dev)
	}
}

// isOwnAncestor reports whether the chain of parents of v is a loop or leads to one.
func (k *checker) isOwnAncestor(host *Host, v *Device) bool {
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

// hasDevice reports whether h has the device. An adopted namespace may have
// devices that are not in the file.
func (k *checker) hasDevice(at syntax.Pos, h *Host, dev, role string) bool {
	names := k.deviceNames(h.Name)
	if dev == loopback || k.incomplete || k.isAdopted(h.Name) || slices.Contains(names, dev) {
		return true
	}
	k.mistakef(at, dev, spell.DidYouMean(dev, names), "%s: %s has no device %q", role, h.Name, dev)
	return false
}

func (k *checker) deviceFor(host, dev string, a netip.Addr) *Iface {
	return k.layout.deviceFor(host, dev, a)
}

// tunnel checks the addresses of a device that tunnels packets.
func (k *checker) tunnel(host *Host, v *Device) {
	if v.Remote.IsValid() && v.Remote.IsUnspecified() {
		k.mistakef(v.at, v.Remote.String(), "remove remote",
			"device %s: the remote address %s is unspecified", v.Name, v.Remote)
	}
	linkLocal := func(a netip.Addr) bool { return a.Is6() && a.IsLinkLocalUnicast() }
	switch {
	case v.Parent == "" && (v.Remote.IsMulticast() || linkLocal(v.Remote)):
		k.mistakef(v.at, v.Remote.String(), "add parent",
			"device %s: the %s address %s needs a parent", v.Name, subnet.KindForNAT(v.Remote), v.Remote)
	case linkLocal(v.Remote) && !linkLocal(v.Local):
		k.mistakef(v.at, v.Remote.String(), "add local, with a link-local address",
			"device %s: the link-local address %s needs one as local, too", v.Name, v.Remote)
	}
	if k.incomplete || host.Name == topo.Machine || k.isAdopted(host.Name) {
		return // it may have addresses that are not in the file
	}
	if v.Local.IsValid() && !k.hostHas(host.Name, v.Local) && !linkLocal(v.Local) {
		k.mistakef(v.at, v.Local.String(), "write an address of the host, or remove local",
			"device %s: %s does not have the local address %s", v.Name, host.Name, v.Local)
	}
	if v.Remote.IsValid() && k.hostHas(host.Name, v.Remote) {
		k.mistakef(v.at, v.Remote.String(), "write the address of the other end",
			"device %s: remote %s is an address of %s itself", v.Name, v.Remote, host.Name)
	}
}
