package netns

import (
	"fmt"
	"os"
	"sync"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// A Handle is a namespace of the lab, with an open netlink socket.
type Handle struct {
	Name string // in the lab; "" is the machine
	Ref  string // its name in nsfs.Dir, "" if it has none
	From string // its `namespace:` value if it is adopted, else ""
	ID   nsfs.ID
	Own  bool // created by the lab
	Conn *rtnl.Conn

	// What was read in the namespace, as far as package execute needs it; package live has the rest.
	Snapshot *Snapshot         // the last complete one; nil if none
	Files    map[string]string // texts of the lab's files by name, as last read or written; nil if unknown

	ns          *os.File          // nil for the lab's own namespaces, which are many; see OpenFile
	mu          sync.Mutex        // protects the following, and Files while they are written
	nftConn     *nft.Conn         // nil until needed
	linkIndexes map[string]uint32 // of known links, by name
	nextIndex   uint32            // the last index given to a new link; 0 means not chosen yet
	nsids       map[*Handle]int32 // of other namespaces in this one
}

func (h *Handle) close() {
	h.Conn.Close()
	if h.nftConn != nil {
		h.nftConn.Close()
	}
	if h.ns != nil {
		h.ns.Close()
	}
}

// OpenFile opens the namespace's file; the caller closes it.
func (h *Handle) OpenFile() (*os.File, error) {
	if h.ns != nil {
		return nsfs.OpenPath(fmt.Sprintf("/proc/self/fd/%d", h.ns.Fd()))
	}
	return h.Conn.Namespace()
}

// WithFile calls fn with the namespace's file, which is valid only during the call.
func (h *Handle) WithFile(fn func(ns *os.File) error) error {
	if h.ns != nil {
		return fn(h.ns)
	}
	ns, err := h.OpenFile()
	if err != nil {
		return err
	}
	defer ns.Close()
	return fn(ns)
}

// RunInside calls fn on a thread in the namespace. The process is already in the machine's namespace.
func (h *Handle) RunInside(fn func() error) error {
	if h.Name == "" {
		return fn()
	}
	return h.WithFile(func(ns *os.File) error { return nsfs.Do(ns, fn) })
}

// Watch subscribes to the namespace's messages of these groups.
func (h *Handle) Watch(groups ...rtnl.Group) (w *rtnl.Watcher, err error) {
	err = h.WithFile(func(ns *os.File) error {
		w, err = rtnl.Watch(ns, groups...)
		return err
	})
	return w, err
}

// NFT returns the nftables socket of the namespace, which it opens at the first call.
func (h *Handle) NFT() (*nft.Conn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.nftConn == nil && h.Name == "" { // the process is already in this namespace
		var err error
		h.nftConn, err = nft.Dial(nil)
		return h.nftConn, err
	}
	if h.nftConn == nil {
		err := h.WithFile(func(ns *os.File) (err error) {
			h.nftConn, err = nft.Dial(ns)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return h.nftConn, nil
}

// HasNFT reports whether the nftables socket is open.
func (h *Handle) HasNFT() bool { return h.nftConn != nil }

// DialOffload opens an ethtool socket in the namespace; the caller closes it.
func (h *Handle) DialOffload() (o *rtnl.Offload, err error) {
	err = h.WithFile(func(ns *os.File) error {
		o, err = rtnl.DialOffload(ns)
		return err
	})
	return o, err
}

// NSID returns the id that another namespace has in this one (ip-netns(8)'s nsid).
func (h *Handle) NSID(other *Handle) (int32, error) {
	if id, ok := h.nsids[other]; ok {
		return id, nil
	}
	var id int32
	err := other.WithFile(func(ns *os.File) (err error) {
		id, err = h.Conn.NSID(ns)
		return err
	})
	if err == nil && id >= 0 {
		h.nsids[other] = id
	}
	return id, err
}

// NoteFile notes the text of a file that was written.
func (h *Handle) NoteFile(name, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.Files == nil {
		h.Files = map[string]string{}
	}
	h.Files[name] = text
}

// ForgetFile is called after a file was removed.
func (h *Handle) ForgetFile(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.Files, name)
}
