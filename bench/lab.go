package main

import (
	"fmt"
	"strings"
)

// Lab returns the network as a lab file.
func (n network) Lab() string {
	var b strings.Builder
	b.WriteString("name: bench\n")
	section(&b, "networks", len(n.Bridges))
	for _, s := range n.Bridges {
		fmt.Fprintf(&b, "  %s: {subnets: [%s], nat: %v}\n", s.Name, s.Addr.Masked(), n.NAT)
	}
	ports := map[string]end{}
	section(&b, "hosts", len(n.Hosts))
	for _, c := range n.Pairs {
		if c[0].Bridge != "" {
			ports[c[1].Host] = vethPair{c[1], c[0]}.hostEnd()
		}
	}
	for _, h := range n.Hosts {
		fmt.Fprintf(&b, "  %s: {%s}\n", h.Name, h.labEntry(ports[h.Name]))
	}
	section(&b, "links", len(n.Pairs)-len(ports))
	for _, c := range n.Pairs {
		if c[0].Bridge == "" {
			fmt.Fprintf(&b, "  - {endpoints: [%s:%s, %s:%s], addresses: [%s, %s]}\n",
				c[0].Host, c[0].Device, c[1].Host, c[1].Device, c[0].Addr, c[1].Addr)
		}
	}
	return b.String()
}

func section(b *strings.Builder, name string, entries int) {
	if entries > 0 {
		b.WriteString(name + ":\n")
	}
}

// hostEnd returns the end in a host, with the bridge of its peer.
func (c vethPair) hostEnd() end {
	e := c[0]
	e.Bridge = c[1].Bridge
	return e
}

// labEntry returns the lab file's entry of a host with this end. A host on a bridge gets its
// default route without an entry.
func (h host) labEntry(port end) string {
	if port.Bridge != "" {
		return fmt.Sprintf("networks: {%s: {address: %s}}, ports: [%s]", port.Bridge, port.Addr.Addr(), h.portsEntry())
	}
	var routes []string
	for _, r := range h.Routes {
		routes = append(routes, fmt.Sprintf("%s via %s", r.destination(), r.Via))
	}
	if !h.Forwards {
		return ""
	}
	return fmt.Sprintf("router: true, routes: [%s]", strings.Join(routes, ", "))
}

// destination returns a route's destination as ip writes it.
func (r route) destination() string {
	if r.Dst == anywhere {
		return "default"
	}
	return r.Dst.String()
}

// portsEntry returns the forwarded ports of a host as Compose writes them.
func (h host) portsEntry() string {
	var ports []string
	for _, p := range h.Ports {
		ports = append(ports, fmt.Sprintf(`"%d:%d/tcp"`, p, webPort))
	}
	return strings.Join(ports, ", ")
}
