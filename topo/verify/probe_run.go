package verify

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/vnet-lab/vnet/topo/lab"
)

// probeFact probes one fact until a deadline. It sends packets from the namespace of f.From; the
// token of eight bytes identifies them. If no program listens in the namespace of f.Server, the
// prober itself listens and replies there. An error means that there was no probe, for example
// because a namespace is missing. A missing reply is an Answer, not an error.
func (p *prober) probeFact(f lab.Fact, token []byte, deadline time.Time) (Answer, error) {
	from, err := p.socketsIn(f.From)
	if err != nil {
		return Answer{}, err
	}
	switch f.Probe {
	case lab.ProbePing:
		return p.ping(from, f, nonce(token), deadline)
	case lab.ProbeTCP, lab.ProbeUDP:
		return p.exchange(from, f, token, deadline)
	case lab.ProbeDNS:
		return p.dns(from, f, deadline)
	}
	return Answer{}, fmt.Errorf("unknown probe %q", f.Probe)
}

func (p *prober) ping(from *hostSockets, f lab.Fact, nonce uint64, deadline time.Time) (Answer, error) {
	pinger, err := from.pinger(f.Target.Is4())
	if err != nil {
		return Answer{}, err
	}
	if !f.Seen.IsValid() || f.Server == "" {
		return pinger.ping(f.Target, nonce, f.Size, deadline), nil
	}
	server, err := p.socketsIn(f.Server)
	if err != nil {
		return Answer{}, err
	}
	monitor, err := server.echoMonitor(f.Target.Is4())
	if err != nil {
		return Answer{}, err
	}
	source := monitor.watch(nonce)
	a := pinger.ping(f.Target, nonce, f.Size, deadline)
	if a.Outcome != lab.Answered {
		deadline = time.Now() // the request has arrived by now, or is lost
	}
	a.Seen = source(deadline)
	return a, nil
}

// exchange probes over TCP or UDP. It listens at the server only if an answer is expected: a
// listener would change the other outcomes.
func (p *prober) exchange(from *hostSockets, f lab.Fact, token []byte, deadline time.Time) (Answer, error) {
	ours := false
	if f.Server != "" && f.Outcome == lab.Answered {
		server, err := p.socketsIn(f.Server)
		if err != nil {
			return Answer{}, err
		}
		var release func()
		release, ours, err = server.listen(f.Probe, netip.AddrPortFrom(f.ServerAddr, f.ServerPort))
		if err != nil {
			return Answer{}, err
		}
		defer release()
	}
	to := netip.AddrPortFrom(f.Target, f.Port)
	if f.Probe == lab.ProbeTCP {
		return from.tcp(to, ours, token, deadline)
	}
	return from.udp(to, token, deadline)
}
