package topo

// AllPairs returns facts in which every host of the lab pings every other host, one for each
// address family that both have.
func AllPairs(t Topology) []Fact {
	t.Expect = nil
	for i := range t.Hosts {
		for k := range t.Hosts {
			if i != k {
				t.Expect = append(t.Expect, Expectation{
					From: t.Hosts[i].Name, To: t.Hosts[k].Name, Probe: ProbePing, Outcome: Answered,
				})
			}
		}
	}
	return Facts(t)
}
