//go:build linux

package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/dial"
)

const (
	// tries bounds how often a change is worked out again because the ruleset
	// changed under it.
	tries = 20
	// bufferSize is that of the socket, in bytes each way. A commit is one sendmsg,
	// and each refusal holds the whole message that it refuses.
	bufferSize = 16 << 20
	// window is how many questions are sent before their answers are read.
	window = 256
)

// Conn is a socket in one network namespace. It is safe for concurrent use.
type Conn struct {
	mu sync.Mutex // one exchange at a time
	nl *netlink.Conn
}

// Dial opens a socket in the namespace ns; nil is the calling thread's. The file
// may be closed afterwards.
func Dial(ns *os.File) (*Conn, error) {
	nl, err := dial.Conn(unix.NETLINK_NETFILTER, ns, netlink.Config{})
	if err != nil {
		return nil, &Error{Op: "open", Object: "nftables socket", Missing: missingSocket(err), Err: errnoOf(err)}
	}
	if err := prepare(nl); err != nil {
		nl.Close()
		return nil, &Error{Op: "open", Object: "nftables socket", Err: errnoOf(err)}
	}
	return NewConn(nl), nil
}

// missingSocket names the option without which there is no such socket.
func missingSocket(err error) string {
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return "CONFIG_NETFILTER_NETLINK"
	}
	return ""
}

// prepare sets the socket up. Who may not exceed the machine's limit on buffers
// gets what it allows.
func prepare(nl *netlink.Conn) error {
	if err := nl.SetOption(netlink.ExtendedAcknowledge, true); err != nil {
		return err
	}
	return errors.Join(nl.SetReadBuffer(bufferSize), nl.SetWriteBuffer(bufferSize))
}

// NewConn makes a Conn of a NETLINK_NETFILTER socket that was opened by other
// means. Tests put a recorder or a counter there; see package nltest of
// github.com/mdlayher/netlink.
func NewConn(nl *netlink.Conn) *Conn { return &Conn{nl: nl} }

// Close closes the socket.
func (c *Conn) Close() error { return c.nl.Close() }

