package live

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

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// A Conflict is a name, port or address that an object of a plan needs and that a
// foreign object already has.
type Conflict struct {
	Object topo.Object // the object to create
	With   string      // the foreign object and its owner, for the user
}

// String returns, for example, "link lan type bridge: link lan already exists and belongs to lab b".
func (c Conflict) String() string { return c.Object.String() + ": " + c.With }

// A ConflictError lists the objects of a plan whose names already exist. errors.Is with
// fs.ErrExist is true.
type ConflictError struct{ Conflicts []Conflict }

// Error returns one line per conflict.
func (e *ConflictError) Error() string {
	lines := make([]string, len(e.Conflicts))
	for i, c := range e.Conflicts {
		lines[i] = c.String()
	}
	return strings.Join(lines, "\n")
}

// Is reports whether target is fs.ErrExist.
func (e *ConflictError) Is(target error) bool { return target == fs.ErrExist }

// A conflictFinder finds the conflicts of a plan.
type conflictFinder struct{ *handleTable }

// nameConflicts returns a *ConflictError if names that a plan needs already exist. It
// changes nothing.
func (c conflictFinder) nameConflicts(p topo.Plan) error {
	deleted := map[topo.Key]bool{}
	var found []Conflict
	for _, s := range p {
		if s.Op() == topo.Delete {
			deleted[s.Have.Key()] = true
			continue
		}
		if s.Op() != topo.Create {
			continue
		}
		switch o := s.Want.(type) {
		case topo.Namespace:
			if with := namespaceConflict(o); with != "" && !deleted[o.Key()] {
				found = append(found, Conflict{o, with})
			}
		case topo.Port:
			if at, err := c.handle(o.NS); err == nil && ownName(at, o.Link) != "" {
				own := ownName(at, o.Link)
				found = append(found, Conflict{o, "link " + own + " has the alternative name " + o.Link + "; use " + own})
			}
		case topo.LinkObject:
			for _, l := range o.Links() {
				if with := c.linkConflict(l); with != "" && !deleted[l.Key()] && !deleted[s.Want.Key()] {
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

// namespaceConflict describes the existing namespace of that name; "" if there is none. A
// stale name, without a namespace, is no conflict.
func namespaceConflict(n topo.Namespace) string {
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
		_ = readNamespaceMarks(n.Name, labs) // without permission, no owner is known
	}
	return "namespace " + n.Name + " already exists and belongs to " + ownerText(labs)
}

// linkConflict describes the existing link of that name; "" if there is none. The lab's
// own namespaces have no foreign links.
func (c conflictFinder) linkConflict(l topo.Link) string {
	h, err := c.handle(l.NS)
	if err != nil || h.own {
		return ""
	}
	h.mu.Lock()
	index, has := h.linkIndexes[l.Name]
	h.mu.Unlock()
	if !has {
		return ""
	}
	labs := labNames{}
	if there, err := h.conn.Link(rtnl.LinkID{Index: index}); err == nil {
		if lab, ok := strings.CutPrefix(there.Alias, mark.Of("")); ok {
			labs.add(lab)
		}
	}
	return "link " + l.Name + " already exists and belongs to " + ownerText(labs)
}

func ownerText(labs labNames) string {
	for lab := range labs {
		return "lab " + lab
	}
	return "no lab"
}

// Conflicts finds the conflicts of a plan that do not make it fail: programs that listen
// on a port that the plan forwards, foreign forwards of the same port, and foreign
// addresses in the same prefix. After Up, either the lab's object works or the foreign one.
func (k *Kernel) Conflicts(p topo.Plan) ([]Conflict, error) {
	return conflictFinder{k.handleTable}.find(p)
}

// find finds conflicts; see [Kernel.Conflicts].
func (c conflictFinder) find(p topo.Plan) ([]Conflict, error) {
	var found []Conflict
	foreign := map[string]*foreignState{}
	for _, s := range p {
		o := s.Want
		if s.Op() != topo.Create {
			continue
		}
		at, err := c.handle(o.Key().NS)
		if err != nil || at.own {
			continue // not created yet, or created by the lab
		}
		if foreign[at.name] == nil {
			if foreign[at.name], err = c.readForeignState(at, p); err != nil {
				return nil, err
			}
		}
		if with := foreign[at.name].conflictWith(o); with != "" {
			found = append(found, Conflict{o, with})
		}
		more, err := conflictsOnUse(at, o)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
}

// foreignState is the part of a namespace's state that does not belong to the lab.
type foreignState struct {
	sockets  []listeningSocket
	forwards []foreignForward
	addrs    []rtnl.Addr
	links    map[uint32]string
}

// A listeningSocket is a TCP socket that listens or an unconnected UDP socket.
type listeningSocket struct {
	proto string
	addr  netip.AddrPort
}

// A foreignForward is a port forward that does not belong to the lab.
type foreignForward struct {
	forward nft.Forward
	owner   string
}

// readForeignState reads what can conflict with a plan in a namespace.
func (c conflictFinder) readForeignState(h *netnsHandle, p topo.Plan) (*foreignState, error) {
	o := &foreignState{links: map[uint32]string{}}
	var err error
	if planCreates[topo.Address](p, h.name) {
		if err = o.readAddrs(c.lab, h); err != nil {
			return nil, err
		}
	}
	if !planCreates[topo.Forward](p, h.name) {
		return o, nil
	}
	if o.forwards, err = c.foreignForwards(h); err != nil {
		return nil, err
	}
	return o, h.runInside(func() error {
		o.sockets = listeners()
		return nil
	})
}

func planCreates[T topo.Object](p topo.Plan, ns string) bool {
	for _, s := range p {
		if o, ok := s.Want.(T); ok && o.Key().NS == ns {
			return true
		}
	}
	return false
}

func (o *foreignState) readAddrs(lab string, h *netnsHandle) error {
	links, err := h.conn.Links(rtnl.LinkFilter{NoStats: true})
	if err != nil {
		return err
	}
	for _, l := range links {
		if l.Alias != mark.Of(lab) {
			o.links[l.Index] = l.Name
		}
	}
	o.addrs, err = h.conn.Addrs(rtnl.AddrFilter{})
	return err
}

// foreignForwards returns the forwards of other labs and of other nftables users.
func (c conflictFinder) foreignForwards(h *netnsHandle) (list []foreignForward, err error) {
	conn, err := h.nft()
	if err != nil {
		return nil, err
	}
	tables, err := conn.Tables()
	if err != nil {
		return nil, err
	}
	for _, table := range tables {
		lab, ok := strings.CutPrefix(table, mark.Table(""))
		if !ok || lab == c.lab {
			continue
		}
		rules, err := conn.Read(table)
		if err != nil {
			return nil, err
		}
		for _, r := range rules {
			if f, ok := r.Rule.(nft.Forward); ok {
				list = append(list, foreignForward{f, "lab " + lab})
			}
		}
	}
	rules, _, err := h.readForeignTables(func(table string) bool {
		return strings.HasPrefix(table, mark.Table("")) || c.lab == handLab && table == NATTable
	})
	for _, r := range rules {
		if f, ok := r.(nft.Forward); ok {
			list = append(list, foreignForward{f, "a foreign nftables rule"})
		}
	}
	return list, err
}

// readForeignTables calls [nft.ReadForeignTables] for the namespace.
func (h *netnsHandle) readForeignTables(
	skip func(table string) bool,
) (rules []nft.Rule, rest []nft.Chain, err error) {
	err = h.withFile(func(ns *os.File) error {
		rules, rest, err = nft.ReadForeignTables(ns, skip)
		return err
	})
	return rules, rest, err
}

// conflictWith describes what an object conflicts with; "" if nothing.
func (o *foreignState) conflictWith(object topo.Object) string {
	switch object := object.(type) {
	case topo.Address:
		return o.addressConflict(object)
	case topo.Forward:
		return o.forwardConflict(topo.Normalize(object).(topo.Forward))
	}
	return ""
}

func (o *foreignState) addressConflict(a topo.Address) string {
	for _, other := range o.addrs {
		if name := o.links[other.Link]; name != "" && name != a.Link && other.Prefix.Overlaps(a.Prefix) {
			return fmt.Sprintf("link %s already has %s: packets for that subnet may leave through the wrong link",
				name, other.Prefix)
		}
	}
	return ""
}

func (o *foreignState) forwardConflict(f topo.Forward) string {
	for _, other := range o.forwards {
		r := other.forward
		if r.Proto.String() == f.Proto && r.Ports.First <= f.Last && f.First <= r.Ports.Last &&
			r.To.Is4() == f.To.Is4() && linux.ListenOverlaps(r.Addr, f.Addr) {
			return fmt.Sprintf("%s already forwards this port: %s", other.owner, r)
		}
	}
	for _, l := range o.sockets {
		port := l.addr.Port()
		if l.proto == f.Proto && f.First <= port && port <= f.Last && forwardCovers(l.addr.Addr(), f) {
			return fmt.Sprintf("a program already listens on %s: it will not be reachable there any more", l.addr)
		}
	}
	return ""
}

// forwardCovers reports whether a forward takes packets to a socket's address.
func forwardCovers(addr netip.Addr, f topo.Forward) bool {
	switch {
	case addr.IsUnspecified():
		return addr.Is6() || f.To.Is4() // an IPv6 socket accepts IPv4, too
	case f.Addr.IsValid():
		return addr == f.Addr
	}
	return addr.Is4() == f.To.Is4()
}

// Socket states in /proc/net; see the kernel's tcp_states.h. An unconnected UDP socket
// is in state TCP_CLOSE.
const (
	tcpListen      = 10
	udpUnconnected = 7
)

// listeners returns the listening sockets of the thread's namespace.
func listeners() (list []listeningSocket) {
	for _, table := range []struct {
		file, proto string
		state       uint64
	}{
		{"tcp", "tcp", tcpListen}, {"tcp6", "tcp", tcpListen},
		{"udp", "udp", udpUnconnected}, {"udp6", "udp", udpUnconnected},
	} {
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
				list = append(list, listeningSocket{table.proto, at})
			}
		}
	}
	return list
}

// socketAddr parses an address of /proc/net: 32-bit words in native byte order, and the port.
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
