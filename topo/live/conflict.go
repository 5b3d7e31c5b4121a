package live

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
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

// NameConflicts returns a *[ConflictError] if objects that a plan creates cannot be created, because a foreign object
// has the name or place, or because a foreign link does not exist. Then Up fails before it changes anything.
func (k *Kernel) NameConflicts(p topo.Plan) error { return conflictFinder{k.table}.nameConflicts(p) }

// A conflictFinder finds the conflicts of a plan.
type conflictFinder struct {
	table *netns.Table
}

// nameConflicts does the work of [Kernel.NameConflicts]. It changes nothing.
func (c conflictFinder) nameConflicts(p topo.Plan) error {
	adopted := openToAdopt(p)
	defer adopted.close()
	deleted, created := map[topo.Key]bool{}, map[topo.Key]bool{} // created: links
	var found []Conflict
	for _, s := range p {
		if s.Op() == topo.Delete {
			for _, k := range append(topo.Provides(s.Have), s.Have.Key()) {
				deleted[k] = true
			}
			continue
		}
		if s.Op() != topo.Create || deleted[s.Want.Key()] {
			continue
		}
		with := ""
		switch o := s.Want.(type) {
		case topo.Namespace:
			with = namespaceConflict(o)
		case topo.Address, topo.Neigh:
			with = c.unmarkedConflict(o, deleted)
		case topo.Port:
			with = c.portConflict(o, created)
		case topo.Route:
			with = cmp.Or(adopted.routeConflict(o), c.routeConflict(o, deleted))
		case topo.Rule:
			with = cmp.Or(adopted.ruleConflict(o), c.ruleConflict(o))
		case topo.LinkObject:
			for _, l := range o.Links() {
				created[l.Key()] = true
				if !deleted[l.Key()] && with == "" {
					with = cmp.Or(c.linkConflict(l), adopted.linkConflict(l))
				}
			}
		}
		if with != "" {
			found = append(found, Conflict{s.Want, with})
		}
	}
	if len(found) == 0 {
		return nil
	}
	return &ConflictError{found}
}

// adoptedNamespaces are sockets in namespaces that a plan adopts, by the names in the lab.
type adoptedNamespaces map[string]*rtnl.Conn

// openToAdopt opens the namespaces that a plan adopts. It skips those that it cannot open: the plan's
// step fails then.
func openToAdopt(p topo.Plan) adoptedNamespaces {
	conns := adoptedNamespaces{}
	for _, s := range p {
		n, ok := s.Want.(topo.Namespace)
		if !ok || s.Op() != topo.Create || n.From == "" {
			continue
		}
		ns, err := nsfs.OpenFrom(n.Name, n.From)
		if err != nil {
			continue
		}
		if conn, err := rtnl.Dial(ns); err == nil {
			conns[n.Name] = conn
		}
		ns.Close()
	}
	return conns
}

func (a adoptedNamespaces) close() {
	for _, conn := range a {
		conn.Close()
	}
}

// linkConflict describes a link of a namespace to adopt; "" if there is no such link.
func (a adoptedNamespaces) linkConflict(l topo.Link) string {
	if a[l.NS] == nil {
		return ""
	}
	if _, err := a[l.NS].Link(rtnl.LinkID{Name: l.Name}); err != nil {
		return ""
	}
	return "the namespace of " + l.NS + " has a link " + l.Name +
		" already; give the lab's device another name, for example networks: {NETWORK: {name: lab0}}"
}

// routeConflict describes a route of a namespace to adopt that has the same destination, table and metric; "" if there
// is none.
func (a adoptedNamespaces) routeConflict(want topo.Route) string {
	if a[want.NS] == nil {
		return ""
	}
	return routeConflict(a[want.NS], want, func(uint32) bool { return true })
}

// routeConflict describes such a route of another namespace that the lab did not create. Routes of deleted links do
// not count.
func (c conflictFinder) routeConflict(want topo.Route, deleted map[topo.Key]bool) string {
	h, err := c.table.Handle(want.NS)
	if err != nil || h.Own || h.Snapshot == nil {
		return ""
	}
	return routeConflict(h.Conn, want, func(link uint32) bool {
		return !deleted[topo.LinkKey(want.NS, h.Snapshot.Names[link])]
	})
}

