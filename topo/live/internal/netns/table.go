package netns

import (
	"cmp"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/parallel"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// A Table has the handles of a lab's namespaces. It keeps a netlink socket open in each.
type Table struct {
	Lab  string
	Etc  string // directory of the hosts' files for /etc
	IPv6 bool   // the kernel supports IPv6
	// AddrRecords means that the kernel keeps no protocol of addresses: records mark the lab's.
	AddrRecords bool
	// Handles are the handles by the lab's names of the namespaces; "" is the machine. While several goroutines add
	// handles, use the methods.
	Handles map[string]*Handle

	mu          sync.Mutex // protects Handles and dropped
	lock        *Lock      // nil for a lab that is only read
	dropped     []*Handle  // of deleted namespaces, open until the stage ends
	fdTableSize int        // size to which GrowFDTable grew the table
}

// NewTable returns a table without handles. Close releases the lab's lock, which may be nil.
func NewTable(lab string, lock *Lock) *Table {
	return &Table{
		Lab: lab, Etc: nsfs.EtcDir, IPv6: HasIPv6(), AddrRecords: !hasAddrProto(), Handles: map[string]*Handle{}, lock: lock,
	}
}

// OpenHere opens the namespace ns, or the machine's if ns is nil.
func (t *Table) OpenHere(ns *os.File) (*Handle, error) {
	if ns == nil {
		return t.OpenMachine()
	}
	again, err := nsfs.Reopen(ns)
	if err != nil {
		return nil, err
	}
	return t.Open("ns", again, false)
}

// OpenMachine opens the machine's namespace, which is the namespace of this process. It needs no privilege.
func (t *Table) OpenMachine() (*Handle, error) {
	here, err := nsfs.Current()
	if err != nil {
		return nil, err
	}
	id, err := nsfs.Identity(here)
	if err != nil {
		here.Close()
		return nil, err
	}
	conn, err := rtnl.Dial(nil)
	if err != nil {
		here.Close()
		return nil, err
	}
	return t.Add("", id, here, conn)
}

// Open opens a socket in a namespace and adds the handle. It closes ns or keeps it
// in the handle.
func (t *Table) Open(name string, ns *os.File, own bool) (*Handle, error) {
	id, err := nsfs.Identity(ns)
	if err != nil {
		ns.Close()
		return nil, err
	}
	var conn *rtnl.Conn
	err = nsfs.Do(ns, func() (err error) {
		conn, err = rtnl.Dial(nil)
		return err
	})
	if err != nil {
		ns.Close()
		return nil, err
	}
	if own {
		ns.Close()
		ns = nil
	}
	return t.Add(name, id, ns, conn)
}

// Add adds the handle of a namespace. ns is nil if the lab created the namespace.
// The handle closes ns and conn.
func (t *Table) Add(name string, id nsfs.ID, ns *os.File, conn *rtnl.Conn) (*Handle, error) {
	own := ns == nil
	h := &Handle{
		Name: name, ID: id, ns: ns, Own: own, Conn: conn,
		linkIndexes: map[string]uint32{}, nsids: map[*Handle]int32{},
	}
	if own {
		h.Ref = name
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !own {
		for other, existing := range t.Handles {
			if existing.ID == h.ID && other != name {
				h.close()
				return nil, fmt.Errorf("it is already the namespace of %s", cmp.Or(other, topo.Machine))
			}
		}
	}
	if old := t.Handles[name]; old != nil {
		old.close()
	}
	t.Handles[name] = h
	return h, nil
}

// Handle returns the handle of a namespace, by its name in the lab.
func (t *Table) Handle(name string) (*Handle, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h := t.Handles[name]; h != nil {
		return h, nil
	}
	return nil, fmt.Errorf("netns %s: %w", name, fs.ErrNotExist)
}

// Machine returns the handle of the machine's namespace.
func (t *Table) Machine() *Handle {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.Handles[""]
}

// IDs iterates over the names and identities of the namespaces. It yields those that are in the table at the time of
// the iteration.
func (t *Table) IDs() iter.Seq2[string, nsfs.ID] {
	return func(yield func(string, nsfs.ID) bool) {
		for name, h := range t.Handles {
			if !yield(name, h.ID) {
				return
			}
		}
	}
}

// Drop removes a namespace's handle. CloseDropped closes it at the end of the stage.
func (t *Table) Drop(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h := t.Handles[name]; h != nil {
		t.dropped = append(t.dropped, h)
		delete(t.Handles, name)
	}
}

// CloseDropped closes the handles that Drop removed.
func (t *Table) CloseDropped() {
	for _, s := range t.dropped {
		s.close()
	}
	t.dropped = nil
}

// Close closes all sockets and releases the lab's lock.
func (t *Table) Close() error {
	open := slices.Collect(maps.Values(t.Handles))
	parallel.Each(Workers, len(open), func(i int) { open[i].close() })
	t.CloseDropped()
	if t.lock == nil {
		return nil
	}
	return t.lock.Close()
}

// GrowFDTable grows the file descriptor table at once to the given number of files and some
// more. Otherwise the kernel doubles the table each time it is full, and in a process with
// several threads each doubling waits for an RCU grace period. Errors are ignored: if the
// table cannot grow, a later open returns the error. A table without a lock is not grown.
func (t *Table) GrowFDTable(files int) {
	const smallest = 64 // NR_OPEN_DEFAULT of <linux/fdtable.h>, on 64 bits
	size := files + smallest/2
	if t.lock == nil || size <= max(t.fdTableSize, smallest) {
		return
	}
	t.fdTableSize = size
	if fd, err := unix.FcntlInt(t.lock.Fd(), unix.F_DUPFD_CLOEXEC, size); err == nil {
		unix.Close(fd)
	}
}
