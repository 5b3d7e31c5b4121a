//go:build linux

package topo

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"sync"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// A space is a namespace that the kernel half has a socket in.
type space struct {
	name string   // the lab's
	ref  string   // its name in nsfs.Dir, "" if it has none
	from string   // where it was taken from, "" if it was not
	ns   *os.File // nil where the lab made it: of those there are thousands; see file
	id   nsfs.ID
	own  bool // made by the lab
	conn *rtnl.Conn

	mu    sync.Mutex
	rules *nft.Conn         // nil until needed
	index map[string]uint32 // of the links by their names, as far as met
	next  uint32            // the index for the next link; 0 until it is worked out
	nsids map[*space]int32
	view  *spaceView        // what was read last; nil if nothing was, or not to its end
	files map[string]string // of the lab, by name, as they were read or written last; nil if none was
	// leftover are the lab's records whose subject is gone, as of the last
	// Snapshot: a route went with its link, a namespace with its container.
	leftover []leftover
	// guests says that programs were in it that are not the lab's, as of then.
	guests bool
	// bare says that none of the lab's rules was there at the last Snapshot.
	bare bool
	// unfinished are files of the lab that were not written to the end, as of then.
	unfinished []string
}

// A leftover is a further name of a link that remembers what is no more.
type leftover struct{ link, name string }

// enter opens a socket in a namespace, whose file it takes over.
func (k *Kernel) enter(name string, ns *os.File, own bool) (*space, error) {
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
	return k.settle(name, id, ns, conn)
}

// settle makes a space of a namespace and a socket in it, which it takes over, and so the
// file, which is nil if the lab made the namespace.
func (k *Kernel) settle(name string, id nsfs.ID, ns *os.File, conn *rtnl.Conn) (*space, error) {
	own := ns == nil
	s := &space{name: name, id: id, ns: ns, own: own, conn: conn, index: map[string]uint32{}, nsids: map[*space]int32{}}
	if own {
		s.ref = name
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !own {
		for other, t := range k.spaces {
			if t.id == s.id && other != name {
				s.close()
				return nil, fmt.Errorf("it is the namespace of %s already", or(other, Machine))
			}
		}
	}
	if old := k.spaces[name]; old != nil {
		old.close()
	}
	k.spaces[name] = s
	return s, nil
}

func (s *space) close() {
	s.conn.Close()
	if s.rules != nil {
		s.rules.Close()
	}
	if s.ns != nil {
		s.ns.Close()
	}
}

// file opens the namespace; its caller closes it.
func (s *space) file() (*os.File, error) {
	if s.ns != nil {
		return nsfs.OpenPath(fmt.Sprintf("/proc/self/fd/%d", s.ns.Fd()))
	}
	return s.conn.Namespace()
}

// withFile calls fn with the namespace's file, which is closed then.
func (s *space) withFile(fn func(ns *os.File) error) error {
	if s.ns != nil {
		return fn(s.ns)
	}
	ns, err := s.file()
	if err != nil {
		return err
	}
	defer ns.Close()
	return fn(ns)
}

// lend opens the namespace that a request names, until it is sent.
func (k *Kernel) lend(s *space) (*os.File, error) {
	ns, err := s.file()
	if err == nil {
		k.lent = append(k.lent, ns)
	}
	return ns, err
}

func (k *Kernel) takeBack() {
	for _, ns := range k.lent {
		ns.Close()
	}
	k.lent = k.lent[:0]
}

func (s *space) watch(groups ...rtnl.Group) (w *rtnl.Watcher, err error) {
	err = s.withFile(func(ns *os.File) error {
		w, err = rtnl.Watch(ns, groups...)
		return err
	})
	return w, err
}

// space finds a namespace by the lab's name for it.
func (k *Kernel) space(name string) (*space, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.spaces[name]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("netns %s: %w", name, fs.ErrNotExist)
}

// machine is the machine's own namespace.
func (k *Kernel) machine() *space {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.spaces[""]
}

// leave forgets a namespace once the stage is over.
func (k *Kernel) leave(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.spaces[name]; s != nil {
		k.orphan = append(k.orphan, s)
		delete(k.spaces, name)
	}
}

func (k *Kernel) forgetOrphans() {
	for _, s := range k.orphan {
		s.close()
	}
	k.orphan = nil
}

// linkIndex is the index of a link by its name.
func (s *space) linkIndex(name string) (uint32, error) {
	s.mu.Lock()
	i, ok := s.index[name]
	s.mu.Unlock()
	if ok {
		return i, nil
	}
	l, err := s.conn.Link(rtnl.LinkID{Name: name})
	if err != nil {
		return 0, err
	}
	s.met(name, l.Index)
	return l.Index, nil
}

func (s *space) met(name string, index uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index[name] = index
}

func (s *space) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.index, name)
}

// newIndex chooses the index for a new link, so that it need not be asked for
// afterwards: what completes the link goes to the kernel together with what makes
// it. In a namespace that is not the lab's own somebody else may make a link at the
// same moment. The kernel counts on from the last one, so we look elsewhere: else
// the other's link, having got our index, would be completed as ours.
func (s *space) newIndex() (uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == 0 {
		links, err := s.conn.Links(rtnl.LinkFilter{NoStats: true})
		if err != nil {
			return 0, err
		}
		s.countFrom(links)
	}
	s.next++
	return s.next, nil
}

// room is how many indexes from where they are counted are free: more than there
// are links.
const room = 1 << 20

// countFrom works out where indexes are free; its caller holds the space's lock.
func (s *space) countFrom(links []rtnl.Link) {
	if s.own {
		s.next = 0
		for _, l := range links {
			s.next = max(s.next, l.Index)
		}
		return
	}
	taken := func(l rtnl.Link) bool { return l.Index > s.next && l.Index-s.next <= room }
	for s.next = rand.Uint32N(1<<30) + room; slices.ContainsFunc(links, taken); {
		s.next = rand.Uint32N(1<<30) + room
	}
}