// Apply changes a table in one transaction: del goes, add comes. The table is
// made when it gets its first rule, and goes with its last one; without rules to
// change, it goes if it has none of ours.
//
// To add what is there is success, and changes nothing. To delete what is not
// there is fs.ErrNotExist, to add what contradicts a rule that is there, and is
// not in del, fs.ErrExist. With these and all other errors nothing is changed, but
// for [ErrNotForgotten]: then all is.
//
// Connections that would go on by the old rules are forgotten by connection
// tracking: all that a deleted [Forward] translated; and, unless they are
// established connections of TCP or SCTP, those that a deleted [Masquerade] or
// [SourceNAT] may have translated, and those that an added rule would translate.
func (c *Conn) Apply(table string, del, add []Rule) error {
	for _, r := range slices.Concat(del, add) {
		if err := r.Check(); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for range tries {
		done, err := c.try(table, del, add)
		if done || err != nil {
			return err
		}
	}
	return &Error{Op: "change", Object: "table inet " + table, Err: errBusy}
}

// try makes one attempt. Not done means that the ruleset changed in between.
func (c *Conn) try(table string, del, add []Rule) (done bool, err error) {
	generation, err := c.generation()
	if err != nil {
		return false, err
	}
	have, whole, err := c.contentFor(table, del, add)
	if err != nil || !whole {
		return false, err
	}
	change, err := planChange(table, have, del, add)
	if err != nil {
		return false, err
	}
	if change.empty() {
		return true, nil
	}
	messages, err := change.messages()
	if err != nil {
		return false, err
	}
	done, err = c.commit(generation, messages)
	if !done || err != nil {
		return false, err
	}
	return true, notForgotten(c.forget(change.oldRules, change.newRules))
}

// contentFor reads what a change has to know: all of the table to delete
// something, or all; to only add, the elements that are to be added, and those of sets with
// intervals and of fast paths, which are few.
func (c *Conn) contentFor(table string, del, add []Rule) (have content, whole bool, err error) {
	if len(del) > 0 || len(add) == 0 {
		return c.read(table, func(set) bool { return true })
	}
	have, whole, err = c.read(table, func(s set) bool { return s.interval || s.ofFastpath() })
	if err != nil || !whole || !have.exists {
		return have, whole, err
	}
	have.partial = true
	return have, true, c.find(table, have, elementsOf(add))
}

// Read returns the rules of a table, in order, with their counters, and behind them
// what is [Foreign]. A table that does not exist has none.
func (c *Conn) Read(table string) ([]Counted, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range tries {
		before, err := c.generation()
		if err != nil || before == pristine {
			return nil, err
		}
		have, whole, err := c.read(table, func(s set) bool { return s.rule != nil })
		if err != nil {
			return nil, err
		}
		after, err := c.generation()
		if err != nil {
			return nil, err
		}
		if whole && before == after {
			return have.rulesOf(), nil
		}
	}
	return nil, &Error{Op: "show", Object: "table inet " + table, Err: errBusy}
}

// DeleteTable deletes a table with all that is in it, and makes connection
// tracking forget what its rules translated, as [Conn.Apply] does. A table that does
// not exist is fs.ErrNotExist.
func (c *Conn) DeleteTable(table string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range tries {
		done, err := c.tryDelete(table)
		if done || err != nil {
			return err
		}
	}
	return &Error{Op: "delete", Object: "table inet " + table, Err: errBusy}
}

// tryDelete makes one attempt. Not done means that the ruleset changed in between.
func (c *Conn) tryDelete(table string) (done bool, err error) {
	generation, err := c.generation()
	if err != nil {
		return false, err
	}
	have, whole, err := c.read(table, func(s set) bool { return s.rule != nil })
	if err != nil || !whole {
		return false, err
	}
	if !have.exists {
		return false, &Error{Op: "delete", Object: "table inet " + table, Err: unix.ENOENT}
	}
	messages, err := (&change{table: table, deleteTable: true}).messages()
	if err != nil {
		return false, err
	}
	done, err = c.commit(generation, messages)
	if !done || err != nil {
		return false, err
	}
	var old []Rule
	for _, r := range have.rulesOf() {
		old = append(old, r.Rule)
	}
	return true, notForgotten(c.forget(old, nil))
}

// Tables returns the names of the tables of the family inet, of which those that
// this package makes are some.
func (c *Conn) Tables() ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	bodies, err := c.list("tables", request(unix.NFT_MSG_GETTABLE, netlink.Dump))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, b := range bodies {
		name, err := decodeString(b, unix.NFTA_TABLE_NAME)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

// ForwardDrops returns the chains, of whatever table, that drop forwarded
// packets unless a rule in them accepts.
func (c *Conn) ForwardDrops() ([]Chain, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := request(unix.NFT_MSG_GETCHAIN, netlink.Dump)
	m.Data[0] = unix.NFPROTO_UNSPEC
	bodies, err := c.list("chains", m)
	if err != nil {
		return nil, err
	}
	var chains []Chain
	for _, b := range bodies {
		chain, drops, err := decodeForwardDrop(b)
		if err != nil {
			return nil, err
		}
		if drops {
			chains = append(chains, chain)
		}
	}
	return chains, nil
}

// generation is the number of the ruleset, which every change counts up.
func (c *Conn) generation() (uint32, error) {
	m := request(unix.NFT_MSG_GETGEN, 0)
	m.Data[0] = unix.NFPROTO_UNSPEC
	answers, err := c.ask("ruleset", []netlink.Message{m})
	if err != nil {
		return 0, err
	}
	if answers[0].err != nil {
		return 0, c.refusal("show", "ruleset", answers[0].err)
	}
	return generationOf(answers[0].body)
}

// read reads which sets a table has, and the elements of those that are wanted.
// Not whole means that the ruleset changed meanwhile.
func (c *Conn) read(table string, wanted func(set) bool) (have content, whole bool, err error) {
	have = content{sets: make(map[string]bool), elements: make(map[element]count)}
	bodies, whole, err := c.dump("table inet "+table,
		request(unix.NFT_MSG_GETSET, netlink.Dump, attrString(unix.NFTA_SET_TABLE, table)))
	if errors.Is(err, unix.ENOENT) {
		return have, true, nil
	}
	if err != nil || !whole {
		return have, whole, err
	}
	have.exists = true
	sets := setsByName()
	for _, b := range bodies {
		there, err := decodeSet(b)
		if err != nil {
			return have, false, err
		}
		if s, ours := sets[there.name]; ours && s.is(there) {
			have.sets[s.name] = true
		}
	}
	if have.sets[fastLinks] {
		if whole, err = c.readFlowtable(table, sets[flowtable], have); err != nil || !whole {
			return have, whole, err
		}
	}
	for _, s := range setsOf(have.sets) {
		if s.flowtable || s.dynamic || !wanted(s) && s.name != fastLinks {
			continue
		}
		if whole, err = c.readSet(table, s, have); err != nil || !whole {
			return have, whole, err
		}
	}
	have.markPorts()
	return have, true, nil
}

func (c *Conn) readSet(table string, s set, have content) (whole bool, err error) {
	bodies, whole, err := c.dump(s.word()+" inet "+table+" "+s.name, request(unix.NFT_MSG_GETSETELEM, netlink.Dump,
		attrString(unix.NFTA_SET_ELEM_LIST_TABLE, table), attrString(unix.NFTA_SET_ELEM_LIST_SET, s.name)))
	if errors.Is(err, unix.ENOENT) {
		return false, nil // gone since
	}
	if err != nil || !whole {
		return whole, err
	}
	var all []rawElement
	for _, b := range bodies {
		some, err := decodeElements(b, s)
		if err != nil {
			return false, fmt.Errorf("%s inet %s %s: %w", s.word(), table, s.name, err)
		}
		all = append(all, some...)
	}
	for _, e := range joinIntervals(all, s) {
		have.elements[e.element] = e.count
	}
	return true, nil
}

// find adds to have what is in the places of the elements wanted, as far as they
// are not in sets with intervals.
func (c *Conn) find(table string, have content, wanted map[element]bool) error {
	sets := setsByName()
	var questions []netlink.Message
	var about []set
	for e := range wanted {
		s := sets[e.set]
		if s.interval || s.ofFastpath() || !have.sets[e.set] {
			continue
		}
		key := nested(unix.NFTA_LIST_ELEM, encodeKey(unix.NFTA_SET_ELEM_KEY, e.key, s.key))
		about = append(about, s)
		questions = append(questions, request(unix.NFT_MSG_GETSETELEM, 0,
			attrString(unix.NFTA_SET_ELEM_LIST_TABLE, table), attrString(unix.NFTA_SET_ELEM_LIST_SET, s.name),
			nested(unix.NFTA_SET_ELEM_LIST_ELEMENTS, key)))
	}
	answers, err := c.ask("table inet "+table, questions)
	if err != nil {
		return err
	}
	for i, a := range answers {
		if errors.Is(a.err, unix.ENOENT) {
			continue
		}
		if a.err != nil {
			return c.refusal("show", "table inet "+table, a.err)
		}
		found, err := decodeElements(a.body, about[i])
		if err != nil {
			return err
		}
		for _, e := range found {
			have.elements[e.element] = e.count
		}
	}
	return nil
}

// be16 puts a number in network byte order.
func be16(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }
