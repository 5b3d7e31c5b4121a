//go:build linux

package nft

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// AddElements adds Tenants and Forwards to a table, at a cost that does not depend on how many it has. A Forward
// replaces another one of the same port. Conntrack entries of UDP and SCTP that would continue to use the old port are
// deleted; a connection of TCP keeps its target.
//
// If the table has the sets, and none of these ports has another forward, that is one transaction, and nothing is read.
func (c *Conn) AddElements(table string, add ...Rule) error {
	for _, r := range add {
		if err := r.Check(); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t := tablesNamed(table)[0]
	ch := &change{table: t, newRules: add}
	ch.diffElements(content{}, elementsOf(add), nil)
	messages, err := ch.messages()
	if err != nil {
		return err
	}
	if done, err := c.commit(0, messages); !done || err != nil {
		return c.replaceElements(t, nil, nil, add)
	}
	return staleConntrack(c.deleteStaleFlows(nil, datagrams(add)))
}

// DeleteForwards deletes forwards of a table, at a cost that does not depend on how many it has. Their target ports do
// not matter. One that does not exist, or whose port leads to another address, is left as it is. Of conntrack entries,
// those of UDP and SCTP are deleted.
//
// freed lists addresses to which the table has no other forwards, so [Conn.Tenancies] need not search for them.
func (c *Conn) DeleteForwards(table string, forwards []Forward, freed ...netip.Addr) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	elements := make(map[element]bool)
	for _, f := range forwards {
		elements[f.elements()[0]] = true
	}
	for _, a := range freed {
		elements[targetElement(Forward{To: a})] = true
	}
	return c.replaceElements(tablesNamed(table)[0], forwards, elements, nil)
}

// replaceElements deletes and adds in one transaction. What is in the way of an addition is deleted. elements are those
// of del.
func (c *Conn) replaceElements(t table, del []Forward, elements map[element]bool, add []Rule) error {
	defer c.lock()()
	var lost lostChange
	return c.retry("change", "table "+t.String(), func() (done bool, err error) {
		generation, err := c.generation()
		if err != nil {
			return false, err
		}
		have, complete, err := c.readForReplace(generation, t, elements, add)
		if err != nil || !complete {
			return false, err
		}
		ch, err := planChange(t, *have, have.inTheWay(del, add), add)
		if err != nil {
			return false, err
		}
		if done, err = c.commitChanges(generation, []*change{ch}, &lost); !done || err != nil {
			return false, err
		}
		return true, staleConntrack(c.deleteStaleFlows(datagrams(lost.oldRules), datagrams(lost.newRules)))
	})
}

// readForReplace reads the elements. To add rules, it also reads which sets there are.
func (c *Conn) readForReplace(generation uint32, t table, elements map[element]bool, add []Rule) (
	have *content, complete bool, err error,
) {
	if len(add) > 0 {
		return c.readForChange(generation, t, nil, add)
	}
	have = &content{table: t, exists: true, partial: true, sets: setNamesFor(elements), elements: map[element]count{}}
	return have, true, c.readElements(t, have, elements)
}

// inTheWay returns the rules to delete: those that lead where del does, and those with the ports of add.
func (c content) inTheWay(del []Forward, add []Rule) (found []Rule) {
	rules := setOf(c.rules())
	index := indexRules(rules)
	for r := range rules {
		f, ok := r.(Forward)
		if ok && slices.ContainsFunc(del, func(d Forward) bool { d.ToPort = f.ToPort; return d == f }) {
			found = append(found, r)
		}
	}
	for _, r := range add {
		if other := index.conflict(r); other != nil && other != r && !slices.Contains(found, other) {
			found = append(found, other)
		}
	}
	return found
}

// datagrams returns the forwards of rules that are not for TCP. Clients of UDP and SCTP may use one flow for ever; each
// connection of TCP is a new flow.
func datagrams(rules []Rule) (found []Rule) {
	for _, r := range rules {
		if f, ok := r.(Forward); ok && f.Proto != TCP {
			found = append(found, r)
		}
	}
	return found
}

// A Tenancy is what a table knows about an address.
type Tenancy struct {
	Exists   bool      // the table exists
	Former   bool      // the table has the [Tenant]
	Target   bool      // there were forwards to the address, and no [Conn.DeleteForwards] named it as freed
	Forwards []Forward // to the address, if it is a Target
}

// Tenancies returns what a table knows about addresses. It asks for single elements; only if an address has forwards,
// it reads the table.
func (c *Conn) Tenancies(table string, addrs ...netip.Addr) ([]Tenancy, error) {
	t := tablesNamed(table)[0]
	requests := []netlink.Message{t.request(unix.NFT_MSG_GETTABLE, 0, attrString(unix.NFTA_TABLE_NAME, t.name))}
	for _, a := range addrs {
		for _, e := range []element{Tenant{a}.elements()[0], targetElement(Forward{To: a})} {
			requests = append(requests, t.elementRequest(setNamed(e.set), e.key))
		}
	}
	c.mu.Lock()
	replies, err := c.query("table "+t.String(), requests)
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	has := make([]bool, len(replies))
	for i, r := range replies {
		if has[i] = r.err == nil; r.err != nil && !errors.Is(r.err, unix.ENOENT) {
			return nil, c.refusal("show", "table "+t.String(), r.err)
		}
	}
	found := make([]Tenancy, len(addrs))
	for i, a := range addrs {
		found[i] = Tenancy{Exists: has[0], Former: has[1+2*i], Target: has[2+2*i]}
		if found[i].Target {
			if found[i].Forwards, err = c.forwardsTo(table, a); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

func (c *Conn) forwardsTo(table string, a netip.Addr) (forwards []Forward, err error) {
	rules, _, err := c.Rules(table)
	for _, r := range rules {
		if f, ok := r.Rule.(Forward); ok && f.To == a {
			forwards = append(forwards, f)
		}
	}
	return forwards, err
}

// ForwardsAt returns the forwards of a table that have the same ports as these, whatever their targets. It asks for
// single elements.
func (c *Conn) ForwardsAt(table string, ports ...Forward) (forwards []Forward, err error) {
	elements := make(map[element]bool)
	for _, f := range ports {
		elements[f.elements()[0]] = true
	}
	t := tablesNamed(table)[0]
	have := &content{table: t, sets: setNamesFor(elements), elements: map[element]count{}}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.readElements(t, have, elements); err != nil {
		return nil, err
	}
	for r := range setOf(have.rules()) {
		forwards = append(forwards, r.(Forward))
	}
	return forwards, nil
}
