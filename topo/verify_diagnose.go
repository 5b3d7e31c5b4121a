//go:build linux

package topo

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/rtnl"
)

const (
	// mostTraced bounds the facts whose packets are followed through chains, and
	// mostHosts the hosts in which they are.
	mostTraced = 8
	mostHosts  = 64
)

// diagnose finds out where the packets of facts that do not hold were lost.
func (p *prober) diagnose(ctx context.Context, t Topology, results []Result) {
	w := newWalker(p, t)
	traced := 0
	for i := range results {
		r := &results[i]
		if r.OK || r.Err != nil || ctx.Err() != nil {
			continue
		}
		lost := r.Outcome == Answered || r.Outcome == Refused && r.Answer.Outcome == Unreachable
		if !r.Target.IsValid() || r.Not || !lost {
			continue // the answer itself says what is wrong
		}
		if r.Answer.Outcome == Answered {
			r.Lost = []string{fmt.Sprintf("%s sees %s, not %s", or(r.Server, "the other side"), nobodyIs(r.Answer.Seen), r.Seen)}
			continue
		}
		traced++
		r.Lost = w.lost(r.Fact, traced <= mostTraced)
	}
}

func nobodyIs(a netip.Addr) string {
	if a.IsValid() {
		return a.String()
	}
	return "an address that cannot be told: another program listens there"
}

// lost says where the packets of a fact are lost.
func (w *walker) lost(f Fact, trace bool) []string {
	var seen sightings
	if trace {
		seen = w.follow(f)
	}
	if drop := seen.drop; drop != "" {
		return []string{drop}
	}
	at, problem := w.walk(spot{host: f.From}, seen.forth, f.Target)
	if problem == "" && f.ServerAddr != f.Target && f.ServerAddr.IsValid() {
		at.nat = true
		at, problem = w.walk(at, seen.forth, f.ServerAddr)
	}
	if problem != "" {
		return []string{at.host + ": " + problem}
	}
	if !seen.arrived {
		return seen.last()
	}
	came := fmt.Sprintf("the question reaches %s, from %s; the answer is lost", f.Server, seen.source)
	at, problem = w.walk(spot{host: f.Server}, seen.back, seen.source)
	if problem == "" && at.host != f.From { // it masquerades, and sends on what comes back
		at.nat = true
		at, problem = w.walk(at, seen.back, w.sourceOf(f))
	}
	if problem != "" {
		return []string{came, at.host + ": " + problem}
	}
	return []string{came}
}

// sourceOf is the address that the packets of a fact are sent from.
func (w *walker) sourceOf(f Fact) netip.Addr {
	v, err := w.view(f.From)
	if err != nil {
		return netip.Addr{}
	}
	route, _ := v.conn.RouteGet(rtnl.RouteQuery{Dst: f.Target})
	return route.PrefSrc
}

// sightings are where the packets of a probe were seen.
type sightings struct {
	drop    string     // what dropped them; "" if nothing did
	arrived bool       // the question reached its server
	source  netip.Addr // where it then came from
	far     string     // where a question was seen last

	// The sources that questions and answers come into hosts with.
	forth, back map[string]netip.Addr
}

// last says where the question was seen last, for want of a better reason.
func (s sightings) last() []string {
	if s.far == "" {
		return nil
	}
	return []string{"seen last " + s.far}
}

// follow probes for a fact once more, and follows its packets through the chains
// of all hosts on the way.
func (w *walker) follow(f Fact) sightings {
	s := sightings{forth: map[string]netip.Addr{}, back: map[string]netip.Addr{}}
	token, probe := newQuestion(), nft.Probe{Proto: protoOf(f)}
	if f.Probe == ProbeTCP {
		probe.Ports = []uint16{f.Port}
		if f.ServerPort != f.Port {
			probe.Ports = append(probe.Ports, f.ServerPort)
		}
	} else {
		probe.Payload = token
	}
	type traced struct {
		host   string
		tracer *nft.Tracer
	}
	var all []traced
	for _, host := range w.onTheWay(f) {
		if v, err := w.view(host); err == nil {
			if tracer, err := nft.Trace(v.ns, probe); err == nil {
				defer tracer.Close()
				all = append(all, traced{host, tracer})
			}
		}
	}
	_, _ = w.prober.probeAs(f, token, time.Now().Add(w.prober.patience/2))
	for _, t := range all {
		events, _ := t.tracer.Events()
		for _, e := range events {
			s.add(f, t.host, w.views[t.host], e)
		}
	}
	return s
}

// add notes an event. Events of one host come in order; the hosts are in the
// order of the way.
func (s *sightings) add(f Fact, host string, v *hostView, e nft.TraceEvent) {
	forth := e.Dst == f.Target || e.Dst == f.ServerAddr
	if e.Hook == nft.Prerouting && e.Src.IsValid() {
		sources := s.back
		if forth {
			sources = s.forth
		}
		sources[host] = or(sources[host], e.Src) // the first: NAT comes later
	}
	switch {
	case e.Dropped && s.drop == "" && e.Handle == 0:
		s.drop = fmt.Sprintf("%s: dropped by the policy of %s", host, e.Chain)
	case e.Dropped && s.drop == "":
		s.drop = fmt.Sprintf("%s: dropped by the rule with handle %d of %s", host, e.Handle, e.Chain)
	case e.Hook == nft.Input && host == f.Server && forth:
		s.arrived, s.source = true, e.Src
	case e.Hook != "" && forth && !s.arrived:
		s.far = "at " + host + ", hook " + string(e.Hook)
		if l, ok := v.links[e.Out]; ok {
			s.far += ", on its way out of " + l.Name
		}
	}
}

func protoOf(f Fact) byte {
	switch {
	case f.Probe == ProbeTCP:
		return unix.IPPROTO_TCP
	case f.Probe == ProbeUDP:
		return unix.IPPROTO_UDP
	case f.Target.Is4():
		return unix.IPPROTO_ICMP
	}
	return unix.IPPROTO_ICMPV6
}

// onTheWay lists the hosts that packets of a fact may come by: both sides, and
// all that send packets on.
func (w *walker) onTheWay(f Fact) []string {
	hosts, has := []string{f.From}, map[string]bool{f.From: true, "": true}
	add := func(host string) {
		if !has[host] && len(hosts) < mostHosts {
			hosts, has[host] = append(hosts, host), true
		}
	}
	add(Machine)
	for n := range w.layout.t.Networks {
		add(w.layout.t.holder(n))
	}
	for i := range w.layout.t.Hosts {
		h := &w.layout.t.Hosts[i]
		if h.Router || len(w.layout.of[h.Name]) > 1 {
			add(h.Name)
		}
	}
	add(f.Server)
	return hosts
}

// nonceOf reads a question as the nonce of an echo.
func nonceOf(question []byte) uint64 { return binary.BigEndian.Uint64(question) }
