package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/spell"
	"github.com/vnet-lab/vnet/topo"
)

// Host checks the keys of one host.
func (k *checker) host(h *Host) {
	if h.Name == topo.Machine {
		k.machine(h)
	}
	on := map[string]bool{}
	for i := range h.Networks {
		a := &h.Networks[i]
		if on[a.Network] {
			k.mistakef(a.at, a.Network, "list a network once", "%s is on network %s twice", h.Name, a.Network)
		}
		on[a.Network] = true
		k.attachment(h, a)
	}
	k.routes(h)
	for i := range h.Neighbours {
		k.neighbour(h, &h.Neighbours[i])
	}
	k.sysctls(h)
	for _, c := range h.Run {
		if strings.TrimSpace(c) == "" {
			k.mistakef(h.at, "run", "write a shell command", "%s: run has an empty command", h.Name)
		}
	}
	for _, d := range h.DNS.Search {
		if d != "." && !isDomain(d) {
			k.mistakef(h.at, d, domainForm, "dns: %q is not a domain name", d)
		}
	}
	for _, p := range h.NAT {
		if p != p.Masked() {
			k.mistakef(h.at, p.String(), "write "+p.Masked().String(), "nat %s has bits set after the prefix length", p)
		}
	}
}

func (k *checker) sysctls(h *Host) {
	for _, s := range h.Sysctls {
		k.sysctl(h, s)
	}
}

// checkSysctls checks the sysctls only, for a topology whose other keys are checked.
func checkSysctls(t *Topology) error {
	k := &checker{mistakeList: mistakeList{src: t.source}, t: t}
	for i := range t.Hosts {
		k.sysctls(&t.Hosts[i])
	}
	return k.err()
}

// machine checks for keys that the machine cannot have.
func (k *checker) machine(h *Host) {
	for _, v := range []struct {
		key string
		has bool
	}{
		{"namespace", h.Namespace != ""},
		{"ports", len(h.Ports) > 0},
		{"dns", len(h.DNS.Servers)+len(h.DNS.Search) > 0},
	} {
		if v.has {
			k.mistakef(h.at, v.key, "remove it; only other hosts can have it", "the machine cannot have %s", v.key)
		}
	}
}

// routes checks the routes of a host, and that there are no duplicates.
func (k *checker) routes(h *Host) {
	seen := map[topo.Key]bool{}
	for i := range h.Routes {
		r := &h.Routes[i]
		k.route(h, r)
		key := topo.Route{Dst: r.Dst, Type: r.Type, Table: r.Table, Metric: r.Metric}.Key()
		if seen[key] {
			k.mistakef(r.at, r.Dst.String(), "write one route with several nexthops, or different metrics",
				"%s has two routes to %s", h.Name, r.Dst)
		}
		seen[key] = true
	}
}

// route checks that each next hop is on a link of h and that a host has its address.
func (k *checker) route(h *Host, r *StaticRoute) {
	if r.Type != "unicast" && !slices.Contains(routeTypes, r.Type) {
		k.mistakef(r.at, r.Type, spell.DidYouMean(r.Type, routeTypes), "unknown route type %q", r.Type)
	}
	for _, hop := range r.Hops {
		if hop.Device != "" && !k.hasDevice(r.at, h, hop.Device, "route "+r.Dst.String()) {
			continue
		}
		if hop.Via.IsValid() && !hop.Onlink {
			k.hop(h, r, hop)
		}
	}
}

// hasDevice reports whether h has the device. An adopted namespace may have
// devices that are not in the file.
func (k *checker) hasDevice(at pos, h *Host, dev, role string) bool {
	names := k.deviceNames(h.Name)
	if dev == "lo" || k.incomplete || k.isAdopted(h.Name) || slices.Contains(names, dev) {
		return true
	}
	k.mistakef(at, dev, spell.DidYouMean(dev, names), "%s: %s has no device %q", role, h.Name, dev)
	return false
}

func (k *checker) hop(h *Host, r *StaticRoute, hop topo.Hop) {
	if hop.Via.IsLinkLocalUnicast() {
		if hop.Device == "" {
			k.mistakef(r.at, hop.Via.String(), "add dev",
				"route %s: the link-local address %s needs a device", r.Dst, hop.Via)
		}
		return
	}
	i := k.deviceFor(h.Name, hop.Device, hop.Via)
	switch {
	case k.incomplete || i == nil && (k.isAdopted(h.Name) || h.linkRoute(r, hop.Via) != ""):
	case i == nil:
		k.mistakef(r.at, hop.Via.String(), "use a next hop in one of the subnets, or write onlink",
			"route %s: next hop %s is in no subnet of %s%s", r.Dst, hop.Via, displayName(h.Name), onDevice(hop.Device))
	case i.HasAddr(hop.Via):
		k.mistakef(r.at, hop.Via.String(), "",
			"route %s: next hop %s is an address of %s itself", r.Dst, hop.Via, displayName(h.Name))
	case !k.hasOwner(i, hop.Via):
		k.mistakef(r.at, hop.Via.String(), k.addressesOnLink(i, hop.Via),
			"route %s: no host has the address of the next hop %s", r.Dst, hop.Via)
	}
}

