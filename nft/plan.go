package nft

import (
	"cmp"
	"maps"
	"slices"
	"sort"
)

// content is the content of a table, as far as it was read.
type content struct {
	table    table
	exists   bool
	sets     map[string]bool // all of them, by name
	elements map[element]count
	// partial means that of sets without intervals, only the elements that a change needs were read.
	partial bool
	whole   bool // all its sets were read
	damaged bool // its chains lack rules; see checkChains
	// foreignSets means that the table also has sets of somebody else.
	foreignSets bool
}

// isOlder reports whether the table has sets for all prefix lengths, or gates without their links, as older versions of
// vnet made it.
func (c content) isOlder() bool {
	if c.sets["gate"] && !c.sets["gate_link"] || c.sets["own"] && !c.sets["own_route"] {
		return true
	}
	for name := range c.sets {
		if setNamed(name).allLengths {
			return true
		}
	}
	return false
}

type count struct{ packets, bytes uint64 }

// A change is the difference between two contents of a table. The fields are in the order of execution.
type change struct {
	table table
	// The sets and elements after the change. partial means that the table also has others.
	sets    map[string]bool
	want    map[element]bool
	partial bool

	deleteTable bool
	createTable bool
	// rebuildChains means that the table needs other sets than it has, or its chains lack rules. So all rules of its
	// chains are replaced.
	rebuildChains bool
	deleteChains  []chain
	deleted       []element // except those of deleted sets
	deleteSets    []set
	createSets    []set
	createChains  []chain
	added         []element
	// The deleted and the added rules, to find stale flows. oldRules also has the parts of rules that a new, more
	// specific rule overrides.
	oldRules, newRules []Rule
}

func (c *change) empty() bool {
	return !c.deleteTable && !c.createTable && !c.rebuildChains && len(c.deleted) == 0 && len(c.added) == 0
}

// elementsOf returns all elements of a table with these rules.
func elementsOf(rules []Rule) map[element]bool {
	all := make(map[element]bool, len(rules))
	for _, r := range rules {
		for _, e := range r.elements() {
			all[e] = true
		}
		switch r := r.(type) {
		case Forward:
			all[targetElement(r)] = true
		case Closed:
			all[element{set: "closed_link", key: encodeName(r.Link) + encodeName(r.Link)}] = true
		case Own:
			all[element{set: "own_route", key: encodeName(r.Link)}] = true
		case Gate:
			all[element{set: "gate_link", key: encodeName(r.Link)}] = true
		case Fastpath:
			for _, e := range r.helperElements() {
				all[e] = true
			}
		case PortAddress:
			for _, e := range r.helperElements() {
				all[e] = true
			}
		}
	}
	for _, e := range privateElements(rules) {
		all[e] = true
	}
	return all
}

// targetElement returns the element that distinguishes this table's forwards from those of other tables.
func targetElement(f Forward) element {
	return element{set: "targets" + familyDigit(f.To), key: string(f.To.AsSlice())}
}

// setNamesFor returns the names of the sets that these elements need.
func setNamesFor(elements map[element]bool) map[string]bool {
	names := make(map[string]bool)
	for e := range elements {
		names[e.set] = true
	}
	if names["targets4"] || names["targets6"] {
		names["same_link"] = true
	}
	if names["guarded"] {
		names["bridged"] = true
	}
	if hasAntispoof(names) || names["port_mac"] || names["source4"] || names["source6"] {
		for _, s := range antispoofSets() {
			names[s.name] = true
		}
	}
	if names[flowtable] {
		names[fastLinks], names[fastSwitching] = true, true
	}
	return names
}

// rules returns the rules of a table's elements, sorted.
func (c content) rules() []CountedRule {
	counts := make(map[Rule]count, len(c.elements))
	for e, n := range c.elements {
		s := setNamed(e.set)
		if s.decode == nil {
			continue
		}
		r := s.decodeRule(e)
		if r == nil { // an auxiliary element
			continue
		}
		sum := counts[r] // a range with other target ports has many elements
		counts[r] = count{sum.packets + n.packets, sum.bytes + n.bytes}
	}
	rules := make([]keyedRule, 0, len(counts))
	for r, n := range counts {
		rules = append(rules, keyedRule{sortKey(r), CountedRule{r, n.packets, n.bytes}})
	}
	sort.Slice(rules, func(i, j int) bool { return rules[i].key.compare(rules[j].key) < 0 })
	sorted := make([]CountedRule, len(rules))
	for i, r := range rules {
		sorted[i] = r.rule
	}
	return sorted
}

// A keyedRule is a rule with its key, which takes longer to make than to compare.
type keyedRule struct {
	key  ruleKey
	rule CountedRule
}

// A ruleKey orders rules by kind, family, address and port.
type ruleKey struct {
	kind    int
	element element
}

func (k ruleKey) compare(other ruleKey) int {
	return cmp.Or(cmp.Compare(k.kind, other.kind), cmp.Compare(k.element.set, other.element.set),
		cmp.Compare(k.element.key, other.element.key), cmp.Compare(k.element.end, other.element.end))
}

func sortKey(r Rule) ruleKey {
	key := ruleKey{element: r.elements()[0]}
	switch r.(type) {
	case SourceNAT:
		key.kind = 1
	case Forward:
		key.kind = 2
	case Isolate:
		key.kind = 3
	case Own:
		key.kind = 4
	case Closed:
		key.kind = 5
	case Allow:
		key.kind = 6
	case Gate:
		key.kind = 7
	case Fastpath:
		key.kind = 8
	case Hairpin:
		key.kind = 9
	case Antispoof:
		key.kind = 10
	case PortAddress:
		key.kind = 11
	case Tenant:
		key.kind = 12
	case Foreign:
		key.kind = 13
	}
	return key
}

