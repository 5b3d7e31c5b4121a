//go:build linux

// Package netavark reads what netavark, the network program of podman since version 4, sends to a plugin, and writes
// what it expects. It changes nothing and opens nothing. The protocol is described in netavark's plugin-API.md.
//
//	create NETWORK ─▶ the same with what was missing        when the user creates a network
//	setup NAMESPACE, container ─▶ member.Network, member.Member … member.Attached ─▶ Status
//	teardown NAMESPACE, container ─▶ member.ID
package netavark

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/topo/live/member"
)

// An Info is the answer to info.
type Info struct {
	Version string `json:"version"`
	API     string `json:"api_version"`
}

// About is the answer to info.
func About(version string) Info { return Info{version, "1.0.0"} }

// An Error is the answer of a plugin that failed. It is read on standard output.
type Error struct {
	Text string `json:"error"`
}

// A Container is what setup and teardown are about.
type Container struct {
	ID      string `json:"container_id"`
	Ports   []port `json:"port_mappings"`
	Network Network
	Options struct {
		Link string   `json:"interface_name"`
		IPs  []string `json:"static_ips"`
		MAC  string   `json:"static_mac"`
	} `json:"network_options"`
}

type port struct {
	ContainerPort int    `json:"container_port"`
	HostIP        string `json:"host_ip"`
	HostPort      int    `json:"host_port"`
	Protocol      string `json:"protocol"` // a list: tcp,udp
	Range         int    `json:"range"`    // the number of ports; 0 is 1
}

// A Network is a network as podman keeps it.
type Network struct {
	Name     string            `json:"name"`
	ID       string            `json:"id"`
	Bridge   string            `json:"network_interface"`
	Subnets  []Subnet          `json:"subnets"`
	Routes   []route           `json:"routes"`
	IPv6     bool              `json:"ipv6_enabled"`
	Internal bool              `json:"internal"`
	DNS      []string          `json:"network_dns_servers"`
	Options  map[string]string `json:"options"`
	IPAM     map[string]string `json:"ipam_options"`
}

// A Subnet is a subnet of a network.
type Subnet struct {
	Subnet  string `json:"subnet"`
	Gateway string `json:"gateway,omitempty"`
	Range   *lease `json:"lease_range,omitempty"`
}

type lease struct {
	First string `json:"start_ip,omitempty"`
	Last  string `json:"end_ip,omitempty"`
}

type route struct {
	To     string `json:"destination"`
	Via    string `json:"gateway"`
	Metric uint32 `json:"metric"`
}

// A Status is the answer to setup.
type Status struct {
	Search     []string             `json:"dns_search_domains"`
	Servers    []string             `json:"dns_server_ips"`
	Interfaces map[string]Interface `json:"interfaces"`
}

// An Interface is one link of a container.
type Interface struct {
	MAC     string    `json:"mac_address"`
	Subnets []Address `json:"subnets"`
}

// An Address is one address of a link.
type Address struct {
	Prefix  string `json:"ipnet"`
	Gateway string `json:"gateway,omitempty"`
}

// Complete fills in what the user has not given: the bridge and a subnet. taken reports whether the machine has
// addresses or routes of a prefix. Keys that this package does not know stay.
func Complete(text []byte, taken func(netip.Prefix) bool) (map[string]json.RawMessage, error) {
	var n Network
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("read the network: %w", err)
	}
	if err := json.Unmarshal(text, &n); err != nil {
		return nil, fmt.Errorf("read the network: %w", err)
	}
	if n.Bridge == "" {
		n.Bridge = "br-" + n.ID[:min(len(n.ID), naming.MaxLinkName-len("br-"))]
	}
	if n.IPAM["driver"] != "none" {
		n.addSubnets(taken)
	}
	if _, err := n.Network(); err != nil {
		return nil, err
	}
	for key, value := range map[string]any{"network_interface": n.Bridge, "subnets": n.Subnets, "dns_enabled": false} {
		value, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		if all[key] = value; string(value) == "null" {
			delete(all, key)
		}
	}
	return all, nil
}

