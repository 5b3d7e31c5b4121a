package show

import (
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/names"
	"github.com/vnet-lab/vnet/rtnl"
)

// NeighStyle selects how to print neighbours.
type NeighStyle struct {
	Style
	// Link returns the name of a link by its index.
	Link func(index uint32) string
	// HideDev leaves out the link. ip(8) does this if the selection names the link.
	HideDev bool
}

// Neighs prints a list of neighbours.
func Neighs(w io.Writer, neighs []rtnl.Neigh, s NeighStyle) error {
	all := make([]members, len(neighs))
	for i, n := range neighs {
		all[i] = s.neigh(n)
	}
	return s.list(w, all)
}

// neighStates are in ip(8)'s order; <linux/neighbour.h>.
var neighStates = []struct {
	bit  uint16
	name string
}{
	{unix.NUD_INCOMPLETE, "INCOMPLETE"}, {unix.NUD_REACHABLE, "REACHABLE"}, {unix.NUD_STALE, "STALE"},
	{unix.NUD_DELAY, "DELAY"},
	{unix.NUD_PROBE, "PROBE"}, {unix.NUD_FAILED, "FAILED"}, {unix.NUD_NOARP, "NOARP"}, {unix.NUD_PERMANENT, "PERMANENT"},
}

func (s NeighStyle) neigh(n rtnl.Neigh) members {
	var m members
	color := colorInet
	if n.Addr.Is6() {
		color = colorInet6
	}
	if s.Brief {
		if n.Addr.IsValid() {
			m.put("dst", n.Addr.String(), s.paint(color, pad(n.Addr.String(), 39)))
		}
		m.put("dev", s.Link(n.Link), s.paint(colorName, pad(s.Link(n.Link), 16)))
		if n.LLAddr != "" {
			m.put("lladdr", n.LLAddr.String(), s.paint(colorLL, n.LLAddr.String()))
		}
		return m
	}
	if n.Addr.IsValid() { // an entry of -family bridge has none
		m.put("dst", n.Addr.String(), s.paint(color, n.Addr.String()+" "))
	}
	if !s.HideDev {
		m.put("dev", s.Link(n.Link), "dev "+s.paint(colorName, s.Link(n.Link)+" "))
	}
	if n.LLAddr != "" {
		m.put("lladdr", n.LLAddr.String(), "lladdr "+s.paint(colorLL, n.LLAddr.String()+" "))
	}
	addNeighFlags(&m, n)
	if s.Stats > 0 {
		addNeighCache(&m, n)
	}
	addNeighState(&m, n.State)
	if n.Protocol != 0 {
		name, ok := names.RouteProtocols.Name(uint32(n.Protocol))
		if !ok {
			name = fmt.Sprint(n.Protocol)
		}
		m.add("protocol", name, "proto %s ")
	}
	return m
}

func addNeighFlags(m *members, n rtnl.Neigh) {
	for _, f := range []struct {
		set  bool
		name string
	}{
		{n.Flags&unix.NTF_ROUTER != 0, "router"}, {n.Proxy(), "proxy"}, {n.Flags&unix.NTF_EXT_LEARNED != 0, "extern_learn"},
		{n.Flags&unix.NTF_OFFLOADED != 0, "offload"}, {n.FlagsExt&1 != 0, "managed"},
	} {
		if f.set {
			m.put(f.name, nil, f.name+" ")
		}
	}
}

// addNeighCache adds the times since an entry was used, confirmed and updated, in seconds.
func addNeighCache(m *members, n rtnl.Neigh) {
	if n.Proxy() {
		return // the kernel has no such times for proxy entries
	}
	if n.Cache.References != 0 {
		m.add("refcnt", n.Cache.References, " ref %d")
	}
	used, confirmed, updated := n.Cache.Used/100, n.Cache.Confirmed/100, n.Cache.Updated/100
	m.put("used", used, fmt.Sprintf(" used %d/%d/%d", used, confirmed, updated))
	m.put("confirmed", confirmed, "")
	m.put("updated", updated, "")
	m.add("probes", n.Probes, "probes %d ")
}

func addNeighState(m *members, state uint16) {
	if state == 0 {
		return
	}
	var found []string
	for _, s := range neighStates {
		if state&s.bit != 0 {
			found = append(found, s.name)
		}
	}
	m.put("state", found, strings.Join(found, " ")+" ")
}
