package show

import (
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/names"
	"github.com/vnet-lab/vnet/rtnl"
)

// LinkStyle selects how to print links and addresses.
type LinkStyle struct {
	Style
	// Link returns the link of an index.
	Link func(index uint32) (rtnl.Link, bool)
	// Namespace returns the name of the namespace with an id; "" if it has none.
	Namespace func(nsid int32) string
	// Addrs prints links as ip-address(8) does, with fewer properties.
	Addrs bool
}

// Links prints a list of links.
func Links(w io.Writer, links []rtnl.Link, s LinkStyle) error {
	all := make([]members, len(links))
	for i, l := range links {
		all[i] = s.link(l)
	}
	return s.list(w, all)
}

func (s LinkStyle) link(l rtnl.Link) members {
	if s.Brief {
		return s.linkBrief(l)
	}
	var m members
	s.addHead(&m, l)
	if s.Family == 0 || s.Family == unix.AF_PACKET || s.Details > 0 {
		s.addLLAddrs(&m, l)
	}
	s.addParentNetns(&m, l)
	if s.Details > 0 {
		s.addDetails(&m, l)
	}
	if l.Alias != "" && (!s.Addrs || s.Details > 0) {
		m.put("ifalias", l.Alias, "\n    alias "+Name(l.Alias))
	}
	if !s.Addrs && s.Stats > 0 {
		s.addStats(&m, l)
	}
	s.addAltNames(&m, l)
	return m
}

// linkBrief returns a link as a line of a table.
func (s LinkStyle) linkBrief(l rtnl.Link) members {
	var m members
	name := l.Name
	if parent := s.parent(l); parent != "" {
		name += "@" + parent
		switch {
		case l.Parent == 0:
			m.put("link", nil, "")
		case l.ParentNSID != nil:
			m.put("link_index", l.Parent, "")
		default:
			m.put("link", parent, "")
		}
	}
	m.put("ifname", l.Name, s.paint(colorName, pad(name, 16)))
	if l.Has(unix.IFLA_OPERSTATE) {
		state := operState(l.OperState)
		m.put("operstate", state, s.paint(stateColor(l.OperState), pad(state, 14)))
	}
	if s.Addrs && s.Family != unix.AF_PACKET {
		return m
	}
	if l.Address != "" {
		m.put("address", llText(l.Address, l.Type), s.paint(colorLL, llText(l.Address, l.Type)+" "))
	}
	s.addFlags(&m, l)
	return m
}

// addHead adds the first line.
func (s LinkStyle) addHead(m *members, l rtnl.Link) {
	m.add("ifindex", l.Index, "%d: ")
	text := l.Name
	switch parent := s.parent(l); {
	case parent == "":
	case l.Parent == 0:
		m.put("link", nil, "")
		text += "@NONE"
	case l.ParentNSID != nil:
		m.put("link_index", l.Parent, "")
		text += "@" + parent
	default:
		m.put("link", parent, "")
		text += "@" + parent
	}
	m.put("ifname", l.Name, s.paint(colorName, text+": "))
	s.addFlags(m, l)
	if l.Has(unix.IFLA_MTU) {
		m.add("mtu", l.MTU, "mtu %d ")
	}
	if l.Qdisc != "" {
		m.add("qdisc", l.Qdisc, "qdisc %s ")
	}
	if l.Has(unix.IFLA_MASTER) {
		m.add("master", s.name(l.Master), "master %s ")
	}
	if l.Has(unix.IFLA_OPERSTATE) {
		state := operState(l.OperState)
		m.put("operstate", state, "state "+s.paint(stateColor(l.OperState), state+" "))
	}
	if !s.Addrs && l.Has(unix.IFLA_LINKMODE) {
		m.add("linkmode", []string{"DEFAULT", "DORMANT"}[l.LinkMode&1], "mode %s ")
	}
	if l.Has(unix.IFLA_GROUP) {
		m.add("group", s.nameOf(names.Groups, l.Group), "group %s ")
	}
	if l.TxQueueLen != 0 {
		m.add("txqlen", l.TxQueueLen, "qlen %d")
	}
}

// parent returns the name of a link's parent: "NONE" if the parent is not in this namespace, "" if there is none.
func (s LinkStyle) parent(l rtnl.Link) string {
	switch {
	case !l.Has(unix.IFLA_LINK):
		return ""
	case l.Parent == 0:
		return "NONE"
	case l.ParentNSID != nil:
		return fmt.Sprintf("if%d", l.Parent)
	}
	return s.name(l.Parent)
}

func (s LinkStyle) name(index uint32) string {
	if l, ok := s.Link(index); ok {
		return l.Name
	}
	return fmt.Sprintf("if%d", index)
}

