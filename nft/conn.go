//go:build linux

package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/dial"
	"github.com/vnet-lab/vnet/nft/internal/nfnetlink"
)

const (
	// waitLimit limits how long a request waits for its reply, and how long an operation is repeated because the ruleset
	// changes in between.
	waitLimit = 10 * time.Second
	// lockedRead is the number of the attempt to read a table that takes the lock: the attempts before fail only if the
	// ruleset changes.
	lockedRead = 5
	// bufferSize is the size of the socket's receive and send buffers, in bytes. A commit is one sendmsg, and each
	// refusal contains the whole refused message.
	bufferSize = 16 << 20
	// window is the number of requests sent before their replies are read.
	window = 256
)

// Conn is a socket in one network namespace. It is safe for concurrent use.
type Conn struct {
	mu        sync.Mutex // one exchange at a time
	nl        *netlink.Conn
	waitLimit time.Duration
	known     knownTables
}

// Dial opens a socket in the namespace ns; nil means the calling thread's. The caller may close the file afterwards.
func Dial(ns *os.File) (*Conn, error) {
	nl, err := dial.Conn(unix.NETLINK_NETFILTER, ns, netlink.Config{})
	if err != nil {
		return nil, &Error{Op: "open", Object: "nftables socket", Missing: missingSocketOption(err),
			Err: nfnetlink.Errno(err)}
	}
	if err := configureSocket(nl); err != nil {
		nl.Close()
		return nil, &Error{Op: "open", Object: "nftables socket", Err: nfnetlink.Errno(err)}
	}
	return NewConn(nl), nil
}

// missingSocketOption returns the kernel option that NETLINK_NETFILTER sockets need, if the kernel lacks it.
func missingSocketOption(err error) string {
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return "CONFIG_NETFILTER_NETLINK"
	}
	return ""
}

// configureSocket sets the socket's options. Without the permission to exceed the system's limit on buffer sizes, it
// gets buffers of that limit.
func configureSocket(nl *netlink.Conn) error {
	if err := nl.SetOption(netlink.ExtendedAcknowledge, true); err != nil {
		return err
	}
	return errors.Join(nl.SetReadBuffer(bufferSize), nl.SetWriteBuffer(bufferSize))
}

// NewConn returns a Conn that uses an open NETLINK_NETFILTER socket. Tests pass a socket that records or counts
// messages; see package nltest of github.com/mdlayher/netlink.
func NewConn(nl *netlink.Conn) *Conn { return &Conn{nl: nl, waitLimit: waitLimit} }

// Close closes the socket.
func (c *Conn) Close() error { return c.nl.Close() }

// readForChange reads the content that planChange needs. To delete rules, or without any rule, this is the whole
// table. To add rules, it is the elements to be added, and all elements of interval sets, of fast paths and of
// Masquerade rules for all sources, which are few. If the ruleset changed meanwhile, complete is false.
func (c *Conn) readForChange(generation uint32, t table, del, add []Rule) (have *content, complete bool, err error) {
	if have := c.known.content(generation, t, allSets); have != nil {
		return have, true, nil
	}
	if len(del) > 0 || len(add) == 0 {
		if have := c.known.content(generation, t, ruleSets); have != nil && len(add) == 0 && have.hasAtMost(len(del)) {
			return have, true, nil // the table is deleted, or del has a rule that does not exist
		}
		return c.read(t, allSets)
	}
	have, complete, err = c.read(t, coarseSets)
	if err != nil || !complete || !have.exists {
		return have, complete, err
	}
	if have.isOlder() {
		return c.read(t, allSets)
	}
	have.partial = true
	return have, true, c.readElements(t, have, elementsOf(add))
}

// Read returns the sorted rules of a table with their counters, and after them its [Foreign] elements. A table that
// does not exist has no rules.
func (c *Conn) Read(table string) ([]CountedRule, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = knownTables{}
	rules, _, err := c.rules(table)
	return rules, err
}

// Rules returns the rules of a table like [Conn.Read], but the counters can be out of date: if nobody has changed the
// ruleset since c last read or changed the table, it only asks for the ruleset's generation.
func (c *Conn) Rules(table string) (rules []CountedRule, state TableState, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rules(table)
}

// A TableState says what [Conn.Rules] found besides the rules.
type TableState struct {
	Exists bool
	// Damaged means that somebody else deleted rules of the table's chains, for example with nft flush table. Then
	// some or all rules have no effect. [Conn.Apply] repairs the table, also if it adds an existing rule.
	Damaged bool
}

