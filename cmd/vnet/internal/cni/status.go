//go:build linux

package cni

import (
	"net/netip"
	"slices"

	"github.com/vnet-lab/vnet/topo/live/member"
)

// Exhausted returns an error if a subnet of a network has no free address left. used are the addresses of its members.
func Exhausted(n member.Network, used []netip.Addr) error {
	taken := map[netip.Addr]bool{}
	for _, a := range used {
		taken[a] = true
	}
	for _, s := range n.Subnets {
		ranges := s.Ranges
		if len(ranges) == 0 {
			ranges = []member.Range{s.Hosts()}
		}
		if !slices.ContainsFunc(ranges, func(r member.Range) bool { return free(r, s.Gateway, taken) }) {
			return fail(CodeUnavailable, "STATUS: all addresses of %s are taken", s.Prefix)
		}
	}
	return nil
}

func free(r member.Range, gateway netip.Addr, taken map[netip.Addr]bool) bool {
	for a := r.First; !r.Last.Less(a); a = a.Next() {
		if a != gateway && !taken[a] {
			return true
		}
	}
	return false
}
