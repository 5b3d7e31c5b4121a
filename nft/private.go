package nft

import (
	"net/netip"
	"slices"
	"sort"
)

// privateElements returns the elements for the sources of all Masquerade and SourceNAT rules. Between those without an
// output link (the sets inside4 and inside6), nothing is translated. The others (the sets whose names begin with
// private) have no counters, unlike the sets of the rules: a lookup by the chain leak is not a new connection.
func privateElements(rules []Rule) []element {
	byOut := make(map[string][]netip.Prefix)
	var all []element
	for _, r := range rules {
		var source netip.Prefix
		var out string
		switch r := r.(type) {
		case Masquerade:
			source, out = r.Source, r.Out
		case SourceNAT:
			source, out = r.Source, r.Out
		default:
			continue
		}
		switch {
		case !source.IsValid():
			all = append(all, element{set: "private_out", key: encodeName(out)})
		case source.Bits() == 0 && out == "":
			all = append(all, element{set: "private_all", key: encodeFamily(source.Addr())})
		default:
			byOut[out] = append(byOut[out], source)
		}
	}
	for out, sources := range byOut {
		for _, s := range outermost(sources) {
			e := egressElement(s, out)
			if e.set = "inside" + e.set; out != "" {
				e.set = "private" + familyDigit(s.Addr()) + "_out"
			}
			all = append(all, e)
		}
	}
	return all
}

// outermost returns the prefixes that are not inside another one, without duplicates: intervals of a set must not
// overlap.
func outermost(prefixes []netip.Prefix) []netip.Prefix {
	byBits := slices.Clone(prefixes)
	sort.Slice(byBits, func(i, j int) bool { return byBits[i].Bits() < byBits[j].Bits() })
	var kept []netip.Prefix
	for _, p := range byBits {
		if !slices.ContainsFunc(kept, p.Overlaps) {
			kept = append(kept, p)
		}
	}
	return kept
}
