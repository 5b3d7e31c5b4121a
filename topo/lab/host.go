package lab

import (
	"net/netip"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/topo"
)

// A Host is a network namespace and its content. The host named [topo.Machine] is
// the machine itself: its networks, devices, routes and settings are added to
// the existing ones.
type Host struct {
	Name       string
	Namespace  string        // an existing namespace to adopt: a name, a path or a pid; "" means a new one
	Networks   []Attachment  // eth0, eth1 … in this order
	Devices    []Device      // other devices, made in this order
	Ports      []Forward     // ports that its gateway forwards to it
	Routes     []StaticRoute // in addition to the default route
	Neighbours []StaticNeigh
	Sysctls    []Setting // in the order of the file
	Aliases    []string  // other names in the hosts' /etc/hosts
	DNS        DNS
	Router     bool           // it forwards packets; a gateway does so without it
	NAT        []netip.Prefix // sources that it masquerades
	Forwards   []Forward      // ports that it forwards to other hosts
	Run        []string       // shell commands started after up and stopped by down

	at pos
}

// NamespaceOf returns the namespace of a host, as [Compile] makes it.
func (t *Topology) NamespaceOf(host string) topo.Namespace {
	for i := range t.Hosts {
		if h := &t.Hosts[i]; h.Name == host {
			return topo.Namespace{Name: host, From: h.Namespace}
		}
	}
	return topo.Namespace{Name: host}
}

func (h *fileHost) host(d *decoder, name string, at pos) Host {
	host := Host{
		Name: name, Namespace: h.Namespace, Aliases: h.Aliases, Run: h.Run,
		DNS:    h.DNS.dns(),
		Router: h.Router.on, NAT: h.Router.NAT,
		at: at,
	}
	for i := range h.Networks.table {
		e := &h.Networks.table[i]
		host.Networks = append(host.Networks, e.Value.attachment(d, e.Key, e.at))
	}
	for i := range h.Devices {
		host.Devices = append(host.Devices, h.Devices[i].Value.device(d, h.Devices[i].Key, h.Devices[i].at))
	}
	for _, p := range h.Ports {
		host.Ports = append(host.Ports, p.Forward)
	}
	for _, p := range h.Router.Ports {
		host.Forwards = append(host.Forwards, p.Forward)
	}
	for _, r := range h.Routes {
		host.Routes = append(host.Routes, r.StaticRoute)
	}
	for _, nb := range h.Neighbours {
		host.Neighbours = append(host.Neighbours, nb.StaticNeigh)
	}
	for _, s := range h.Sysctls {
		host.Sysctls = append(host.Sysctls, Setting(s))
	}
	return host
}

func (h *Host) format() (m mapping) {
	m.text("namespace", h.Namespace)
	h.formatNetworks(&m)
	m.list("ports", display.Texts(h.Ports, Forward.String))
	m.list("routes", display.Texts(h.Routes, StaticRoute.String))
	m.list("neighbours", display.Texts(h.Neighbours, StaticNeigh.String))
	var sysctls mapping
	for _, s := range h.Sysctls {
		sysctls.text(s.Key, s.Value)
	}
	m.sub("sysctls", sysctls)
	m.list("aliases", h.Aliases)
	m.sub("dns", h.DNS.format())
	var router mapping
	router.list("nat", display.Prefixes(h.NAT))
	router.list("ports", display.Texts(h.Forwards, Forward.String))
	if len(router) == 0 {
		m.flag("router", h.Router)
	}
	m.sub("router", router)
	m.table("devices", len(h.Devices), func(i int) (string, mapping) { return h.Devices[i].Name, h.Devices[i].format() })
	m.list("run", h.Run)
	return m
}

// formatNetworks writes the networks as a list of names if none has other keys.
func (h *Host) formatNetworks(m *mapping) {
	var names []string
	plain := true
	for i := range h.Networks {
		names = append(names, h.Networks[i].Network)
		plain = plain && len(h.Networks[i].format()) == 0
	}
	if plain {
		m.list("networks", names)
		return
	}
	m.table("networks", len(names), func(i int) (string, mapping) { return names[i], h.Networks[i].format() })
}