// linkFlags are in the order in which ip(8) prints them; <linux/if.h>.
var linkFlags = []struct {
	bit  uint32
	name string
}{
	{unix.IFF_LOOPBACK, "LOOPBACK"}, {unix.IFF_BROADCAST, "BROADCAST"}, {unix.IFF_POINTOPOINT, "POINTOPOINT"},
	{unix.IFF_MULTICAST, "MULTICAST"}, {unix.IFF_NOARP, "NOARP"}, {unix.IFF_ALLMULTI, "ALLMULTI"},
	{unix.IFF_PROMISC, "PROMISC"}, {unix.IFF_MASTER, "MASTER"}, {unix.IFF_SLAVE, "SLAVE"}, {unix.IFF_DEBUG, "DEBUG"},
	{unix.IFF_DYNAMIC, "DYNAMIC"}, {unix.IFF_AUTOMEDIA, "AUTOMEDIA"}, {unix.IFF_PORTSEL, "PORTSEL"},
	{unix.IFF_NOTRAILERS, "NOTRAILERS"}, {unix.IFF_UP, "UP"}, {unix.IFF_LOWER_UP, "LOWER_UP"},
	{unix.IFF_DORMANT, "DORMANT"}, {unix.IFF_ECHO, "ECHO"},
}

func (s LinkStyle) addFlags(m *members, l rtnl.Link) {
	found := []string{}
	if l.Flags&unix.IFF_UP != 0 && l.Flags&unix.IFF_RUNNING == 0 {
		found = append(found, "NO-CARRIER")
	}
	rest := l.Flags &^ unix.IFF_RUNNING
	for _, f := range linkFlags {
		if rest&f.bit != 0 {
			found = append(found, f.name)
			rest &^= f.bit
		}
	}
	if rest != 0 {
		found = append(found, fmt.Sprintf("%x", rest))
	}
	if lower, ok := s.Link(l.Parent); ok && l.ParentNSID == nil && !lower.Up() {
		found = append(found, "M-DOWN")
	}
	m.put("flags", found, "<"+strings.Join(found, ",")+"> ")
}

var operStates = []string{"UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN", "TESTING", "DORMANT", "UP"}

func operState(state uint8) string {
	if int(state) < len(operStates) {
		return operStates[state]
	}
	return fmt.Sprintf("%#x", state)
}

func stateColor(state uint8) color {
	switch operState(state) {
	case "UP":
		return colorUp
	case "DOWN":
		return colorDown
	}
	return 0
}

// nameOf returns a number's name, or the number itself.
func (s Style) nameOf(t *names.Table, n uint32) string {
	if name, ok := t.Name(n); ok && !s.Numeric {
		return name
	}
	return fmt.Sprint(n)
}

// addLLAddrs adds the second line.
func (s LinkStyle) addLLAddrs(m *members, l rtnl.Link) {
	typ := s.linkType(l.Type)
	m.put("link_type", typ, "\n    link/"+typ+" ")
	if l.Has(unix.IFLA_ADDRESS) {
		m.put("address", llText(l.Address, l.Type), s.paint(colorLL, llText(l.Address, l.Type)))
	}
	if l.Has(unix.IFLA_BROADCAST) {
		if l.Flags&unix.IFF_POINTOPOINT != 0 {
			m.put("link_pointtopoint", true, " peer ")
		} else {
			m.addText(" brd ")
		}
		m.put("broadcast", llText(l.Broadcast, l.Type), s.paint(colorLL, llText(l.Broadcast, l.Type)))
	}
	if l.Permanent != "" && l.Permanent != l.Address {
		m.put("permaddr", llText(l.Permanent, l.Type), " permaddr "+s.paint(colorLL, llText(l.Permanent, l.Type)))
	}
}

// addParentNetns adds the namespace of the parent or peer, and the protodown state.
func (s LinkStyle) addParentNetns(m *members, l rtnl.Link) {
	if l.ParentNSID != nil {
		switch name := s.Namespace(*l.ParentNSID); {
		case *l.ParentNSID < 0:
			m.put("link_netnsid", *l.ParentNSID, " link-netnsid unknown")
		case name != "":
			m.put("link_netnsid", *l.ParentNSID, " link-netns "+Name(name))
		default:
			m.add("link_netnsid", *l.ParentNSID, " link-netnsid %d")
		}
	}
	if l.ProtoDown {
		m.put("proto_down", true, " protodown on ")
	}
}

