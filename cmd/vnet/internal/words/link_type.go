package words

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/names"
	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/rtnl"
)

// readType takes a kind and its options, up to the end.
func readType(r *linkReader, k string) {
	r.Type = r.Value(k)
	if r.Err != nil {
		return
	}
	switch {
	case r.Type == "veth":
		r.readPeer()
	case strings.HasSuffix(r.Type, "_slave"):
		r.Config.PortKind = r.Type
		r.Config.Port = r.options(r.Type)
	default:
		r.Config.Kind = rtnl.Kind{Name: r.Type, Options: r.options(r.Type)}
	}
	if len(r.Config.Kind.Options) == 0 && r.Links == nil {
		r.Config.Kind.Options = nil
	}
}

// readPeer parses the other end of a veth pair: peer [name] NAME and properties.
func (r *linkReader) readPeer() {
	r.Config.Kind.Name = "veth"
	if !r.More() {
		return
	}
	if word := r.Next(); word != "peer" {
		r.Fail(`expected "peer" after veth, not %q`, word)
		return
	}
	var c LinkChange
	peer := &linkReader{Words: r.Words, LinkChange: &c, add: r.add, isPeer: true}
	peer.read()
	if c.Name == "" {
		c.Name = c.Dev
	}
	if c.Name != "" {
		peer.checkName(c.Name, false)
	}
	c.Config.Name, c.Config.Index = c.Name, c.Index
	r.Peer, r.Help = &c, c.Help
}

// options parses the options of a kind. An abbreviation means the first option that it fits.
func (r *linkReader) options(kind string) rtnl.Options {
	o := rtnl.Options{}
	for r.More() && !r.Help {
		word := r.Next()
		if word == "help" {
			r.Help = true
			break
		}
		if !r.option(kind, word, o) && r.Err == nil {
			e := Unknown(kind+" option", word, optionNames(kind))
			e.Status = 1
			r.Err = e
		}
	}
	return o
}

func optionNames(kind string) []string {
	var all []string
	for _, opt := range rtnl.KindOptions(kind) {
		if !opt.ReadOnly {
			all = append(all, opt.Name)
		}
	}
	return all
}

// boolOpts are the names of the bits of IFLA_BR_MULTI_BOOLOPT.
var boolOpts = []string{"no_linklocal_learn", "mcast_vlan_snooping", "mst_enabled", "mdb_offload_fail_notification",
	"fdb_local_vlan_0"}

// option parses one option; false if the kind has no option of that name.
func (r *linkReader) option(kind, word string, o rtnl.Options) bool {
	switch kind {
	case "bridge_slave":
		switch word {
		case "mcast_fast_leave":
			word = "fastleave"
		case "nobackup_port":
			o["backup_port"] = uint64(0)
			return true
		}
	case "bond":
		switch word {
		case "num_unsol_na":
			word = "num_grat_arp"
		case "clear_active_slave":
			o["active_slave"] = uint64(0)
			return true
		}
	case "vxlan":
		if r.vxlanOption(word, o) {
			return true
		}
	case "vlan":
		if r.vlanOption(word, o) {
			return true
		}
	case "macvlan", "macvtap", "ipvlan", "ipvtap":
		if r.modeOption(kind, word, o) {
			return true
		}
	case "bridge":
		if bit := slices.Index(boolOpts, word); bit >= 0 {
			old, _ := o["boolopt"].(uint64)
			o["boolopt"] = old | 1<<(32+bit) | uint64(r.number32(word)&1)<<bit
			return true
		}
	}
	for _, opt := range rtnl.KindOptions(kind) {
		if opt.ReadOnly || !Short(word, opt.Name) {
			continue
		}
		if opt.Type == rtnl.Index {
			r.link(opt.Name, r.Value(word))
		} else {
			o[opt.Name] = r.optionValue(kind, opt, word)
		}
		return true
	}
	return false
}

// link records that an option gets the index of a link.
func (r *linkReader) link(option, name string) {
	if r.Links == nil {
		r.Links = map[string]string{}
	}
	r.Links[option] = name
}