// addSubnets chooses a subnet of each family that the network should have and does not have. The place where the search
// begins comes from the name: networks without containers are not visible on the machine.
func (n *Network) addSubnets(taken func(netip.Prefix) bool) {
	has := func(six bool) bool {
		return slices.ContainsFunc(n.Subnets, func(s Subnet) bool { return strings.Contains(s.Subnet, ":") == six })
	}
	h := fnv.New64a()
	h.Write([]byte(n.Name))
	sum := h.Sum64()
	for i := uint64(0); len(n.Subnets) == 0 && i < 1<<15; i++ {
		at := (sum + i) % (1 << 15)
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 128 | byte(at>>8), byte(at), 0}), 24)
		if !taken(p) {
			n.Subnets = append(n.Subnets, Subnet{Subnet: p.String()})
		}
	}
	if n.IPv6 && !has(true) {
		address := [16]byte{0xfd}
		for i := range 7 {
			address[1+i] = byte(sum >> (8 * i))
		}
		n.Subnets = append(n.Subnets, Subnet{Subnet: netip.PrefixFrom(netip.AddrFrom16(address), 64).String()})
	}
}

// NetworkName is the name of podman's network among those of vnet attach and of other engines.
func (n Network) NetworkName() string {
	return naming.Shorten("podman."+n.Name, naming.MaxLabName)
}

// optionForms says what the values of the options are.
var optionForms = map[string]string{"mtu": "a number from 0 to 65535", "no_default_route": "true or false",
	"isolate": "true, false or strict"}

// Network returns the network that members are attached to.
func (n Network) Network() (m member.Network, err error) {
	// An internal network has no gateway: what its containers send never leaves the bridge.
	m = member.Network{Name: n.NetworkName(), Bridge: n.Bridge, Gateway: !n.Internal, DefaultRoute: !n.Internal,
		Masquerade: !n.Internal, Hairpin: true}
	if driver := n.IPAM["driver"]; driver == "dhcp" {
		return m, fmt.Errorf("ipam driver %s is not supported", driver)
	}
	if len(n.Bridge) > naming.MaxLinkName || n.Bridge != "" && !naming.IsLink(n.Bridge) {
		return m, fmt.Errorf("interface name %q: expected at most %d bytes, no slash or colon", n.Bridge, naming.MaxLinkName)
	}
	for key, value := range n.Options {
		switch key {
		case "mtu":
			var mtu uint64
			mtu, err = strconv.ParseUint(value, 10, 16)
			m.MTU = uint32(mtu)
		case "no_default_route":
			var no bool
			no, err = strconv.ParseBool(value)
			m.DefaultRoute = m.DefaultRoute && !no
		case "isolate": // networks are always closed to each other
			if value != "strict" {
				_, err = strconv.ParseBool(value)
			}
		default:
			return m, fmt.Errorf("option %s is not supported; the options are isolate, mtu and no_default_route", key)
		}
		if err != nil {
			return m, fmt.Errorf("option %s: expected %s, not %q", key, optionForms[key], value)
		}
	}
	for _, key := range n.Subnets {
		s, err := key.read()
		if err != nil {
			return m, err
		}
		m.Subnets = append(m.Subnets, s)
	}
	return m, nil
}