func routeConflict(conn *rtnl.Conn, want topo.Route, counts func(link uint32) bool) string {
	routes, _ := conn.Routes(rtnl.RouteFilter{Table: want.Table}) // up reports an error
	with := "the namespace of " + want.NS + " has such a route already"
	if want.NS == "" {
		with = "the machine has such a route already"
	}
	for _, r := range routes {
		there := topo.Route{NS: want.NS, Dst: r.Dst, Table: r.Table, Metric: r.Metric}
		if topo.Normalize(there).Key() != want.Key() || r.TOS != 0 || r.Src.IsValid() || !counts(r.Link) {
			continue
		}
		if r.Gateway.IsValid() {
			with += ", via " + r.Gateway.String()
		}
		if want.Dst.Bits() != 0 {
			return with + "; to keep both, give the lab's route a metric"
		}
		hint := want
		hint.Metric, hint.NS = 2000, ""
		text := strings.TrimPrefix(hint.String(), "route ")
		return fmt.Sprintf("%s; to keep both, give %s a route with a metric: routes: [%q]", with,
			cmp.Or(want.NS, topo.Machine), text)
	}
	return ""
}

// portConflict says why a foreign link cannot become a port: it does not exist, or has another name; "" if it can.
func (c conflictFinder) portConflict(p topo.Port, created map[topo.Key]bool) string {
	at, err := c.table.Handle(p.NS)
	if err != nil {
		return ""
	}
	switch l, err := at.Conn.Link(rtnl.LinkID{Name: p.Link}); {
	case errors.Is(err, fs.ErrNotExist) && !created[topo.LinkKey(p.NS, p.Link)]:
		return "there is no link " + p.Link
	case err == nil && l.Name != p.Link:
		return "link " + l.Name + " has the alternative name (altname) " + p.Link + "; use " + l.Name
	}
	return ""
}

// ruleConflict describes a rule of another lab with the same priority; "" if there is none. With two such rules, vnet
// could not find out which of them belongs to which lab.
func (a adoptedNamespaces) ruleConflict(want topo.Rule) string {
	if a[want.NS] == nil {
		return ""
	}
	return ruleConflict(a[want.NS], want)
}

func (c conflictFinder) ruleConflict(want topo.Rule) string {
	h, err := c.table.Handle(want.NS)
	if err != nil || h.Own {
		return ""
	}
	return ruleConflict(h.Conn, want)
}

func ruleConflict(conn *rtnl.Conn, want topo.Rule) string {
	rules, _ := conn.Rules(0) // up reports an error
	for _, r := range rules {
		if isMarked(r) && r.Is6 == want.Is6 && r.Values[unix.FRA_PRIORITY] == uint64(want.Priority) {
			return fmt.Sprintf("another lab has a rule with this priority; use another one, for example: priority %d",
				want.Priority+100)
		}
	}
	return ""
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
	h, err := c.table.Handle(l.NS)
	if err != nil || h.Own {
		return ""
	}
	index, has := h.KnownIndex(l.Name)
	if !has {
		return ""
	}
	labs := labNames{}
	if there, err := h.Conn.Link(rtnl.LinkID{Index: index}); err == nil {
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
// on a port that the plan forwards, foreign rules that redirect packets to the same port, foreign
// chains that drop forwarded packets, and foreign addresses in the same prefix. After Up, either
// the lab's object works or the foreign one, not both.
func (k *Kernel) Conflicts(p topo.Plan) ([]Conflict, error) {
	return conflictFinder{k.table}.find(p)
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
		at, err := c.table.Handle(o.Key().NS)
		if err != nil || at.Own {
			continue // not created yet, or created by the lab
		}
		if foreign[at.Name] == nil {
			if foreign[at.Name], err = c.readForeignState(at, p); err != nil {
				return nil, err
			}
		}
		with, err := foreign[at.Name].conflictWith(o)
		if err != nil {
			return nil, err
		}
		if with != "" {
			found = append(found, Conflict{o, with})
		}
		found = append(found, foreign[at.Name].drop(o)...)
		if port, ok := o.(topo.Port); ok {
			uses, err := portUses(at, port)
			if err != nil {
				return nil, err
			}
			found = append(found, uses...)
		}
	}
	return found, nil
}

// conflictWith describes what an object conflicts with; "" if nothing.
func (o *foreignState) conflictWith(object topo.Object) (string, error) {
	switch object := object.(type) {
	case topo.Address:
		return o.addressConflict(object), nil
	case topo.Forward:
		return o.forwardConflict(topo.Normalize(object).(topo.Forward))
	}
	return "", nil
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
