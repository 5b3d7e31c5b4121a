package show

import (
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/names"
	"github.com/vnet-lab/vnet/rtnl"
)

// A LinkAddrs is a link with the addresses to print.
type LinkAddrs struct {
	rtnl.Link
	Addrs []rtnl.Addr
	// NoLink leaves out the link itself: a label selects addresses, not links.
	NoLink bool
}

// Addrs prints links with their addresses.
func Addrs(w io.Writer, links []LinkAddrs, s LinkStyle) error {
	s.Addrs = true
	s.Oneline = s.Oneline && !s.Brief // a line of the table has all addresses of a link
	all := make([]members, len(links))
	for i, l := range links {
		all[i] = s.linkAddrs(l)
	}
	if s.JSON || !s.Oneline {
		return s.list(w, all)
	}
	return AddrLines(w, links, s)
}

// AddrLines prints addresses without their links, each with its link's index and name; with -oneline on one line.
func AddrLines(w io.Writer, links []LinkAddrs, s LinkStyle) error {
	for _, l := range links {
		for _, a := range l.Addrs {
			line := fmt.Sprintf("%d: %s", l.Index, l.Name) + s.addr(a).text()
			if s.Oneline {
				line = strings.ReplaceAll(line, "\n", "\\")
			}
			if err := printLine(w, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// linkAddrs returns a link's head and, for each address, an indented block, or a word with -brief.
func (s LinkStyle) linkAddrs(l LinkAddrs) members {
	m := s.link(l.Link)
	if s.Oneline || l.NoLink {
		m = nil // JSON then has only the addresses
	}
	addrs := make([]members, len(l.Addrs))
	var text strings.Builder
	for i, a := range l.Addrs {
		if s.Brief {
			addrs[i] = s.addrBrief(a)
			text.WriteString(addrs[i].text())
			continue
		}
		if s.Oneline {
			addrs[i].put("index", l.Index, "")
			addrs[i].put("dev", l.Name, "")
		}
		addrs[i] = append(addrs[i], s.addr(a)...)
		text.WriteString("\n" + addrs[i].text())
	}
	block := text.String()
	if l.NoLink {
		block = strings.TrimPrefix(block, "\n")
	}
	m.put("addr_info", addrs, block)
	if s.Stats > 0 && !s.Oneline && !s.Brief && l.Has(unix.IFLA_STATS64) {
		s.addStats(&m, l.Link)
	}
	return m
}

func (s LinkStyle) addrBrief(a rtnl.Addr) members {
	var m members
	s.addAddr(&m, a)
	if a.Metric != 0 {
		m.add("metric", a.Metric, " metric %d")
	}
	m.addText(" ")
	return m
}

// addAddr adds the address, its peer and its prefix length.
func (s LinkStyle) addAddr(m *members, a rtnl.Addr) {
	color := colorInet
	if a.Is6() {
		color = colorInet6
	}
	local := a.Prefix.Addr().String()
	if !a.Anycast {
		m.put("local", local, s.paint(color, local))
		if a.Peer.IsValid() {
			m.put("address", a.Peer.String(), " peer "+s.paint(color, a.Peer.String()))
		}
		m.add("prefixlen", a.Prefix.Bits(), "/%d")
	}
}

// addr returns the block of one address.
func (s LinkStyle) addr(a rtnl.Addr) members {
	var m members
	color := colorInet
	family := "inet"
	if a.Is6() {
		color, family = colorInet6, "inet6"
	}
	m.add("family", family, "    %s ")
	s.addAddr(&m, a)
	m.addText(" ")
	if a.Metric != 0 {
		m.add("metric", a.Metric, "metric %d ")
	}
	if a.Broadcast.IsValid() {
		m.put("broadcast", a.Broadcast.String(), "brd "+s.paint(color, a.Broadcast.String()+" "))
	}
	if a.Anycast {
		m.put("anycast", a.Prefix.Addr().String(), "any "+s.paint(color, a.Prefix.Addr().String()+" "))
	}
	m.add("scope", s.nameOf(names.Scopes, uint32(a.Scope)), "scope %s ")
	s.addAddrFlags(&m, a)
	if a.Proto != 0 {
		m.add("protocol", s.addrProto(a.Proto), "proto %s ")
	}
	if a.Label != "" {
		m.put("label", a.Label, Name(a.Label))
	}
	addLifetimes(&m, a)
	return m
}

// addrProto returns the name of an address's origin, or its number in hexadecimal.
func (s Style) addrProto(proto uint8) string {
	if name, ok := names.AddrProtocols.Name(uint32(proto)); ok && !s.Numeric {
		return name
	}
	return fmt.Sprintf("%#x", proto)
}

// addrFlags are in ip(8)'s order. An address without IFA_F_PERMANENT is dynamic.
var addrFlags = []struct {
	flag uint32
	name string
}{
	{unix.IFA_F_SECONDARY, "secondary"}, {unix.IFA_F_NODAD, "nodad"}, {unix.IFA_F_OPTIMISTIC, "optimistic"},
	{unix.IFA_F_DADFAILED, "dadfailed"}, {unix.IFA_F_HOMEADDRESS, "home"}, {unix.IFA_F_DEPRECATED, "deprecated"},
	{unix.IFA_F_TENTATIVE, "tentative"}, {unix.IFA_F_PERMANENT, "dynamic"}, {unix.IFA_F_MANAGETEMPADDR, "mngtmpaddr"},
	{unix.IFA_F_NOPREFIXROUTE, "noprefixroute"}, {unix.IFA_F_MCAUTOJOIN, "autojoin"},
	{unix.IFA_F_STABLE_PRIVACY, "stable-privacy"},
}

func (s LinkStyle) addAddrFlags(m *members, a rtnl.Addr) {
	rest := a.Flags
	for _, f := range addrFlags {
		set := rest&f.flag != 0
		rest &^= f.flag
		if f.flag == unix.IFA_F_PERMANENT {
			set = !set
		}
		name := f.name
		if f.flag == unix.IFA_F_SECONDARY && a.Is6() {
			name = "temporary"
		}
		if set {
			m.put(name, true, name+" ")
		}
	}
	if rest != 0 {
		text := fmt.Sprintf("%02x", rest)
		m.put("ifa_flags", text, "flags "+text+" ")
	}
}

func addLifetimes(m *members, a rtnl.Addr) {
	life := func(seconds uint32, signed bool) string {
		switch {
		case seconds == rtnl.Forever:
			return "forever"
		case signed:
			return fmt.Sprintf("%dsec", int32(seconds))
		}
		return fmt.Sprintf("%dsec", seconds)
	}
	m.put("valid_life_time", a.Valid, "\n       valid_lft "+life(a.Valid, false))
	m.put("preferred_life_time", a.Preferred, " preferred_lft "+life(a.Preferred, a.Flags&unix.IFA_F_DEPRECATED != 0))
}
