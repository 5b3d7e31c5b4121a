package lab

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// DNS is the content of a host's /etc/resolv.conf. With the zero value the
// host uses the machine's file.
type DNS struct {
	Servers []netip.Addr // name servers
	Search  []string     // domains to append to short names
}

var dnsKey = hostKey{
	read: func(_ *syntax.Decoder, f *fileHost, h *Host) {
		h.DNS = DNS{Servers: f.DNS.Servers, Search: f.DNS.Search}
	},
	check: func(k *checker, h *Host) {
		k.notOnMachine(h, "dns", len(h.DNS.Servers)+len(h.DNS.Search) > 0)
		for _, d := range h.DNS.Search {
			if d != "." && !isDomain(d) {
				k.mistakef(h.at, d, domainForm, "dns: %q is not a domain name", d)
			}
		}
	},
	compile: func(c *compiler, h *Host) {
		if text := h.DNS.file(); text != "" && h.ownsEtc() {
			c.put(topo.File{NS: h.Name, Name: "resolv.conf", Content: text})
		}
	},
	export: func(e *exporter, o topo.Object) {
		if f, ok := o.(topo.File); ok && f.Name == "resolv.conf" {
			e.host(f.NS).DNS = ParseResolv(f.Content)
		}
	},
	format: func(h *Host, m *syntax.Mapping) {
		var keys syntax.Mapping
		keys.List("servers", display.Addrs(h.DNS.Servers))
		keys.List("search", h.DNS.Search)
		m.Sub("dns", keys)
	},
}

// ParseResolv reads the text of a resolv.conf.
func ParseResolv(text string) (d DNS) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) > 1 && words[0] == "nameserver":
			if a, err := syntax.ParseAddr(words[1]); err == nil {
				d.Servers = append(d.Servers, a)
			}
		case len(words) > 1 && words[0] == "search":
			d.Search = words[1:]
		}
	}
	return d
}

func (d DNS) file() string {
	var b strings.Builder
	for _, s := range d.Servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	if len(d.Search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(d.Search, " "))
	}
	return b.String()
}
