//go:build linux

package nft

import (
	"errors"
	"slices"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Apply deletes and adds rules of a table in one transaction. It creates the table with the first rule, and deletes it
// with the last one. If del and add are empty, it deletes the table if all its rules are [Foreign], and all its sets
// and chains are this package's. Rules about bridges are in a table of the same name in the family bridge. A table that
// has sets or chains, but none of this package's sets, belongs to somebody else: adding to it returns fs.ErrExist.
//
// Adding an existing rule succeeds and changes nothing, except in a table whose chains lack rules because somebody else
// deleted them; see [TableState]. Any change of such a table writes all its rules again. Deleting a rule that does not
// exist returns fs.ErrNotExist. Adding a rule that conflicts with an existing one that is not in del returns
// fs.ErrExist. After these and all other errors nothing is changed, except for [ErrStaleConntrack]: then everything is
// changed.
//
// Apply deletes the conntrack entries of connections that would continue to use the old rules: all that a deleted
// [Forward] translated, and, except for established connections of TCP or SCTP, those that a deleted [Masquerade] or
// [SourceNAT] may have translated, those that an added rule would translate, and those that an added [Isolate] or
// [Closed], or a deleted [Allow], forbids.
func (c *Conn) Apply(table string, del, add []Rule) error {
	for _, r := range slices.Concat(del, add) {
		if err := r.Check(); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.lock()()
	var lost lostChange
	return c.retry("change", "table inet "+table, func() (bool, error) { return c.attempt(table, del, add, &lost) })
}

// retry calls attempt until it is done or fails. It gives up after c.waitLimit: then the ruleset changed during each
// attempt, or the kernel's replies were lost.
func (c *Conn) retry(op, object string, attempt func() (done bool, err error)) error {
	for start := time.Now(); ; {
		done, err := attempt()
		lost := errors.Is(err, errLost)
		if done || err != nil && !lost {
			return err
		}
		if time.Since(start) > c.waitLimit {
			if lost {
				return err
			}
			return &Error{Op: op, Object: object, Err: errBusy}
		}
	}
}

// A lostChange is a change whose reply was lost. The next attempt finds out whether the kernel executed it.
type lostChange struct {
	happened           bool
	oldRules, newRules []Rule
}

// add records a change.
func (l *lostChange) add(c *change) {
	l.happened = true
	l.oldRules, l.newRules = append(l.oldRules, c.oldRules...), append(l.newRules, c.newRules...)
}

// attempt makes one attempt to apply. If somebody else changed the ruleset meanwhile, done is false.
func (c *Conn) attempt(table string, del, add []Rule, lost *lostChange) (done bool, err error) {
	generation, err := c.generation()
	if err != nil {
		return false, err
	}
	var changes []*change
	for _, t := range tablesFor(table, del, add) {
		ch, complete, err := c.planTable(generation, t, t.rulesOf(del), t.rulesOf(add), lost)
		if err == nil && !complete {
			return false, nil
		}
		if err != nil {
			now, generationErr := c.generation()
			if generationErr != nil || now != generation { // what was read may be of several generations
				return false, generationErr
			}
			return false, err
		}
		changes = append(changes, ch)
	}
	if done, err = c.commitChanges(generation, changes, lost); !done || err != nil {
		return false, err
	}
	return true, staleConntrack(c.deleteStaleFlows(lost.oldRules, lost.newRules))
}

// tablesFor returns the tables with this name that a change affects: those of the rules; all if there are no rules.
func tablesFor(name string, del, add []Rule) []table {
	return slices.DeleteFunc(tablesNamed(name), func(t table) bool {
		return len(del)+len(add) > 0 && len(t.rulesOf(del))+len(t.rulesOf(add)) == 0
	})
}

// planTable computes the change of a table. If the ruleset changed meanwhile, complete is false.
func (c *Conn) planTable(generation uint32, t table, del, add []Rule, lost *lostChange) (
	ch *change, complete bool, err error,
) {
	have, complete, err := c.readForChange(generation, t, del, add)
	if err != nil || !complete {
		return nil, false, err
	}
	foreign := false
	if len(have.sets) == 0 {
		if foreign, err = c.hasForeignParts(t, have); err != nil {
			return nil, false, err
		}
	}
	if foreign && len(add) > 0 {
		return nil, false, &Error{Op: "add", Object: "table " + t.String(), Message: "not made by vnet", Err: unix.EEXIST}
	}
	if foreign {
		have = &content{table: t}
	}
	if lost.happened { // the lost change may have deleted them
		del = have.existing(del)
	}
	if ch, err = planChange(t, *have, del, add); err != nil || !ch.deleteTable || len(del) > 0 {
		return ch, true, err
	}
	if foreign, err = c.hasForeignParts(t, have); foreign { // leave it as it is
		ch = &change{table: t}
	}
	return ch, true, err
}

// hasForeignParts reports whether a table also has sets or chains of somebody else.
func (c *Conn) hasForeignParts(t table, have *content) (bool, error) {
	if !have.exists || have.foreignSets || have.isOlder() { // older versions made other chains
		return have.foreignSets, nil
	}
	bodies, err := c.list("chains of table "+t.String(), t.request(unix.NFT_MSG_GETCHAIN, netlink.Dump))
	own := chainsFor(have.sets)
	for _, b := range bodies {
		in, tableErr := decodeString(b, unix.NFTA_CHAIN_TABLE)
		name, nameErr := decodeString(b, unix.NFTA_CHAIN_NAME)
		if err := errors.Join(tableErr, nameErr); err != nil {
			return false, err
		}
		if in == t.name && !slices.ContainsFunc(own, func(ch chain) bool { return ch.name == name }) {
			return true, nil
		}
	}
	return false, err
}

// commitChanges sends the changes in one transaction, and records them in lost. If the ruleset does not have the given
// generation any more, done is false.
func (c *Conn) commitChanges(generation uint32, changes []*change, lost *lostChange) (done bool, err error) {
	var messages []message
	for _, ch := range changes {
		if ch.empty() {
			continue
		}
		some, err := ch.messages()
		if err != nil {
			return false, err
		}
		messages = append(messages, some...)
	}
	if done = true; len(messages) > 0 {
		if done, err = c.commit(generation, messages); done && err == nil {
			c.known.apply(generation, changes)
		}
	}
	if done && err == nil || errors.Is(err, errLost) {
		for _, ch := range changes {
			if !ch.empty() || lost.happened {
				lost.add(ch)
			}
		}
	}
	return done, err
}

// existing returns the rules that the table has.
func (c content) existing(rules []Rule) []Rule {
	have := make(map[Rule]bool)
	for _, r := range c.rules() {
		have[r.Rule] = true
	}
	return slices.DeleteFunc(slices.Clone(rules), func(r Rule) bool { return !have[r] })
}

// DeleteTable deletes a table with its content, and the conntrack entries of its rules, as [Conn.Apply] does. It
// returns fs.ErrNotExist if the table does not exist.
func (c *Conn) DeleteTable(table string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.lock()()
	var lost lostChange
	return c.retry("delete", "table inet "+table, func() (bool, error) { return c.attemptDelete(table, &lost) })
}

// attemptDelete makes one attempt to delete. If the ruleset changed in between, done is false.
func (c *Conn) attemptDelete(table string, lost *lostChange) (done bool, err error) {
	generation, err := c.generation()
	if err != nil {
		return false, err
	}
	var changes []*change
	for _, t := range tablesNamed(table) {
		have, complete, err := c.readAt(generation, t, ruleSets)
		if err != nil || !complete {
			return false, err
		}
		if !have.exists {
			continue
		}
		ch := &change{table: t, deleteTable: true}
		for _, r := range have.rules() {
			ch.oldRules = append(ch.oldRules, r.Rule)
		}
		changes = append(changes, ch)
	}
	if done, err := c.commitChanges(generation, changes, lost); !done || err != nil {
		return false, err
	}
	if !lost.happened {
		return false, &Error{Op: "delete", Object: "table inet " + table, Err: unix.ENOENT}
	}
	return true, staleConntrack(c.deleteStaleFlows(lost.oldRules, nil))
}
