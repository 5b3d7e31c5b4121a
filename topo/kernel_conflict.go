//go:build linux

package topo

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// A Conflict is something that there is and that is not the lab's, and a plan comes
// across it.
type Conflict struct {
	Object Object // that the plan is about to make
	With   string // what there is, and whose
}

// String is "link lan type bridge: there is a link lan already, which is lab b's".
func (c Conflict) String() string { return c.Object.String() + ": " + c.With }

// A ConflictError lists what has the names that a plan needs. It is fs.ErrExist.
type ConflictError struct{ Conflicts []Conflict }

// Error has a line for each.
func (e *ConflictError) Error() string {
	lines := make([]string, len(e.Conflicts))
	for i, c := range e.Conflicts {
		lines[i] = c.String()
	}
	return strings.Join(lines, "\n")
}

// Is tells that this is fs.ErrExist.
func (e *ConflictError) Is(target error) bool { return target == fs.ErrExist }

// taken finds, before anything is touched, the names that a plan needs and others
// have.
func (k *Kernel) taken(p Plan) error {
	gone := map[Key]bool{}
	var found []Conflict
	for _, s := range p {
		if s.Op() == Delete {
			gone[s.Have.Key()] = true
			continue
		}
		if s.Op() != Create {
			continue
		}
		switch o := s.Want.(type) {
		case Namespace:
			if with := takenNamespace(o); with != "" && !gone[o.Key()] {
				found = append(found, Conflict{o, with})
			}
		case linked:
			for _, l := range o.links() {
				if with := k.takenLink(l); with != "" && !gone[l.Key()] && !gone[s.Want.Key()] {
					found = append(found, Conflict{s.Want, with})
				}
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	return &ConflictError{found}
}

// takenNamespace says whose a namespace of that name is; "" if there is none. A name
// with nothing behind it is as good as none.
func takenNamespace(n Namespace) string {
	if n.From != "" {
		return ""
	}
	if _, err := os.Lstat(filepath.Join(nsfs.Dir, n.Name)); err != nil {
		return ""
	}
	labs := labNames{}
	if ns, err := nsfs.Open(n.Name); errors.Is(err, nsfs.ErrNotNamespace) {
		return ""
	} else if err == nil {
		ns.Close()
		_ = marksOf(n.Name, labs) // without rights, it is nobody's
	}
	return "there is a namespace " + n.Name + " already, " + ownerOf(labs)
}

// takenLink says whose a link of that name is; "" if there is none. In namespaces
// that the lab made there are its own only.
func (k *Kernel) takenLink(l Link) string {
	s, err := k.space(l.NS)
	if err != nil || s.own {
		return ""
	}
	s.mu.Lock()
	index, has := s.index[l.Name]
	s.mu.Unlock()
	if !has {
		return ""
	}
	labs := labNames{}
	if there, err := s.conn.Link(rtnl.LinkID{Index: index}); err == nil {
		if lab, ok := strings.CutPrefix(there.Alias, Mark("")); ok {
			labs.add(lab)
		}
	}
	return "there is a link " + l.Name + " already, " + ownerOf(labs)
}

func ownerOf(labs labNames) string {
	for lab := range labs {
		return "which is lab " + lab + "'s"
	}
	return "which is no lab's"
}

// Conflicts finds what a plan that can be carried out comes across all the same: who
// listens on a port that it forwards, or forwards it to somebody else, and whose
// addresses its own overlap. What the lab makes then works, and the other does not,
// or the other way round.
func (k *Kernel) Conflicts(p Plan) ([]Conflict, error) {
	var found []Conflict
	known := map[string]*others{}
	for _, s := range p {
		o := s.Want
		if s.Op() != Create {
			continue
		}
		at, err := k.space(o.Key().NS)
		if err != nil || at.own {
			continue // not there yet, or the lab's alone
		}
		if known[at.name] == nil {
			if known[at.name], err = k.othersIn(at, p); err != nil {
				return nil, err
			}
		}
		if with := known[at.name].meets(o); with != "" {
			found = append(found, Conflict{o, with})
		}
	}
	return found, nil
}

// others are what others than the lab have in a namespace.
type others struct {
	sockets  []openPort
	forwards []foreign
	addrs    []rtnl.Addr
	links    map[uint32]string
}

// An openPort is a socket that waits for somebody.
type openPort struct {
	proto string
	at    netip.AddrPort
}

// A foreign rule forwards ports, too.
type foreign struct {
	rule  nft.Forward
	whose string
}

// othersIn reads what a plan may come across.
func (k *Kernel) othersIn(s *space, p Plan) (*others, error) {
	o := &others{links: map[uint32]string{}}
	var err error
	if has[Address](p, s.name) {
		if err = o.readAddrs(k, s); err != nil {
			return nil, err
		}
	}
	if !has[Forward](p, s.name) {
		return o, nil
	}
	if o.forwards, err = k.forwardsOfOthers(s); err != nil {
		return nil, err
	}
	return o, s.insideOf(func() error {
		o.sockets = listeners()
		return nil
	})
}

func has[T Object](p Plan, ns string) bool {
	for _, s := range p {
		if o, ok := s.Want.(T); ok && o.Key().NS == ns {
			return true
		}
	}
	return false
}

func (o *others) readAddrs(k *Kernel, s *space) error {
	links, err := s.conn.Links(rtnl.LinkFilter{NoStats: true})
	if err != nil {
		return err
	}
	for _, l := range links {
		if l.Alias != Mark(k.lab) {
			o.links[l.Index] = l.Name
		}
	}
	o.addrs, err = s.conn.Addrs(rtnl.AddrFilter{})
	return err
}

// forwardsOfOthers are those of other labs, and of whoever uses nftables.
func (k *Kernel) forwardsOfOthers(s *space) (list []foreign, err error) {
	conn, err := s.nft()
	if err != nil {
		return nil, err
	}
	tables, err := conn.Tables()
	if err != nil {
		return nil, err
	}
	for _, table := range tables {
		lab, ok := strings.CutPrefix(table, RuleTable(""))
		if !ok || lab == k.lab {
			continue
		}
		rules, err := conn.Read(table)
		if err != nil {
			return nil, err
		}
		for _, r := range rules {
			if f, ok := r.Rule.(nft.Forward); ok {
				list = append(list, foreign{f, "lab " + lab})
			}
		}
	}
	rules, _, err := s.plain(func(table string) bool { return strings.HasPrefix(table, RuleTable("")) })
	for _, r := range rules {
		if f, ok := r.(nft.Forward); ok {
			list = append(list, foreign{f, "somebody's nftables rule"})
		}
	}
	return list, err
}

func (s *space) plain(passOver func(table string) bool) (rules []nft.Rule, rest []nft.Chain, err error) {
	err = s.withFile(func(ns *os.File) error {
		rules, rest, err = nft.Plain(ns, passOver)
		return err
	})
	return rules, rest, err
}

// meets says what an object comes across; "" if nothing.
func (o *others) meets(made Object) string {
	switch made := made.(type) {
	case Address:
		return o.meetsAddress(made)
	case Forward:
		return o.meetsForward(made.normal().(Forward))
	}
	return ""
}

func (o *others) meetsAddress(a Address) string {
	for _, other := range o.addrs {
		if name := o.links[other.Link]; name != "" && name != a.Link && other.Prefix.Overlaps(a.Prefix) {
			return fmt.Sprintf("link %s has %s already: what goes there may go the wrong way", name, other.Prefix)
		}
	}
	return ""
}

func (o *others) meetsForward(f Forward) string {
	for _, other := range o.forwards {
		r := other.rule
		if r.Proto.String() == f.Proto && r.Ports.First <= f.Last && f.First <= r.Ports.Last &&
			r.To.Is4() == f.To.Is4() && listenMeets(r.Addr, f.Addr) {
			return fmt.Sprintf("%s forwards it already: %s", other.whose, r)
		}
	}
	for _, l := range o.sockets {
		if l.proto == f.Proto && f.First <= l.at.Port() && l.at.Port() <= f.Last && listens(l.at.Addr(), f) {
			return fmt.Sprintf("a program listens on %s already: it can no longer be reached there", l.at)
		}
	}
	return ""
}

// listens tells whether a socket's address is one that a forward takes packets to.
func listens(at netip.Addr, f Forward) bool {
	switch {
	case at.IsUnspecified():
		return at.Is6() || f.To.Is4() // one of IPv6 hears IPv4, too
	case f.Addr.IsValid():
		return at == f.Addr
	}
	return at.Is4() == f.To.Is4()
}

// States of sockets in /proc/net; see tcp_states.h of the kernel. One of UDP that
// waits for anybody is "closed".
const (
	tcpListen = 10
	udpWaits  = 7
)

// listeners are the sockets of the thread's namespace that wait for somebody.
func listeners() (list []openPort) {
	for _, table := range []struct {
		file, proto string
		state       uint64
	}{{"tcp", "tcp", tcpListen}, {"tcp6", "tcp", tcpListen}, {"udp", "udp", udpWaits}, {"udp6", "udp", udpWaits}} {
		text, err := os.ReadFile("/proc/thread-self/net/" + table.file)
		if err != nil {
			continue // no IPv6 here, for example
		}
		lines := bufio.NewScanner(bytes.NewReader(text))
		for lines.Scan() {
			words := strings.Fields(lines.Text())
			if len(words) < 4 {
				continue
			}
			at, ok := socketAddr(words[1])
			state, err := strconv.ParseUint(words[3], 16, 8)
			if ok && err == nil && state == table.state {
				list = append(list, openPort{table.proto, at})
			}
		}
	}
	return list
}

// socketAddr reads an address of /proc/net: words of 32 bits in the machine's byte
// order, and the port.
func socketAddr(text string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(host)
	n, portErr := strconv.ParseUint(port, 16, 16)
	if err != nil || portErr != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.BigEndian.PutUint32(b[i:], binary.NativeEndian.Uint32(b[i:]))
	}
	addr, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), ok
}
