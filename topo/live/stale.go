package live

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// A cleaner removes what a crash or another program left of a lab, as of the last snapshot.
type cleaner struct {
	*reader
	x *executor
}

func (k *Kernel) cleaner() *cleaner { return &cleaner{k.reader, k.newExecutor(nil)} }

// removeStale removes:
//   - names without namespaces, and files for them: vnet was killed while it added or
//     deleted a name, or the machine was restarted while the lab was up;
//   - records of objects that no longer exist, such as a route deleted with its link;
//   - an nftables table without rules.
func (c *cleaner) removeStale() (err error) {
	for _, name := range c.staleNames {
		err = errors.Join(err, nsfs.Remove(name))
	}
	c.staleNames = nil
	for _, h := range c.handles {
		err = errors.Join(err, c.removeStaleRecords(h), c.removeEmptyTable(h))
	}
	return errors.Join(err, c.removeStaleFiles())
}

func (c *cleaner) removeStaleRecords(h *netnsHandle) (err error) {
	var reqs []rtnl.Request
	for _, l := range h.staleRecords {
		reqs = append(reqs, rtnl.DeleteAltNames(rtnl.LinkID{Name: l.link}, l.name))
	}
	h.staleRecords = nil
	for _, failed := range c.x.sendRequests(h, reqs) {
		err = errors.Join(err, failed)
	}
	return err
}

// removeEmptyTable deletes the lab's table if another program deleted its rules. The tables
// of the lab's own namespaces are deleted with the namespaces.
func (c *cleaner) removeEmptyTable(h *netnsHandle) error {
	if h.own || !h.emptyTable {
		return nil
	}
	conn, err := h.nft()
	if err != nil {
		return err
	}
	return conn.Apply(mark.Table(c.lab), nil, nil)
}

// removeStaleFiles removes the partly written files that [Kernel.Snapshot] found, and the
// lab's files in directories of namespaces that do not exist.
func (c *cleaner) removeStaleFiles() (err error) {
	read := map[string]bool{}
	for _, h := range c.handles {
		read[h.ref] = true
		for _, path := range h.unfinishedFiles {
			err = errors.Join(err, removeFile(path))
		}
		h.unfinishedFiles = nil
	}
	dirs, _ := os.ReadDir(c.etc) // it may not exist
	for _, d := range dirs {
		dir := filepath.Join(c.etc, d.Name())
		if read[d.Name()] {
			continue
		}
		files, _ := os.ReadDir(dir)
		for _, f := range files {
			if c.files.isStaleFile(dir, f.Name()) {
				err = errors.Join(err, removeFile(filepath.Join(dir, f.Name())))
			}
		}
	}
	return err
}
