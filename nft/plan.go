package nft

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sort"
)

// content is what a table holds, as far as it was read.
type content struct {
	exists   bool
	sets     map[string]bool // all of them, by name
	elements map[element]count
	// partial means that of sets without intervals only those elements were read
	// that a change asks for.
	partial bool
}

type count struct{ packets, bytes uint64 }

// A change is what makes one content of a table another, in the order in which
// it has to be done.
type change struct {
	table       string
	deleteTable bool
	createTable bool
	// reshape means that other sets are needed than are there: the chains are
	// written anew.
	reshape      bool
	deleteChains []chain
	deleted      []element // not of sets that go as a whole
	deleteSets   []set
	createSets   []set
	createChains []chain
	added        []element
	// What came and went, for connections that go by the old rules.
	oldRules, newRules []Rule
}

func (c *change) empty() bool {
	return !c.deleteTable && !c.createTable && !c.reshape && len(c.deleted) == 0 && len(c.added) == 0
}

// elementsOf are all elements that a table of these rules has.
func elementsOf(rules []Rule) map[element]bool {
	all := make(map[element]bool, len(rules))
	for _, r := range rules {
		for _, e := range r.elements() {
			all[e] = true
		}
		switch r := r.(type) {
		case Forward:
			all[targetOf(r)] = true
		case Fastpath:
			for _, e := range r.helpers() {
				all[e] = true
			}
		}
	}
	for _, e := range insideOf(rules) {
		all[e] = true
	}
	return all
}

// targetOf is the element that tells our forwards from others'.
func targetOf(f Forward) element {
	return element{set: "targets" + digit(f.To), key: string(f.To.AsSlice())}
}

// insideOf are the elements of the networks among which nothing is translated:
// the sources of the rules without a device, those left out that lie in another.
func insideOf(rules []Rule) []element {
	var sources []netip.Prefix
	for _, r := range rules {
		var source netip.Prefix
		var out string
		switch r := r.(type) {
		case Masquerade:
			source, out = r.Source, r.Out
		case SourceNAT:
			source, out = r.Source, r.Out
		}
		if source.IsValid() && source.Bits() > 0 && out == "" {
			sources = append(sources, source)
		}
	}
	sort.Slice(sources, func(i, j int) bool { return sources[i].Bits() < sources[j].Bits() })
	var kept []netip.Prefix
	var inside []element
	for _, s := range sources {
		if slices.ContainsFunc(kept, func(k netip.Prefix) bool { return k.Overlaps(s) }) {
			continue
		}
		kept = append(kept, s)
		e := egressElement(s, "")
		e.set = "inside" + e.set
		inside = append(inside, e)
	}
	return inside
}

// shapeOf are the names of the sets that these elements need.
func shapeOf(elements map[element]bool) map[string]bool {
	names := make(map[string]bool)
	for e := range elements {
		names[e.set] = true
	}
	if names["targets4"] || names["targets6"] {
		names["same_link"] = true
	}
	if names[flowtable] {
		names[fastLinks], names[fastSwitching] = true, true
	}
	return names
}

// rulesOf reads the rules back from a table's elements.
func (c content) rulesOf() []Counted {
	sets := setsByName()
	counts := make(map[Rule]count, len(c.elements))
	for e, n := range c.elements {
		s := sets[e.set]
		if s.rule == nil {
			continue
		}
		r := s.ruleOf(e)
		sum := counts[r] // a range that moves is many elements
		counts[r] = count{sum.packets + n.packets, sum.bytes + n.bytes}
	}
	rules := make([]Counted, 0, len(counts))
	for r, n := range counts {
		rules = append(rules, Counted{r, n.packets, n.bytes})
	}
	sort.Slice(rules, func(i, j int) bool { return compare(rules[i], rules[j]) < 0 })
	return rules
}

// compare orders rules: by what they are, then by family, address and port.
func compare(a, b Counted) int {
	ka, kb := sortKey(a.Rule), sortKey(b.Rule)
	return cmp.Or(cmp.Compare(ka.kind, kb.kind), cmp.Compare(ka.element.set, kb.element.set),
		cmp.Compare(ka.element.key, kb.element.key), cmp.Compare(ka.element.end, kb.element.end))
}

type ruleKey struct {
	kind    int
	element element
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
	case Fastpath:
		key.kind = 4
	case Foreign:
		key.kind = 5
	}
	return key
}

