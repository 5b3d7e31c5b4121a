package verify

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"sort"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo/lab"
)

// The kernel has one neighbour table per family for all namespaces together. It holds 1024
// entries (net.ipv4.neigh.default.gc_thresh3), and does not evict entries younger than five
// seconds. A few dozen hosts that all talk to each other fill it. Many facts are therefore
// proved in groups of few hosts, and the neighbour entries that a group added are deleted
// after it.
const (
	maxUngrouped = 128                             // facts that are proved without groups
	hostsPerSide = 14                              // on each side of a group; several small groups together may have more
	maxGroup     = 2 * hostsPerSide * hostsPerSide // facts, and neighbours
	// groupTimeout is how long a probe in a group waits for an answer. Facts without an answer are
	// probed again at the end.
	groupTimeout = 200 * time.Millisecond
)

// proveInGroups is proveAll for facts whose neighbour entries would not fit into the table.
func (p *prober) proveInGroups(ctx context.Context, results []*Result, timeout time.Duration) {
	facts := make([]lab.Fact, len(results))
	for i, r := range results {
		facts[i] = r.Fact
	}
	known := map[string]map[neighbourKey]bool{}
	for _, group := range groupFacts(facts) {
		p.eachHost(facts, group, func(host string, c *rtnl.Conn) {
			if known[host] == nil {
				known[host] = neighbourKeys(c)
			}
		})
		members := make([]*Result, len(group))
		for n, i := range group {
			members[n] = results[i]
		}
		p.proveAll(ctx, members, timeout)
		p.eachHost(facts, group, func(host string, c *rtnl.Conn) { deleteNewNeighbours(c, known[host]) })
	}
}

// groupFacts splits facts into groups, and returns the indexes of the facts. A group has few hosts
// on each side. Within a group, all facts of one direction come first: their probes also create
// the neighbour entries that the other direction needs. Small groups are merged.
func groupFacts(facts []lab.Fact) [][]int {
	number := map[string]int{}
	of := func(host string) int {
		if _, ok := number[host]; !ok {
			number[host] = len(number)
		}
		return number[host] / hostsPerSide
	}
	type place struct{ low, high, back int }
	places, order := make([]place, len(facts)), make([]int, len(facts))
	for i := range facts {
		from, to := of(facts[i].From), of(facts[i].Server)
		places[i], order[i] = place{min(from, to), max(from, to), 0}, i
		if number[facts[i].From] > number[facts[i].Server] {
			places[i].back = 1
		}
	}
	sort.SliceStable(order, func(i, j int) bool {
		x, y := places[order[i]], places[order[j]]
		return cmp.Or(cmp.Compare(x.low, y.low), cmp.Compare(x.high, y.high), cmp.Compare(x.back, y.back)) < 0
	})
	var all [][]int
	for n := 0; n < len(order); {
		first := places[order[n]]
		end := n + 1
		for end < len(order) && places[order[end]].low == first.low && places[order[end]].high == first.high {
			end++
		}
		if last := len(all) - 1; last >= 0 && len(all[last])+end-n <= maxGroup {
			all[last] = append(all[last], order[n:end]...)
		} else {
			all = append(all, slices.Clip(order[n:end]))
		}
		n = end
	}
	return all
}

// A neighbourKey identifies an entry of a host's neighbour table.
type neighbourKey struct {
	link uint32
	addr netip.Addr
}

// eachHost calls fn for each host of a group whose namespace can be opened.
func (p *prober) eachHost(facts []lab.Fact, group []int, fn func(host string, c *rtnl.Conn)) {
	seen := map[string]bool{"": true}
	for _, i := range group {
		for _, host := range []string{facts[i].From, facts[i].Server} {
			if seen[host] {
				continue
			}
			seen[host] = true
			if s, err := p.socketsIn(host); err == nil {
				if c, err := s.netlink(); err == nil {
					fn(host, c)
				}
			}
		}
	}
}

// neighbourKeys returns the keys of a host's neighbour table.
func neighbourKeys(c *rtnl.Conn) map[neighbourKey]bool {
	known := map[neighbourKey]bool{}
	neighs, _ := c.Neighs(rtnl.NeighFilter{}) // on an error, more is deleted; the kernel resolves it again
	for _, n := range neighs {
		known[neighbourKey{n.Link, n.Addr}] = true
	}
	return known
}

// deleteNewNeighbours deletes the host's neighbour entries that are not in known. Failed
// entries stay: the kernel evicts them itself.
func deleteNewNeighbours(c *rtnl.Conn, known map[neighbourKey]bool) {
	const learned = unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE
	neighs, _ := c.Neighs(rtnl.NeighFilter{})
	var requests []rtnl.Request
	for _, n := range neighs {
		if n.State&learned != 0 && !known[neighbourKey{n.Link, n.Addr}] {
			requests = append(requests, rtnl.DeleteNeigh(rtnl.Neigh{Link: n.Link, Addr: n.Addr}))
		}
	}
	if len(requests) > 0 {
		_ = c.Do(requests...) // the kernel evicts entries that are left
	}
}
