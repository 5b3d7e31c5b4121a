package live

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// A netnsHandle is a namespace of the lab, with an open netlink socket.
type netnsHandle struct {
	name string   // in the lab
	ref  string   // its name in nsfs.Dir, "" if it has none
	from string   // its `namespace:` value if it is adopted, else ""
	ns   *os.File // nil for the lab's own namespaces, which are many; see openFile
	id   nsfs.ID
	own  bool // created by the lab
	conn *rtnl.Conn

	mu          sync.Mutex
	nftConn     *nft.Conn         // nil until needed
	linkIndexes map[string]uint32 // of known links, by name
	nextIndex   uint32            // the last index given to a new link; 0 means not chosen yet
	nsids       map[*netnsHandle]int32
	snapshot    *netnsSnapshot    // the last complete one; nil if none
	files       map[string]string // texts of the lab's files by name, as last read or written; nil if unknown
	// staleRecords are the lab's records of objects that no longer existed at the last
	// Snapshot, such as a route deleted with its link or a namespace deleted with its container.
	staleRecords []staleRecord
	// foreignPrograms is true if foreign programs ran in it at that time.
	foreignPrograms bool
	// emptyTable is true if the lab's nftables table had no rules of the lab at that time.
	emptyTable bool
	// unfinishedFiles are the paths of the lab's partly written files at that time.
	unfinishedFiles []string
}

// A staleRecord is a record (an alternative name of a link) of an object that no longer exists.
type staleRecord struct{ link, name string }

func (h *netnsHandle) close() {
	h.conn.Close()
	if h.nftConn != nil {
		h.nftConn.Close()
	}
	if h.ns != nil {
		h.ns.Close()
	}
}

// openFile opens the namespace's file; the caller closes it.
func (h *netnsHandle) openFile() (*os.File, error) {
	if h.ns != nil {
		return nsfs.OpenPath(fmt.Sprintf("/proc/self/fd/%d", h.ns.Fd()))
	}
	return h.conn.Namespace()
}

// withFile calls fn with the namespace's file, which is valid only during the call.
func (h *netnsHandle) withFile(fn func(ns *os.File) error) error {
	if h.ns != nil {
		return fn(h.ns)
	}
	ns, err := h.openFile()
	if err != nil {
		return err
	}
	defer ns.Close()
	return fn(ns)
}

// runInside calls fn on a thread in the namespace. The process is already in the machine's namespace.
func (h *netnsHandle) runInside(fn func() error) error {
	if h.name == "" {
		return fn()
	}
	return h.withFile(func(ns *os.File) error { return nsfs.Do(ns, fn) })
}

func (h *netnsHandle) watch(groups ...rtnl.Group) (w *rtnl.Watcher, err error) {
	err = h.withFile(func(ns *os.File) error {
		w, err = rtnl.Watch(ns, groups...)
		return err
	})
	return w, err
}

// linkIndex returns the index of a link.
func (h *netnsHandle) linkIndex(name string) (uint32, error) {
	h.mu.Lock()
	i, ok := h.linkIndexes[name]
	h.mu.Unlock()
	if ok {
		return i, nil
	}
	l, err := h.conn.Link(rtnl.LinkID{Name: name})
	if err != nil {
		return 0, err
	}
	h.setIndex(name, l.Index)
	return l.Index, nil
}

func (h *netnsHandle) setIndex(name string, index uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.linkIndexes[name] = index
}

func (h *netnsHandle) forgetIndex(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.linkIndexes, name)
}

// newIndex returns the index for a new link. Since the index is known in advance, the
// requests that configure the link go to the kernel together with the one that creates
// it. In a foreign namespace another program may create a link at the same time. The
// kernel gives that link the index after the last one, so newIndex uses a distant range.
// Otherwise the foreign link could get this index, and vnet would configure it.
func (h *netnsHandle) newIndex() (uint32, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.nextIndex == 0 {
		links, err := h.conn.Links(rtnl.LinkFilter{NoStats: true})
		if err != nil {
			return 0, err
		}
		h.chooseNextIndex(links)
	}
	h.nextIndex++
	return h.nextIndex, nil
}

// freeIndexes is the number of consecutive free indexes that chooseNextIndex looks for.
// It exceeds the number of links of a lab.
const freeIndexes = 1 << 20

// chooseNextIndex sets nextIndex before a range of free indexes. The caller holds h.mu.
func (h *netnsHandle) chooseNextIndex(links []rtnl.Link) {
	if h.own {
		h.nextIndex = 0
		for _, l := range links {
			h.nextIndex = max(h.nextIndex, l.Index)
		}
		return
	}
	inRange := func(l rtnl.Link) bool { return l.Index > h.nextIndex && l.Index-h.nextIndex <= freeIndexes }
	for h.nextIndex = rand.Uint32N(1<<30) + freeIndexes; slices.ContainsFunc(links, inRange); {
		h.nextIndex = rand.Uint32N(1<<30) + freeIndexes
	}
}