// planChange computes the change of a table with the content have. Deleting a rule that does not exist is an error, and
// so is adding a rule that conflicts with an existing one. Adding an existing rule does nothing.
func planChange(table table, have content, del, add []Rule) (*change, error) {
	rules := setOf(have.rules())
	c := &change{table: table}
	for _, r := range del {
		if !rules[r] {
			return nil, &Error{Op: "delete", Object: r.String(), Err: noSuchRuleError{}}
		}
		delete(rules, r)
		c.oldRules = append(c.oldRules, r)
	}
	if err := c.addRules(rules, add); err != nil {
		return nil, err
	}
	want := slices.Collect(maps.Keys(rules))
	if !have.partial && !slices.ContainsFunc(want, func(r Rule) bool { return !isForeign(r) }) {
		want = nil // delete foreign elements together with the last rule
	}
	c.compute(have, elementsOf(want))
	return c, nil
}

// addRules adds rules that do not exist yet. It returns an error if one conflicts with an existing rule.
func (c *change) addRules(rules map[Rule]bool, add []Rule) error {
	index := indexRules(rules)
	c.oldRules = append(c.oldRules, overridden(rules, add)...)
	for _, r := range add {
		if rules[r] {
			continue
		}
		other := index.conflict(r)
		if m, ok := r.(Masquerade); ok {
			if m.Random = !m.Random; rules[m] {
				other = m
			}
		}
		if other != nil {
			return &Error{Op: "add", Object: r.String(), Err: &conflictError{other}}
		}
		if f, ok := r.(Fastpath); ok {
			if err := f.checkLimit(rules); err != nil {
				return err
			}
		}
		rules[r] = true
		index.add(r)
		c.newRules = append(c.newRules, r)
	}
	return nil
}

// A ruleIndex finds rules by the keys of their elements.
type ruleIndex struct {
	byID      map[elementID]Rule
	intervals map[string][]indexedElement // by set
}

type indexedElement struct {
	element element
	rule    Rule
}

func indexRules(rules map[Rule]bool) ruleIndex {
	p := ruleIndex{make(map[elementID]Rule, len(rules)), make(map[string][]indexedElement)}
	for r := range rules {
		p.add(r)
	}
	return p
}

func (p ruleIndex) add(r Rule) {
	for _, e := range r.elements() {
		p.byID[e.id()] = r
		if setNamed(e.set).interval {
			p.intervals[e.set] = append(p.intervals[e.set], indexedElement{e, r})
		}
	}
}

// conflict returns a rule that has a key in common with r, or nil.
func (p ruleIndex) conflict(r Rule) Rule {
	for _, e := range r.elements() {
		if other := p.byID[e.id()]; other != nil {
			return other
		}
		for _, h := range p.intervals[e.set] {
			if e.overlaps(h.element, setNamed(e.set)) {
				return h.rule
			}
		}
	}
	return nil
}

// compute fills in the rest of the change.
func (c *change) compute(have content, want map[element]bool) {
	c.want, c.partial = want, have.exists && !have.whole
	needed := setNamesFor(want)
	if have.partial {
		for name := range have.sets {
			needed[name] = true
		}
	}
	if len(needed) == 0 {
		c.deleteTable = have.exists
		return
	}
	c.sets = needed
	c.createTable = !have.exists
	replace := needsNewFlowtable(have, want)
	all := maps.Clone(needed)
	maps.Copy(all, have.sets)
	for _, s := range setsNamed(all) {
		switch {
		case s.flowtable && needed[s.name] && replace:
			c.replaceFlowtable(&have, s)
		case needed[s.name] && !have.sets[s.name]:
			c.createSets = append(c.createSets, s)
		case !needed[s.name] && have.sets[s.name]:
			c.deleteSets = append(c.deleteSets, s)
		}
	}
	if c.rebuildChains = have.damaged || len(c.createSets)+len(c.deleteSets) > 0; c.rebuildChains {
		c.createChains = chainsFor(needed)
		c.deleteChains = slices.DeleteFunc(chainsFor(have.sets), func(old chain) bool {
			return slices.ContainsFunc(c.createChains, func(n chain) bool { return n.name == old.name })
		})
	}
	c.diffElements(have, want, needed)
}

// diffElements computes the elements to delete and to add, sorted.
func (c *change) diffElements(have content, want map[element]bool, needed map[string]bool) {
	for e := range have.elements {
		if !want[e] && needed[e.set] && !setNamed(e.set).dynamic {
			c.deleted = append(c.deleted, e)
		}
	}
	for e := range want {
		if _, exists := have.elements[e]; !exists {
			c.added = append(c.added, e)
		}
	}
	order := make(map[string]int)
	for _, list := range [][]element{c.deleted, c.added} {
		for _, e := range list {
			if _, known := order[e.set]; !known {
				order[e.set] = setNamed(e.set).order
			}
		}
	}
	// slices.SortFunc would add a copy of its code to the binary for each element type.
	for _, list := range [][]element{c.deleted, c.added} {
		sort.Slice(list, func(i, j int) bool {
			a, b := list[i], list[j]
			return cmp.Or(cmp.Compare(order[a.set], order[b.set]), cmp.Compare(a.key, b.key),
				cmp.Compare(a.end, b.end)) < 0
		})
	}
}

// setOf returns the set of the rules.
func setOf(counted []CountedRule) map[Rule]bool {
	rules := make(map[Rule]bool, len(counted))
	for _, r := range counted {
		rules[r.Rule] = true
	}
	return rules
}