// optionValue parses the value of an option by its type.
func (r *linkReader) optionValue(kind string, opt rtnl.Option, word string) any {
	switch {
	case opt.Type == rtnl.Flag:
		return uint64(1)
	case opt.Type == rtnl.LL:
		return r.lladdr(word)
	case opt.Type == rtnl.Addrs:
		return r.addrs(word)
	case opt.Type == rtnl.QoSMap:
		return r.qosMap(word)
	case opt.Names != nil:
		return r.named(word, opt.Names)
	case opt.Name == "vlan_protocol":
		return r.vlanProtocol(word)
	case kind == "vrf" && opt.Name == "table":
		table, ok := names.RouteTables.Number(r.Value(word))
		if !ok {
			r.Fail(`"table": unknown routing table`)
		}
		return uint64(table)
	case kind == "bridge_slave" && opt.Type == rtnl.U8 && opt.Name != "mcast_router" && opt.Name != "state":
		return uint64(*r.onOff(word))
	}
	value := r.Value(word)
	n, ok := Number(value, 1<<64-1)
	switch {
	case !ok && kind == "bridge_slave" && opt.Name == "state":
		r.FailHint("0 disabled, 1 listening, 2 learning, 3 forwarding, 4 blocking", "%q: %q is not a number", word, value)
	case !ok:
		r.Fail("%q: %q is not a number", word, value)
	}
	return n
}

// named parses one of the names, or its number.
func (r *linkReader) named(keyword string, names []string) uint64 {
	word := r.Value(keyword)
	at := slices.Index(names, word)
	if n, ok := Number(word, uint64(len(names)-1)); ok {
		at = int(n)
	}
	if at < 0 && r.Err == nil {
		r.Err = Unknown(keyword, word, names)
	}
	return uint64(max(at, 0))
}

// addrs parses a list of addresses separated by commas.
func (r *linkReader) addrs(keyword string) (all []netip.Addr) {
	family := unix.AF_INET
	if keyword == "ns_ip6_target" {
		family = unix.AF_INET6
	}
	for _, word := range strings.Split(r.Value(keyword), ",") {
		a, ok := ParseAddr(word, family)
		if !ok {
			r.failAddr(family, "address", word)
		}
		all = append(all, a)
	}
	return all
}

// qosMap parses pairs of priorities: 1:2 3:4.
func (r *linkReader) qosMap(keyword string) (all []rtnl.QoS) {
	for word := r.Value(keyword); r.Err == nil; word = r.Next() {
		from, to, ok := strings.Cut(word, ":")
		a, ok1 := Number(from, 1<<32-1)
		b, ok2 := Number(to, 1<<32-1)
		if !ok || !ok1 || !ok2 {
			r.Fail("%q: expected FROM:TO with two numbers, not %q", keyword, word)
		}
		all = append(all, rtnl.QoS{From: uint32(a), To: uint32(b)})
		if !strings.Contains(r.Peek(), ":") {
			break
		}
	}
	return all
}

func (r *linkReader) vlanProtocol(word string) uint64 {
	switch value := r.Value(word); strings.ToLower(value) {
	case "802.1q":
		return unix.ETH_P_8021Q
	case "802.1ad":
		return unix.ETH_P_8021AD
	default:
		r.Fail(`%q must be "802.1Q" or "802.1ad", not %q`, word, value)
	}
	return 0
}

// vlanFlags are the names of the bits of IFLA_VLAN_FLAGS.
var vlanFlags = []string{"reorder_hdr", "gvrp", "loose_binding", "mvrp", "bridge_binding"}

func (r *linkReader) vlanOption(word string, o rtnl.Options) bool {
	switch {
	case word == "protocol":
		o["protocol"] = r.vlanProtocol(word)
		return true
	case Short(word, "id"):
		value := r.Value(word)
		id, ok := Number(value, 1<<16-1) // the kernel checks the range of VLAN ids
		if !ok {
			r.FailHint("a VLAN id is a number from 0 to 4094", `"id": %q is not a VLAN id`, value)
		}
		o["id"] = id
		return true
	}
	for bit, name := range vlanFlags {
		if Short(word, name) {
			old, _ := o["flags"].(uint64)
			o["flags"] = old | 1<<(32+bit) | uint64(*r.onOff(word))<<bit
			return true
		}
	}
	return false
}

