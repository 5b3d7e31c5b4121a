//go:build linux

package topo

import "context"

// diagnose finds out where the packets of facts that do not hold were lost.
func (p *prober) diagnose(ctx context.Context, t Topology, results []Result) {
}

func (p *prober) eachFact(facts []Fact, do func(n int)) {
	parallel(len(facts), inFlight, do)
}
