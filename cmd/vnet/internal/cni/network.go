//go:build linux

package cni

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/topo/live/member"
)

// A routeKey is a route, as configurations and results have it.
type routeKey struct {
	To     string `json:"dst"`
	Via    string `json:"gw,omitempty"`
	MTU    uint32 `json:"mtu,omitempty"`
	AdvMSS uint32 `json:"advmss,omitempty"`
	Metric uint32 `json:"priority,omitempty"`
	Table  uint32 `json:"table,omitempty"`
	Scope  uint8  `json:"scope,omitempty"`
}

func readRoutes(keys []routeKey) (routes []member.Route, err error) {
	for _, key := range keys {
		r := member.Route{MTU: key.MTU, AdvMSS: key.AdvMSS, Metric: key.Metric, Table: key.Table, Scope: key.Scope}
		if r.To, err = netip.ParsePrefix(key.To); err != nil {
			return nil, fail(CodeConfig, "routes: dst: %q is not a prefix, for example 0.0.0.0/0", key.To)
		}
		r.To = r.To.Masked()
		if key.Via != "" {
			if r.Via, err = netip.ParseAddr(key.Via); err != nil || r.Via.Is4() != r.To.Addr().Is4() {
				return nil, fail(CodeConfig, "routes: gw: %q is not an address for %s", key.Via, key.To)
			}
		}
		routes = append(routes, r)
	}
	return routes, nil
}

// NetworkName is the name of a configuration's network among those of vnet attach and of other engines.
func (c *Config) NetworkName() string { return naming.Shorten("cni."+c.Name, naming.MaxLabName) }

// maxContainer is the length of the longest container of a member.ID.
const maxContainer = 128

// MemberID is the member of a container's link.
func MemberID(containerID, link string) member.ID {
	return member.ID{Container: naming.Shorten(containerID, maxContainer), Link: link}
}

// Network returns the network that the configuration describes.
func (c *Config) Network(a Addressing) (member.Network, error) {
	n := member.Network{Name: c.NetworkName(), Bridge: cmp.Or(c.Bridge, "cni0")}
	if err := c.refusals(); err != nil {
		return n, err
	}
	if !validLink(n.Bridge) {
		return n, fail(CodeConfig, "bridge: expected %s, not %q", linkForm, n.Bridge)
	}
	if c.MTU < 0 || c.MTU > 65535 {
		return n, fail(CodeConfig, "mtu: %d is not between 0 and 65535", c.MTU)
	}
	n.MTU = uint32(c.MTU)
	n.DefaultRoute = c.givesDefaultRoute(a)
	n.Gateway = n.DefaultRoute || either(c.IsGateway, false)
	n.Masquerade = c.IPMasq
	n.Isolate = c.PortIsolation || c.Isolate
	n.Hairpin = either(c.HairpinMode, c.short(a))
	n.Routed = either(c.Routed, !c.IPMasq)
	n.Subnets = a.Subnets
	return n, nil
}

// short reports whether this is vnet's short form, for networks that need only their subnets.
func (c *Config) short(a Addressing) bool { return c.IPAM.Type == "" && len(a.Subnets) > 0 }

func (c *Config) givesDefaultRoute(a Addressing) bool {
	return either(c.IsDefaultGateway, c.short(a) && either(c.IsGateway, true))
}

func either(key *bool, otherwise bool) bool {
	if key != nil {
		return *key
	}
	return otherwise
}

// refusals returns an error if a key asks for something that vnet does not do.
func (c *Config) refusals() error {
	switch {
	case c.Vlan != 0:
		return fail(CodeUnsupported, "vlan: %d is not supported", c.Vlan)
	case len(c.VlanTrunk) > 0:
		return fail(CodeUnsupported, "vlanTrunk: %s is not supported", c.VlanTrunk)
	case c.Promisc:
		return fail(CodeUnsupported, "promiscMode: true is not supported; hairpinMode has the same purpose")
	case c.SpoofCheck:
		return fail(CodeUnsupported, "macspoofchk: true is not supported")
	case c.EnableDAD:
		return fail(CodeUnsupported, "enabledad: true is not supported; vnet gives no address twice")
	case c.NoInterface:
		return fail(CodeUnsupported, "disableContainerInterface: true is not supported")
	case c.MasqBackend != "" && c.MasqBackend != "nftables":
		return fail(CodeUnsupported, "ipMasqBackend: %s is not supported; vnet uses nftables", c.MasqBackend)
	case c.IPAM.Type == "dhcp":
		return fail(CodeUnsupported, "ipam.type: dhcp is not supported")
	}
	return nil
}

