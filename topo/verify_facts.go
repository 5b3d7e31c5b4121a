package topo

// AllPairs returns a fact for every two hosts of the lab and each family that
// both have: the one pings the other.
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
