package live

import (
	"errors"
	"path/filepath"
	"sync"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo/live/internal/execute"
	"github.com/vnet-lab/vnet/topo/live/internal/hostfile"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// A cleaner removes what a crash or another program left of a lab, as of the last snapshot.
type cleaner struct {
	*reader
	calls *execute.Calls
}

func (k *Kernel) cleaner() *cleaner { return &cleaner{k.reader, &k.calls} }

// removeStale removes:
//   - names without namespaces, and files for them: vnet was killed while it added or
//     deleted a name, or the machine was restarted while the lab was up;
//   - files for a namespace that another program replaced by one of the same name;
//   - records of objects that no longer exist, such as a route deleted with its link;
//   - an nftables table without rules.
func (c *cleaner) removeStale() (err error) {
	for _, name := range c.staleNames {
		err = errors.Join(err, nsfs.Remove(name))
	}
	err = errors.Join(err, c.removeRecords(c.table.Machine(), c.lostAdopted))
	c.staleNames, c.lostAdopted = nil, nil
	for _, h := range c.table.Handles {
		v := c.snapshots.get(h)
		err = errors.Join(err, c.removeRecords(h, v.staleRecords), c.removeEmptyTable(v))
		v.staleRecords = nil
	}
	return errors.Join(err, c.removeStaleFiles())
}

func (c *cleaner) removeRecords(h *netns.Handle, records []staleRecord) (err error) {
	var reqs []rtnl.Request
	for _, l := range records {
		reqs = append(reqs, rtnl.DeleteAltNames(rtnl.LinkID{Name: l.link}, l.name))
	}
	for _, failed := range c.calls.SendTo(h, reqs) {
		err = errors.Join(err, failed)
	}
	return err
}

// removeEmptyTable deletes the lab's table if another program deleted its rules. The tables
// of the lab's own namespaces are deleted with the namespaces.
func (c *cleaner) removeEmptyTable(v *netnsSnapshot) error {
	if v.handle.Own || !v.emptyTable {
		return nil
	}
	conn, err := v.handle.NFT()
	if err != nil {
		return err
	}
	return conn.Apply(mark.Table(c.table.Lab), nil, nil)
}

// removeStaleFiles removes the partly written files that [Kernel.Snapshot] found, and the
// lab's files in directories of namespaces that do not exist, or are not the lab's any more.
func (c *cleaner) removeStaleFiles() (err error) {
	read := map[string]bool{}
	for _, h := range c.table.Handles {
		read[h.Ref] = true
		v := c.snapshots.get(h)
		for _, path := range v.unfinishedFiles {
			err = errors.Join(err, hostfile.Remove(path))
		}
		v.unfinishedFiles = nil
	}
	marks, isRead := sync.OnceValue(nsfs.Marks), func(ref string) bool { return read[ref] }
	return errors.Join(err, hostfile.Each(c.table.Etc, isRead, func(path string) error {
		stale, err := c.files.IsStale(path)
		if !stale || err != nil || marks()[filepath.Base(filepath.Dir(path))] == mark.Of(c.table.Lab) {
			return err // the lab's namespace may exist although it cannot be read
		}
		return hostfile.Remove(path)
	}))
}