// Member returns the member that ADD attaches.
func (c *Config) Member(env Env, a Addressing) (member.Member, error) {
	m := member.Member{ID: MemberID(env.ContainerID, env.Link).Container, Link: env.Link, NS: env.NS,
		Addresses: a.Fixed, Routes: a.Routes}
	if c.givesDefaultRoute(a) { // which the configuration may also have as a route
		m.Routes = slices.DeleteFunc(slices.Clone(m.Routes), func(r member.Route) bool {
			return r.To.Bits() == 0 && r.Table == 0 && r.Metric == 0 && r.Scope == 0
		})
	}
	mac := c.Runtime.MAC
	for _, other := range []string{c.Args.CNI.MAC, env.Args["MAC"]} {
		if mac == "" {
			mac = other
		}
	}
	if mac != "" {
		address, err := net.ParseMAC(mac)
		if err != nil || len(address) != len(m.MAC) {
			return m, fail(CodeConfig, "mac: %q is not a MAC address", mac)
		}
		copy(m.MAC[:], address)
	}
	var err error
	m.Ports, err = readPorts(c.Runtime.Ports)
	return m, err
}

// Ports returns the ports that DEL names. Those that ADD would refuse were never published.
func (c *Config) Ports() []member.Port {
	ports, _ := readPorts(c.Runtime.Ports)
	return ports
}

// readPorts reads the ports, each once: engines repeat them.
func readPorts(mappings []PortMapping) (ports []member.Port, err error) {
	for _, m := range mappings {
		proto, err := nft.ParseProto(strings.ToLower(cmp.Or(m.Protocol, "tcp")))
		if err != nil {
			return nil, fail(CodeConfig, "portMappings: %v", err)
		}
		p := member.Port{Proto: proto, HostPort: uint16(m.HostPort), Port: uint16(m.ContainerPort)}
		if m.HostPort < 1 || m.HostPort > 65535 {
			return nil, fail(CodeConfig, "portMappings: hostPort: %d is not a port", m.HostPort)
		}
		if m.ContainerPort < 1 || m.ContainerPort > 65535 {
			return nil, fail(CodeConfig, "portMappings: containerPort: %d is not a port", m.ContainerPort)
		}
		if m.HostIP != "" {
			if p.Host, err = netip.ParseAddr(m.HostIP); err != nil {
				return nil, fail(CodeConfig, "portMappings: hostIP: %s is not an address", strconv.Quote(m.HostIP))
			}
		}
		if !slices.Contains(ports, p) {
			ports = append(ports, p)
		}
	}
	return ports, nil
}

// ResolverOf returns the resolver of the container: what the engine sends, else the configuration, else what comes with
// the addresses.
func (c *Config) ResolverOf(a Addressing) DNS {
	if d := c.Runtime.DNS; len(d.Servers)+len(d.Searches)+len(d.Options) > 0 {
		return DNS{Servers: d.Servers, Search: d.Searches, Options: d.Options}
	}
	if !c.DNS.empty() {
		return c.DNS
	}
	return a.DNS
}

// ParseResolvConf reads a file in the form of resolv.conf(5).
func ParseResolvConf(text string) (d DNS) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			d.Servers = append(d.Servers, words[1])
		case "domain":
			d.Domain = words[1]
		case "search":
			d.Search = append(d.Search, words[1:]...)
		case "options":
			d.Options = append(d.Options, words[1:]...)
		}
	}
	return d
}