func (c *Conn) rules(table string) (rules []CountedRule, state TableState, err error) {
	have, err := c.readConsistent(tablesNamed(table), ruleSets)
	if err != nil {
		return nil, TableState{}, err
	}
	return have.rules(), TableState{have.exists, have.damaged}, nil
}

// readConsistent reads the elements of tables, all of one generation of the ruleset. If the ruleset changes each time,
// it takes the lock, so that other changes wait.
func (c *Conn) readConsistent(tables []table, which selection) (have content, err error) {
	attempts, unlock := 0, func() {}
	defer func() { unlock() }()
	err = c.retry("show", "table "+tables[0].String(), func() (done bool, err error) {
		if attempts++; attempts == lockedRead {
			unlock = c.lock()
		}
		generation, err := c.generation()
		if err != nil {
			return false, err
		}
		have = content{elements: make(map[element]count)}
		done, err = c.attemptRead(generation, tables, which, &have)
		if !done {
			c.known = knownTables{}
		}
		return done, err
	})
	return have, err
}

// attemptRead makes one attempt to read tables. If the ruleset changed in between, done is false.
func (c *Conn) attemptRead(generation uint32, tables []table, which selection, all *content) (done bool, err error) {
	now := generation
	for _, t := range tables {
		have := c.known.content(generation, t, which)
		if have == nil {
			now = 0
			var complete bool
			if have, complete, err = c.read(t, which); err != nil || !complete {
				return false, err
			}
			c.known.add(generation, have)
		}
		all.exists, all.damaged = all.exists || have.exists, all.damaged || have.damaged
		maps.Copy(all.elements, have.elements)
	}
	if now == 0 {
		now, err = c.generation()
	}
	return err == nil && now == generation, err
}

// Dump lists objects of the ruleset, also those of other programs: kind is the request, for example NFT_MSG_GETRULE of
// <linux/netfilter/nf_tables.h>, and attrs are its attributes. The family NFPROTO_UNSPEC means all families. Dump
// returns the bodies of the kernel's messages, each with its struct nfgenmsg. objects is their name in errors.
func (c *Conn) Dump(objects string, kind int, family byte, attrs ...netlink.Attribute) ([][]byte, error) {
	body, err := netlink.MarshalAttributes(attrs)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.list(objects, table{family: family}.request(kind, netlink.Dump, body))
}

