//go:build linux

package nft

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
		return s.interval || s.isFastpathSet() || s.forAllSources()
	}
	return true
}

// knownTables has contents of tables that were read or written, and the generation of the ruleset at that time. As
// long as the ruleset has this generation, nobody has changed them, and they need not be read again.
type knownTables struct {
	generation uint32
	contents   []*content
	all        bool // other tables do not exist
}

// content returns the content of a table in a generation of the ruleset; nil if it is not known.
func (k *knownTables) content(generation uint32, t table, which selection) *content {
	if generation == initialGeneration { // the ruleset is empty
		return &content{table: t}
	}
	if k.generation != generation {
		return nil
	}
	for _, have := range k.contents {
		if have.table != t {
			continue
		}
		if !have.partial && (!have.exists || have.whole || which == ruleSets) {
			return have
		}
		return nil
	}
	if k.all {
		return &content{table: t}
	}
	return nil
}

// add adds a content, or replaces it. Flowtables are left out: the kernel removes deleted links from them, and the
// generation stays the same.
func (k *knownTables) add(generation uint32, have *content) {
	if k.generation != generation {
		*k = knownTables{generation: generation}
	}
	have.partial = have.partial || have.sets[flowtable]
	for i := range k.contents {
		if k.contents[i].table == have.table {
			k.contents[i] = have
			return
		}
	}
	k.contents = append(k.contents, have)
}

// apply replaces the contents of the changed tables after a transaction, which increments the generation.
func (k *knownTables) apply(generation uint32, changes []*change) {
	if generation == initialGeneration {
		*k = knownTables{generation: generation, all: true}
	}
	for _, c := range changes {
		after := &content{table: c.table, exists: !c.deleteTable && c.sets != nil, whole: true,
			partial: c.partial && !c.deleteTable, sets: c.sets, elements: make(map[element]count)}
		for e := range c.want {
			after.elements[e] = count{}
		}
		k.add(generation, after)
	}
	k.generation++
}

// readAt returns the content of a table in a generation of the ruleset, and reads it if it is not known. If the ruleset
// changed meanwhile, complete is false.
func (c *Conn) readAt(generation uint32, t table, which selection) (have *content, complete bool, err error) {
	if have := c.known.content(generation, t, which); have != nil {
		return have, true, nil
	}
	return c.read(t, which)
}

// hasAtMost reports whether the table has at most n rules.
func (c *content) hasAtMost(n int) bool {
	for _, r := range c.rules() {
		if !isForeign(r.Rule) {
			n--
		}
	}
	return n >= 0
}
