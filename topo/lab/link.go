package lab

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// A Link is a veth pair between two hosts, without a bridge.
type Link struct {
	Ends   [2]End // in the order of the file
	MTU    int    // bytes, both ends; 0 means 1500
	Impair topo.Impairment

	NoOffload bool // turn off checksum offload on both ends

	at syntax.Pos
}

// An End is one end of a Link.
type End struct {
	Host      string
	Device    string         // "" means the first free name of eth0, eth1 … in the host
	Addresses []netip.Prefix // with the prefix lengths of their subnets; may be empty
	MAC       topo.MAC       // zero means derived from the names
}

func (l *fileLink) link(d *syntax.Decoder) (Link, bool) {
	c := Link{MTU: l.MTU, Impair: l.Impair.impairment(), NoOffload: bool(l.Offload), at: l.At}
	if len(l.Endpoints) != 2 {
		d.Mistake(l.At, "endpoints", "a link has two endpoints", "write endpoints: [red:eth1, blue:eth1]")
		return c, false
	}
	if n := len(l.Addresses); n != 0 && n != 2 {
		d.Mistake(l.At, "addresses", "addresses: expected one for each of the two endpoints",
			"write a list for an endpoint with several: [[10.0.0.1/30, fd00::1/64], [10.0.0.2/30, fd00::2/64]]")
	}
	if n := len(l.MACs); n != 0 && n != 2 {
		d.Mistake(l.At, "macs", "macs: expected one for each of the two endpoints", "")
	}
	for i := range c.Ends {
		c.Ends[i].Host, c.Ends[i].Device, _ = strings.Cut(l.Endpoints[i], ":")
		if len(l.Addresses) == 2 {
			c.Ends[i].Addresses = l.Addresses[i]
		}
		if len(l.MACs) == 2 {
			c.Ends[i].MAC = l.MACs[i]
		}
	}
	return c, true
}

func (c *Link) format() *yaml.Node {
	var m syntax.Mapping
	var ends, macs []string
	addrs := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	any := false
	for _, e := range c.Ends {
		end := e.Host
		if e.Device != "" {
			end += ":" + e.Device
		}
		ends, macs = append(ends, end), append(macs, e.MAC.String())
		any = any || len(e.Addresses) > 0
		addrs.Content = append(addrs.Content, syntax.Sequence(display.Prefixes(e.Addresses)))
	}
	m.List("endpoints", ends)
	if any {
		m.Add("addresses", addrs)
	}
	if !c.Ends[0].MAC.IsZero() || !c.Ends[1].MAC.IsZero() {
		m.List("macs", macs)
	}
	m.Number("mtu", c.MTU)
	m.Sub("impair", formatImpairment(c.Impair))
	formatOffload(&m, c.NoOffload)
	return m.Node(yaml.FlowStyle)
}

func (k *checker) links() {
	for i := range k.t.Links {
		c := &k.t.Links[i]
		for _, e := range c.Ends {
			k.knownHost(c.at, e.Host, "in an endpoint")
			k.linkAddresses(c.at, e.Addresses)
		}
		k.mtu(c.at, c.MTU, slices.Concat(c.Ends[0].Addresses, c.Ends[1].Addresses))
		k.impairment(c.at, c.Impair)
		for _, v4 := range []bool{true, false} {
			a, b := ofFamily(c.Ends[0].Addresses, v4), ofFamily(c.Ends[1].Addresses, v4)
			if len(a) > 0 && len(b) > 0 && !anyShared(a, b) {
				k.mistakef(c.at, b[0].String(), "give both ends addresses of one subnet",
					"the ends of the link are in different subnets: %s and %s", a[0], b[0])
			}
		}
	}
}

func ofFamily(list []netip.Prefix, v4 bool) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		if p.IsValid() && p.Addr().Is4() == v4 {
			out = append(out, p)
		}
	}
	return out
}

// anyShared reports whether an address of a and one of b are in the same
// subnet. A single address (/32 or /128) is accepted: it needs routes.
func anyShared(a, b []netip.Prefix) bool {
	for _, p := range a {
		for _, q := range b {
			if p.IsSingleIP() || q.IsSingleIP() || p.Masked() == q.Masked() {
				return true
			}
		}
	}
	return false
}

func (c *compiler) linkPair(a, b *Iface) {
	c.put(topo.Veth{Ends: [2]topo.Link{c.link(a), c.link(b)}})
	c.impair(a.Link.Impair, c.link(a).Key(), c.link(b).Key())
	c.offload(a.Link.NoOffload, c.link(a).Key(), c.link(b).Key())
}

func (e *exporter) linkPair(a, b topo.Link) {
	c := Link{MTU: omitDefault(a.MTU, linux.DefaultMTU), Impair: e.impairment(a, b), NoOffload: e.noOffload(a, b)}
	for i, l := range []topo.Link{a, b} {
		e.host(l.NS)
		c.Ends[i] = End{
			Host: cmp.Or(l.NS, topo.Machine), Device: l.Name, Addresses: e.addrs[l.Key()],
			MAC: omitDefault(l.MAC, derivedMAC(e.name, cmp.Or(l.NS, topo.Machine), l.Name)),
		}
	}
	e.t.Links = append(e.t.Links, c)
}
