//go:build linux

package topo

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// discover enters the lab's namespaces: its own by their names, those taken in
// wherever a name or a process leads to one.
func (k *Kernel) discover() error {
	lo, err := k.spaces[""].conn.Link(rtnl.LinkID{Name: "lo"})
	if err != nil {
		return err
	}
	d := &discovery{Kernel: k, taken: takenIn(lo.AltNames, k.lab), found: map[string]bool{"": true}, seen: map[nsfs.ID]bool{k.spaces[""].id: true}}
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
		k.spaces[""].leftover = append(k.spaces[""].leftover, takesRecord(k.lab, inode, host))
	}
	return nil
}

// A discovery looks for the namespaces of a lab.
type discovery struct {
	*Kernel
	taken map[uint64]string // hosts that were taken in, by inode, and not yet found
	found map[string]bool   // hosts
	seen  map[nsfs.ID]bool
}

func (d *discovery) byName() error {
	entries, err := nsfs.List()
	if err != nil {
		return err
	}
	d.stale = nil
	for _, e := range entries {
		if e.Stale && nsfs.Note(e.Name) == Mark(d.lab) {
			d.stale = append(d.stale, e.Name)
		}
		if e.Stale || e.ID == (nsfs.ID{}) {
			continue
		}
		if err := d.visit(e.Name, filepath.Join(nsfs.Dir, e.Name), e.ID); err != nil {
			return err
		}
	}
	return nil
}

func (d *discovery) byProcess() error {
	pids, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	for _, p := range pids {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		id, err := processNS(pid)
		if _, taken := d.taken[id.Ino]; err != nil || !taken {
			continue
		}
		if err := d.visit("", filepath.Join("/proc", p.Name(), "ns/net"), id); err != nil {
			return err
		}
	}
	return nil
}

// visit looks whether a namespace is the lab's. One that is gone meanwhile, or that
// may not be entered, is not.
func (d *discovery) visit(name, path string, id nsfs.ID) error {
	if d.seen[id] {
		return nil
	}
	d.seen[id] = true
	for _, s := range d.spaces {
		if s.id == id {
			return d.again(s)
		}
	}
	ns, err := nsfs.OpenPath(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, nsfs.ErrNotNamespace) {
		return nil
	}
	if err != nil {
		return err
	}
	host, from, err := d.marks(name, ns, id)
	if err != nil || host == "" || d.found[host] {
		ns.Close()
		return err
	}
	s, err := d.enter(host, ns, from == "")
	if err != nil {
		return err
	}
	if from != "" {
		s.from, s.ref = from, name
		delete(d.taken, id.Ino)
	}
	d.found[host] = true
	return nil
}

// marks tells which host of the lab a namespace is, "" if none, and where it was
// taken from, "" if the lab made it.
func (d *discovery) marks(name string, ns *os.File, id nsfs.ID) (host, from string, err error) {
	conn, err := rtnl.Dial(ns)
	if errors.Is(err, fs.ErrPermission) {
		return "", "", nil
	}
	if err != nil {
		return "", "", err
	}
	defer conn.Close()
	lo, err := conn.Link(rtnl.LinkID{Index: 1})
	if err != nil {
		return "", "", err
	}
	if host, taken := d.taken[id.Ino]; taken {
		_, from := findRecord(lo.AltNames, takenRecord(d.lab, Namespace{Name: host}))
		if from = recordText.Replace(from); printable(from) {
			return host, from, nil
		}
	}
	if name != "" && lo.Alias == Mark(d.lab) {
		return name, "", nil
	}
	return "", "", nil
}

// printable tells whether all of a text, and there is some, can be shown as it is:
// others may have written it.
func printable(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
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