// planChange works out the change from what is there. Deleting what is not there
// is an error, so is adding what contradicts what is there; adding what is there
// is nothing to do.
func planChange(table string, have content, del, add []Rule) (*change, error) {
	counted := have.rulesOf()
	rules := make(map[Rule]bool, len(counted))
	for _, r := range counted {
		rules[r.Rule] = true
	}
	c := &change{table: table}
	for _, r := range del {
		if !rules[r] {
			return nil, &Error{Op: "delete", Object: r.String(), Err: absentError{}}
		}
		delete(rules, r)
		c.oldRules = append(c.oldRules, r)
	}
	if err := c.addRules(rules, add); err != nil {
		return nil, err
	}
	want := slices.Collect(maps.Keys(rules))
	if !have.partial && !slices.ContainsFunc(want, func(r Rule) bool { return !isForeign(r) }) {
		want = nil // what others put beside the last rule goes with it
	}
	c.shape(have, elementsOf(want))
	return c, nil
}

// addRules adds what is not yet among the rules, unless it contradicts them.
func (c *change) addRules(rules map[Rule]bool, add []Rule) error {
	taken := takenBy(rules)
	for _, r := range add {
		if rules[r] {
			continue
		}
		if other := taken.conflict(r); other != nil {
			return &Error{Op: "add", Object: r.String(), Err: &conflictError{other}}
		}
		if f, ok := r.(Fastpath); ok {
			if err := f.tooMany(rules); err != nil {
				return err
			}
		}
		rules[r] = true
		taken.put(r)
		c.newRules = append(c.newRules, r)
	}
	return nil
}

// places finds rules by the keys of their elements.
type places struct {
	sets      map[string]set
	exact     map[place]Rule
	intervals map[string][]held // by set
}

type held struct {
	element element
	rule    Rule
}

func takenBy(rules map[Rule]bool) places {
	p := places{setsByName(), make(map[place]Rule, len(rules)), make(map[string][]held)}
	for r := range rules {
		p.put(r)
	}
	return p
}

func (p places) put(r Rule) {
	for _, e := range r.elements() {
		p.exact[e.place()] = r
		if p.sets[e.set].interval {
			p.intervals[e.set] = append(p.intervals[e.set], held{e, r})
		}
	}
}

// conflict returns a rule that has a key of r's.
func (p places) conflict(r Rule) Rule {
	for _, e := range r.elements() {
		if other := p.exact[e.place()]; other != nil {
			return other
		}
		for _, h := range p.intervals[e.set] {
			if e.overlaps(h.element, p.sets[e.set]) {
				return h.rule
			}
		}
	}
	return nil
}

// shape completes the change by what is to be written.
func (c *change) shape(have content, want map[element]bool) {
	shape := shapeOf(want)
	if have.partial {
		for name := range have.sets {
			shape[name] = true
		}
	}
	if len(shape) == 0 {
		c.deleteTable = have.exists
		return
	}
	c.createTable = !have.exists
	restart := restarts(have, want)
	for _, s := range allSets() {
		switch {
		case s.flowtable && shape[s.name] && restart:
			c.restart(&have, s)
		case shape[s.name] && !have.sets[s.name]:
			c.createSets = append(c.createSets, s)
		case !shape[s.name] && have.sets[s.name]:
			c.deleteSets = append(c.deleteSets, s)
		}
	}
	if c.reshape = len(c.createSets)+len(c.deleteSets) > 0; c.reshape {
		c.createChains = chainsOf(shape)
		c.deleteChains = slices.DeleteFunc(chainsOf(have.sets), func(old chain) bool {
			return slices.ContainsFunc(c.createChains, func(n chain) bool { return n.name == old.name })
		})
	}
	c.compare(have, want, shape)
}

// compare finds the elements that differ.
func (c *change) compare(have content, want map[element]bool, shape map[string]bool) {
	sets := setsByName()
	for e := range have.elements {
		if !want[e] && shape[e.set] && !sets[e.set].dynamic {
			c.deleted = append(c.deleted, e)
		}
	}
	for e := range want {
		if _, there := have.elements[e]; !there {
			c.added = append(c.added, e)
		}
	}
	order := make(map[string]int)
	for i, s := range allSets() {
		order[s.name] = i
	}
	// Package slices would make a copy of its sorting for each of these types.
	for _, list := range [][]element{c.deleted, c.added} {
		sort.Slice(list, func(i, j int) bool {
			a, b := list[i], list[j]
			return cmp.Or(cmp.Compare(order[a.set], order[b.set]), cmp.Compare(a.key, b.key), cmp.Compare(a.end, b.end)) < 0
		})
	}
}