// addDetails adds the properties that only -details prints.
func (s LinkStyle) addDetails(m *members, l rtnl.Link) {
	if l.Has(unix.IFLA_PROMISCUITY) {
		m.add("promiscuity", l.Promiscuity, " promiscuity %d")
	}
	if l.Has(unix.IFLA_ALLMULTI) {
		m.add("allmulti", l.AllMulti, " allmulti %d ")
	} else { // before Linux 6.0
		m.addText(" ")
	}
	if l.Has(unix.IFLA_MIN_MTU) {
		m.add("min_mtu", l.MinMTU, "minmtu %d ")
	}
	if l.Has(unix.IFLA_MAX_MTU) {
		m.add("max_mtu", l.MaxMTU, "maxmtu %d ")
	}
	if l.NetnsImmutable {
		m.put("netns-immutable", true, "netns-immutable ")
	}
	if l.Kind.Name != "" || l.PortKind != "" {
		m.put("linkinfo", s.linkInfo(l), "")
	}
	if !s.Addrs && l.AddrGenMode != nil {
		m.add("inet6_addr_gen_mode", addrGenMode(*l.AddrGenMode), "addrgenmode %s ")
	}
	for _, limit := range []struct {
		attr       uint16
		name, text string
		value      uint32
	}{
		{unix.IFLA_NUM_TX_QUEUES, "num_tx_queues", "numtxqueues", l.Limits.TxQueues},
		{unix.IFLA_NUM_RX_QUEUES, "num_rx_queues", "numrxqueues", l.Limits.RxQueues},
		{unix.IFLA_GSO_MAX_SIZE, "gso_max_size", "gso_max_size", l.Limits.GSOMaxSize},
		{unix.IFLA_GSO_MAX_SEGS, "gso_max_segs", "gso_max_segs", l.Limits.GSOMaxSegs},
		{unix.IFLA_TSO_MAX_SIZE, "tso_max_size", "tso_max_size", l.Limits.TSOMaxSize},
		{unix.IFLA_TSO_MAX_SEGS, "tso_max_segs", "tso_max_segs", l.Limits.TSOMaxSegs},
		{unix.IFLA_GRO_MAX_SIZE, "gro_max_size", "gro_max_size", l.Limits.GROMaxSize},
		{unix.IFLA_GSO_IPV4_MAX_SIZE, "gso_ipv4_max_size", "gso_ipv4_max_size", l.Limits.GSOIPv4MaxSize},
		{unix.IFLA_GRO_IPV4_MAX_SIZE, "gro_ipv4_max_size", "gro_ipv4_max_size", l.Limits.GROIPv4MaxSize},
	} {
		if l.Has(limit.attr) {
			m.add(limit.name, limit.value, limit.text+" %d ")
		}
	}
	if l.ParentBus != "" {
		m.add("parentbus", l.ParentBus, "parentbus %s ")
	}
	if l.ParentDev != "" {
		m.add("parentdev", l.ParentDev, "parentdev %s ")
	}
}

func addrGenMode(mode uint8) string {
	switch mode {
	case rtnl.AddrGenEUI64:
		return "eui64"
	case rtnl.AddrGenNone:
		return "none"
	case rtnl.AddrGenStablePrivacy:
		return "stable_secret"
	case rtnl.AddrGenRandom:
		return "random"
	}
	return fmt.Sprintf("%#.2x", mode)
}

func (s LinkStyle) addAltNames(m *members, l rtnl.Link) {
	if len(l.AltNames) == 0 {
		return
	}
	m.put("altnames", l.AltNames, "")
	for _, name := range l.AltNames {
		m.addText("\n    altname " + name)
	}
}

// llText formats a link-layer address. That of an IPv4 tunnel is an IPv4 address.
func llText(a rtnl.LLAddr, typ uint16) string {
	switch typ {
	case unix.ARPHRD_TUNNEL, unix.ARPHRD_SIT, unix.ARPHRD_IPGRE:
		if len(a) == 4 {
			return fmt.Sprintf("%d.%d.%d.%d", a[0], a[1], a[2], a[3])
		}
	}
	return a.String()
}

// linkTypes are iproute2's names of the ARPHRD_ constants of <linux/if_arp.h>. Other numbers are printed in brackets.
var linkTypes = map[uint16]string{
	unix.ARPHRD_ETHER: "ether", unix.ARPHRD_LOOPBACK: "loopback", unix.ARPHRD_NONE: "none", unix.ARPHRD_VOID: "void",
	unix.ARPHRD_SIT: "sit", unix.ARPHRD_TUNNEL: "ipip", unix.ARPHRD_TUNNEL6: "tunnel6", unix.ARPHRD_IPGRE: "gre",
	unix.ARPHRD_IP6GRE: "gre6", unix.ARPHRD_INFINIBAND: "infiniband", unix.ARPHRD_PPP: "ppp", unix.ARPHRD_CAN: "can",
	unix.ARPHRD_IEEE80211: "ieee802.11", unix.ARPHRD_NETLINK: "netlink", unix.ARPHRD_RAWIP: "rawip",
	unix.ARPHRD_IEEE1394: "ieee1394",
}

func (s Style) linkType(typ uint16) string {
	if name, ok := linkTypes[typ]; ok && !s.Numeric {
		return name
	}
	return fmt.Sprintf("[%d]", typ)
}