// Tables returns the names of all tables of the families inet and bridge except [GuardTable]. This package creates
// tables of these families only.
func (c *Conn) Tables() ([]string, error) {
	bodies, err := c.Dump("tables", unix.NFT_MSG_GETTABLE, unix.NFPROTO_UNSPEC)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, b := range bodies {
		name, err := decodeString(b, unix.NFTA_TABLE_NAME)
		if err != nil {
			return nil, err
		}
		ours := b[0] == protoInet || b[0] == protoBridge
		if ours && name != GuardTable && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// RuleTables returns the names of the tables that have a set of this package: those that [Conn.Apply] made. A table of
// another program is not among them, whatever its name is.
func (c *Conn) RuleTables() ([]string, error) {
	bodies, err := c.Dump("sets", unix.NFT_MSG_GETSET, unix.NFPROTO_UNSPEC)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, b := range bodies {
		set, setErr := decodeOwnSet(b[0], b)
		table, err := decodeString(b, unix.NFTA_SET_TABLE)
		if err := errors.Join(setErr, err); err != nil {
			return nil, err
		}
		if set != "" && table != GuardTable && !slices.Contains(names, table) {
			names = append(names, table)
		}
	}
	return names, nil
}

// HasBridgeHooks reports whether the ruleset has a chain at a hook of bridges. If so, the kernel supports rules about
// bridges, such as [Hairpin].
func (c *Conn) HasBridgeHooks() (bool, error) {
	bodies, err := c.Dump("chains", unix.NFT_MSG_GETCHAIN, unix.NFPROTO_BRIDGE)
	return slices.ContainsFunc(bodies, func(b []byte) bool {
		ad, err := nfnetlink.Attributes(b)
		for err == nil && ad.Next() {
			if ad.Type() == unix.NFTA_CHAIN_HOOK {
				return true
			}
		}
		return false
	}), err
}

// generation returns the generation ID of the ruleset. Every change increments it.
func (c *Conn) generation() (uint32, error) {
	m := request(unix.NFT_MSG_GETGEN, 0)
	m.Data[0] = unix.NFPROTO_UNSPEC
	replies, err := c.query("ruleset", []netlink.Message{m})
	if err != nil {
		return 0, err
	}
	if replies[0].err != nil {
		return 0, c.refusal("show", "ruleset", replies[0].err)
	}
	return generationOf(replies[0].body)
}

// read reads which sets a table has, the elements of the selected sets, and whether chains lack rules. If the ruleset
// changed meanwhile, complete is false.
func (c *Conn) read(table table, which selection) (have *content, complete bool, err error) {
	have = &content{table: table, sets: make(map[string]bool), elements: make(map[element]count), whole: which == allSets}
	bodies, complete, err := c.dump("table "+table.String(),
		table.request(unix.NFT_MSG_GETSET, netlink.Dump, attrString(unix.NFTA_SET_TABLE, table.name)))
	if errors.Is(err, unix.ENOENT) {
		return have, true, nil
	}
	if err != nil || !complete {
		return have, complete, err
	}
	have.exists = true
	for _, b := range bodies {
		name, err := decodeOwnSet(table.family, b)
		if err != nil {
			return have, false, err
		}
		if have.foreignSets = have.foreignSets || name == ""; name != "" {
			have.sets[name] = true
		}
	}
	if have.sets[fastLinks] {
		if complete, err = c.readFlowtable(table, setNamed(flowtable), have); err != nil || !complete {
			return have, complete, err
		}
	}
	for _, s := range setsNamed(have.sets) {
		if s.flowtable || s.dynamic || !which.includes(s) && s.name != fastLinks {
			continue
		}
		if complete, err = c.readSet(table, s, have); err != nil || !complete {
			return have, complete, err
		}
	}
	have.markPorts()
	complete, err = c.checkChains(table, have)
	return have, complete, err
}

func (c *Conn) readSet(table table, s set, have *content) (complete bool, err error) {
	bodies, complete, err := c.dump(s.keyword()+" "+table.String()+" "+s.name,
		table.request(unix.NFT_MSG_GETSETELEM, netlink.Dump,
			attrString(unix.NFTA_SET_ELEM_LIST_TABLE, table.name), attrString(unix.NFTA_SET_ELEM_LIST_SET, s.name)))
	if errors.Is(err, unix.ENOENT) {
		return false, nil // deleted in the meantime
	}
	if err != nil || !complete {
		return complete, err
	}
	var all []rawElement
	for _, b := range bodies {
		some, err := decodeElements(b, s)
		if err != nil {
			return false, fmt.Errorf("%s %s %s: %w", s.keyword(), table, s.name, err)
		}
		all = append(all, some...)
	}
	if repeatsKey(all, s) {
		return false, nil
	}
	for _, e := range joinIntervals(all, s) {
		have.elements[e.element] = e.count
	}
	return true, nil
}

// repeatsKey reports whether a dump has a key twice. If the kernel resizes the hash table of a set during a dump, it
// sends some elements twice and omits others.
func repeatsKey(all []rawElement, s set) bool {
	if s.interval {
		return false
	}
	seen := make(map[string]bool, len(all))
	for _, e := range all {
		if seen[e.key] {
			return true
		}
		seen[e.key] = true
	}
	return false
}

// readElements looks up elements by their keys, and adds those that exist to have. It skips interval sets.
func (c *Conn) readElements(table table, have *content, elements map[element]bool) error {
	var reqs []netlink.Message
	var sets []set
	for e := range elements {
		s := setNamed(e.set)
		if s.interval || s.isFastpathSet() || !have.sets[e.set] {
			continue
		}
		sets = append(sets, s)
		reqs = append(reqs, table.elementRequest(s, e.key))
	}
	replies, err := c.query("table "+table.String(), reqs)
	if err != nil {
		return err
	}
	for i, a := range replies {
		if errors.Is(a.err, unix.ENOENT) {
			continue
		}
		if a.err != nil {
			return c.refusal("show", "table "+table.String(), a.err)
		}
		found, err := decodeElements(a.body, sets[i])
		if err != nil {
			return err
		}
		for _, e := range found {
			have.elements[e.element] = e.count
		}
	}
	return nil
}

// elementRequest returns a request for the element of a set with a key.
func (t table) elementRequest(s set, key string) netlink.Message {
	return t.request(unix.NFT_MSG_GETSETELEM, 0,
		attrString(unix.NFTA_SET_ELEM_LIST_TABLE, t.name), attrString(unix.NFTA_SET_ELEM_LIST_SET, s.name),
		nested(unix.NFTA_SET_ELEM_LIST_ELEMENTS,
			nested(unix.NFTA_LIST_ELEM, encodeKey(unix.NFTA_SET_ELEM_KEY, key, s.key))))
}

// be16 encodes a number in network byte order.
func be16(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }
