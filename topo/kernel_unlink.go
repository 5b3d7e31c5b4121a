//go:build linux

package topo

import (
	"hash/fnv"

	"github.com/vnet-lab/vnet/rtnl"
)

// deleteLinks puts the links of a namespace into one group and deletes that: one
// at a time, each would wait for a grace period of the kernel's.
func (k *Kernel) deleteLinks(stage []Step, results []result) {
	var order []*space
	of := map[*space][]int{}
	for i, s := range stage {
		sp, err := k.spaceToDelete(s.Have)
		if err != nil {
			results[i].err = err
			continue
		}
		if of[sp] == nil {
			order = append(order, sp)
		}
		of[sp] = append(of[sp], i)
	}
	inParallel(deleters, len(order), func(n int) { k.deleteIn(order[n], of[order[n]], stage, results) })
}

// deleters wait for the kernel's grace periods at the same time.
const deleters = 16

// spaceToDelete is where a link is deleted from: the first of its ends whose
// namespace is at hand.
func (k *Kernel) spaceToDelete(o Object) (s *space, err error) {
	for _, l := range o.(linked).links() {
		if s, err = k.space(l.NS); err == nil {
			return s, nil
		}
	}
	return nil, err
}

func (k *Kernel) deleteIn(s *space, places []int, stage []Step, results []result) {
	group := k.group()
	var tasks []task
	for _, i := range places {
		name := nameIn(stage[i].Have, s.name)
		index, err := s.linkIndex(name)
		if err != nil {
			results[i].err = err
			continue
		}
		req := rtnl.SetLink(rtnl.LinkID{Index: index}, rtnl.LinkConfig{Group: &group})
		if len(places) == 1 {
			req = rtnl.DeleteLink(rtnl.LinkID{Index: index})
		}
		tasks = append(tasks, task{step: i, space: s, reqs: []rtnl.Request{req}})
	}
	k.run(tasks, results)
	var err error
	if len(places) > 1 && anyWell(places, results) {
		if err = k.do(s, []rtnl.Request{rtnl.DeleteLinkGroup(group)})[0]; err != nil {
			s.ungroup(group)
		}
	}
	for _, i := range places {
		r := &results[i]
		if err != nil && r.err == nil {
			r.err, r.touched = err, false
		}
		if r.err == nil {
			k.forgetLinks(stage[i].Have)
		}
	}
}

// ungroup takes links out of the group again, in which they could not be deleted.
func (s *space) ungroup(group uint32) {
	links, err := s.conn.Links(rtnl.LinkFilter{NoStats: true})
	if err != nil {
		return // the socket broke, and the error that led here says so
	}
	var reqs []rtnl.Request
	for _, l := range links {
		if l.Group == group {
			reqs = append(reqs, rtnl.SetLink(rtnl.LinkID{Index: l.Index}, rtnl.LinkConfig{Group: new(uint32)}))
		}
	}
	_ = s.conn.Do(reqs...) // best effort: the next deletion sorts by group anew
}

func anyWell(places []int, results []result) bool {
	for _, i := range places {
		if results[i].err == nil {
			return true
		}
	}
	return false
}

// nameIn is the name of the end that is in the namespace.
func nameIn(o Object, ns string) string {
	for _, l := range o.(linked).links() {
		if l.NS == ns {
			return l.Name
		}
	}
	return ""
}

func (k *Kernel) forgetLinks(o Object) {
	for _, l := range o.(linked).links() {
		if s, err := k.space(l.NS); err == nil {
			s.forget(l.Name)
		}
	}
}

// group is the link group in which the lab's links are when they are about to be
// deleted; nobody else's, as good as certainly.
func (k *Kernel) group() uint32 {
	h := fnv.New32a()
	h.Write([]byte(Mark(k.lab)))
	return h.Sum32() | 1<<31
}
