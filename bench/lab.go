package main

import (
	"fmt"
	"strings"
)

// Lab is the network as a lab file.
func (n network) Lab() string {
	var b strings.Builder
	b.WriteString("name: bench\n")
	section(&b, "networks", len(n.Switches))
	for _, s := range n.Switches {
		fmt.Fprintf(&b, "  %s: {subnets: [%s], nat: %v}\n", s.Name, s.Addr.Masked(), n.NAT)
	}
	ports := map[string]end{}
	section(&b, "hosts", len(n.Hosts))
	for _, c := range n.Cables {
		if c[0].Switch != "" {
			ports[c[1].Host] = cable{c[1], c[0]}.port()
		}
	}
	for _, h := range n.Hosts {
		fmt.Fprintf(&b, "  %s: {%s}\n", h.Name, h.lab(ports[h.Name]))
	}
	section(&b, "links", len(n.Cables)-len(ports))
	for _, c := range n.Cables {
		if c[0].Switch == "" {
			fmt.Fprintf(&b, "  - {endpoints: [%s:%s, %s:%s], addresses: [%s, %s]}\n",
				c[0].Host, c[0].Link, c[1].Host, c[1].Link, c[0].Addr, c[1].Addr)
		}
	}
	return b.String()
}

func section(b *strings.Builder, name string, entries int) {
	if entries > 0 {
		b.WriteString(name + ":\n")
	}
}

// port is a cable's end in a host, with the switch at the other.
func (c cable) port() end {
	e := c[0]
	e.Switch = c[1].Switch
	return e
}

// lab is what a lab file says of a host whose port on a switch this is; the
// default route through the switch goes without saying.
func (h host) lab(port end) string {
	if port.Switch != "" {
		return fmt.Sprintf("networks: {%s: {address: %s}}, ports: [%s]", port.Switch, port.Addr.Addr(), h.published())
	}
	var routes []string
	for _, r := range h.Routes {
		routes = append(routes, fmt.Sprintf("%s via %s", r.words(), r.Via))
	}
	if !h.Forwards {
		return ""
	}
	return fmt.Sprintf("router: true, routes: [%s]", strings.Join(routes, ", "))
}

// words is a route's destination as ip writes it.
func (r route) words() string {
	if r.Dst == anywhere {
		return "default"
	}
	return r.Dst.String()
}

// published are a host's ports as Compose writes them.
func (h host) published() string {
	var ports []string
	for _, p := range h.Ports {
		ports = append(ports, fmt.Sprintf(`"%d:%d/tcp"`, p, webPort))
	}
	return strings.Join(ports, ", ")
}
