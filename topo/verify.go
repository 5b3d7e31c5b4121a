//go:build linux

package topo

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/vnet-lab/vnet/nsfs"
)

const (
	// inFlight is how many facts are proved at a time: enough that those that wait
	// for nothing do not hold up the others, few enough for a host's tables.
	inFlight = 256
	// backlog is how many packets wait, at most, for a processor to take them from
	// the cables: a switch sends every question for a neighbour to all its ports, and
	// what is more than that is lost, in other namespaces too
	// (net.core.netdev_max_backlog is 1000). Half of it is left to others.
	backlog = 500
	// fresh is how long a fact counts as one that may still ask for its neighbour.
	fresh = 50 * time.Millisecond
)

// Verify proves facts of a lab that is up with real packets, in parallel, and
// finds out for each that does not hold where the packets were lost. The facts
// come from [Facts] or [AllPairs]. It needs no program inside the hosts: it
// opens the sockets there itself, and where a fact needs somebody who answers
// and nobody does, it answers itself for as long. Those that do not answer but
// should are asked again when all have been, and then for as long as of them, too,
// one answers: what a busy machine loses is no fault of the network.
//
// Once ctx is done no further fact is begun; those left out say so in Err.
func Verify(ctx context.Context, t Topology, facts []Fact) Report {
	p := newProber(t.openHost, t.etcOf)
	defer p.close()
	return p.verify(ctx, t, facts)
}

func (p *prober) verify(ctx context.Context, t Topology, facts []Fact) Report {
	start := time.Now()
	r := Report{Lab: t.Name, Results: make([]Result, len(facts))}
	for n := range facts {
		r.Results[n].Fact = facts[n]
	}
	p.turns = make(chan struct{}, min(inFlight, max(1, backlog/(1+len(t.Hosts)))))
	prove, patience := p.proveAll, p.patience
	if len(facts) > mostTogether {
		prove, patience = p.proveInGroups, min(quick, p.patience)
	}
	prove(ctx, pointers(r.Results), patience)
	left := unheard(r.Results, patience == p.patience)
	for before := len(left) + 1; 0 < len(left) && len(left) < before; {
		before = len(left)
		prove(ctx, left, p.patience)
		left = slices.DeleteFunc(left, func(r *Result) bool { return r.OK || r.Err != nil })
	}
	p.diagnose(ctx, t, r.Results)
	r.Time = time.Since(start)
	return r
}

// unheard are the facts that are worth asking for again: not those that were answered,
// and not those of which it is right that they were not and which were waited for.
func unheard(results []Result, waited bool) []*Result {
	return slices.DeleteFunc(pointers(results), func(r *Result) bool {
		return r.Err != nil || r.Answer.Outcome != Unreachable || r.OK && (waited || r.Answer.Said != "")
	})
}

func pointers(results []Result) []*Result {
	all := make([]*Result, len(results))
	for i := range results {
		all[i] = &results[i]
	}
	return all
}

// proveAll proves facts and writes what came of it in their places.
func (p *prober) proveAll(ctx context.Context, results []*Result, patience time.Duration) {
	inParallel(inFlight, len(results), func(n int) {
		switch r := results[n]; {
		case p.turn(ctx):
			*r = p.prove(r.Fact, patience)
		case r.Answer == Answer{}:
			r.Err = ctx.Err()
		}
	})
}

// turn waits for the turn of one fact; false means that none comes any more.
func (p *prober) turn(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case p.turns <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// prove probes for one fact, whose turn it is, and judges the answer.
func (p *prober) prove(f Fact, patience time.Duration) Result {
	next := time.AfterFunc(fresh, func() { <-p.turns })
	r := Result{Fact: f}
	r.Answer, r.Err = p.probeAs(f, newQuestion(), time.Now().Add(patience))
	r.OK = r.Err == nil && f.holds(r.Answer)
	if next.Stop() {
		<-p.turns
	}
	return r
}

// openHost opens the namespace of a host of the lab, or of the machine.
func (t *Topology) openHost(host string) (*os.File, error) {
	if host == Machine {
		return nsfs.Current()
	}
	return t.namespaceOf(host).open()
}

func (t *Topology) namespaceOf(host string) Namespace {
	for i := range t.Hosts {
		if h := &t.Hosts[i]; h.Name == host {
			return Namespace{Name: host, From: h.Namespace}
		}
	}
	return Namespace{Name: host}
}

// etcOf is where the files are that stand in for those of /etc in a host: nowhere,
// but for one whose namespace has a name. See ip-netns(8).
func (t *Topology) etcOf(host string) string {
	if ref := t.namespaceOf(host).ref(); host != Machine && ref != "" {
		return filepath.Join(nsfs.EtcDir, ref)
	}
	return "/etc"
}
