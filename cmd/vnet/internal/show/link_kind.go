package show

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
)

// linkInfo returns the kind of a link and the kind of port, each on a line.
func (s LinkStyle) linkInfo(l rtnl.Link) members {
	var m members
	if l.Kind.Name != "" {
		m.put("info_kind", l.Kind.Name, "\n    "+l.Kind.Name+" ")
		if data := s.options(l.Kind.Name, l.Kind.Options); len(data) > 0 {
			m.put("info_data", data, "")
		}
	}
	if l.PortKind != "" {
		m.put("info_slave_kind", strings.TrimSuffix(l.PortKind, "_slave"), "\n    "+l.PortKind+" ")
		if data := s.options(l.PortKind, l.Port); len(data) > 0 {
			m.put("info_slave_data", data, "")
		}
	}
	return m
}

// options returns the options of a kind in the order of rtnl's table. By default an option is a number.
func (s LinkStyle) options(kind string, options rtnl.Options) members {
	var m members
	for _, opt := range rtnl.KindOptions(kind) {
		value, ok := options[opt.Name]
		if !ok {
			continue
		}
		n, _ := value.(uint64)
		switch kind {
		case "bridge":
			s.bridgeOption(&m, opt, n, value)
		case "bridge_slave":
			s.portOption(&m, opt, n, options)
		case "vlan":
			vlanOption(&m, opt.Name, n, value)
		case "vxlan":
			s.vxlanOption(&m, opt.Name, n, value)
		case "macvlan", "macvtap":
			macvlanOption(&m, opt.Name, n, options)
		case "tun":
			s.tunOption(&m, opt.Name, n, options)
		case "ipvlan", "ipvtap":
			ipvlanOption(&m, opt.Name, n)
		case "bond", "bond_slave":
			s.bondOption(&m, opt, n, value)
		default:
			m.add(opt.Name, n, opt.Name+" %d ")
		}
	}
	return m
}

// bridgeJSON and bridgeText are the names that differ from the option's name in JSON and in text.
var (
	bridgeJSON = map[string]string{
		"group_address": "group_addr", "mcast_last_member_count": "mcast_last_member_cnt",
		"mcast_startup_query_count":  "mcast_startup_query_cnt",
		"mcast_last_member_interval": "mcast_last_member_intvl", "mcast_membership_interval": "mcast_membership_intvl",
		"mcast_querier_interval": "mcast_querier_intvl", "mcast_query_interval": "mcast_query_intvl",
		"mcast_query_response_interval": "mcast_query_response_intvl",
		"mcast_startup_query_interval":  "mcast_startup_query_intvl",
	}
	bridgeText = map[string]string{"root_id": "designated_root"}
	// boolOpts are the names of the bits of IFLA_BR_MULTI_BOOLOPT.
	boolOpts = []string{"no_linklocal_learn", "mcast_vlan_snooping", "mst_enabled", "mdb_offload_fail_notification",
		"fdb_local_vlan_0"}
)

func (s LinkStyle) bridgeOption(m *members, opt rtnl.Option, n uint64, value any) {
	json, text := opt.Name, opt.Name
	if name, ok := bridgeJSON[opt.Name]; ok {
		json = name
	}
	if name, ok := bridgeText[opt.Name]; ok {
		text = name
	}
	switch opt.Name {
	case "fdb_flush":
	case "vlan_protocol":
		m.add(json, vlanProtocol(n), text+" %s ")
	case "bridge_id", "root_id":
		m.add(json, bridgeID(n), text+" %s ")
	case "hello_timer", "tcn_timer", "topology_change_timer", "gc_timer":
		m.put(json, seconds(n), timer(text, n))
	case "group_fwd_mask":
		m.add(json, fmt.Sprintf("%#x", n), text+" %s ")
		if n == 0 {
			(*m)[len(*m)-1] = member{json, "0", text + " 0 "}
		}
	case "group_address":
		if ll, ok := value.(rtnl.LLAddr); ok {
			m.add(json, ll.String(), text+" %s ")
		}
	case "boolopt":
		for i, name := range boolOpts {
			if n>>32&(1<<i) != 0 {
				m.add(name, n>>i&1, name+" %d ")
			}
		}
	default:
		m.add(json, n, text+" %d ")
	}
}

