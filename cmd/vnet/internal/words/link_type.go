package words

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/names"
	"github.com/vnet-lab/vnet/rtnl"
)

// readType takes a kind and its options, up to the end.
func readType(r *linkReader, k string) {
	r.Type = r.Value(k)
	if r.Err != nil {
		return
	}
	switch {
	case r.isPeer:
		r.Fail(`"type" is given twice: the type of the peer is veth, too`)
	case r.Type == "veth":
		r.readPeer()
	case r.Type == "vxlan":
		r.Config.Kind = rtnl.Kind{Name: r.Type, Options: r.vxlanOptions()}
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
		if r.Help = word == "help"; !r.Help {
			r.Err = &Error{Text: fmt.Sprintf(`expected "peer" after veth, not %q`, word), Status: 1}
		}
		return
	}
	var c LinkChange
	peer := &linkReader{Words: r.Words, LinkChange: &c, add: r.add, isPeer: true}
	peer.read()
	peer.oneName()
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
		if !r.option(kind, word, o) {
			r.unknownOption(kind, word, optionNames(kind))
		}
	}
	r.checkOptions(kind, o)
	return o
}

// unknownOption fails for a word that is no option of the kind. As with ip(8), the exit code is 1.
func (r *linkReader) unknownOption(kind, word string, known []string) {
	if r.Err == nil {
		e := Unknown(kind+" option", word, known)
		e.Status = 1
		r.Err = e
	}
}

// checkOptions checks options that depend on each other.
func (r *linkReader) checkOptions(kind string, o rtnl.Options) {
	switch kind {
	case "macvlan", "macvtap":
		r.checkMacvlan(kind, o)
	case "ipvlan", "ipvtap":
		if _, given := o["flags"]; !given && len(o) > 0 {
			o["flags"] = uint64(0) // as ip(8) does: the mode comes with its flag
		}
	}
}

// KindUsage returns the syntax of a kind of link or port with all its options; "" for an unknown kind.
func KindUsage(kind string) string {
	options := optionNames(kind)
	switch {
	case kind == "veth":
		return "Usage: ... type veth [peer [name] NAME [PROPERTIES]]\n"
	case kind == "dummy" || kind == "ifb":
		return "Usage: ... type " + kind + "\n"
	case kind == "vxlan":
		options = vxlanNames()
	case options == nil:
		return ""
	}
	var b strings.Builder
	b.WriteString("Usage: ... type " + kind)
	width := b.Len()
	for _, option := range options {
		if width+len(option) > 74 {
			b.WriteString("\n          ")
			width = 10
		}
		b.WriteString(" [" + option + "]")
		width += len(option) + 3
	}
	return b.String() + "\n"
}

func optionNames(kind string) []string {
	if kind == "macvlan" || kind == "macvtap" {
		return macvlanOptions
	}
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
	case "vlan":
		if r.vlanOption(word, o) {
			return true
		}
	case "macvlan", "macvtap":
		return r.macvlanOption(kind, word, o)
	case "ipvlan", "ipvtap":
		return r.ipvlanOption(kind, word, o)
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
	n, ok := Number(value, opt.Type.Max())
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
			if r.Err == nil {
				text := fmt.Sprintf("%q: expected FROM:TO with two numbers, not %q", keyword, word)
				r.Err = &Error{Text: text, Status: 1}
			}
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
