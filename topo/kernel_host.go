//go:build linux

package topo

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// namespaces makes or removes namespaces, a few at a time.
func (k *Kernel) namespaces(stage []Step, results []result) {
	err := travelling(len(stage), func(t nsfs.Traveller, i int) {
		n := stage[i].Object().(Namespace)
		r := &results[i]
		switch {
		case stage[i].Op() == Create && n.From != "":
			r.err = k.takeIn(n)
		case stage[i].Op() == Create:
			r.err = k.makeNamespace(t, n.Name)
		case n.From != "":
			r.err = k.giveBack(n)
		default:
			r.err = k.removeNamespace(n.Name)
		}
		r.touched = r.err == nil
	})
	if err != nil {
		results[0].err = err
	}
}

// makeNamespace marks a namespace before it gets its name, so that nobody ever
// sees one that is not marked. A file without a namespace behind it is what a
// crash leaves in the middle of naming one; see sweep.
func (k *Kernel) makeNamespace(t nsfs.Traveller, name string) error {
	if err := k.faulty(); err != nil {
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
	s, err := k.settle(name, id, nil, conn)
	if err != nil {
		return err
	}
	s.index["lo"], s.next = 1, 1 // as in every new one
	k.number(ns, name)
	err = conn.Do(rtnl.SetLink(rtnl.LinkID{Index: 1}, rtnl.LinkConfig{Alias: k.alias()}))
	if err == nil {
		err = nsfs.AttachNoted(ns, name, Mark(k.lab))
	}
	if errors.Is(err, fs.ErrExist) {
		err = k.replaceStale(ns, name, err)
	}
	if err != nil {
		k.leave(name)
	}
	return err
}

// fallingIDs are the ids that the many namespaces of a new lab get in the machine's, if cables
// lead there: from above all that there are, downwards. In each message about the end
// of such a cable, the kernel says by its id in which namespace the other end is, and looks for
// it through all ids from the lowest one (peernet2id_alloc in net/core/net_namespace.c):
// what was made last should be found first. Left alone, it gives the lowest that is free.
func (k *Kernel) fallingIDs(p Plan) map[string]int32 {
	if p.births() <= k.wave {
		return nil
	}
	there, err := k.machine().conn.NSIDs()
	if err != nil {
		return nil
	}
	next := int32(0)
	for _, n := range there {
		if n.ID > math.MaxInt32-int32(len(p)) {
			return nil
		}
		next = max(next, n.ID+1)
	}
	ids := map[string]int32{}
	for _, s := range slices.Backward(p) {
		cable, _ := s.Want.(Veth)
		for i, end := range cable.Ends {
			host := cable.Ends[1-i].NS
			if _, has := ids[host]; end.NS == "" && host != "" && !has {
				ids[host] = next
				next++
			}
		}
	}
	return ids
}

// number gives a namespace its id in the machine's, before a cable leads there. If it is
// refused, that takes longer, and nothing else.
func (k *Kernel) number(ns *os.File, name string) {
	if id, ok := k.ids[name]; ok {
		_ = k.machine().conn.Do(rtnl.SetNSID(ns, id))
	}
}

// replaceStale names a namespace as a lab's that is gone without us, as all are after
// a restart of the machine where /run outlives it. Another's file stays.
func (k *Kernel) replaceStale(ns *os.File, name string, taken error) error {
	switch there, err := nsfs.Open(name); {
	case err == nil:
		there.Close()
		return taken
	case !errors.Is(err, nsfs.ErrNotNamespace):
		return taken
	}
	if !strings.HasPrefix(nsfs.Note(name), Mark("")) {
		return fmt.Errorf("%w, and no namespace is behind it: vnet netns delete %s takes it away", taken, name)
	}
	if err := nsfs.Remove(name); err != nil {
		return err
	}
	return nsfs.AttachNoted(ns, name, Mark(k.lab))
}

// sweep takes away what nothing of the lab is behind any more: names without
// namespaces and files for them, as vnet leaves them if it dies in the middle of
// giving a name or of taking one away, or the machine while the lab is up; records of
// what went without vnet, as a route with its link; and a table without its rules.
func (k *Kernel) sweep() (err error) {
	for _, name := range k.stale {
		err = errors.Join(err, nsfs.Remove(name))
	}
	k.stale = nil
	for _, s := range k.spaces {
		err = errors.Join(err, k.sweepRecords(s), k.sweepTable(s))
	}
	return errors.Join(err, k.sweepFiles())
}

func (k *Kernel) sweepRecords(s *space) (err error) {
	var reqs []rtnl.Request
	for _, l := range s.leftover {
		reqs = append(reqs, rtnl.DeleteAltNames(rtnl.LinkID{Name: l.link}, l.name))
	}
	s.leftover = nil
	for _, failed := range k.do(s, reqs) {
		err = errors.Join(err, failed)
	}
	return err
}

// sweepTable takes away the lab's table where somebody else took its rules. One in a
// namespace of the lab's own goes with that.
func (k *Kernel) sweepTable(s *space) error {
	if s.own || !s.bare {
		return nil
	}
	conn, err := s.nft()
	if err != nil {
		return err
	}
	return conn.Apply(RuleTable(k.lab), nil, nil)
}

// sysctlIfThere sets what not every kernel has.
func sysctlIfThere(name, value string) error {
	err := nsfs.SetSysctl(name, value)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (k *Kernel) removeNamespace(name string) error {
	if err := k.faulty(); err != nil {
		return err
	}
	k.leave(name)
	return nsfs.Remove(name)
}

// open opens a namespace, whoever made it.
func (n Namespace) open() (*os.File, error) {
	switch {
	case n.hasPath():
		return nsfs.OpenPath(n.From)
	case n.hasPid():
		pid, err := strconv.Atoi(n.From)
		if err != nil {
			return nil, err
		}
		return nsfs.OpenPid(pid)
	}
	return nsfs.Open(n.ref())
}

func (k *Kernel) takeIn(n Namespace) error {
	ns, err := n.open()
	if err != nil {
		return err
	}
	s, err := k.enter(n.Name, ns, false)
	if err != nil {
		return err
	}
	s.ref, s.from = n.ref(), n.From
	takes := takesRecord(k.lab, s.id.Ino, n.Name)
	if err = k.record(k.machine(), rtnl.AddAltNames, takes); err == nil {
		if err = k.record(s, rtnl.AddAltNames, takenRecord(k.lab, n)); err != nil {
			err = errors.Join(err, k.record(k.machine(), rtnl.DeleteAltNames, takes))
		}
	}
	if err != nil {
		k.leave(n.Name)
	}
	return err
}

// record writes or deletes what is remembered on a namespace's lo.
func (k *Kernel) record(s *space, request func(rtnl.LinkID, ...string) rtnl.Request, names ...string) error {
	return k.do(s, []rtnl.Request{request(rtnl.LinkID{Name: "lo"}, names...)})[0]
}

func (k *Kernel) giveBack(n Namespace) error {
	s, err := k.space(n.Name)
	if err != nil {
		return err
	}
	if err := k.record(s, rtnl.DeleteAltNames, takenRecord(k.lab, n)); err != nil {
		return err
	}
	if err := k.record(k.machine(), rtnl.DeleteAltNames, takesRecord(k.lab, s.id.Ino, n.Name)); err != nil {
		return errors.Join(err, k.record(s, rtnl.AddAltNames, takenRecord(k.lab, n)))
	}
	k.leave(n.Name)
	return nil
}

// settings sets and restores, alone among the labs of the machine: what one of them found
// must not be what another one has just set.
func (k *Kernel) settings(stage []Step, results []result) {
	lock, err := lockSettings()
	if err != nil {
		for i := range results {
			results[i].err = err
		}
		return
	}
	defer lock.Close()
	for i, s := range stage {
		results[i] = k.settingStep(s)
	}
}

func (k *Kernel) settingStep(step Step) result {
	s, err := k.space(step.Object().Key().NS)
	if err != nil {
		return result{err: err}
	}
	return k.sysctlStep(s, step)
}

// hostStep carries out a step that is not netlink's.
func (k *Kernel) hostStep(step Step) (r result) {
	s, err := k.space(step.Object().Key().NS)
	if err != nil {
		return result{err: err}
	}
	if err := k.faulty(); err != nil {
		return result{err: err}
	}
	r.err = k.start(s, step.Want.(Process))
	r.touched = r.err == nil
	return r
}

// insideOf runs fn in the namespace; in the machine's it is already.
func (s *space) insideOf(fn func() error) error {
	if s.name == "" {
		return fn()
	}
	return s.withFile(func(ns *os.File) error { return nsfs.Do(ns, fn) })
}

// sysctlStep remembers what a setting was before the lab set it, and brings that
// back when the lab no longer sets it, unless another lab does, too.
func (k *Kernel) sysctlStep(s *space, step Step) (r result) {
	name := step.Object().Key().Name
	lo, err := s.conn.Link(rtnl.LinkID{Name: "lo"})
	if err != nil {
		return result{err: err}
	}
	own, _ := findRecord(lo.AltNames, sysctlRecord(k.lab, name))
	others := recordOfOthers(lo.AltNames, k.lab, name)
	id := rtnl.LinkID{Index: lo.Index}
	switch step.Op() {
	case Create:
		if own == "" {
			was := others
			if was == "" {
				if was, err = s.sysctl(name); err != nil {
					return result{err: err}
				}
			}
			own = sysctlRecord(k.lab, name) + strings.Join(strings.Fields(was), "+")
			if err := k.do(s, []rtnl.Request{rtnl.AddAltNames(id, own)})[0]; err != nil {
				return result{err: err}
			}
			r.touched = true
		}
		if isForwarding(name) && !s.own {
			touched, err := k.rememberForwarding(s, lo, name)
			if r.touched = r.touched || touched; err != nil {
				return result{err: err, touched: r.touched}
			}
		}
		if name == forwarding6 && !s.own {
			touched, err := k.keepListening(s, lo)
			if r.touched = r.touched || touched; err != nil {
				return result{err: err, touched: r.touched}
			}
		}
		r.err = k.setSysctl(s, name, step.Want.(Sysctl).Value)
	case Change:
		r.err = k.setSysctl(s, name, step.Want.(Sysctl).Value)
		r.touched = r.err == nil
	case Delete:
		if was := strings.TrimPrefix(own, sysctlRecord(k.lab, name)); own != "" && others == "" {
			r.err = k.setSysctl(s, name, strings.ReplaceAll(was, "+", " "))
			r.touched = r.err == nil
		}
		if r.err == nil && isForwarding(name) {
			r.err = k.forwardAsBefore(s, lo, name, r.touched)
		}
		if r.err == nil && name == forwarding6 {
			r.err = k.listenAsBefore(s, lo)
		}
		if r.err == nil && own != "" {
			r.err = k.do(s, []rtnl.Request{rtnl.DeleteAltNames(id, own)})[0]
		}
	}
	return r
}

func (s *space) sysctl(name string) (value string, err error) {
	err = s.insideOf(func() error {
		value, err = nsfs.Sysctl(sysctlKey(name))
		return err
	})
	return value, err
}

func (k *Kernel) setSysctl(s *space, name, value string) error {
	if err := k.faulty(); err != nil {
		return err
	}
	return s.insideOf(func() error { return nsfs.SetSysctl(sysctlKey(name), value) })
}

// sysctlKey is the name with slashes between its parts, as package nsfs has it.
func sysctlKey(name string) string {
	return strings.Join(Sysctl{Name: name}.path(), "/")
}
