package live

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// namespaceStage creates, adopts, releases or deletes namespaces, several in parallel.
func (x *executor) namespaceStage(stage []topo.Step, results []result) {
	err := withThreads(len(stage), func(t nsfs.Thread, i int) {
		n := stage[i].Object().(topo.Namespace)
		r := &results[i]
		switch {
		case stage[i].Op() == topo.Create && n.From != "":
			r.err = x.adoptNamespace(n)
		case stage[i].Op() == topo.Create:
			r.err = x.makeNamespace(t, n.Name)
		case n.From != "":
			r.err = x.releaseNamespace(n)
		default:
			r.err = x.removeNamespace(n.Name)
		}
		r.touched = r.err == nil
	})
	if err != nil {
		results[0].err = err
	}
}

// makeNamespace creates a namespace. It writes the mark before the name, so that a named
// namespace always has its mark. A crash while naming leaves a file without a namespace;
// see removeStale.
func (x *executor) makeNamespace(t nsfs.Thread, name string) error {
	if err := x.injectedFault(); err != nil {
		return err
	}
	ns, err := t.New()
	if err != nil {
		return err
	}
	defer ns.Close()
	id, err := nsfs.Identity(ns)
	if err != nil {
		return err
	}
	conn, err := rtnl.Dial(nil)
	if err != nil {
		return err
	}
	h, err := x.addHandle(name, id, nil, conn)
	if err != nil {
		return err
	}
	h.linkIndexes["lo"], h.nextIndex = 1, 1 // lo is the only link of a new namespace
	x.assignNSID(ns, name)
	err = conn.Do(rtnl.SetLink(rtnl.LinkID{Index: 1}, rtnl.LinkConfig{Alias: x.alias()}))
	if err == nil {
		err = nsfs.AttachMarked(ns, name, mark.Of(x.lab))
	}
	if errors.Is(err, fs.ErrExist) {
		err = x.replaceStaleName(ns, name, err)
	}
	if err != nil {
		x.dropHandle(name)
	}
	return err
}

// descendingNSIDs returns nsids for the namespaces of a new lab of several waves that have
// veth pairs to the machine. They start above all existing nsids and descend, so that the
// newest namespace has the lowest one. In each message about such a veth end, the kernel
// includes the nsid of the peer's namespace, and searches it from the lowest nsid upwards
// (peernet2id_alloc in net/core/net_namespace.c). This order makes the search short. By
// default the kernel would assign the lowest free nsid.
func (k *Kernel) descendingNSIDs(p topo.Plan) map[string]int32 {
	if p.NewNamespaces() <= k.waveSize {
		return nil
	}
	existing, err := k.machine().conn.NSIDs()
	if err != nil {
		return nil
	}
	next := int32(0)
	for _, n := range existing {
		if n.ID > math.MaxInt32-int32(len(p)) {
			return nil
		}
		next = max(next, n.ID+1)
	}
	ids := map[string]int32{}
	for _, s := range slices.Backward(p) {
		pair, _ := s.Want.(topo.Veth)
		for i, end := range pair.Ends {
			host := pair.Ends[1-i].NS
			if _, has := ids[host]; end.NS == "" && host != "" && !has {
				ids[host] = next
				next++
			}
		}
	}
	return ids
}

// assignNSID gives a namespace its nsid in the machine's namespace, before the first veth
// pair leads there. An error is ignored: it only makes Up slower.
func (x *executor) assignNSID(ns *os.File, name string) {
	if id, ok := x.nsids[name]; ok {
		_ = x.machine().conn.Do(rtnl.SetNSID(ns, id))
	}
}

// replaceStaleName gives a namespace the name of a lab's namespace that no longer exists, as
// after a reboot that kept /run. A foreign file of that name stays, and is an error.
func (k *Kernel) replaceStaleName(ns *os.File, name string, exists error) error {
	switch other, err := nsfs.Open(name); {
	case err == nil:
		other.Close()
		return exists
	case !errors.Is(err, nsfs.ErrNotNamespace):
		return exists
	}
	if !strings.HasPrefix(nsfs.StaleMark(name), mark.Of("")) {
		return fmt.Errorf("%w, but is not a namespace; remove it with: vnet netns delete %s", exists, name)
	}
	if err := nsfs.Remove(name); err != nil {
		return err
	}
	return nsfs.AttachMarked(ns, name, mark.Of(k.lab))
}

