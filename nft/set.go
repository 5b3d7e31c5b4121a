package nft

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// A field is a data type of nft.
type field struct {
	name string
	// id is nft's number of the type (enum datatypes of nft's include/datatype.h). nft list needs it to print a set.
	id   uint32
	size int // bytes
	text func(value string) string
}

var (
	nfProto     = &field{"nf_proto", 2, 1, func(v string) string { return nfprotoText(decodeFamily(v).Addr()) }}
	ipv4Addr    = &field{"ipv4_addr", 7, 4, addrText}
	ipv6Addr    = &field{"ipv6_addr", 8, 16, addrText}
	etherAddr   = &field{"ether_addr", 9, 6, func(v string) string { return decodeMAC(v).String() }}
	inetProto   = &field{"inet_proto", 12, 1, func(v string) string { return Proto(v[0]).String() }}
	inetService = &field{"inet_service", 13, 2, func(v string) string { return fmt.Sprint(decodePort(v)) }}
	// ndTarget is the raw target address of a message of neighbour discovery: nft 1.0.6 has no name for it.
	ndTarget = &field{"@th,64,128", 4, 16, func(v string) string {
		return "0x" + strings.TrimLeft(fmt.Sprintf("%x", v), "0")
	}}
	// routeName is the name of the link of a route. nft 1.0.6 compares it with a text, not with an ifname.
	routeName = &field{"fib saddr oifname", 5, nameSize, func(v string) string { return fmt.Sprintf("%q", decodeName(v)) }}

	ifname = &field{"ifname", 41, nameSize, func(v string) string { return fmt.Sprintf("%q", decodeName(v)) }}
)

// padded returns the size of the field in a key. There, every field begins at a register of four bytes.
func (f *field) padded() int { return (f.size + 3) &^ 3 }

func addrText(v string) string {
	a, _ := netip.AddrFromSlice([]byte(v))
	return a.String()
}

// interval returns a range of values as nft prints it: as a prefix if possible.
func (f *field) interval(first, last string) string {
	if f == ipv4Addr || f == ipv6Addr {
		if p, err := prefixBetween(first, last); err == nil {
			return p.String()
		}
	}
	return f.text(first) + "-" + f.text(last)
}

func nfprotoText(a netip.Addr) string {
	if a.Is4() {
		return "ipv4"
	}
	return "ipv6"
}

// A set is a named set, or a map if it has data.
type set struct {
	name      string
	key, data []*field
	interval  bool // keys may be intervals; with several fields, each field is an interval
	counter   bool
	dynamic   bool // the kernel adds elements for packets
	flowtable bool // not a set, but a flowtable: the keys are its devices
	bridge    bool // in a table of the family bridge
	// allLengths means that the set has sources of all prefix lengths. Only older versions of vnet made such sets; see
	// withLength.
	allLengths bool
	order      int // in the table
	// decode returns the rule of an element; nil for auxiliary sets.
	decode func(element, set) (Rule, error)
}

// dynamicSize is the maximum number of elements of a dynamic set: links of a machine. The kernel allocates the table of
// this size at once: with nft's default of 65535, a megabyte for each set.
const dynamicSize = 16383

// fixedSets returns the sets that a table can have, in their order in the table, except those for a prefix length; see
// setNamed. A table has only those that its rules need.
func fixedSets() []set { return sets().inOrder }

// orderStep leaves room for a set per prefix length after each set.
const orderStep = 256

// sets computes the sets once, because every element and statement needs them.
var sets = sync.OnceValue(func() (all struct {
	inOrder []set
	byName  map[string]set
}) {
	all.inOrder = makeSets()
	all.byName = make(map[string]set, len(all.inOrder))
	for i := range all.inOrder {
		s := &all.inOrder[i]
		s.order = i * orderStep
		all.byName[s.name] = *s
	}
	return all
})

func makeSets() []set {
	sets := []set{
		{name: "own", key: []*field{ifname}, decode: decodeOwn},
		{name: "closed", key: []*field{ifname}, decode: decodeClosed},
		{name: "closed_link", key: []*field{ifname, ifname}},
		{name: "allow4", key: []*field{ipv4Addr, ifname}, interval: true, allLengths: true, decode: decodeAllow},
		{name: "allow6", key: []*field{ipv6Addr, ifname}, interval: true, allLengths: true, decode: decodeAllow},
		{name: "gate", key: []*field{ifname, etherAddr}, decode: decodeGate},
		{name: "gate_link", key: []*field{ifname}},
		{name: "own_route", key: []*field{routeName}},
		{name: "isolate", key: []*field{ifname, ifname}, counter: true, decode: decodeIsolate},
		{name: "isolate_link", key: []*field{ifname, ifname}, counter: true, decode: decodeIsolate},
		{name: "same_link", key: []*field{ifname, ifname}, dynamic: true},
	}
	for _, addr := range []*field{ipv4Addr, ipv6Addr} {
		n := addr.name[3:4]
		sets = append(sets, set{name: "tenant" + n, key: []*field{addr}, decode: decodeTenant})
		sets = append(sets, set{name: "targets" + n, key: []*field{addr}})
		sets = append(sets, forwardSets(addr, "dnat"+n)...)
		sets = append(sets, egressSets(addr, n)...)
	}
	sets = append(sets,
		set{name: "masquerade_out", key: []*field{ifname}, counter: true, decode: decodeMasquerade},
		set{name: "random_out", key: []*field{ifname}, counter: true, decode: decodeMasquerade},
		set{name: "masquerade_all", key: []*field{nfProto}, counter: true, decode: decodeMasquerade},
		set{name: "random_all", key: []*field{nfProto}, counter: true, decode: decodeMasquerade},
		set{name: "private_out", key: []*field{ifname}}, set{name: "private_all", key: []*field{nfProto}})
	return slices.Concat(sets, fastpathSets(), guardSets(), bridgeSets())
}

