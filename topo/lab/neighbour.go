package lab

import (
	"fmt"
	"net/netip"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/spell"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/subnet"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// A StaticNeigh is a permanent neighbour entry (ARP, ND).
type StaticNeigh struct {
	Addr   netip.Addr
	MAC    topo.MAC
	Device string // "" means the device whose subnet contains Addr; required for Proxy
	Proxy  bool   // the host answers for Addr on the device; MAC is zero

	at syntax.Pos
}

var neighboursKey = hostKey{
	read: func(_ *syntax.Decoder, f *fileHost, h *Host) {
		for _, nb := range f.Neighbours {
			h.Neighbours = append(h.Neighbours, nb.StaticNeigh)
		}
	},
	check: func(k *checker, h *Host) {
		for i := range h.Neighbours {
			k.neighbour(h, &h.Neighbours[i])
		}
	},
	compile: func(c *compiler, h *Host) {
		for i := range h.Neighbours {
			c.neighbour(h, &h.Neighbours[i])
		}
	},
	export: func(e *exporter, o topo.Object) {
		if n, ok := o.(topo.Neigh); ok {
			h := e.host(n.NS)
			h.Neighbours = append(h.Neighbours, StaticNeigh{Addr: n.Addr, MAC: n.MAC, Device: n.Link, Proxy: n.Proxy})
		}
	},
	format: func(h *Host, m *syntax.Mapping) {
		m.List("neighbours", display.Texts(h.Neighbours, StaticNeigh.String))
	},
}

func (k *checker) neighbour(h *Host, nb *StaticNeigh) {
	if kind := subnet.Kind(nb.Addr); kind != "" {
		k.mistakef(nb.at, nb.Addr.String(), "use the address of a host", "neighbour %s is a %s address", nb.Addr, kind)
		return
	}
	if nb.Proxy && !k.isAdopted(h.Name) && !k.layout.Forwards(h) && !h.setsForwarding() {
		k.mistakef(nb.at, nb.Addr.String(), "write router: true for "+h.Name,
			"%s cannot answer for %s, because it does not forward packets", h.Name, nb.Addr)
	}
	if nb.Device == loopback && !nb.Proxy {
		k.mistakef(nb.at, loopback, "use the device that leads to the neighbour",
			"neighbour %s: the device lo has no neighbours", nb.Addr)
	}
	if nb.Device != "" {
		k.hasDevice(nb.at, h, nb.Device, "neighbour "+nb.Addr.String())
		return
	}
	if k.deviceFor(h.Name, "", nb.Addr) == nil && !k.incomplete {
		k.mistakef(nb.at, nb.Addr.String(), "write dev", "neighbour %s is in no subnet of %s", nb.Addr, h.Name)
	}
}

func (c *compiler) neighbour(h *Host, nb *StaticNeigh) {
	dev := nb.Device
	if i := c.l.deviceFor(h.Name, "", nb.Addr); dev == "" && i != nil {
		dev = i.Name
	}
	ns := topo.NSOf(h.Name)
	c.put(topo.Neigh{NS: ns, Link: dev, Addr: nb.Addr, MAC: nb.MAC, Proxy: nb.Proxy})
	if nb.Proxy && nb.Addr.Is6() { // for IPv4, the kernel needs no setting
		link := strings.ReplaceAll(dev, ".", "/")
		c.put(topo.Sysctl{NS: ns, Name: "net.ipv6.conf." + link + ".proxy_ndp", Value: "1"})
	}
}

const neighForm = `write it as for ip-neighbour(8): "10.0.0.9 lladdr 02:00:00:00:00:09 dev eth0"`

// Read reads a neighbour.
func (nb *fileNeigh) Read(d *syntax.Decoder, n *yaml.Node) {
	syntax.Scalar(d, n, &nb.StaticNeigh, neighForm, parseNeigh)
	nb.at = syntax.PosOf(n)
}

// parseNeigh reads a neighbour with the keywords of ip-neighbour(8).
func parseNeigh(s string) (nb StaticNeigh, err error) {
	w := syntax.NewWords(s)
	nb.Proxy = w.Take("proxy")
	if nb.Addr, err = w.NextAddr(""); err != nil {
		return nb, syntax.Invalid(w.Last(), fmt.Sprintf("%q is not a neighbour", s), neighForm)
	}
	for w.More() {
		switch key := w.Next(); key {
		case "dev":
			nb.Device = w.Next()
		case "lladdr":
			if nb.MAC, err = topo.ParseMAC(w.Next()); err != nil {
				return nb, syntax.Invalid(w.Last(), err.Error(), neighForm)
			}
		case "nud":
			if w.Next() != "permanent" {
				return nb, syntax.Invalid(w.Last(), "neighbours of a lab are permanent", "remove nud")
			}
		default:
			return nb, syntax.Invalid(key, fmt.Sprintf("unknown word %q in a neighbour", key),
				spell.DidYouMean(key, []string{"lladdr", "dev"}))
		}
	}
	if nb.Proxy {
		if !nb.MAC.IsZero() || nb.Device == "" {
			return nb, syntax.Invalid(s, fmt.Sprintf("%q: a proxy entry has a dev and no lladdr", s),
				`write it as for ip-neighbour(8): "proxy 10.0.0.9 dev eth0"`)
		}
		return nb, nil
	}
	if nb.MAC.IsZero() {
		return nb, syntax.Invalid(s, fmt.Sprintf("%q has no lladdr", s), neighForm)
	}
	return nb, nil
}

// String returns nb as written for ip-neighbour(8).
func (nb StaticNeigh) String() string {
	if nb.Proxy {
		return "proxy " + nb.Addr.String() + " dev " + nb.Device
	}
	s := nb.Addr.String() + " lladdr " + nb.MAC.String()
	if nb.Device != "" {
		s += " dev " + nb.Device
	}
	return s
}
