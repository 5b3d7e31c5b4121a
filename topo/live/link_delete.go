package live

import (
	"hash/fnv"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/internal/parallel"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// deleteLinks puts the links of a namespace into one link group and deletes the group.
// Single deletions would wait for an RCU grace period each.
func (x *executor) deleteLinks(stage []topo.Step, results []result) {
	var order []*netnsHandle
	of := map[*netnsHandle][]int{}
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
func (x *executor) handleForDelete(o topo.Object) (h *netnsHandle, err error) {
	for _, l := range o.(topo.LinkObject).Links() {
		if h, err = x.handle(l.NS); err == nil {
			return h, nil
		}
	}
	return nil, err
}

func (x *executor) deleteIn(h *netnsHandle, places []int, stage []topo.Step, results []result) {
	group := x.group()
	var tasks []task
	for _, i := range places {
		name := nameIn(stage[i].Have, h.name)
		index, err := h.linkIndex(name)
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
		if err = x.sendRequests(h, []rtnl.Request{rtnl.DeleteLinkGroup(group)})[0]; err != nil {
			h.ungroup(group)
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
func (h *netnsHandle) ungroup(group uint32) {
	links, err := h.conn.Links(rtnl.LinkFilter{NoStats: true})
	if err != nil {
		return // the socket failed; the caller already has that error
	}
	var reqs []rtnl.Request
	for _, l := range links {
		if l.Group == group {
			reqs = append(reqs, rtnl.SetLink(rtnl.LinkID{Index: l.Index}, rtnl.LinkConfig{Group: new(uint32)}))
		}
	}
	_ = h.conn.Do(reqs...) // ignore errors: the next deletion sets the group again
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

func (x *executor) forgetLinks(o topo.Object) {
	for _, l := range o.(topo.LinkObject).Links() {
		if h, err := x.handle(l.NS); err == nil {
			h.forgetIndex(l.Name)
		}
	}
}

// group returns the link group for the deletion of the lab's links, a hash of the mark. It
// is very unlikely that another program uses it.
func (x *executor) group() uint32 {
	h := fnv.New32a()
	h.Write([]byte(mark.Of(x.lab)))
	return h.Sum32() | 1<<31
}
