//go:build linux

package topo

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/vnet-lab/vnet/nsfs"
)

// inFlight is how many facts are proved at a time: enough that those that wait
// for nothing do not hold up the others, few enough for a host's tables.
const inFlight = 256

// Verify proves facts of a lab that is up with real packets, in parallel, and
// finds out for each that does not hold where the packets were lost. The facts
// come from [Facts] or [AllPairs]. It needs no program inside the hosts: it
// opens the sockets there itself, and where a fact needs somebody who answers
// and nobody does, it answers itself for as long.
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
	if len(facts) > mostTogether {
		p.proveInGroups(ctx, facts, r.Results)
	} else {
		parallel(len(facts), inFlight, func(n int) {
			if r.Results[n].Err = ctx.Err(); ctx.Err() == nil {
				r.Results[n] = p.prove(facts[n], p.patience)
			}
		})
	}
	p.diagnose(ctx, t, r.Results)
	r.Time = time.Since(start)
	return r
}

// prove probes for one fact and judges the answer.
func (p *prober) prove(f Fact, patience time.Duration) Result {
	r := Result{Fact: f}
	r.Answer, r.Err = p.probeAs(f, newQuestion(), time.Now().Add(patience))
	r.OK = r.Err == nil && f.holds(r.Answer)
	return r
}

// parallel calls do for 0 to n-1, so many at a time.
func parallel(n, atOnce int, do func(i int)) {
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(n, atOnce) {
		workers.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
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
