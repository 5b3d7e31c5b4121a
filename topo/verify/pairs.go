package verify

import "github.com/vnet-lab/vnet/topo/lab"

// AllPairs returns facts in which every host of the lab pings every other host, one for each
// address family that both have.
func AllPairs(t lab.Topology) []lab.Fact {
	t.Expect = nil
	for i := range t.Hosts {
		for k := range t.Hosts {
			if i != k {
				t.Expect = append(t.Expect, lab.Expectation{
					From: t.Hosts[i].Name, To: t.Hosts[k].Name, Probe: lab.ProbePing, Outcome: lab.Answered,
				})
			}
		}
	}
	return lab.Facts(t)
}