func onDevice(dev string) string {
	if dev == "" {
		return ""
	}
	return " on " + dev
}

func (k *checker) deviceFor(host, dev string, a netip.Addr) *Iface {
	return k.layout.deviceFor(host, dev, a)
}

// hasOwner reports whether another host on i's link has the address, or
// something outside the lab may have it.
func (k *checker) hasOwner(i *Iface, a netip.Addr) bool {
	switch {
	case i.Link != nil:
		other := i.Link.Ends[1-i.End]
		return len(other.Addresses) == 0 ||
			slices.ContainsFunc(other.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
	case i.Device != nil || i.Network < 0 || k.t.Networks[i.Network].Uplink != "":
		return true
	}
	for _, n := range k.layout.ByNetwork[i.Network] {
		other := &k.layout.Ifaces[n]
		if other.Device != nil || k.hostHas(other.Host, a) {
			return true
		}
	}
	return false
}

// hostHas reports whether any device of the host has the address, for example a
// VLAN device on top of the one that is on the link.
func (k *checker) hostHas(host string, a netip.Addr) bool {
	for _, n := range k.layout.ByHost[host] {
		if k.layout.Ifaces[n].HasAddr(a) {
			return true
		}
	}
	return false
}

// addressesOnLink lists up to four addresses of a's family that other hosts have on i's link.
func (k *checker) addressesOnLink(i *Iface, a netip.Addr) string {
	var have []string
	add := func(host string, addrs []netip.Prefix) {
		for _, p := range addrs {
			if p.Addr().Is4() == a.Is4() && len(have) < 4 && host != i.Host {
				have = append(have, displayName(host)+" has "+p.Addr().String())
			}
		}
	}
	if i.Link != nil {
		add(i.Link.Ends[1-i.End].Host, i.Link.Ends[1-i.End].Addresses)
	} else {
		for _, n := range k.layout.ByNetwork[i.Network] {
			add(k.layout.Ifaces[n].Host, k.layout.Ifaces[n].Addrs)
		}
	}
	return strings.Join(have, ", ")
}

func (k *checker) neighbour(h *Host, nb *StaticNeigh) {
	if nb.Device != "" {
		k.hasDevice(nb.at, h, nb.Device, "neighbour "+nb.Addr.String())
		return
	}
	if k.deviceFor(h.Name, "", nb.Addr) == nil && !k.incomplete {
		k.mistakef(nb.at, nb.Addr.String(), "write dev", "neighbour %s is in no subnet of %s", nb.Addr, h.Name)
	}
}

func (k *checker) sysctl(h *Host, s Setting) {
	key := strings.ReplaceAll(s.Key, "/", ".")
	switch {
	case !strings.HasPrefix(key, "net."):
		k.mistakef(s.at, s.Key, "only sysctls that begin with net. belong to a network namespace",
			"sysctl %s applies to the whole machine", s.Key)
	case strings.Contains(s.Key, "..") || strings.Contains(s.Key, " ") ||
		!display.Printable(s.Key) || strings.HasSuffix(key, "."):
		k.mistakef(s.at, s.Key, "", "%q is not a valid sysctl name", s.Key)
	case s.Value == "":
		k.mistakef(s.at, s.Key, "", "sysctl %s of %s has no value", s.Key, h.Name)
	case !display.Printable(strings.ReplaceAll(s.Value, "\t", " ")):
		k.mistakef(s.at, s.Key, "write one line",
			"the value of sysctl %s of %s contains a line break or control character", s.Key, h.Name)
	default:
		k.sysctlLink(h, s)
	}
}

// sysctlLink checks that the host has the link of a sysctl. The machine may have others than the lab's.
func (k *checker) sysctlLink(h *Host, s Setting) {
	path := topo.Sysctl{Name: s.Key}.Path()
	if k.layout == nil || h.Name == topo.Machine || len(path) < 5 || path[2] != "conf" && path[2] != "neigh" {
		return
	}
	if link := strings.Join(path[3:len(path)-1], "."); len(path) > 5 {
		slashes := strings.ReplaceAll(link, ".", "/")
		k.mistakef(s.at, s.Key, fmt.Sprintf("write %s instead of %s", slashes, link),
			"sysctl %s: a dot in a link's name is written as a slash", s.Key)
		return
	}
	if path[3] != "all" && path[3] != "default" {
		k.hasDevice(s.at, h, path[3], "sysctl "+s.Key)
	}
}
