package nft

import "slices"

// A table is a table of the ruleset. Rules about routed packets are in tables of the family inet. Rules about frames
// that come in by a port of a bridge, such as [Hairpin], are in a table of the family bridge with the same name.
type table struct {
	family byte
	name   string
}

// String returns the table as nft writes it: inet vnet.
func (t table) String() string { return familyNames[t.family] + " " + t.name }

// tablesNamed returns the tables of all families with this name.
func tablesNamed(name string) []table { return []table{{protoInet, name}, {protoBridge, name}} }

// rulesOf returns the rules that belong in the table.
func (t table) rulesOf(rules []Rule) []Rule {
	return slices.DeleteFunc(slices.Clone(rules), func(r Rule) bool {
		return setNamed(r.elements()[0].set).family() != t.family
	})
}

// elementsOf returns the elements of the table.
func (t table) elementsOf(rules []Rule) map[element]bool { return elementsOf(t.rulesOf(rules)) }

// family returns the family of the table that has the set.
func (s set) family() byte {
	if s.bridge {
		return protoBridge
	}
	return protoInet
}