func timer(name string, hundredths uint64) string {
	return fmt.Sprintf("%s %4d.%02d ", name, hundredths/100, hundredths%100)
}

// bridgeID formats a bridge id: a priority and a MAC address.
func bridgeID(id uint64) string {
	mac := rtnl.LLAddr([]byte{byte(id >> 40), byte(id >> 32), byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)})
	return fmt.Sprintf("%04x.%s", id>>48, trimZeros(mac.String()))
}

// trimZeros removes the leading zeros from the bytes of a MAC address, as ip(8) does in bridge ids.
func trimZeros(mac string) string {
	parts := strings.Split(mac, ":")
	for i, p := range parts {
		if p[0] == '0' {
			parts[i] = p[1:]
		}
	}
	return strings.Join(parts, ":")
}

func vlanProtocol(n uint64) string {
	switch n {
	case unix.ETH_P_8021Q:
		return "802.1Q"
	case unix.ETH_P_8021AD:
		return "802.1ad"
	}
	return fmt.Sprintf("%#x", n)
}

var portStates = []string{"disabled", "listening", "learning", "forwarding", "blocking"}

// portText and portJSON are the names of a port's options that differ in text and in JSON.
var (
	portText = map[string]string{"id": "port_id", "no": "port_no", "bridge_id": "designated_bridge",
		"root_id": "designated_root"}
	portJSON = map[string]string{"mcast_router": "multicast_router"}
)

func (s LinkStyle) portOption(m *members, opt rtnl.Option, n uint64, all rtnl.Options) {
	json, text := opt.Name, opt.Name
	if name, ok := portText[opt.Name]; ok {
		text = name
	}
	if name, ok := portJSON[opt.Name]; ok {
		json = name
	}
	switch opt.Name {
	case "state":
		if int(n) < len(portStates) {
			m.add(json, portStates[n], text+" %s ")
			return
		}
		m.add("state_index", n, "state (%d) ")
	case "id", "no":
		m.add(json, fmt.Sprintf("%#x", n), text+" %s ")
	case "bridge_id", "root_id":
		m.add(json, bridgeID(n), text+" %s ")
	case "hold_timer", "message_age_timer", "forward_delay_timer":
		m.put(json, seconds(n), timer(text, n))
	case "mcast_router":
		m.add(json, n, text+" %d ")
		if fast, ok := all["fastleave"].(uint64); ok {
			s.onOff(m, "", "mcast_fast_leave", fast) // ip(8) prints it again with this name
		}
	case "group_fwd_mask":
		m.add(json, hexOrZero(n), text+" %s ")
		m.add("group_fwd_mask_str", groupMask(n), "group_fwd_mask_str %s ")
	case "backup_port":
		m.add(json, s.name(uint32(n)), text+" %s ")
	case "fdb_flush":
	default:
		if opt.Type == rtnl.U8 && opt.Name != "topology_change_ack" && opt.Name != "config_pending" {
			s.onOff(m, json, text, n)
			return
		}
		m.add(json, n, text+" %d ")
	}
}

func hexOrZero(n uint64) string {
	if n == 0 {
		return "0"
	}
	return fmt.Sprintf("%#x", n)
}

// groupMask returns the names of the link-local group addresses that a port forwards.
func groupMask(mask uint64) string {
	var found []string
	for _, bit := range []struct {
		mask uint64
		name string
	}{{1 << 2, "lacp"}, {1 << 14, "lldp"}, {1 << 0, "stp"}} {
		if mask&bit.mask != 0 {
			found = append(found, bit.name)
			mask &^= bit.mask
		}
	}
	if mask != 0 || len(found) == 0 {
		found = append(found, fmt.Sprintf("0x%x", mask))
	}
	return strings.Join(found, ",")
}

func (s LinkStyle) onOff(m *members, json, text string, n uint64) {
	m.put(json, n != 0, text+" "+map[bool]string{false: "off", true: "on"}[n != 0]+" ")
}

var vlanFlags = []string{"REORDER_HDR", "GVRP", "LOOSE_BINDING", "MVRP", "BRIDGE_BINDING"}

