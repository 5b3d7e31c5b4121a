package lab

import (
	"cmp"
	"strings"

	"github.com/vnet-lab/vnet/topo"
)

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

// aliases reads the aliases of hosts from a hosts file. All hosts usually have the same file.
func (e *exporter) aliases(text string) {
	if text == e.hostsFile {
		return
	}
	e.hostsFile = text
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