// removeStale removes what a crash or another program left of the lab, as of the last
// Snapshot:
//   - names without namespaces, and files for them: vnet was killed while it added or
//     deleted a name, or the machine was restarted while the lab was up;
//   - records of objects that no longer exist, such as a route deleted with its link;
//   - an nftables table without rules.
func (k *Kernel) removeStale() (err error) {
	for _, name := range k.staleNames {
		err = errors.Join(err, nsfs.Remove(name))
	}
	k.staleNames = nil
	for _, h := range k.handles {
		err = errors.Join(err, k.removeStaleRecords(h), k.removeEmptyTable(h))
	}
	return errors.Join(err, k.removeStaleFiles())
}

func (k *Kernel) removeStaleRecords(h *netnsHandle) (err error) {
	var reqs []rtnl.Request
	for _, l := range h.staleRecords {
		reqs = append(reqs, rtnl.DeleteAltNames(rtnl.LinkID{Name: l.link}, l.name))
	}
	h.staleRecords = nil
	for _, failed := range k.sendRequests(h, reqs) {
		err = errors.Join(err, failed)
	}
	return err
}

// removeEmptyTable deletes the lab's table if another program deleted its rules. The tables
// of the lab's own namespaces are deleted with the namespaces.
func (k *Kernel) removeEmptyTable(h *netnsHandle) error {
	if h.own || !h.emptyTable {
		return nil
	}
	conn, err := h.nft()
	if err != nil {
		return err
	}
	return conn.Apply(topo.TableName(k.lab), nil, nil)
}

func (k *Kernel) removeNamespace(name string) error {
	if err := k.injectedFault(); err != nil {
		return err
	}
	k.dropHandle(name)
	return nsfs.Remove(name)
}

func (k *Kernel) adoptNamespace(n topo.Namespace) error {
	ns, err := nsfs.OpenFrom(n.Name, n.From)
	if err != nil {
		return err
	}
	h, err := k.openHandle(n.Name, ns, false)
	if err != nil {
		return err
	}
	h.ref, h.from = n.Ref(), n.From
	idRecord := mark.AdoptedID(k.lab, h.id.Ino, n.Name)
	if err = k.changeLoRecord(k.machine(), rtnl.AddAltNames, idRecord); err == nil {
		if err = k.changeLoRecord(h, rtnl.AddAltNames, mark.Adopted(k.lab, n.Name, n.From)); err != nil {
			err = errors.Join(err, k.changeLoRecord(k.machine(), rtnl.DeleteAltNames, idRecord))
		}
	}
	if err != nil {
		k.dropHandle(n.Name)
	}
	return err
}

// changeLoRecord adds or deletes records on a namespace's lo.
func (k *Kernel) changeLoRecord(
	h *netnsHandle, request func(rtnl.LinkID, ...string) rtnl.Request, names ...string,
) error {
	return k.sendRequests(h, []rtnl.Request{request(rtnl.LinkID{Name: "lo"}, names...)})[0]
}

func (k *Kernel) releaseNamespace(n topo.Namespace) error {
	h, err := k.handle(n.Name)
	if err != nil {
		return err
	}
	if err := k.changeLoRecord(h, rtnl.DeleteAltNames, mark.Adopted(k.lab, n.Name, n.From)); err != nil {
		return err
	}
	if err := k.changeLoRecord(k.machine(), rtnl.DeleteAltNames, mark.AdoptedID(k.lab, h.id.Ino, n.Name)); err != nil {
		return errors.Join(err, k.changeLoRecord(h, rtnl.AddAltNames, mark.Adopted(k.lab, n.Name, n.From)))
	}
	k.dropHandle(n.Name)
	return nil
}
