//go:build linux

package nft

import "maps"

// A selection says which sets of a table are read.
type selection uint8

const (
	allSets    selection = iota
	ruleSets             // those with the elements of rules, without the auxiliary ones
	coarseSets           // those from which single elements cannot be read
)

func (w selection) includes(s set) bool {
	switch w {
	case ruleSets:
		return s.decode != nil
	case coarseSets:
		return s.interval || s.isFastpathSet()
	}
	return true
}

// knownTables has contents of tables that were read or written, and the generation of the ruleset at that time. As long as
// the ruleset has this generation, nobody has changed them, and they need not be read again.
type knownTables struct {
	generation uint32
	tables     map[table]content
}

// content returns the content of a table in a generation of the ruleset, if it is known.
func (k *knownTables) content(generation uint32, t table, which selection) (have content, ok bool) {
	if generation == initialGeneration { // the ruleset is empty
		return content{}, true
	}
	if have, ok = k.tables[t]; !ok || k.generation != generation {
		return content{}, false
	}
	return have, !have.exists || have.whole || which == ruleSets
}

// add adds a content that was read. Flowtables are left out: the kernel removes deleted links from them, and the
// generation stays the same.
func (k *knownTables) add(generation uint32, t table, have content) {
	if k.generation != generation || k.tables == nil {
		*k = knownTables{generation, make(map[table]content)}
	}
	if have.partial || have.sets[flowtable] {
		delete(k.tables, t)
	} else {
		k.tables[t] = have
	}
}

// apply replaces the contents of the changed tables after a transaction, which increments the generation.
func (k *knownTables) apply(generation uint32, changes []*change) {
	for _, c := range changes {
		k.add(generation, c.table, c.after())
	}
	k.generation++
}

// after returns the content of the table after the change. It is partial if it cannot be computed.
func (c *change) after() content {
	if c.deleteTable || !c.have.exists && c.empty() {
		return content{}
	}
	if c.have.exists && !c.have.whole {
		return content{partial: true}
	}
	after := content{exists: true, whole: true, sets: make(map[string]bool), elements: make(map[element]count)}
	maps.Copy(after.sets, c.have.sets)
	maps.Copy(after.elements, c.have.elements)
	for _, s := range c.deleteSets {
		delete(after.sets, s.name)
		maps.DeleteFunc(after.elements, func(e element, _ count) bool { return e.set == s.name })
	}
	for _, s := range c.createSets {
		after.sets[s.name] = true
	}
	for _, e := range c.deleted {
		delete(after.elements, e)
	}
	for _, e := range c.added {
		after.elements[e] = count{}
	}
	return after
}
