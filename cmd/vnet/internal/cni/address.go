//go:build linux

package cni

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/topo/live/member"
)

// An IPAM says how a container gets its addresses.
type IPAM struct {
	Type string `json:"type"`
	// Keys of host-local. The keys of a pool beside ranges are its old form.
	poolKey
	Ranges     [][]poolKey `json:"ranges"`
	ResolvConf string      `json:"resolvConf"`
	// Keys of static.
	Addresses []staticAddress `json:"addresses"`
	DNS       DNS             `json:"dns"`
	// Keys of both.
	Routes []routeKey `json:"routes"`
}

// A poolKey is a range of addresses, as host-local has it.
type poolKey struct {
	Subnet  string `json:"subnet"`
	First   string `json:"rangeStart"`
	Last    string `json:"rangeEnd"`
	Gateway string `json:"gateway"`
}

type staticAddress struct {
	Address string `json:"address"`
	Gateway string `json:"gateway"`
}

// Addressing is what a container's addresses are chosen from.
type Addressing struct {
	Subnets []member.Subnet
	Fixed   []netip.Addr
	Routes  []member.Route
	DNS     DNS
}

// Delegate returns the name of the plugin that chooses the addresses, "" if vnet itself does. vnet does the work of
// host-local and static.
func (c *Config) Delegate() string {
	if c.IPAM.Type == "host-local" || c.IPAM.Type == "static" {
		return ""
	}
	return c.IPAM.Type
}

// Addressing returns what the addresses of a container are chosen from, if there is no delegate.
func (c *Config) Addressing(env Env) (Addressing, error) {
	var a Addressing
	var err error
	if c.IPAM.Type == "static" {
		a, err = c.static(env)
	} else {
		a, err = c.hostLocal(env)
	}
	if err != nil {
		return a, err
	}
	a.DNS = c.IPAM.DNS
	return a, a.addRoutes(c.IPAM.Routes)
}

// addRoutes adds routes. One without a gateway goes by that of the first subnet of its family, which can be another
// machine.
func (a *Addressing) addRoutes(keys []routeKey) error {
	routes, err := readRoutes(keys)
	for _, r := range routes {
		for _, s := range a.Subnets {
			if !r.Via.IsValid() && r.Scope == 0 && s.Prefix.Addr().Is4() == r.To.Addr().Is4() {
				r.Via = s.Gateway
			}
		}
		a.Routes = append(a.Routes, r)
	}
	return err
}

// hostLocal chooses from pools: one address of each.
func (c *Config) hostLocal(env Env) (a Addressing, err error) {
	pools := slices.Clone(c.Runtime.Ranges)
	if c.IPAM.Subnet != "" {
		pools = append(pools, []poolKey{c.IPAM.poolKey})
	}
	pools = slices.Concat(pools, c.IPAM.Ranges, c.Ranges)
	for _, subnet := range c.Subnets {
		pools = append(pools, []poolKey{{Subnet: subnet}})
	}
	if c.IPAM.Type == "host-local" && len(pools) == 0 {
		return a, fail(CodeConfig, "ipam: host-local needs ranges or a subnet")
	}
	for _, pool := range pools {
		subnet, err := readPool(pool)
		if err != nil {
			return a, err
		}
		at := slices.IndexFunc(a.Subnets, func(s member.Subnet) bool { return s.Prefix.Overlaps(subnet.Prefix) })
		if at >= 0 {
			return a, fail(CodeConfig, "ranges: %s and %s overlap", a.Subnets[at].Prefix, subnet.Prefix)
		}
		a.Subnets = append(a.Subnets, subnet)
	}
	wanted, err := c.wanted(env)
	if err != nil {
		return a, err
	}
	for _, wish := range wanted {
		at := slices.IndexFunc(a.Subnets, func(s member.Subnet) bool { return inPool(s, wish.Addr()) })
		if at < 0 {
			return a, fail(CodeConfig, "ips: %s is in no range of this network", wish.Addr())
		}
		subnet := a.Subnets[at]
		if other := slices.IndexFunc(a.Fixed, subnet.Prefix.Contains); other >= 0 {
			return a, fail(CodeConfig, "ips: %s and %s are both in %s", a.Fixed[other], wish.Addr(), subnet.Prefix)
		}
		if wish.Addr() == subnet.Gateway {
			return a, fail(CodeConfig, "ips: %s is the gateway's address", wish.Addr())
		}
		a.Fixed = append(a.Fixed, wish.Addr())
	}
	return a, nil
}

// readPool reads one pool. Its ranges must be in one subnet.
func readPool(keys []poolKey) (s member.Subnet, err error) {
	if len(keys) == 0 {
		return s, fail(CodeConfig, "ranges: a list of ranges is empty")
	}
	for i, key := range keys {
		prefix, err := netip.ParsePrefix(key.Subnet)
		switch {
		case err != nil:
			return s, fail(CodeConfig, "subnet: expected a subnet such as 10.1.0.0/24, not %q", key.Subnet)
		case prefix != prefix.Masked():
			return s, fail(CodeConfig, "subnet: %s has host bits; the subnet is %s", key.Subnet, prefix.Masked())
		case prefix.Bits() > prefix.Addr().BitLen()-2:
			return s, fail(CodeConfig, "subnet: %s has no room for a gateway and a container", prefix)
		case i > 0 && prefix != s.Prefix:
			return s, fail(CodeConfig, "ranges: %s and %s are in one list; give each a list of its own", s.Prefix, prefix)
		}
		if s.Prefix = prefix; i == 0 {
			s.Gateway = prefix.Addr().Next()
		}
		if key.Gateway != "" {
			if s.Gateway, err = netip.ParseAddr(key.Gateway); err != nil || !prefix.Contains(s.Gateway) {
				return s, fail(CodeConfig, "gateway: %q is not an address in %s", key.Gateway, prefix)
			}
		}
		if key.First == "" && key.Last == "" && len(keys) == 1 {
			return s, nil
		}
		r := s.Hosts()
		if err := readEnd("rangeStart", key.First, prefix, &r.First); err != nil {
			return s, err
		}
		if err := readEnd("rangeEnd", key.Last, prefix, &r.Last); err != nil {
			return s, err
		}
		if r.Last.Less(r.First) {
			return s, fail(CodeConfig, "rangeEnd: %s is before rangeStart %s", r.Last, r.First)
		}
		for _, other := range s.Ranges {
			if !r.Last.Less(other.First) && !other.Last.Less(r.First) {
				return s, fail(CodeConfig, "ranges: %s-%s and %s-%s overlap", other.First, other.Last, r.First, r.Last)
			}
		}
		s.Ranges = append(s.Ranges, r)
	}
	return s, nil
}

