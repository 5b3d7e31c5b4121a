package execute

import (
	"slices"

	"github.com/vnet-lab/vnet/internal/parallel"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// A task holds a step's requests to one namespace's socket. If the first request
// fails, the results of the others do not matter.
type task struct {
	step      int
	handle    *netns.Handle
	reqs      []rtnl.Request
	onSuccess func() // called if all requests succeeded
}

// maxRequests is the maximum number of requests in one sendmsg. The requests of a
// task are never split: a kill cannot interrupt a process inside the system call.
const maxRequests = 128

// runTasks executes tasks in order. It sends consecutive tasks of a namespace together.
func (x *Executor) runTasks(tasks []task, results []result) {
	for from := 0; from < len(tasks); {
		to, n := from, 0
		for to < len(tasks) && tasks[to].handle == tasks[from].handle &&
			(n == 0 || n+len(tasks[to].reqs) <= maxRequests) {
			n += len(tasks[to].reqs)
			to++
		}
		x.send(tasks[from:to], results)
		from = to
	}
}

// runPerNamespace executes the tasks of several namespaces in parallel. In each
// namespace it keeps their order.
func (x *Executor) runPerNamespace(stage []topo.Step, tasks []task, results []result) {
	order := orderByLastUp(stage, tasks)
	of := make(map[*netns.Handle][]task, len(order))
	for _, t := range tasks {
		of[t.handle] = append(of[t.handle], t)
	}
	parallel.Each(netns.Workers, len(order), func(i int) { x.runTasks(of[order[i]], results) })
}

// orderByLastUp returns the namespaces of tasks, ordered by when their last link is set
// up; those without such a link come first. So a namespace with bridges comes after the hosts.
func orderByLastUp(stage []topo.Step, tasks []task) (order []*netns.Handle) {
	seen := map[*netns.Handle]bool{}
	for _, others := range []bool{false, true} { // in reverse order
		for _, t := range slices.Backward(tasks) {
			if !seen[t.handle] && (others || stage[t.step].Object().Key().Kind == topo.OfUp) {
				seen[t.handle] = true
				order = append(order, t.handle)
			}
		}
	}
	slices.Reverse(order)
	return order
}

// send executes tasks of one namespace in one system call.
func (x *Executor) send(tasks []task, results []result) {
	var reqs []rtnl.Request
	for _, t := range tasks {
		reqs = append(reqs, t.reqs...)
	}
	failed := x.Calls.SendTo(tasks[0].handle, reqs)
	at := 0
	for _, t := range tasks {
		r := &results[t.step]
		for j := range t.reqs {
			err := failed[at+j]
			switch {
			case err == nil:
				r.touched = true
			case r.err == nil:
				r.err = err
			}
			if j == 0 && err != nil {
				break // the results of the other requests do not matter
			}
		}
		at += len(t.reqs)
		if r.err == nil && t.onSuccess != nil {
			t.onSuccess()
		}
	}
}
