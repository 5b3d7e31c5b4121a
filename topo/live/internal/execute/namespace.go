package execute

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// namespaceStage creates, adopts, releases or deletes namespaces, several in parallel.
func (x *Executor) namespaceStage(stage []topo.Step, results []result) {
	err := netns.WithThreads(len(stage), func(t nsfs.Thread, i int) {
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
// namespace always has its mark. If vnet is killed while it writes the name, a file without a namespace
// is left; package live removes it.
func (x *Executor) makeNamespace(t nsfs.Thread, name string) error {
	ns, err := x.Calls.NewNetns(t)
	if err != nil {
		return err
	}
	defer ns.Close()
	// Where /proc/sys is read-only, a lab without IPv6 works nevertheless.
	err = t.SetSysctls(topo.OwnDefaultDir, topo.OwnDefault)
	if err != nil && !errors.Is(err, unix.EROFS) && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	id, err := nsfs.Identity(ns)
	if err != nil {
		return err
	}
	conn, err := rtnl.Dial(nil)
	if err != nil {
		return err
	}
	h, err := x.Table.Add(name, id, nil, conn)
	if err != nil {
		return err
	}
	links, err := x.newNetns.read(conn)
	if err != nil {
		x.Table.Drop(name)
		return err
	}
	h.SetIndexes(links)
	x.assignNSID(ns, name)
	err = conn.Do(rtnl.SetLink(rtnl.LinkID{Index: 1}, rtnl.LinkConfig{Alias: alias(x.Table)}))
	if err == nil {
		err = nsfs.AttachMarked(ns, name, mark.Of(x.Table.Lab))
	}
	if errors.Is(err, fs.ErrExist) {
		err = x.replaceStaleName(ns, name, err)
	}
	if err != nil {
		x.Table.Drop(name)
	}
	return err
}

// linksOfNewNetns are the links of a new namespace: lo, and where modules for tunnels are loaded, also gre0, sit0,
// ip6tnl0 …; see fb_tunnels_only_for_init_net in Documentation/admin-guide/sysctl/net.rst. They are the same in all
// new namespaces, so they are read in the first one only.
type linksOfNewNetns struct {
	once  sync.Once
	links []rtnl.Link
	err   error
}

func (n *linksOfNewNetns) read(first *rtnl.Conn) ([]rtnl.Link, error) {
	n.once.Do(func() { n.links, n.err = first.Links(rtnl.LinkFilter{NoStats: true}) })
	return n.links, n.err
}

// DescendingNSIDs returns nsids for the namespaces of a new lab of several waves that have
// veth pairs to the machine. They start above all existing nsids and descend, so that the
// newest namespace has the lowest one. In each message about such a veth end, the kernel
// includes the nsid of the peer's namespace, and searches it from the lowest nsid upwards
// (peernet2id_alloc in net/core/net_namespace.c). This order makes the search short. By
// default the kernel would assign the lowest free nsid.
func DescendingNSIDs(t *netns.Table, p topo.Plan, waveSize int) map[string]int32 {
	if p.Waves(waveSize) <= 1 {
		return nil
	}
	existing, err := t.Machine().Conn.NSIDs()
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
func (x *Executor) assignNSID(ns *os.File, name string) {
	if id, ok := x.NSIDs[name]; ok {
		_ = x.Table.Machine().Conn.Do(rtnl.SetNSID(ns, id))
	}
}

// replaceStaleName gives a namespace the name of a lab's namespace that no longer exists, as
// after a reboot that kept /run. A foreign file of that name stays, and is an error.
func (x *Executor) replaceStaleName(ns *os.File, name string, exists error) error {
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
	return nsfs.AttachMarked(ns, name, mark.Of(x.Table.Lab))
}

func (x *Executor) removeNamespace(name string) error {
	err := x.Calls.RemoveNetns(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		x.Table.Drop(name)
	}
	return err
}

func (x *Executor) adoptNamespace(n topo.Namespace) error {
	ns, err := nsfs.OpenFrom(n.Name, n.From)
	if err != nil {
		return err
	}
	h, err := x.Table.Open(n.Name, ns, false)
	if err != nil {
		return err
	}
	h.Ref, h.From = n.Ref(), n.From
	idRecord := mark.AdoptedID(x.Table.Lab, h.ID.Ino, n.Name)
	if err = x.changeLoRecord(x.Table.Machine(), rtnl.AddAltNames, idRecord); err == nil {
		if err = x.changeLoRecord(h, rtnl.AddAltNames, mark.Adopted(x.Table.Lab, n.Name, n.From)); err != nil {
			err = errors.Join(err, x.changeLoRecord(x.Table.Machine(), rtnl.DeleteAltNames, idRecord))
		}
	}
	if err != nil {
		x.Table.Drop(n.Name)
	}
	return err
}

// changeLoRecord adds or deletes records on a namespace's lo.
func (x *Executor) changeLoRecord(
	h *netns.Handle, request func(rtnl.LinkID, ...string) rtnl.Request, names ...string,
) error {
	return x.Calls.SendTo(h, []rtnl.Request{request(rtnl.LinkID{Name: "lo"}, names...)})[0]
}

func (x *Executor) releaseNamespace(n topo.Namespace) error {
	h, err := x.Table.Handle(n.Name)
	if err != nil {
		return err
	}
	if err := x.changeLoRecord(h, rtnl.DeleteAltNames, mark.Adopted(x.Table.Lab, n.Name, n.From)); err != nil {
		return err
	}
	idRecord := mark.AdoptedID(x.Table.Lab, h.ID.Ino, n.Name)
	if err := x.changeLoRecord(x.Table.Machine(), rtnl.DeleteAltNames, idRecord); err != nil {
		return errors.Join(err, x.changeLoRecord(h, rtnl.AddAltNames, mark.Adopted(x.Table.Lab, n.Name, n.From)))
	}
	x.Table.Drop(n.Name)
	return nil
}
