package live

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// discover finds the lab's namespaces and opens handles: its own ones by name, adopted ones by
// name or by a process in them. read, if not nil, is called in each namespace that was not
// known before, and in those for which needsRead is true.
func (rd *reader) discover(read func(s *netns.Handle, entered error) error, needsRead func(*netns.Handle) bool) error {
	lo, err := rd.table.Handles[""].Conn.Link(rtnl.LinkID{Name: "lo"})
	if err != nil {
		return err
	}
	d := &discovery{reader: rd, readNamespace: read, needsRead: needsRead}
	d.adopted = mark.AdoptedHosts(lo.AltNames, rd.table.Lab)
	d.found, d.known = map[string]bool{"": true}, map[nsfs.ID]*netns.Handle{}
	for _, s := range rd.table.Handles {
		d.known[s.ID] = s
	}
	if err := d.byName(); err != nil {
		return err
	}
	if len(d.adopted) > 0 {
		if err := d.byProcess(); err != nil {
			return err
		}
	}
	for name := range rd.table.Handles {
		if !d.found[name] {
			rd.table.Drop(name)
		}
	}
	rd.table.CloseDropped()
	rd.lostAdopted = nil
	for inode, host := range d.adopted {
		rd.lostAdopted = append(rd.lostAdopted, staleRecord{"lo", mark.AdoptedID(rd.table.Lab, inode, host)})
	}
	return nil
}

// A discovery looks for the namespaces of a lab.
type discovery struct {
	*reader
	readNamespace func(s *netns.Handle, entered error) error
	needsRead     func(*netns.Handle) bool
	mu            sync.Mutex                // protects adopted, stale and found
	adopted       map[uint64]string         // adopted hosts not yet found, by inode
	found         map[string]bool           // names of hosts
	known         map[nsfs.ID]*netns.Handle // handles from before; nil once seen again
}

// A candidate is a namespace that may be the lab's.
type candidate struct {
	name string // in nsfs.Dir; "" if found by a process
	mark string // the mark on the name; see [nsfs.Marks]
	asks bool   // marks on names cannot be read, so lo says whose it is
	path string
	id   nsfs.ID
}

// An inspection is the result of looking into a candidate.
type inspection struct {
	stale bool     // the name has no namespace any more
	host  string   // "" if it is not the lab's
	from  string   // Namespace.From; "" if the lab created it
	ns    *os.File // nil if the lab created it
	id    nsfs.ID
	conn  *rtnl.Conn
	err   error
}

// namedCandidates are the namespaces with names.
type namedCandidates struct {
	list []candidate
	err  error
}

// readCandidates lists the namespaces with names.
func readCandidates() (n namedCandidates) {
	var marks map[string]string
	var wg sync.WaitGroup
	wg.Go(func() { marks = nsfs.Marks() })
	names, err := nsfs.Names()
	n.list, n.err = make([]candidate, 0, len(names)), err
	for _, name := range names {
		if id, err := nsfs.Stat(name); err == nil {
			n.list = append(n.list, candidate{name: name, path: filepath.Join(nsfs.Dir, name), id: id})
		}
	}
	wg.Wait()
	for i := range n.list {
		n.list[i].mark, n.list[i].asks = marks[n.list[i].name], marks == nil
	}
	return n
}

// PrefetchNames starts to list the names of namespaces in the background, for the next
// call of [Kernel.Snapshot] or of a method that uses it. That call does not see changes
// after PrefetchNames. It saves time while the caller compiles a lab.
func (k *Kernel) PrefetchNames() { k.prefetch() }

func (rd *reader) prefetch() {
	names := make(chan namedCandidates, 1) // buffered: perhaps nobody receives
	rd.prefetched = names
	go func() { names <- readCandidates() }()
}

func (d *discovery) byName() error {
	var named namedCandidates
	if d.prefetched == nil {
		named = readCandidates()
	} else {
		named = <-d.prefetched
		d.prefetched = nil
	}
	if named.err != nil {
		return named.err
	}
	d.staleNames = nil
	return d.open(named.list, d.table.Handles[""])
}

func (d *discovery) byProcess() error {
	all, err := nsfs.Processes()
	if err != nil {
		return err
	}
	var list []candidate
	for _, p := range all {
		if _, adopted := d.adopted[p.ID.Ino]; adopted {
			list = append(list, candidate{path: filepath.Join("/proc", strconv.Itoa(p.Pid), "ns/net"), id: p.ID})
		}
	}
	return d.open(list)
}

