package nft

import (
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Prefixes of a set must not overlap. So the sources of rules are in one set per prefix length, and the chains look up
// the longest prefix first. The length is part of the set's name: masquerade4_24, or masquerade4_24_out for rules with
// an output link. Older versions of vnet had one set for all lengths (masquerade4): vnet still reads it, and replaces
// it when the table changes.

// withLength returns the name of the set for a prefix length. name is that of the set for all lengths.
func withLength(name string, bits int) string {
	kind, out, hasOut := strings.Cut(name, "_")
	name = kind + "_" + strconv.Itoa(bits)
	if hasOut {
		name += "_" + out
	}
	return name
}

// cutLength is the inverse of withLength.
func cutLength(name string) (base string, bits int, ok bool) {
	kind, rest, _ := strings.Cut(name, "_")
	digits, out, hasOut := strings.Cut(rest, "_")
	bits, err := strconv.Atoi(digits)
	if base = kind; hasOut {
		base += "_" + out
	}
	return base, bits, err == nil && withLength(base, bits) == name
}

// setNamed returns the set with this name. The zero set means that this package has no such set.
func setNamed(name string) set {
	if s, ok := sets().byName[name]; ok {
		return s
	}
	base, bits, ok := cutLength(name)
	s := sets().byName[base]
	if !ok || !s.allLengths || bits < 0 || bits > 8*s.key[0].size {
		return set{}
	}
	s.name, s.allLengths = name, false
	s.order += 1 + 8*s.key[0].size - bits
	return s
}

// setsNamed returns the sets with these names, in their order in the table.
func setsNamed(names map[string]bool) []set {
	list := make([]set, 0, len(names))
	for name, ok := range names {
		if s := setNamed(name); ok && s.name != "" {
			list = append(list, s)
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].order < list[j].order })
	return list
}

// lengthsOf returns the prefix lengths of the sets whose names begin with one of the kinds, such as masquerade4. The
// longest is first.
func lengthsOf(names map[string]bool, kinds ...string) []int {
	var lengths []int
	for name, ok := range names {
		base, bits, hasLength := cutLength(name)
		kind, _, _ := strings.Cut(base, "_")
		if ok && hasLength && slices.Contains(kinds, kind) && !slices.Contains(lengths, bits) {
			lengths = append(lengths, bits)
		}
	}
	sort.Slice(lengths, func(i, j int) bool { return lengths[i] > lengths[j] })
	return lengths
}
