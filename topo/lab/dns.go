package lab

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/vnet-lab/vnet/internal/display"
)

// DNS is the content of a host's /etc/resolv.conf. With the zero value the
// host uses the machine's file.
type DNS struct {
	Servers []netip.Addr
	Search  []string
}

func (f *fileDNS) dns() DNS { return DNS{Servers: f.Servers, Search: f.Search} }

func (d DNS) format() (m mapping) {
	m.list("servers", display.Addrs(d.Servers))
	m.list("search", d.Search)
	return m
}

// ParseResolv reads the text of a resolv.conf.
func ParseResolv(text string) (d DNS) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) > 1 && words[0] == "nameserver":
			if a, err := parseAddr(words[1]); err == nil {
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
