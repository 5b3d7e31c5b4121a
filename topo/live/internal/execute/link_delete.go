package execute

import (
	"hash/fnv"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/internal/parallel"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// deleteLinks puts the links of a namespace into one link group and deletes the group.
// Single deletions would wait for an RCU grace period each.
func (x *Executor) deleteLinks(stage []topo.Step, results []result) {
	var order []*netns.Handle
	of := map[*netns.Handle][]int{}
	for i, s := range stage {
		h, err := x.handleForDelete(s.Have)
		if err != nil {
			results[i].err = err
			continue
		}
		if of[h] == nil {
			order = append(order, h)
		}
		of[h] = append(of[h], i)
	}
	parallel.Each(parallelDeletes, len(order), func(n int) { x.deleteIn(order[n], of[order[n]], stage, results) })
}

// parallelDeletes is the number of goroutines that delete links. Most of the time they wait
// for RCU grace periods.
const parallelDeletes = 16

// handleForDelete returns the namespace from which a link is deleted: that of the first end
// whose namespace is known.
func (x *Executor) handleForDelete(o topo.Object) (h *netns.Handle, err error) {
	for _, l := range o.(topo.LinkObject).Links() {
		if h, err = x.Table.Handle(l.NS); err == nil {
			return h, nil
		}
	}
	return nil, err
}

func (x *Executor) deleteIn(h *netns.Handle, places []int, stage []topo.Step, results []result) {
	group := x.group()
	var tasks []task
	for _, i := range places {
		name := nameIn(stage[i].Have, h.Name)
		index, err := h.LinkIndex(name)
		if err != nil {
			results[i].err = err
			continue
		}
		req := rtnl.SetLink(rtnl.LinkID{Index: index}, rtnl.LinkConfig{Group: &group})
		if len(places) == 1 {
			req = rtnl.DeleteLink(rtnl.LinkID{Index: index})
		}
		tasks = append(tasks, task{step: i, handle: h, reqs: []rtnl.Request{req}})
	}
	x.runTasks(tasks, results)
	var err error
	if len(places) > 1 && anySucceeded(places, results) {
		if err = x.Calls.SendTo(h, []rtnl.Request{rtnl.DeleteLinkGroup(group)})[0]; err != nil {
			ungroup(h, group)
		}
	}
	for _, i := range places {
		r := &results[i]
		if err != nil && r.err == nil {
			r.err, r.touched = err, false
		}
		if r.err == nil {
			x.forgetLinks(stage[i].Have)
		}
	}
}

// ungroup moves links back to the default group after the deletion failed.
func ungroup(h *netns.Handle, group uint32) {
	links, err := h.Conn.Links(rtnl.LinkFilter{NoStats: true})
	if err != nil {
		return // the socket failed; the caller already has that error
	}
	var reqs []rtnl.Request
	for _, l := range links {
		if l.Group == group {
			reqs = append(reqs, rtnl.SetLink(rtnl.LinkID{Index: l.Index}, rtnl.LinkConfig{Group: new(uint32)}))
		}
	}
	_ = h.Conn.Do(reqs...) // ignore errors: the next deletion sets the group again
}

func anySucceeded(places []int, results []result) bool {
	for _, i := range places {
		if results[i].err == nil {
			return true
		}
	}
	return false
}

// nameIn returns the name of the link, or veth end, in the namespace.
func nameIn(o topo.Object, ns string) string {
	for _, l := range o.(topo.LinkObject).Links() {
		if l.NS == ns {
			return l.Name
		}
	}
	return ""
}

func (x *Executor) forgetLinks(o topo.Object) {
	for _, l := range o.(topo.LinkObject).Links() {
		if h, err := x.Table.Handle(l.NS); err == nil {
			h.ForgetIndex(l.Name)
		}
	}
}

// group returns the link group for the deletion of the lab's links, a hash of the mark. It
// is very unlikely that another program uses it.
func (x *Executor) group() uint32 {
	h := fnv.New32a()
	h.Write([]byte(mark.Of(x.Table.Lab)))
	return h.Sum32() | 1<<31
}