func (r *linkReader) modeOption(kind, word string, o rtnl.Options) bool {
	modes := naming.MacvlanModes
	if strings.HasPrefix(kind, "ip") {
		modes = naming.IpvlanModes
		if flag, ok := naming.IpvlanFlags.Number(word); ok {
			o["flags"] = flag
			return true
		}
	}
	switch {
	case word == "nopromisc":
		o["flags"] = uint64(1)
		return true
	case Short(word, "mode"):
		value := r.Value(word)
		mode, ok := modes.Number(value)
		if !ok {
			r.Err = &Error{Text: fmt.Sprintf("%q is not a mode of %s", value, kind), Status: 1}
		}
		o["mode"] = mode
		return true
	}
	return false
}

// vxlanFlags are the keywords of a VXLAN that take no value, with the option and value that they set.
var vxlanFlags = map[string]struct {
	name  string
	value uint64
}{
	"learning": {"learning", 1}, "nolearning": {"learning", 0}, "proxy": {"proxy", 1}, "noproxy": {"proxy", 0},
	"rsc": {"rsc", 1}, "norsc": {"rsc", 0}, "l2miss": {"l2miss", 1}, "nol2miss": {"l2miss", 0},
	"l3miss": {"l3miss", 1}, "nol3miss": {"l3miss", 0}, "udpcsum": {"udpcsum", 1}, "noudpcsum": {"udpcsum", 0},
	"udp6zerocsumtx": {"udp6zerocsumtx", 1}, "noudp6zerocsumtx": {"udp6zerocsumtx", 0},
	"udp6zerocsumrx": {"udp6zerocsumrx", 1}, "noudp6zerocsumrx": {"udp6zerocsumrx", 0},
	"remcsumtx": {"remcsumtx", 1}, "noremcsumtx": {"remcsumtx", 0}, "remcsumrx": {"remcsumrx", 1},
	"noremcsumrx": {"remcsumrx", 0},
	"gbp":         {"gbp", 1}, "gpe": {"gpe", 1}, "external": {"external", 1}, "noexternal": {"external", 0},
	"vnifilter": {"vnifilter", 1}, "novnifilter": {"vnifilter", 0}, "localbypass": {"localbypass", 1},
	"nolocalbypass": {"localbypass", 0},
	"mcroute":       {"mcroute", 1}, "nomcroute": {"mcroute", 0},
}

func (r *linkReader) vxlanOption(word string, o rtnl.Options) bool {
	if sw, ok := vxlanFlags[word]; ok {
		o[sw.name] = sw.value
		return true
	}
	switch word {
	case "vni":
		o["id"] = uint64(r.number32(word))
	case "group", "remote":
		o["remote"] = r.vxlanAddr(word)
	case "local":
		o["local"] = r.vxlanAddr(word)
	case "dev":
		r.link("link", r.Value(word))
	case "ttl", "hoplimit":
		if r.Take("inherit") {
			o["ttl_inherit"] = uint64(1)
		} else if !r.Take("auto") {
			o["ttl"] = uint64(r.number32(word))
		}
	case "tos", "dsfield":
		if r.Take("inherit") {
			o["tos"] = uint64(1)
		} else {
			o["tos"] = uint64(r.number32(word))
		}
	case "df":
		at := slices.Index([]string{"unset", "set", "inherit"}, r.Value(word))
		if at < 0 {
			r.Fail(`"df" must be "unset", "set" or "inherit"`)
		}
		o["df"] = uint64(max(at, 0))
	case "port", "srcport":
		low, high := uint64(r.number32(word)), uint64(r.number32(word))
		o["srcport"] = low<<16 | high&0xffff
	case "ageing":
		if r.Take("none") {
			o["ageing"] = uint64(0)
		} else {
			o["ageing"] = uint64(r.number32(word))
		}
	case "maxaddress":
		if !r.Take("unlimited") {
			o["maxaddr"] = uint64(r.number32(word))
		}
	default:
		return false
	}
	return true
}

// vxlanAddr takes an address; "any" is 0.0.0.0.
func (r *linkReader) vxlanAddr(keyword string) netip.Addr {
	word := r.Value(keyword)
	if word == "any" {
		return netip.IPv4Unspecified()
	}
	a, ok := ParseAddr(word, 0)
	if !ok {
		r.Fail("%q: expected %s address, not %q", keyword, familyName(0), word)
	}
	return a
}
