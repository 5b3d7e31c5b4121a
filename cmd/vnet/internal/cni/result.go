//go:build linux

package cni

import (
	"encoding/json"
	"net"
	"net/netip"
	"slices"

	"github.com/vnet-lab/vnet/topo/live/member"
)

// A Result is the answer to ADD, in the form of any supported version.
type Result struct {
	Version    string      `json:"cniVersion"`
	Interfaces []Interface `json:"interfaces,omitempty"`
	IPs        []IP        `json:"ips,omitempty"`
	Routes     []routeKey  `json:"routes,omitempty"`
	DNS        *DNS        `json:"dns,omitempty"`
}

// An Interface is one link of a result.
type Interface struct {
	Name    string `json:"name"`
	MAC     string `json:"mac,omitempty"`
	MTU     uint32 `json:"mtu,omitempty"` // since 1.1.0, as the next two
	Sandbox string `json:"sandbox,omitempty"`
	Socket  string `json:"socketPath,omitempty"`
	PCI     string `json:"pciID,omitempty"`
}

// An IP is one address of a result.
type IP struct {
	Version   string `json:"version,omitempty"` // 4 or 6; before 1.0.0
	Interface *int   `json:"interface,omitempty"`
	Address   string `json:"address"`
	Gateway   string `json:"gateway,omitempty"`
}

// Previous returns the result of the plugins before this one; nil if there is none.
func (c *Config) Previous() (*Result, error) {
	if len(c.Prev) == 0 || string(c.Prev) == "null" {
		return nil, nil
	}
	var r Result
	if err := json.Unmarshal(c.Prev, &r); err != nil {
		return nil, fail(CodeDecode, "read prevResult: %v", err)
	}
	return &r, nil
}

// Result returns the answer to ADD. The plugins after this one rely on the order: the bridge is first, then the link on
// the machine, then the link in the namespace. What the plugins before it did comes after that.
func (c *Config) Result(at member.Attached, a Addressing, prev *Result) Result {
	r := Result{Version: c.Version, Interfaces: []Interface{
		interfaceOf(at.Bridge, ""), interfaceOf(at.Host, ""), interfaceOf(at.Link, at.NS),
	}}
	for _, address := range at.Addresses {
		own := 2
		ip := IP{Interface: &own, Address: address.Prefix.String()}
		gateway := address.Gateway
		for _, s := range a.Subnets { // the gateway can be another machine
			if s.Prefix == address.Prefix.Masked() && s.Gateway.IsValid() {
				gateway = s.Gateway
			}
		}
		if gateway.IsValid() {
			ip.Gateway = gateway.String()
		}
		r.IPs = append(r.IPs, ip)
	}
	for _, route := range at.Routes {
		key := routeKey{To: route.To.String(), MTU: route.MTU, AdvMSS: route.AdvMSS, Metric: route.Metric,
			Table: route.Table, Scope: route.Scope}
		if route.Via.IsValid() {
			key.Via = route.Via.String()
		}
		r.Routes = append(r.Routes, key)
	}
	if d := c.ResolverOf(a); !d.empty() {
		r.DNS = &d
	}
	if prev != nil {
		r.merge(*prev)
	}
	return r.inVersion(c.Version)
}

func interfaceOf(i member.Interface, ns string) Interface {
	return Interface{Name: i.Name, MAC: net.HardwareAddr(i.MAC[:]).String(), MTU: i.MTU, Sandbox: ns}
}

// merge adds an earlier result.
func (r *Result) merge(prev Result) {
	shift := len(r.Interfaces)
	r.Interfaces = append(r.Interfaces, prev.Interfaces...)
	for _, ip := range prev.IPs {
		if ip.Interface != nil {
			at := *ip.Interface + shift
			ip.Interface = &at
		}
		r.IPs = append(r.IPs, ip)
	}
	r.Routes = append(r.Routes, prev.Routes...)
	if r.DNS == nil {
		r.DNS = prev.DNS
	}
}

// inVersion leaves out what a version does not have, and adds what it has.
func (r Result) inVersion(version string) Result {
	at := slices.Index(versions, version)
	for i := range r.IPs {
		r.IPs[i].Version = ""
		if at < slices.Index(versions, "1.0.0") {
			r.IPs[i].Version = family(r.IPs[i].Address)
		}
	}
	if version == Newest {
		return r
	}
	for i := range r.Interfaces {
		r.Interfaces[i].MTU, r.Interfaces[i].Socket, r.Interfaces[i].PCI = 0, "", ""
	}
	for i, route := range r.Routes {
		r.Routes[i] = routeKey{To: route.To, Via: route.Via}
	}
	return r
}

func family(address string) string {
	if p, err := netip.ParsePrefix(address); err == nil && p.Addr().Is4() {
		return "4"
	}
	return "6"
}

// Expected returns what CHECK compares with the kernel: the part of an earlier result that is about this link. Later
// plugins may have changed its MAC address and MTU.
func (r *Result) Expected(env Env) (addresses []netip.Prefix, routes []member.Route, err error) {
	at := slices.IndexFunc(r.Interfaces, func(i Interface) bool { return i.Name == env.Link && i.Sandbox != "" })
	if at < 0 {
		return nil, nil, fail(CodeConfig, "prevResult: has no interface %s", env.Link)
	}
	for _, ip := range r.IPs {
		if ip.Interface == nil || *ip.Interface != at {
			continue
		}
		p, err := netip.ParsePrefix(ip.Address)
		if err != nil {
			return nil, nil, fail(CodeConfig, "prevResult: %q is not an address", ip.Address)
		}
		addresses = append(addresses, p)
	}
	routes, err = readRoutes(r.Routes)
	return addresses, routes, err
}
