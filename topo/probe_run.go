//go:build linux

package topo

import (
	"fmt"
	"net/netip"
	"time"
)

// probeAs proves one fact: it asks from From's namespace, a question of eight bytes,
// until a deadline, and answers in Server's if nobody does there. The error is about the
// probing itself, for example that there is no such namespace; that nobody answers is an
// answer.
func (p *prober) probeAs(f Fact, question []byte, deadline time.Time) (Answer, error) {
	from, err := p.station(f.From)
	if err != nil {
		return Answer{}, err
	}
	switch f.Probe {
	case ProbePing:
		return p.ping(from, f, nonceOf(question), deadline)
	case ProbeTCP, ProbeUDP:
		return p.exchange(from, f, question, deadline)
	case ProbeDNS:
		return p.dns(from, f, deadline)
	}
	return Answer{}, fmt.Errorf("no such probe: %s", f.Probe)
}

func (p *prober) ping(from *station, f Fact, nonce uint64, deadline time.Time) (Answer, error) {
	pinger, err := from.pinger(f.Target.Is4())
	if err != nil {
		return Answer{}, err
	}
	if !f.Seen.IsValid() || f.Server == "" {
		return pinger.ping(f.Target, nonce, f.Size, deadline), nil
	}
	server, err := p.station(f.Server)
	if err != nil {
		return Answer{}, err
	}
	ear, err := server.ear(f.Target.Is4())
	if err != nil {
		return Answer{}, err
	}
	source := ear.listen(nonce)
	a := pinger.ping(f.Target, nonce, f.Size, deadline)
	if a.Outcome != Answered {
		deadline = time.Now() // what came has come
	}
	a.Seen = source(deadline)
	return a, nil
}

// exchange listens only where an answer is expected: otherwise it would itself
// be what must not be there.
func (p *prober) exchange(from *station, f Fact, question []byte, deadline time.Time) (Answer, error) {
	ours := false
	if f.Server != "" && f.Outcome == Answered {
		server, err := p.station(f.Server)
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
	if f.Probe == ProbeTCP {
		return from.tcp(to, ours, question, deadline)
	}
	return from.udp(to, question, deadline)
}