func vlanOption(m *members, name string, n uint64, value any) {
	switch name {
	case "ingress-qos-map", "egress-qos-map":
		maps, _ := value.([]rtnl.QoS)
		addQoS(m, strings.TrimSuffix(name, "-qos-map"), maps)
	case "protocol":
		m.add(name, vlanProtocol(n), name+" %s ")
	case "id":
		m.add(name, n, name+" %d ")
	case "flags":
		found := []string{}
		for i, flag := range vlanFlags {
			if n&(1<<i) != 0 {
				found = append(found, flag)
			}
		}
		m.put(name, found, "<"+strings.Join(found, ",")+"> ")
	}
}

func addQoS(m *members, way string, maps []rtnl.QoS) {
	list := []members{}
	text := "\n      " + way + "-qos-map { "
	for _, q := range maps {
		list = append(list, members{{"from", q.From, ""}, {"to", q.To, ""}})
		text += fmt.Sprintf("%d:%d ", q.From, q.To)
	}
	m.put(way+"_qos", list, text+"} ")
}

// vxlanFlags maps a VXLAN's on/off options to their names in print and their defaults. The text leaves out an option
// that has its default.
var vxlanFlags = map[string]struct {
	name string
	on   bool
}{
	"external": {"external", false}, "vnifilter": {"vnifilter", false}, "learning": {"learning", true},
	"proxy": {"proxy", false},
	"rsc":   {"rsc", false}, "l2miss": {"l2miss", false}, "l3miss": {"l3miss", false}, "udpcsum": {"udp_csum", true},
	"udp6zerocsumtx": {"udp_zero_csum6_tx", false}, "udp6zerocsumrx": {"udp_zero_csum6_rx", false},
	"remcsumtx": {"remcsum_tx", false},
	"remcsumrx": {"remcsum_rx", false}, "localbypass": {"localbypass", true}, "mcroute": {"mcroute", false},
}

func (s LinkStyle) vxlanOption(m *members, name string, n uint64, value any) {
	if sw, ok := vxlanFlags[name]; ok {
		text := ""
		switch on := n != 0; {
		case on && !sw.on:
			text = sw.name + " "
		case !on && sw.on:
			text = "no" + sw.name + " "
		}
		m.put(sw.name, n != 0, text)
		return
	}
	switch name {
	case "remote", "local":
		addVXLANAddr(m, name, value)
	case "link":
		if n != 0 {
			m.add(name, s.name(uint32(n)), "dev %s ")
		}
	case "srcport":
		low, high := n>>16, n&0xffff
		m.put("port_range", members{{"low", low, ""}, {"high", high, ""}}, fmt.Sprintf("srcport %d %d ", low, high))
	case "dstport":
		m.add("port", n, "dstport %d ")
	case "tos":
		if n == 1 {
			m.put(name, "0x1", "tos inherit ")
		} else if n != 0 {
			m.add(name, fmt.Sprintf("%#x", n), "tos %s ")
		}
	case "ttl":
		text := fmt.Sprintf("ttl %d ", n)
		if n == 0 {
			text = "ttl auto "
		}
		m.put(name, n, text)
	case "df":
		addVXLANFragment(m, n)
	case "flowlabel":
		if n != 0 {
			m.put("label", fmt.Sprintf("%#x", n), fmt.Sprintf("flowlabel %#x ", n))
		}
	case "ageing", "maxaddr":
		if n != 0 || name == "ageing" {
			m.add(map[string]string{"ageing": "ageing", "maxaddr": "limit"}[name], n, name+" %d ")
		}
	case "id":
		m.add(name, n, name+" %d ")
	case "reserved_bits":
		m.add(name, fmt.Sprintf("%#x", n), name+" %s ")
	case "gbp", "gpe":
		m.put(name, nil, name+" ")
	}
}

// addVXLANAddr adds a VXLAN's remote or local address. The name in JSON depends on the family.
func addVXLANAddr(m *members, name string, value any) {
	addr, ok := value.(netip.Addr)
	if !ok || addr.IsUnspecified() {
		return
	}
	if name == "remote" && addr.IsMulticast() {
		name = "group"
	}
	json := name
	if addr.Is6() {
		json += "6"
	}
	m.add(json, addr.String(), name+" %s ")
}

func addVXLANFragment(m *members, n uint64) {
	modes := []string{"unset", "set", "inherit"}
	if int(n) >= len(modes) {
		return
	}
	text := "df " + modes[n] + " "
	if n == 0 {
		text = ""
	}
	m.put("df", modes[n], text)
}
