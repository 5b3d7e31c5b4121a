//go:build linux

package topo

import (
	"errors"
	"os"
	"sync"
	"time"

	"github.com/vnet-lab/vnet/rtnl"
)

// patience is how long a probe waits for an answer that does not come. It is
// several retransmissions long, so that a lossy link is not taken for a dead one.
const patience = 2 * time.Second

// resend is how long a probe waits before it says the same again.
const resend = 300 * time.Millisecond

// A prober sends probes from the hosts of a lab, and answers them there, over
// sockets that it opens inside and uses from anywhere.
//
//	red ── pinger (one raw socket a family, many echoes in flight)
//	    ── a TCP or UDP socket a probe ──▶ … ──▶ listener ── blue
type prober struct {
	namespace func(host string) (*os.File, error) // opens a host's namespace
	etcOf     func(host string) string            // where the files are that stand in for a host's /etc
	patience  time.Duration                       // how long to wait for an answer
	turns     chan struct{}                       // holds one for each fact that may still ask for its neighbour

	mu       sync.Mutex
	stations map[string]*station
}

func newProber(namespace func(host string) (*os.File, error), etcOf func(host string) string) *prober {
	return &prober{namespace: namespace, etcOf: etcOf, patience: patience, stations: map[string]*station{}}
}

// A station is where probes start and end: one host's namespace.
type station struct {
	ns *os.File

	mu        sync.Mutex
	conn      *rtnl.Conn
	pingers   [2]*pinger // IPv4, IPv6
	ears      [2]*ear
	listeners map[listenerKey]*listener
}

// station returns the host's station. It lasts until the prober is closed.
func (p *prober) station(host string) (*station, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.stations[host]; s != nil {
		return s, nil
	}
	ns, err := p.namespace(host)
	if err != nil {
		return nil, err
	}
	s := &station{ns: ns, listeners: map[listenerKey]*listener{}}
	p.stations[host] = s
	return s, nil
}

// close closes every socket and namespace that was opened.
func (p *prober) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, s := range p.stations {
		errs = append(errs, s.close())
	}
	clear(p.stations)
	return errors.Join(errs...)
}

func (s *station) close() error {
	for v := range s.pingers {
		if s.pingers[v] != nil {
			s.pingers[v].close()
		}
		if s.ears[v] != nil {
			s.ears[v].close()
		}
	}
	for _, l := range s.listeners {
		l.close()
	}
	if s.conn != nil {
		s.conn.Close()
	}
	return s.ns.Close()
}

// netlink returns the station's socket to its kernel.
func (s *station) netlink() (_ *rtnl.Conn, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		s.conn, err = rtnl.Dial(s.ns)
	}
	return s.conn, err
}

// pinger returns the station's pinger of a family.
func (s *station) pinger(v4 bool) (_ *pinger, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.pingers[index(v4)]
	if *p == nil {
		*p, err = newPinger(s.ns, v4)
	}
	return *p, err
}

// ear returns the station's ear of a family.
func (s *station) ear(v4 bool) (_ *ear, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &s.ears[index(v4)]
	if *e == nil {
		*e, err = newEar(s.ns, v4)
	}
	return *e, err
}

func index(v4 bool) int {
	if v4 {
		return 0
	}
	return 1
}
