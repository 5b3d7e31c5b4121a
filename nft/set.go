package nft

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
)

// A field is a type of data that nft knows.
type field struct {
	name string
	// id is nft's number for it, which nft list needs to print the set's type;
	// enum datatypes of nft's include/datatype.h.
	id   uint32
	size int // bytes
	text func(value string) string
}

var (
	nfProto     = &field{"nf_proto", 2, 1, func(v string) string { return familyWord(decodeFamily(v).Addr()) }}
	ipv4Addr    = &field{"ipv4_addr", 7, 4, addrText}
	ipv6Addr    = &field{"ipv6_addr", 8, 16, addrText}
	inetProto   = &field{"inet_proto", 12, 1, func(v string) string { return Proto(v[0]).String() }}
	inetService = &field{"inet_service", 13, 2, func(v string) string { return fmt.Sprint(decodePort(v)) }}
	ifname      = &field{"ifname", 41, nameSize, func(v string) string { return fmt.Sprintf("%q", decodeName(v)) }}
)

// padded is the size in a key, where every field begins at a register.
func (f *field) padded() int { return (f.size + 3) &^ 3 }

func addrText(v string) string {
	a, _ := netip.AddrFromSlice([]byte(v))
	return a.String()
}

// interval prints a range of values as nft does: a prefix where it is one.
func (f *field) interval(first, last string) string {
	if f == ipv4Addr || f == ipv6Addr {
		if p, err := prefixOf(first, last); err == nil {
			return p.String()
		}
	}
	return f.text(first) + "-" + f.text(last)
}

func familyWord(a netip.Addr) string {
	if a.Is4() {
		return "ipv4"
	}
	return "ipv6"
}

// A set is a named set, or with data a map.
type set struct {
	name      string
	key, data []*field
	interval  bool // keys may be intervals; more than one field means per field
	counter   bool
	dynamic   bool // filled by packets, not by us
	flowtable bool // not a set, but a flowtable: the keys are its devices
	// rule makes a rule of an element; nil in sets that only help others.
	rule func(element, set) (Rule, error)
}

// dynamicSize bounds a set that packets fill, in elements: as many as nft's own
// default.
const dynamicSize = 65535

// allSets are the sets a table can have, in the order it has them. A table has
// those that hold something.
func allSets() []set { return sets().inOrder }

// setsByName is allSets to look up in.
func setsByName() map[string]set { return sets().byName }

// sets are worked out once: they are looked up in for each element and statement.
var sets = sync.OnceValue(func() (all struct {
	inOrder []set
	byName  map[string]set
}) {
	all.inOrder = makeSets()
	all.byName = make(map[string]set, len(all.inOrder))
	for _, s := range all.inOrder {
		all.byName[s.name] = s
	}
	return all
})

func makeSets() []set {
	sets := []set{
		{name: "isolate", key: []*field{ifname, ifname}, counter: true, rule: isolateOf},
		{name: "same_link", key: []*field{ifname, ifname}, dynamic: true},
	}
	for _, addr := range []*field{ipv4Addr, ipv6Addr} {
		n := addr.name[3:4]
		sets = append(sets, set{name: "targets" + n, key: []*field{addr}})
		sets = append(sets, forwardSets(addr, "dnat"+n)...)
		sets = append(sets, egressSets(addr, n)...)
	}
	sets = append(sets,
		set{name: "masquerade_out", key: []*field{ifname}, counter: true, rule: masqueradeOf},
		set{name: "masquerade_all", key: []*field{nfProto}, counter: true, rule: masqueradeOf})
	return append(sets, fastSets()...)
}

// forwardSets are the maps of forwards, in the order they are asked.
func forwardSets(addr *field, name string) []set {
	var sets []set
	add := func(suffix string, key ...*field) {
		key = append(key, inetProto, inetService)
		sets = append(sets,
			set{name: name + suffix, key: key, data: []*field{addr, inetService}, counter: true, rule: forwardOf},
			set{name: name + suffix + "_range", key: key, data: []*field{addr}, interval: true, counter: true, rule: forwardOf})
	}
	add("_dev_addr", ifname, addr)
	add("_addr", addr)
	add("_dev", ifname)
	add("")
	return sets
}

func egressSets(addr *field, n string) []set {
	one, two, to := []*field{addr}, []*field{addr, ifname}, []*field{addr}
	return []set{
		{name: "inside" + n, key: one, interval: true},
		{name: "snat" + n + "_out", key: two, data: to, interval: true, counter: true, rule: sourceNATOf},
		{name: "masquerade" + n + "_out", key: two, interval: true, counter: true, rule: masqueradeOf},
		{name: "snat" + n, key: one, data: to, interval: true, counter: true, rule: sourceNATOf},
		{name: "masquerade" + n, key: one, interval: true, counter: true, rule: masqueradeOf},
	}
}

// setsOf are the sets of a table in which these hold something.
func setsOf(names map[string]bool) []set {
	var sets []set
	for _, s := range allSets() {
		if names[s.name] {
			sets = append(sets, s)
		}
	}
	return sets
}

// word is nft's for it.
func (s set) word() string {
	switch {
	case s.flowtable:
		return "flowtable"
	case s.data != nil:
		return "map"
	}
	return "set"
}

// typeText is what stands behind nft's "type".
func (s set) typeText() string {
	words := fieldNames(s.key)
	if s.data != nil {
		words += " : " + fieldNames(s.data)
	}
	return words
}

func fieldNames(fields []*field) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return strings.Join(names, " . ")
}

// keySize is the length of a key in bytes.
func keySize(fields []*field) int {
	n := 0
	for _, f := range fields {
		n += f.padded()
	}
	return n
}