// readEnd reads one end of a range; "" leaves it.
func readEnd(key, text string, in netip.Prefix, end *netip.Addr) error {
	if text == "" {
		return nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil || !in.Contains(a) {
		return fail(CodeConfig, "%s: %q is not an address in %s", key, text, in)
	}
	*end = a
	return nil
}

// inPool reports whether an address may be given from a pool.
func inPool(s member.Subnet, a netip.Addr) bool {
	if len(s.Ranges) == 0 {
		return s.Prefix.Contains(a)
	}
	return slices.ContainsFunc(s.Ranges, func(r member.Range) bool { return !a.Less(r.First) && !r.Last.Less(a) })
}

// wanted are the addresses that the engine asks for, each once. Engines write 10.1.0.5 or 10.1.0.5/24.
func (c *Config) wanted(env Env) (wanted []netip.Prefix, err error) {
	texts := slices.Concat(strings.Split(env.Args["IP"], ","), c.Args.CNI.IPs, c.Runtime.IPs)
	for _, text := range texts {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		wish, err := netip.ParsePrefix(text)
		if err != nil {
			a, addrErr := netip.ParseAddr(text)
			if addrErr != nil || a.Zone() != "" {
				return nil, fail(CodeConfig, "ips: %q is not an address", text)
			}
			wish = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())
		}
		if !slices.ContainsFunc(wanted, func(p netip.Prefix) bool { return p.Addr() == wish.Addr() }) {
			wanted = append(wanted, wish)
		}
	}
	return wanted, nil
}

// static gives the addresses that the configuration or the engine names. An engine's list replaces that of the
// configuration.
func (c *Config) static(env Env) (a Addressing, err error) {
	addresses := c.IPAM.Addresses
	wanted, err := c.wanted(env)
	if err != nil {
		return a, err
	}
	if len(wanted) > 0 {
		addresses = nil
		for _, wish := range wanted {
			addresses = append(addresses, staticAddress{wish.String(), gatewayOf(wish, env, c.IPAM.Addresses)})
		}
	}
	if len(addresses) == 0 {
		return a, fail(CodeConfig, "ipam: static needs addresses, from the configuration or from the engine")
	}
	for _, key := range addresses {
		if err := a.add(key); err != nil {
			return a, err
		}
	}
	return a, nil
}

// gatewayOf is the gateway of an address that the engine asks for.
func gatewayOf(wish netip.Prefix, env Env, from []staticAddress) string {
	texts := strings.Split(env.Args["GATEWAY"], ",")
	for _, key := range from {
		texts = append(texts, key.Gateway)
	}
	for _, text := range texts {
		if a, err := netip.ParseAddr(text); err == nil && wish.Contains(a) {
			return text
		}
	}
	return ""
}

// add adds one given address with the subnet that it is in.
func (a *Addressing) add(key staticAddress) error {
	p, err := netip.ParsePrefix(key.Address)
	if err != nil {
		return fail(CodeConfig, "address: %q is not an address with a prefix length, for example 10.1.0.5/24", key.Address)
	}
	subnet := member.Subnet{Prefix: p.Masked()}
	if key.Gateway != "" {
		if subnet.Gateway, err = netip.ParseAddr(key.Gateway); err != nil || !subnet.Prefix.Contains(subnet.Gateway) {
			return fail(CodeConfig, "gateway: %q is not an address in %s", key.Gateway, subnet.Prefix)
		}
	}
	if slices.ContainsFunc(a.Subnets, func(s member.Subnet) bool { return s.Prefix.Overlaps(subnet.Prefix) }) {
		return fail(CodeConfig, "address: %s is the second address in %s", p, subnet.Prefix)
	}
	a.Subnets = append(a.Subnets, subnet)
	a.Fixed = append(a.Fixed, p.Addr())
	return nil
}

// Delegated reads the result of a plugin that chose the addresses.
func (c *Config) Delegated(text []byte) (a Addressing, err error) {
	var r Result
	if err := json.Unmarshal(text, &r); err != nil {
		return a, fail(CodeDecode, "read the result of %s: %v", c.IPAM.Type, err)
	}
	if len(r.IPs) == 0 {
		return a, fail(CodeInternal, "%s returned no address", c.IPAM.Type)
	}
	for _, ip := range r.IPs {
		if err := a.add(staticAddress{ip.Address, ip.Gateway}); err != nil {
			return a, err
		}
	}
	if r.DNS != nil {
		a.DNS = *r.DNS
	}
	return a, a.addRoutes(r.Routes)
}
