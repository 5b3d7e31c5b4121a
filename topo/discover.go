//go:build linux

package topo

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// discover enters the lab's namespaces: its own by their names, those taken in
// wherever a name or a process leads to one. look, if it is not nil, is called in each that
// was not known, and in those that are due.
func (k *Kernel) discover(look func(s *space, entered error) error, due func(*space) bool) error {
	lo, err := k.spaces[""].conn.Link(rtnl.LinkID{Name: "lo"})
	if err != nil {
		return err
	}
	d := &discovery{Kernel: k, look: look, due: due, taken: takenIn(lo.AltNames, k.lab), found: map[string]bool{"": true}, met: map[nsfs.ID]*space{}}
	for _, s := range k.spaces {
		d.met[s.id] = s
	}
	if err := d.byName(); err != nil {
		return err
	}
	if len(d.taken) > 0 {
		if err := d.byProcess(); err != nil {
			return err
		}
	}
	for name := range k.spaces {
		if !d.found[name] {
			k.leave(name)
		}
	}
	k.forgetOrphans()
	for _, s := range k.spaces {
		s.leftover = nil
	}
	for inode, host := range d.taken {
		k.spaces[""].leftover = append(k.spaces[""].leftover, leftover{"lo", takesRecord(k.lab, inode, host)})
	}
	return nil
}

// A discovery looks for the namespaces of a lab.
type discovery struct {
	*Kernel
	look  func(s *space, entered error) error
	due   func(*space) bool
	gate  sync.Mutex         // of taken, stale and found, where several visits go on
	taken map[uint64]string  // hosts that were taken in, by inode, and not yet found
	found map[string]bool    // hosts
	met   map[nsfs.ID]*space // where we were before, or have been now: then nil
}

// A door leads into a namespace.
type door struct {
	name string // in nsfs.Dir; "" if it is a process's
	note string // of the name
	path string
	id   nsfs.ID
}

// A visit is what was found behind a door.
type visit struct {
	stale bool // nothing
	host  string
	from  string   // where it was taken from, "" if the lab made it
	ns    *os.File // nil if the lab made it
	id    nsfs.ID
	conn  *rtnl.Conn
	err   error
}

// namedDoors are those that have names.
type namedDoors struct {
	doors []door
	err   error
}

// readDoors looks which names there are.
func readDoors() (n namedDoors) {
	var notes map[string]string
	var beside sync.WaitGroup
	beside.Go(func() { notes = nsfs.Notes() })
	names, err := nsfs.Names()
	n.doors, n.err = make([]door, 0, len(names)), err
	for _, name := range names {
		if id, err := nsfs.Stat(name); err == nil {
			n.doors = append(n.doors, door{name: name, path: filepath.Join(nsfs.Dir, name), id: id})
		}
	}
	beside.Wait()
	for i := range n.doors {
		n.doors[i].note = notes[n.doors[i].name]
	}
	return n
}

// LookAhead begins to look which namespaces have names, on behalf of the next
// [Kernel.Snapshot] or what contains one. What happens until then is not seen by that: it
// is for those who have a state to compile before, and nothing else to do.
func (k *Kernel) LookAhead() {
	ahead := make(chan namedDoors, 1) // and nobody need be there to take them
	k.ahead = ahead
	go func() { ahead <- readDoors() }()
}

func (d *discovery) byName() error {
	var named namedDoors
	if d.ahead == nil {
		named = readDoors()
	} else {
		named = <-d.ahead
		d.ahead = nil
	}
	if named.err != nil {
		return named.err
	}
	d.stale = nil
	return d.open(named.doors, d.spaces[""])
}

func (d *discovery) byProcess() error {
	all, err := nsfs.Processes()
	if err != nil {
		return err
	}
	var doors []door
	for _, p := range all {
		if _, taken := d.taken[p.ID.Ino]; taken {
			doors = append(doors, door{path: filepath.Join("/proc", strconv.Itoa(p.Pid), "ns/net"), id: p.ID})
		}
	}
	return d.open(doors)
}

// open looks which namespaces are the lab's, several at once, and into those known besides.
func (d *discovery) open(doors []door, known ...*space) error {
	var strange []door
	for _, at := range doors {
		s, met := d.met[at.id]
		d.met[at.id] = nil
		switch {
		case !met && d.mayBeOurs(at):
			strange = append(strange, at)
		case !met:
		case s != nil:
			if err := d.again(s); err != nil {
				return err
			}
			if s.name != "" { // which is among them already
				known = append(known, s)
			}
		}
	}
	known = slices.DeleteFunc(known, func(s *space) bool { return d.look == nil || !d.found[s.name] || !d.due(s) })
	if d.lock != nil { // else it is somebody's who only looks
		d.widen(len(d.spaces) + len(strange))
	}
	errs := make([]error, len(known)+len(strange))
	err := travelling(len(errs), func(t nsfs.Traveller, i int) {
		if i < len(known) { // the machine first, which has most
			errs[i] = d.look(known[i], known[i].withFile(t.Enter))
			return
		}
		at := strange[i-len(known)]
		s, err := d.welcome(at, d.visit(t, at))
		if s != nil && d.look != nil {
			err = d.look(s, nil)
		}
		errs[i] = err
	})
	return errors.Join(append(errs, err)...)
}

