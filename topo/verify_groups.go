//go:build linux

package topo

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
)

// The kernel has one table of neighbours a family for all namespaces together. It
// holds 1024 (net.ipv4.neigh.default.gc_thresh3), and what it learned in the last
// five seconds does not make room for more: a few dozen hosts that all speak to each
// other fill it. Many facts are therefore proved in groups of few hosts, and what
// these learned about each other is forgotten behind each group.
const (
	mostTogether = 128                         // facts that need no groups
	hostsASide   = 14                          // of a group; of several small ones together, more
	mostInGroup  = 2 * hostsASide * hostsASide // facts, and neighbours
	// quick is how long an answer may take within a group. Who takes longer is asked
	// again at the end.
	quick = 200 * time.Millisecond
)

// proveInGroups is for so many facts that their neighbours do not go into one table.
func (p *prober) proveInGroups(ctx context.Context, results []*Result, patience time.Duration) {
	facts := make([]Fact, len(results))
	for i, r := range results {
		facts[i] = r.Fact
	}
	known := map[string]map[acquaintance]bool{}
	for _, group := range groups(facts) {
		p.eachHost(facts, group, func(host string, c *rtnl.Conn) {
			if known[host] == nil {
				known[host] = knownTo(c)
			}
		})
		together := make([]*Result, len(group))
		for n, i := range group {
			together[n] = results[i]
		}
		p.proveAll(ctx, together, patience)
		p.eachHost(facts, group, func(host string, c *rtnl.Conn) { forget(c, known[host]) })
	}
}

// groups cuts facts into groups between few hosts and few others, each in an order
// in which those that answer learn of those that ask before they ask themselves.
// Groups that are small go together.
func groups(facts []Fact) [][]int {
	number := map[string]int{}
	of := func(host string) int {
		if _, ok := number[host]; !ok {
			number[host] = len(number)
		}
		return number[host] / hostsASide
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
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(places[a].low, places[b].low), cmp.Compare(places[a].high, places[b].high), cmp.Compare(places[a].back, places[b].back))
	})
	var all [][]int
	for n := 0; n < len(order); {
		first := places[order[n]]
		end := n + 1
		for end < len(order) && places[order[end]].low == first.low && places[order[end]].high == first.high {
			end++
		}
		if last := len(all) - 1; last >= 0 && len(all[last])+end-n <= mostInGroup {
			all[last] = append(all[last], order[n:end]...)
		} else {
			all = append(all, slices.Clip(order[n:end]))
		}
		n = end
	}
	return all
}

// An acquaintance is a neighbour that a host knows.
type acquaintance struct {
	link uint32
	addr netip.Addr
}

// eachHost calls fn for the hosts of a group that can be entered.
func (p *prober) eachHost(facts []Fact, group []int, fn func(host string, c *rtnl.Conn)) {
	seen := map[string]bool{"": true}
	for _, i := range group {
		for _, host := range []string{facts[i].From, facts[i].Server} {
			if seen[host] {
				continue
			}
			seen[host] = true
			if s, err := p.station(host); err == nil {
				if c, err := s.netlink(); err == nil {
					fn(host, c)
				}
			}
		}
	}
}

func knownTo(c *rtnl.Conn) map[acquaintance]bool {
	known := map[acquaintance]bool{}
	neighs, _ := c.Neighs(rtnl.NeighFilter{}) // without, too much is forgotten: it is only asked for again
	for _, n := range neighs {
		known[acquaintance{n.Link, n.Addr}] = true
	}
	return known
}

// forget removes the neighbours that a host has learned since. That one did not
// answer is not forgotten: it makes room by itself.
func forget(c *rtnl.Conn, known map[acquaintance]bool) {
	const learned = unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE
	neighs, _ := c.Neighs(rtnl.NeighFilter{})
	var requests []rtnl.Request
	for _, n := range neighs {
		if n.State&learned != 0 && !known[acquaintance{n.Link, n.Addr}] {
			requests = append(requests, rtnl.DeleteNeigh(rtnl.Neigh{Link: n.Link, Addr: n.Addr}))
		}
	}
	if len(requests) > 0 {
		_ = c.Do(requests...) // what is left over is the kernel's to throw out
	}
}
