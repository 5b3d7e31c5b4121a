package verify

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/vnet-lab/vnet/internal/parallel"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab"
)

const (
	// maxInFlight is how many facts are probed at a time. More would overfill the tables of a
	// host; fewer would let probes without a reply delay the others.
	maxInFlight = 256
	// maxQueued is how many packets the probes may add to a CPU's backlog queue. A bridge floods
	// each neighbour request to all its ports. Packets beyond net.core.netdev_max_backlog (1000)
	// are dropped, in other namespaces too. Half of that limit is left to other traffic.
	maxQueued = 500
	// neighbourTime is how long a new probe counts as one that may still resolve its neighbour.
	neighbourTime = 50 * time.Millisecond
)

// Verify sends real packets to prove facts of a lab that is up, in parallel. For each
// fact that does not hold it finds out where the packets were lost. The facts come
// from [lab.Facts] or [AllPairs]. Verify needs no program inside the hosts: it opens the
// sockets there itself. If nothing listens on the port of a fact, Verify listens there
// during the probe. After the first round it retries the facts that got no answer,
// until a round brings no new answer: packet loss on a busy machine is not a fault of
// the network.
//
// When ctx is done, Verify starts no further probe. Facts that were not probed have
// the error of ctx in Err.
func Verify(ctx context.Context, t lab.Topology, facts []lab.Fact) Report {
	p := newProber(openHost(&t), etcOf(&t))
	defer p.close()
	return p.verify(ctx, t, facts)
}

func (p *prober) verify(ctx context.Context, t lab.Topology, facts []lab.Fact) Report {
	start := time.Now()
	r := Report{Lab: t.Name, Results: make([]Result, len(facts))}
	for n := range facts {
		r.Results[n].Fact = facts[n]
	}
	p.slots = make(chan struct{}, min(maxInFlight, max(1, maxQueued/(1+len(t.Hosts)))))
	prove, timeout := p.proveAll, p.timeout
	if len(facts) > maxUngrouped {
		prove, timeout = p.proveInGroups, min(groupTimeout, p.timeout)
	}
	prove(ctx, pointers(r.Results), timeout)
	left := toRetry(r.Results, timeout == p.timeout)
	for before := len(left) + 1; 0 < len(left) && len(left) < before; {
		before = len(left)
		prove(ctx, left, p.timeout)
		left = slices.DeleteFunc(left, func(r *Result) bool { return r.OK || r.Err != nil })
	}
	p.diagnose(ctx, t, r.Results)
	r.Time = time.Since(start)
	return r
}

// toRetry returns the facts to probe again: those that got no answer. It leaves out facts that
// expect no answer if their probe waited for the full timeout.
func toRetry(results []Result, fullTimeout bool) []*Result {
	return slices.DeleteFunc(pointers(results), func(r *Result) bool {
		return r.Err != nil || r.Answer.Outcome != lab.Unreachable || r.OK && (fullTimeout || r.Answer.Detail != "")
	})
}

func pointers(results []Result) []*Result {
	all := make([]*Result, len(results))
	for i := range results {
		all[i] = &results[i]
	}
	return all
}

// proveAll proves the facts of results and stores the outcome in each.
func (p *prober) proveAll(ctx context.Context, results []*Result, timeout time.Duration) {
	parallel.Each(maxInFlight, len(results), func(n int) {
		switch r := results[n]; {
		case p.waitForSlot(ctx):
			*r = p.prove(r.Fact, timeout)
		case r.Answer == Answer{}:
			r.Err = ctx.Err()
		}
	})
}

// waitForSlot waits until one more fact may be probed. It returns false if ctx is done first.
func (p *prober) waitForSlot(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case p.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// prove probes one fact and compares the answer with what it expects. The caller holds a slot,
// which prove frees.
func (p *prober) prove(f lab.Fact, timeout time.Duration) Result {
	free := time.AfterFunc(neighbourTime, func() { <-p.slots })
	r := Result{Fact: f}
	r.Answer, r.Err = p.probeFact(f, newToken(), time.Now().Add(timeout))
	r.OK = r.Err == nil && holds(f, r.Answer)
	if free.Stop() {
		<-p.slots
	}
	return r
}

// openHost returns a function that opens the namespace of a host, or the machine's.
func openHost(t *lab.Topology) func(host string) (*os.File, error) {
	return func(host string) (*os.File, error) {
		if host == topo.Machine {
			return nsfs.Current()
		}
		return nsfs.OpenFrom(host, t.NamespaceOf(host).From)
	}
}

// etcOf returns a function for the directory with the files that replace those of /etc inside a
// host. It is /etc itself if the host's namespace has no name. See ip-netns(8).
func etcOf(t *lab.Topology) func(host string) string {
	return func(host string) string {
		if ref := t.NamespaceOf(host).Ref(); host != topo.Machine && ref != "" {
			return filepath.Join(nsfs.EtcDir, ref)
		}
		return "/etc"
	}
}