// mayBeOurs tells whether a namespace has to be looked at.
func (d *discovery) mayBeOurs(at door) bool {
	_, taken := d.taken[at.id.Ino]
	return taken || at.note == "" || at.note == Mark(d.lab)
}

// visit looks behind a door. A namespace that is gone meanwhile, or that may not be
// entered, is nobody's. Of one that may be somebody else's only lo is read: what goes on
// there is no reason to fail.
func (d *discovery) visit(t nsfs.Traveller, at door) (v visit) {
	if v.ns, v.err = nsfs.OpenPath(at.path); v.err == nil {
		if v.err = t.Enter(v.ns); v.err == nil {
			v.conn, v.err = rtnl.Dial(nil)
		}
	}
	if v.err == nil {
		v.id, v.err = nsfs.Identity(v.ns)
	}
	if v.err == nil && v.id != at.id { // somebody put another one there meanwhile
		if at.id = v.id; at.name != "" {
			at.note = nsfs.Note(at.name)
		}
	}
	var lo rtnl.Link
	if v.err == nil && at.note != Mark(d.lab) {
		lo, v.err = v.conn.Link(rtnl.LinkID{Index: 1})
	}
	switch {
	case errors.Is(v.err, nsfs.ErrNotNamespace):
		return visit{stale: true}
	case errors.Is(v.err, fs.ErrNotExist), errors.Is(v.err, fs.ErrPermission):
		v.err = nil
	case v.err == nil:
		v.host, v.from = d.marks(at, lo)
	}
	switch {
	case v.host == "":
		v.leave()
	case v.from == "":
		v.ns.Close()
		v.ns = nil
	}
	return v
}

// leave closes what the visit opened.
func (v *visit) leave() {
	if v.conn != nil {
		v.conn.Close()
	}
	if v.ns != nil {
		v.ns.Close()
	}
}

// welcome takes up a namespace of the lab's, and remembers a name of the lab that
// has none.
func (d *discovery) welcome(at door, v visit) (*space, error) {
	d.gate.Lock()
	defer d.gate.Unlock()
	switch {
	case v.err != nil:
		return nil, v.err
	case v.stale && at.name != "" && nsfs.Note(at.name) == Mark(d.lab):
		d.stale = append(d.stale, at.name)
		return nil, nil
	case v.host == "":
		return nil, nil
	case d.found[v.host]:
		v.leave()
		return nil, nil
	}
	s, err := d.settle(v.host, v.id, v.ns, v.conn)
	if err != nil {
		return nil, err
	}
	if v.from != "" {
		s.from, s.ref = v.from, at.name
		delete(d.taken, at.id.Ino)
	}
	d.found[v.host] = true
	return s, nil
}

// marks tells which host of the lab a namespace is, "" if none, and where it was
// taken from, "" if the lab made it. What its name says counts more than its lo, of which
// whoever rules there can take the mark away.
func (d *discovery) marks(at door, lo rtnl.Link) (host, from string) {
	d.gate.Lock()
	defer d.gate.Unlock()
	if host, taken := d.taken[at.id.Ino]; taken {
		_, from := findRecord(lo.AltNames, takenRecord(d.lab, Namespace{Name: host}))
		if from = recordText.Replace(from); printable(from) {
			return host, from
		}
	}
	switch {
	case at.note == Mark(d.lab), at.note == "" && at.name != "" && lo.Alias == Mark(d.lab):
		return at.name, ""
	}
	return "", ""
}

// again looks at a namespace that was the lab's: somebody may have given it back
// meanwhile.
func (d *discovery) again(s *space) error {
	if s.own || s.name == "" {
		d.found[s.name] = true
		return nil
	}
	lo, err := s.conn.Link(rtnl.LinkID{Index: 1})
	if err != nil || d.taken[s.id.Ino] != s.name {
		return err
	}
	if slices.Contains(lo.AltNames, takenRecord(d.lab, Namespace{Name: s.name, From: s.from})) {
		d.found[s.name] = true
		delete(d.taken, s.id.Ino)
	}
	return nil
}