// open inspects the candidates in parallel, and calls read in those of the lab and in known ones.
func (d *discovery) open(list []candidate, known ...*netns.Handle) error {
	var unknown []candidate
	for _, at := range list {
		s, seen := d.known[at.id]
		d.known[at.id] = nil
		switch {
		case !seen && d.mayBeOurs(at):
			unknown = append(unknown, at)
		case !seen:
		case s != nil:
			if err := d.recheck(s); err != nil {
				return err
			}
			if s.Name != "" { // the machine is in known already
				known = append(known, s)
			}
		}
	}
	known = slices.DeleteFunc(known, func(s *netns.Handle) bool {
		return d.readNamespace == nil || !d.found[s.Name] || !d.needsRead(s)
	})
	d.table.GrowFDTable(len(d.table.Handles) + len(unknown))
	errs := make([]error, len(known)+len(unknown))
	err := netns.WithThreads(len(errs), func(t nsfs.Thread, i int) {
		if i < len(known) { // the machine comes first: it has the most links
			errs[i] = d.readNamespace(known[i], known[i].WithFile(t.Enter))
			return
		}
		at := unknown[i-len(known)]
		s, err := d.adopt(at, d.inspect(t, at))
		if s != nil && d.readNamespace != nil {
			err = d.readNamespace(s, nil)
		}
		errs[i] = err
	})
	return errors.Join(append(errs, err)...)
}

// mayBeOurs reports whether a candidate needs inspection.
func (d *discovery) mayBeOurs(at candidate) bool { return at.asks || d.isMarked(at) }

// isMarked reports whether a mark outside the candidate says that it is the lab's.
func (d *discovery) isMarked(at candidate) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, adopted := d.adopted[at.id.Ino]
	return adopted || at.mark == mark.Of(d.table.Lab)
}

// inspect enters a candidate and finds out whether it is the lab's. A namespace that no
// longer exists is not, nor one without a mark that vnet may not enter. In a namespace that may be foreign it
// reads only lo: its other contents must not make vnet fail.
func (d *discovery) inspect(t nsfs.Thread, at candidate) (v inspection) {
	if v.ns, v.err = nsfs.OpenPath(at.path); v.err == nil {
		if v.err = t.Enter(v.ns); v.err == nil {
			v.conn, v.err = rtnl.Dial(nil)
		}
	}
	if v.err == nil {
		v.id, v.err = nsfs.Identity(v.ns)
	}
	if v.err == nil && v.id != at.id { // the name has changed to another namespace meanwhile
		if at.id = v.id; at.name != "" {
			at.mark, at.asks = nsfs.StaleMark(at.name), false
		}
	}
	var lo rtnl.Link
	if v.err == nil && at.mark != mark.Of(d.table.Lab) {
		lo, v.err = v.conn.Link(rtnl.LinkID{Index: 1})
	}
	switch {
	case errors.Is(v.err, nsfs.ErrNotNamespace):
		return inspection{stale: true}
	case errors.Is(v.err, fs.ErrNotExist), errors.Is(v.err, fs.ErrPermission) && !d.isMarked(at):
		v.err = nil
	case v.err == nil:
		v.host, v.from = d.hostOf(at, lo)
	}
	switch {
	case v.host == "":
		v.close()
	case v.from == "":
		v.ns.Close()
		v.ns = nil
	}
	return v
}

// close closes the files of an inspection.
func (v *inspection) close() {
	if v.conn != nil {
		v.conn.Close()
	}
	if v.ns != nil {
		v.ns.Close()
	}
}

// adopt opens a handle for a namespace of the lab, and collects the lab's names that have
// no namespace any more.
func (d *discovery) adopt(at candidate, v inspection) (*netns.Handle, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case v.err != nil:
		return nil, v.err
	case v.stale && at.name != "" && nsfs.StaleMark(at.name) == mark.Of(d.table.Lab):
		d.staleNames = append(d.staleNames, at.name)
		return nil, nil
	case v.host == "":
		return nil, nil
	case d.found[v.host]:
		v.close()
		return nil, nil
	}
	s, err := d.table.Add(v.host, v.id, v.ns, v.conn)
	if err != nil {
		return nil, err
	}
	if v.from != "" {
		s.From, s.Ref = v.from, at.name
		delete(d.adopted, at.id.Ino)
	}
	d.found[v.host] = true
	return s, nil
}

// hostOf returns the name of a namespace in the lab, "" if it is not the lab's, and its
// [topo.Namespace.From], "" if the lab created it. The mark on its lo counts only if the kernel does not let vnet read
// those on names: root in a namespace can write and remove it.
func (d *discovery) hostOf(at candidate, lo rtnl.Link) (host, from string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if host, adopted := d.adopted[at.id.Ino]; adopted {
		_, from := mark.Find(lo.AltNames, mark.Adopted(d.table.Lab, host, ""))
		if from = mark.Unescaper.Replace(from); display.Printable(from) {
			return host, from
		}
	}
	if at.mark == mark.Of(d.table.Lab) || at.asks && lo.Alias == mark.Of(d.table.Lab) {
		return at.name, ""
	}
	return "", ""
}

// recheck looks again at a namespace that was the lab's: another process may have released
// it meanwhile.
func (d *discovery) recheck(s *netns.Handle) error {
	if s.Own || s.Name == "" {
		d.found[s.Name] = true
		return nil
	}
	lo, err := s.Conn.Link(rtnl.LinkID{Index: 1})
	if err != nil || d.adopted[s.ID.Ino] != s.Name {
		return err
	}
	if slices.Contains(lo.AltNames, mark.Adopted(d.table.Lab, s.Name, s.From)) {
		d.found[s.Name] = true
		delete(d.adopted, s.ID.Ino)
	}
	return nil
}
