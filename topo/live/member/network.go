//go:build linux

package member

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/rtnl"
)

// Open returns a network that Attach has made, as its bridge describes it; the ranges of its subnets are not known. If
// there is no such network, the error is fs.ErrNotExist.
func Open(name string) (Network, error) {
	if err := checkName(name); err != nil {
		return Network{}, err
	}
	c, err := rtnl.Dial(nil)
	if err != nil {
		return Network{}, err
	}
	defer c.Close()
	b, err := bridgeOf(c, name)
	if err == nil && b.record == "" {
		err = noNetworkError(name)
	}
	return b.network(name), err
}

// A noNetworkError is the name of a network that does not exist.
type noNetworkError string

func (e noNetworkError) Error() string { return "there is no network " + string(e) }

func (e noNetworkError) Is(target error) bool { return target == fs.ErrNotExist }

// A bridge is what the kernel says about a network.
type bridge struct {
	rtnl.Link
	record  string // its options; "" if the network is not whole
	subnets []string
}

// bridgeOf finds the bridge of a network by its mark, with one request.
func bridgeOf(c *rtnl.Conn, network string) (b *bridge, err error) {
	b = &bridge{}
	b.Link, err = c.Link(rtnl.LinkID{Name: mark.Of(owner(network))})
	if errors.Is(err, fs.ErrNotExist) {
		err = noNetworkError(network)
	}
	if err != nil {
		return b, err
	}
	for _, n := range b.AltNames {
		if value, ok := strings.CutPrefix(n, mark.Of(owner(network))+":network="); ok {
			b.record = value
		}
		if value, ok := strings.CutPrefix(n, mark.Of(owner(network))+":subnet="); ok {
			b.subnets = append(b.subnets, value)
		}
	}
	sort.Strings(b.subnets)
	return b, nil
}

// options are the letters of a network's options in its record.
func (n *Network) options() []struct {
	letter string
	on     *bool
} {
	return []struct {
		letter string
		on     *bool
	}{{"g", &n.Gateway}, {"d", &n.DefaultRoute}, {"m", &n.Masquerade}, {"i", &n.Isolate}, {"h", &n.Hairpin},
		{"r", &n.Routed}}
}

// record returns the options of a network, and the subnets, as text.
func (n Network) record() (options string, subnets []string) {
	for _, o := range n.options() {
		if *o.on {
			options += o.letter
		}
	}
	for _, s := range n.Subnets {
		subnets = append(subnets, mark.Escaper.Replace(s.Prefix.String())+"@"+s.gateway().String())
	}
	sort.Strings(subnets)
	return options + "," + strconv.Itoa(int(n.MTU)), subnets
}

// network is the inverse of record.
func (b *bridge) network(name string) Network {
	n := Network{Name: name, Bridge: b.Name}
	options, rest, _ := strings.Cut(strings.TrimPrefix(b.record, made), ",")
	for _, o := range n.options() {
		*o.on = strings.Contains(options, o.letter)
	}
	mtu, _ := strconv.ParseUint(rest, 10, 32)
	n.MTU = uint32(mtu)
	for _, text := range b.subnets {
		prefix, gateway, _ := strings.Cut(mark.Unescaper.Replace(text), "@")
		p, err := netip.ParsePrefix(prefix)
		g, gatewayErr := netip.ParseAddr(gateway)
		if err == nil && gatewayErr == nil {
			n.Subnets = append(n.Subnets, Subnet{Prefix: p, Gateway: g})
		}
	}
	return n
}

// made is the first letter of the record if vnet made the bridge.
const made = "b"

// is reports whether the network is whole and as n describes it, and its bridge is up.
func (b *bridge) is(n Network) bool {
	options, subnets := n.record()
	same := strings.TrimPrefix(b.record, made) == options && slices.Equal(b.subnets, subnets)
	return b.Up() && b.Name == n.Bridge && same
}

// checkName returns an error if a network cannot have a name. It is part of the name of a lock, and of names in the
// kernel.
func checkName(network string) error {
	if !naming.IsLab(network) {
		return fmt.Errorf("network %q: expected at most %d letters, digits, and characters of %s",
			network, naming.MaxLabName, naming.NameChars)
	}
	return nil
}

// check returns an error if a network is invalid. It sets what follows from other fields.
func (n *Network) check() error {
	if err := checkName(n.Name); err != nil {
		return err
	}
	if err := rtnl.CheckLinkName(n.Bridge); err != nil {
		return fmt.Errorf("network %s: bridge: %w", n.Name, err)
	}
	n.Gateway = (n.Gateway || n.DefaultRoute || n.Masquerade) && len(n.Subnets) > 0
	for i, s := range n.Subnets {
		if err := s.check(); err != nil {
			return fmt.Errorf("network %s: %w", n.Name, err)
		}
		for _, other := range n.Subnets[:i] {
			if s.Prefix.Overlaps(other.Prefix) {
				return fmt.Errorf("network %s: subnets %s and %s overlap", n.Name, other.Prefix, s.Prefix)
			}
		}
	}
	return n.checkMTU()
}

// The smallest MTU of a veth pair (ETH_MIN_MTU), of IPv6 (RFC 8200, section 5), and the largest of a veth pair.
const (
	minMTU     = 68
	minIPv6MTU = 1280
	maxMTU     = 65535
)

func (n *Network) checkMTU() error {
	least := uint32(minMTU)
	if slices.ContainsFunc(n.Subnets, func(s Subnet) bool { return s.Prefix.Addr().Is6() }) {
		least = minIPv6MTU
	}
	if n.MTU != 0 && (n.MTU < least || n.MTU > maxMTU) {
		return fmt.Errorf("network %s: mtu %d: expected %d to %d", n.Name, n.MTU, least, maxMTU)
	}
	return nil
}

func (s Subnet) check() error {
	switch p := s.Prefix; {
	case !p.IsValid() || p.Addr().Is4In6():
		return fmt.Errorf("subnet %s: expected a prefix of IPv4 or IPv6", p)
	case p != p.Masked():
		return fmt.Errorf("subnet %s has host bits; the subnet is %s", p, p.Masked())
	case p.Bits() > p.Addr().BitLen()-2:
		return fmt.Errorf("subnet %s has no room for a gateway and a member", p)
	case !p.Contains(s.gateway()):
		return fmt.Errorf("gateway %s is not in subnet %s", s.Gateway, p)
	}
	for _, r := range s.Ranges {
		if !s.Prefix.Contains(r.First) || !s.Prefix.Contains(r.Last) || r.Last.Less(r.First) {
			return fmt.Errorf("range %s to %s is not in subnet %s", r.First, r.Last, s.Prefix)
		}
	}
	return nil
}
