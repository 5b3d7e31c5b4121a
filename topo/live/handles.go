package live

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/vnet-lab/vnet/internal/parallel"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// A handleTable has the handles of a lab's namespaces. It keeps a netlink socket open in each.
type handleTable struct {
	lab  string
	etc  string // directory of the hosts' files for /etc
	ipv6 bool   // the kernel supports IPv6
	lock *lock  // nil for an Observer
	// addrRecords means that the kernel keeps no protocol of addresses: records mark the lab's.
	addrRecords bool

	mu          sync.Mutex
	handles     map[string]*netnsHandle // by the lab's names of the namespaces
	dropped     []*netnsHandle          // of deleted namespaces, open until the stage ends
	fdTableSize int                     // size to which growFDTable grew the table
}

func newHandleTable(lab string) *handleTable {
	return &handleTable{
		lab: lab, etc: nsfs.EtcDir, ipv6: hasIPv6(), addrRecords: !hasAddrProto(), handles: map[string]*netnsHandle{},
	}
}

// openMachine opens the handle of the machine's namespace: the namespace of this process.
func (t *handleTable) openMachine() error {
	ns, err := nsfs.Current()
	if err == nil {
		_, err = t.openHandle("", ns, false)
	}
	return err
}

// openHandle opens a socket in a namespace and adds the handle. It closes ns or keeps it
// in the handle.
func (t *handleTable) openHandle(name string, ns *os.File, own bool) (*netnsHandle, error) {
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
	return t.addHandle(name, id, ns, conn)
}

// addHandle adds the handle of a namespace. ns is nil if the lab created the namespace.
// The handle closes ns and conn.
func (t *handleTable) addHandle(name string, id nsfs.ID, ns *os.File, conn *rtnl.Conn) (*netnsHandle, error) {
	own := ns == nil
	h := &netnsHandle{
		name: name, id: id, ns: ns, own: own, conn: conn,
		linkIndexes: map[string]uint32{}, nsids: map[*netnsHandle]int32{},
	}
	if own {
		h.ref = name
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !own {
		for other, existing := range t.handles {
			if existing.id == h.id && other != name {
				h.close()
				return nil, fmt.Errorf("it is already the namespace of %s", cmp.Or(other, topo.Machine))
			}
		}
	}
	if old := t.handles[name]; old != nil {
		old.close()
	}
	t.handles[name] = h
	return h, nil
}

// handle returns the handle of a namespace, by its name in the lab.
func (t *handleTable) handle(name string) (*netnsHandle, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h := t.handles[name]; h != nil {
		return h, nil
	}
	return nil, fmt.Errorf("netns %s: %w", name, fs.ErrNotExist)
}

// machine returns the handle of the machine's namespace.
func (t *handleTable) machine() *netnsHandle {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.handles[""]
}

// dropHandle removes a namespace's handle. closeDropped closes it at the end of the stage.
func (t *handleTable) dropHandle(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h := t.handles[name]; h != nil {
		t.dropped = append(t.dropped, h)
		delete(t.handles, name)
	}
}

func (t *handleTable) closeDropped() {
	for _, s := range t.dropped {
		s.close()
	}
	t.dropped = nil
}

// closeAll closes all sockets and releases the lab's lock.
func (t *handleTable) closeAll() error {
	open := slices.Collect(maps.Values(t.handles))
	parallel.Each(workers, len(open), func(i int) { open[i].close() })
	t.closeDropped()
	if t.lock == nil {
		return nil
	}
	return t.lock.Close()
}