func (s Subnet) read() (m member.Subnet, err error) {
	if m.Prefix, err = netip.ParsePrefix(s.Subnet); err != nil {
		return m, fmt.Errorf("subnet %q: expected a subnet such as 10.1.0.0/24", s.Subnet)
	}
	m.Prefix = m.Prefix.Masked()
	if s.Gateway != "" {
		if m.Gateway, err = netip.ParseAddr(s.Gateway); err != nil {
			return m, fmt.Errorf("gateway %q is not an address", s.Gateway)
		}
		if !m.Prefix.Contains(m.Gateway) {
			return m, fmt.Errorf("gateway %s is not in subnet %s", m.Gateway, m.Prefix)
		}
	}
	if s.Range == nil || s.Range.First == "" && s.Range.Last == "" {
		return m, nil
	}
	r := m.Hosts()
	for text, end := range map[string]*netip.Addr{s.Range.First: &r.First, s.Range.Last: &r.Last} {
		if text == "" {
			continue
		}
		if *end, err = netip.ParseAddr(text); err != nil {
			return m, fmt.Errorf("lease range: %q is not an address", text)
		}
	}
	m.Ranges = []member.Range{r}
	return m, nil
}

// Read reads the container of setup or teardown.
func Read(text []byte) (c Container, err error) {
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("read the container: %w", err)
	}
	return c, nil
}

// MemberID identifies the container's link.
func (c Container) MemberID() member.ID { return member.ID{Container: c.ID, Link: c.Options.Link} }

// Member returns the member that setup attaches.
func (c Container) Member(ns string) (m member.Member, err error) {
	m = member.Member{ID: c.ID, Link: c.Options.Link, NS: ns}
	for _, text := range c.Options.IPs {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return m, fmt.Errorf("static ip %q is not an address", text)
		}
		m.Addresses = append(m.Addresses, a)
	}
	if c.Options.MAC != "" {
		mac, err := net.ParseMAC(c.Options.MAC)
		if err != nil || len(mac) != len(m.MAC) {
			return m, fmt.Errorf("static mac %q is not a MAC address", c.Options.MAC)
		}
		copy(m.MAC[:], mac)
	}
	for _, r := range c.Network.Routes {
		to, err := netip.ParsePrefix(r.To)
		via, viaErr := netip.ParseAddr(r.Via)
		if err != nil || viaErr != nil {
			return m, fmt.Errorf("route to %q via %q: expected a prefix and an address", r.To, r.Via)
		}
		m.Routes = append(m.Routes, member.Route{To: to.Masked(), Via: via, Metric: r.Metric})
	}
	if c.Network.Internal { // nothing outside may reach it
		return m, nil
	}
	for _, p := range c.Ports {
		ports, err := p.read()
		if err != nil {
			return m, err
		}
		m.Ports = append(m.Ports, ports...)
	}
	return m, nil
}

// read returns the ports of a range, for each protocol.
func (p port) read() (ports []member.Port, err error) {
	var host netip.Addr
	if p.HostIP != "" {
		if host, err = netip.ParseAddr(p.HostIP); err != nil {
			return nil, fmt.Errorf("host ip %q is not an address", p.HostIP)
		}
	}
	for _, name := range strings.Split(cmp.Or(p.Protocol, "tcp"), ",") {
		proto, err := nft.ParseProto(strings.ToLower(name))
		if err != nil {
			return nil, err
		}
		for i := range max(p.Range, 1) {
			from, to := p.HostPort+i, p.ContainerPort+i
			if from < 1 || from > 65535 || to < 1 || to > 65535 {
				return nil, fmt.Errorf("port %d:%d: expected ports from 1 to 65535", from, to)
			}
			ports = append(ports, member.Port{Proto: proto, Host: host, HostPort: uint16(from), Port: uint16(to)})
		}
	}
	return ports, nil
}

// Status returns the answer to setup.
func (c Container) Status(at member.Attached) Status {
	link := Interface{MAC: net.HardwareAddr(at.Link.MAC[:]).String(), Subnets: []Address{}}
	for _, a := range at.Addresses {
		address := Address{Prefix: a.Prefix.String()}
		if a.Gateway.IsValid() {
			address.Gateway = a.Gateway.String()
		}
		link.Subnets = append(link.Subnets, address)
	}
	return Status{Search: []string{}, Servers: append([]string{}, c.Network.DNS...),
		Interfaces: map[string]Interface{c.Options.Link: link}}
}
