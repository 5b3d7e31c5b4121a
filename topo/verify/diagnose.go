package verify

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft/ruleset"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab"
)

const (
	// maxTraced is the largest number of facts whose packets are traced through nftables,
	// maxTracedHosts the largest number of hosts in which they are traced.
	maxTraced      = 8
	maxTracedHosts = 64
)

// diagnose finds out where packets were lost, for each fact that does not hold.
func (p *prober) diagnose(ctx context.Context, t lab.Topology, results []Result) {
	w := newWalker(p, t)
	traced := 0
	for i := range results {
		r := &results[i]
		if r.OK || r.Err != nil || ctx.Err() != nil {
			continue
		}
		lost := r.Outcome == lab.Answered || r.Outcome == lab.Refused && r.Answer.Outcome == lab.Unreachable
		if !r.Target.IsValid() || r.Not || !lost {
			continue // the answer already explains the failure
		}
		if r.Answer.Outcome == lab.Answered {
			server := cmp.Or(r.Server, "the other side")
			r.Diagnosis = []string{fmt.Sprintf("%s sees %s, expected %s", server, sourceText(r.Answer.Seen), r.Seen)}
			continue
		}
		traced++
		r.Diagnosis = w.diagnose(r.Fact, traced <= maxTraced)
	}
}

// sourceText describes the source address that the server saw.
func sourceText(a netip.Addr) string {
	if a.IsValid() {
		return "source address " + a.String()
	}
	return "an unknown source address (another program listens on the port)"
}

// diagnose returns where the packets of a fact are lost, the nearest cause first.
func (w *walker) diagnose(f lab.Fact, trace bool) []string {
	var seen traceResult
	if trace {
		seen = w.trace(f)
	}
	if drop := seen.drop; drop != "" {
		return []string{drop}
	}
	at, problem := w.walk(packetPos{host: f.From}, seen.requestSources, f.Target)
	if problem == "" && f.ServerAddr != f.Target && f.ServerAddr.IsValid() {
		at.nat = true
		at, problem = w.walk(at, seen.requestSources, f.ServerAddr)
	}
	if problem != "" {
		return []string{at.host + ": " + problem}
	}
	if !seen.arrived {
		return seen.lastSeenText()
	}
	arrived := fmt.Sprintf("the request reaches %s from %s; the reply is lost", f.Server, seen.source)
	at, problem = w.walk(packetPos{host: f.Server}, seen.replySources, seen.source)
	if problem == "" && at.host != f.From { // the host masquerades, and forwards the reply
		at.nat = true
		at, problem = w.walk(at, seen.replySources, w.sourceOf(f))
	}
	if problem != "" {
		return []string{arrived, at.host + ": " + problem}
	}
	return []string{arrived}
}

// sourceOf returns the source address of a fact's packets; invalid if it cannot be found.
func (w *walker) sourceOf(f lab.Fact) netip.Addr {
	h, err := w.info(f.From)
	if err != nil {
		return netip.Addr{}
	}
	route, _ := h.conn.RouteGet(rtnl.RouteQuery{Dst: f.Target})
	return route.PrefSrc
}

// A traceResult says where the packets of a probe were seen.
type traceResult struct {
	drop     string     // what dropped a packet; "" if nothing did
	arrived  bool       // the request reached its server
	source   netip.Addr // the request's source address there
	lastSeen string     // where a request was last seen

	// The source addresses with which requests and replies arrive, by host.
	requestSources, replySources map[string]netip.Addr
}

// lastSeenText returns where the request was last seen. It is used if no better reason is known.
func (s traceResult) lastSeenText() []string {
	if s.lastSeen == "" {
		return nil
	}
	return []string{"last seen " + s.lastSeen}
}

// trace probes a fact again and traces its packets through the nftables chains of all hosts that
// they may pass.
func (w *walker) trace(f lab.Fact) traceResult {
	s := traceResult{requestSources: map[string]netip.Addr{}, replySources: map[string]netip.Addr{}}
	token, probe := newToken(), ruleset.Probe{Proto: protoOf(f)}
	if f.Probe == lab.ProbeTCP {
		probe.Ports = []uint16{f.Port}
		if f.ServerPort != f.Port {
			probe.Ports = append(probe.Ports, f.ServerPort)
		}
	} else {
		probe.Payload = token
	}
	type traced struct {
		host   string
		tracer *ruleset.Tracer
	}
	var all []traced
	for _, host := range w.possibleHops(f) {
		if h, err := w.info(host); err == nil {
			if tracer, err := ruleset.Trace(h.ns, probe); err == nil {
				defer tracer.Close()
				all = append(all, traced{host, tracer})
			}
		}
	}
	_, _ = w.prober.probeFact(f, token, time.Now().Add(w.prober.timeout/2))
	for _, t := range all {
		events, _ := t.tracer.Events()
		for _, e := range events {
			s.add(f, t.host, w.infos[t.host], e)
		}
	}
	return s
}

// add records an event. Events of one host come in order; the hosts are in the order in which
// a request passes them.
func (s *traceResult) add(f lab.Fact, host string, h *hostInfo, e ruleset.TraceEvent) {
	request := e.Dst == f.Target || e.Dst == f.ServerAddr
	if e.Hook == ruleset.Prerouting && e.Src.IsValid() {
		sources := s.replySources
		if request {
			sources = s.requestSources
		}
		sources[host] = cmp.Or(sources[host], e.Src) // the first one: NAT changes it later
	}
	switch {
	case e.Dropped && s.drop == "" && e.Handle == 0:
		s.drop = fmt.Sprintf("%s: dropped by the policy of %s", host, e.Chain)
	case e.Dropped && s.drop == "":
		s.drop = fmt.Sprintf("%s: dropped by the rule with handle %d of %s%s", host, e.Handle, e.Chain, dropReason(e.Chain))
	case e.Hook == ruleset.Input && host == f.Server && request:
		s.arrived, s.source = true, e.Src
	case e.Hook != "" && request && !s.arrived:
		s.lastSeen = "at " + host + ", hook " + string(e.Hook)
		if l, ok := h.links[e.Out]; ok {
			s.lastSeen += ", leaving by " + l.Name
		}
	}
}

func protoOf(f lab.Fact) byte {
	switch {
	case f.Probe == lab.ProbeTCP:
		return unix.IPPROTO_TCP
	case f.Probe == lab.ProbeUDP:
		return unix.IPPROTO_UDP
	case f.Target.Is4():
		return unix.IPPROTO_ICMP
	}
	return unix.IPPROTO_ICMPV6
}

// possibleHops returns the hosts that packets of a fact may pass: both sides, and all hosts that
// forward packets.
func (w *walker) possibleHops(f lab.Fact) []string {
	hosts, has := []string{f.From}, map[string]bool{f.From: true, "": true}
	add := func(host string) {
		if !has[host] && len(hosts) < maxTracedHosts {
			hosts, has[host] = append(hosts, host), true
		}
	}
	add(topo.Machine)
	for n := range w.layout.Topology.Networks {
		add(w.layout.Topology.BridgeHost(n))
	}
	for i := range w.layout.Topology.Hosts {
		h := &w.layout.Topology.Hosts[i]
		if h.Router || len(w.layout.ByHost[h.Name]) > 1 {
			add(h.Name)
		}
	}
	add(f.Server)
	return hosts
}

// nonce returns a probe's token as the nonce of an echo request.
func nonce(token []byte) uint64 { return binary.BigEndian.Uint64(token) }
