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
func (k *Kernel) namespaceStage(stage []topo.Step, results []result) {
	err := withThreads(len(stage), func(t nsfs.Thread, i int) {
		n := stage[i].Object().(topo.Namespace)
		r := &results[i]
		switch {
		case stage[i].Op() == topo.Create && n.From != "":
			r.err = k.adoptNamespace(n)
		case stage[i].Op() == topo.Create:
			r.err = k.makeNamespace(t, n.Name)
		case n.From != "":
			r.err = k.releaseNamespace(n)
		default:
			r.err = k.removeNamespace(n.Name)
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
func (k *Kernel) makeNamespace(t nsfs.Thread, name string) error {
	if err := k.injectedFault(); err != nil {
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
	h, err := k.addHandle(name, id, nil, conn)
	if err != nil {
		return err
	}
	h.linkIndexes["lo"], h.nextIndex = 1, 1 // lo is the only link of a new namespace
	k.assignNSID(ns, name)
	err = conn.Do(rtnl.SetLink(rtnl.LinkID{Index: 1}, rtnl.LinkConfig{Alias: k.alias()}))
	if err == nil {
		err = nsfs.AttachMarked(ns, name, mark.Of(k.lab))
	}
	if errors.Is(err, fs.ErrExist) {
		err = k.replaceStaleName(ns, name, err)
	}
	if err != nil {
		k.dropHandle(name)
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
func (k *Kernel) assignNSID(ns *os.File, name string) {
	if id, ok := k.assignedNSIDs[name]; ok {
		_ = k.machine().conn.Do(rtnl.SetNSID(ns, id))
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

// setSysctlIfExists sets a sysctl that not every kernel has.
func setSysctlIfExists(name, value string) error {
	err := nsfs.SetSysctl(name, value)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
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

// sysctlStage sets and restores sysctls. It holds a lock that all labs of the machine share:
// a lab must not record a value as the former one that another lab has just set.
func (k *Kernel) sysctlStage(stage []topo.Step, results []result) {
	lock, err := lockSysctls()
	if err != nil {
		for i := range results {
			results[i].err = err
		}
		return
	}
	defer lock.Close()
	for i, s := range stage {
		results[i] = k.runSysctlStep(s)
	}
}

func (k *Kernel) runSysctlStep(step topo.Step) result {
	h, err := k.handle(step.Object().Key().NS)
	if err != nil {
		return result{err: err}
	}
	return k.sysctlStep(h, step)
}

// processStep starts a program.
func (k *Kernel) processStep(step topo.Step) (r result) {
	h, err := k.handle(step.Object().Key().NS)
	if err != nil {
		return result{err: err}
	}
	if err := k.injectedFault(); err != nil {
		return result{err: err}
	}
	r.err = k.startProcess(h, step.Want.(topo.Process))
	r.touched = r.err == nil
	return r
}

// runInside calls fn on a thread in the namespace. The process is in the machine's already.
func (h *netnsHandle) runInside(fn func() error) error {
	if h.name == "" {
		return fn()
	}
	return h.withFile(func(ns *os.File) error { return nsfs.Do(ns, fn) })
}

// sysctlStep records the former value of a sysctl before it sets it. Delete restores the
// former value, unless another lab sets the sysctl, too.
func (k *Kernel) sysctlStep(h *netnsHandle, step topo.Step) (r result) {
	name := step.Object().Key().Name
	lo, err := h.conn.Link(rtnl.LinkID{Name: "lo"})
	if err != nil {
		return result{err: err}
	}
	own, _ := mark.Find(lo.AltNames, mark.Sysctl(k.lab, name))
	others := mark.Foreign(lo.AltNames, k.lab, name)
	id := rtnl.LinkID{Index: lo.Index}
	switch step.Op() {
	case topo.Create:
		if own == "" {
			was := others
			if was == "" {
				if was, err = h.sysctl(name); err != nil {
					return result{err: err}
				}
			}
			own = mark.Sysctl(k.lab, name) + strings.Join(strings.Fields(was), "+")
			if err := k.sendRequests(h, []rtnl.Request{rtnl.AddAltNames(id, own)})[0]; err != nil {
				return result{err: err}
			}
			r.touched = true
		}
		if isForwarding(name) && !h.own {
			touched, err := k.recordForwarding(h, lo, name)
			if r.touched = r.touched || touched; err != nil {
				return result{err: err, touched: r.touched}
			}
		}
		if name == topo.ForwardingIPv6 && !h.own {
			touched, err := k.keepAcceptRA(h, lo)
			if r.touched = r.touched || touched; err != nil {
				return result{err: err, touched: r.touched}
			}
		}
		r.err = k.setSysctl(h, name, step.Want.(topo.Sysctl).Value)
	case topo.Change:
		r.err = k.setSysctl(h, name, step.Want.(topo.Sysctl).Value)
		r.touched = r.err == nil
	case topo.Delete:
		if was := strings.TrimPrefix(own, mark.Sysctl(k.lab, name)); own != "" && others == "" {
			r.err = k.setSysctl(h, name, strings.ReplaceAll(was, "+", " "))
			r.touched = r.err == nil
		}
		if r.err == nil && isForwarding(name) {
			r.err = k.restoreForwarding(h, lo, name, r.touched)
		}
		if r.err == nil && name == topo.ForwardingIPv6 {
			r.err = k.restoreAcceptRA(h, lo)
		}
		if r.err == nil && own != "" {
			r.err = k.sendRequests(h, []rtnl.Request{rtnl.DeleteAltNames(id, own)})[0]
		}
	}
	return r
}

func (h *netnsHandle) sysctl(name string) (value string, err error) {
	err = h.runInside(func() error {
		value, err = nsfs.Sysctl(sysctlKey(name))
		return err
	})
	return value, err
}

func (k *Kernel) setSysctl(h *netnsHandle, name, value string) error {
	if err := k.injectedFault(); err != nil {
		return err
	}
	return h.runInside(func() error { return nsfs.SetSysctl(sysctlKey(name), value) })
}

// sysctlKey returns the name with slashes between its parts, as package nsfs expects it.
func sysctlKey(name string) string {
	return strings.Join(topo.Sysctl{Name: name}.Path(), "/")
}