// forwardSets returns the maps of forwards, in the order of lookup.
func forwardSets(addr *field, name string) []set {
	var sets []set
	add := func(suffix string, key ...*field) {
		key = append(key, inetProto, inetService)
		sets = append(sets,
			set{name: name + suffix, key: key, data: []*field{addr, inetService}, counter: true, decode: decodeForward},
			set{name: name + suffix + "_range", key: key, data: []*field{addr}, interval: true, counter: true,
				decode: decodeForward})
	}
	add("_dev_addr", ifname, addr)
	add("_addr", addr)
	add("_dev", ifname)
	add("")
	return sets
}

func egressSets(addr *field, n string) []set {
	one, two, to := []*field{addr}, []*field{addr, ifname}, []*field{addr}
	rules := []set{
		{name: "snat" + n + "_out", key: two, data: to, decode: decodeSourceNAT},
		{name: "masquerade" + n + "_out", key: two, decode: decodeMasquerade},
		{name: "random" + n + "_out", key: two, decode: decodeMasquerade},
		{name: "snat" + n, key: one, data: to, decode: decodeSourceNAT},
		{name: "masquerade" + n, key: one, decode: decodeMasquerade},
		{name: "random" + n, key: one, decode: decodeMasquerade},
	}
	for i := range rules {
		rules[i].interval, rules[i].counter, rules[i].allLengths = true, true, true
	}
	return append([]set{
		{name: "inside" + n, key: one, interval: true},
		{name: "private" + n + "_out", key: two, interval: true},
	}, rules...)
}

// keyword returns nft's keyword: set, map or flowtable.
func (s set) keyword() string {
	switch {
	case s.flowtable:
		return "flowtable"
	case s.data != nil:
		return "map"
	}
	return "set"
}

// typeText returns the text after nft's "type".
func (s set) typeText() string {
	text := fieldNames(s.key)
	if s.data != nil {
		text += " : " + fieldNames(s.data)
	}
	return text
}

func fieldNames(fields []*field) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return strings.Join(names, " . ")
}

// keySize returns the length of a key, in bytes.
func keySize(fields []*field) int {
	n := 0
	for _, f := range fields {
		n += f.padded()
	}
	return n
}

// typeOf returns the expressions that a set's type depends on, in nft's syntax, and the set's user data, as nft writes
// it: lists of type, length and value. The types are those of nft's include/expression.h, include/fib.h and of
// libnftnl's udata.h. Most sets have a type with a name; then the user data are nil.
func (s set) typeOf() (text string, userData []byte) {
	const order, host, fib, oifname, saddr = 0, 1, 26, 2, 1
	switch {
	case slices.Contains(s.key, routeName):
		return routeName.name, slices.Concat(udataNumber(order, host), udata(3, udataNumber(0, fib),
			udata(1, udataNumber(0, oifname), udataNumber(1, saddr))))
	case slices.Contains(s.key, ndTarget):
		return "iifname . @th,64,128", typeOfTarget()
	}
	return "", nil
}

// typeOfTarget returns the user data of nd_target.
func typeOfTarget() []byte {
	const concat, meta, payload, iifname, transport = 13, 9, 7, 6, 3
	link := udata(0, udataNumber(0, meta), udata(1, udataNumber(0, iifname)))
	target := udata(1, udataNumber(0, payload), udata(1, udataNumber(0, 0), udataNumber(1, 0), udataNumber(2, transport),
		udataNumber(3, 64), udataNumber(4, 128)))
	return append(udataNumber(0, 0), udata(3, udataNumber(0, concat), udata(1, link, target))...)
}

// udata returns a value of user data.
func udata(kind byte, values ...[]byte) []byte {
	all := slices.Concat(values...)
	return append([]byte{kind, byte(len(all))}, all...)
}

func udataNumber(kind byte, v uint32) []byte { return udata(kind, native32(v)) }
