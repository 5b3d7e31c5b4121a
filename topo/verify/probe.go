package verify

import (
	"errors"
	"os"
	"sync"
	"time"

	"github.com/vnet-lab/vnet/rtnl"
)

// probeTimeout is how long a probe waits for an answer. It leaves time for several
// retransmissions, so a link with packet loss does not look like a link that is down.
const probeTimeout = 2 * time.Second

// resendInterval is how long a probe waits before it sends its packet again.
const resendInterval = 300 * time.Millisecond

// A prober sends probes from the hosts of a lab and answers them there. It opens the sockets
// inside the hosts' namespaces and uses them from its own.
//
//	red ── pinger (one raw socket per family, many echo requests in flight)
//	    ── a TCP or UDP socket per probe ──▶ … ──▶ listener ── blue
type prober struct {
	namespace func(host string) (*os.File, error) // opens a host's namespace
	etcOf     func(host string) string            // the directory that replaces /etc in a host
	timeout   time.Duration                       // how long to wait for an answer
	slots     chan struct{}                       // one entry per fact that may still resolve its neighbour

	mu    sync.Mutex
	hosts map[string]*hostSockets
}

func newProber(namespace func(host string) (*os.File, error), etcOf func(host string) string) *prober {
	return &prober{namespace: namespace, etcOf: etcOf, timeout: probeTimeout, hosts: map[string]*hostSockets{}}
}

// hostSockets are the namespace of one host and the sockets that probes use in it.
type hostSockets struct {
	ns *os.File

	mu           sync.Mutex
	conn         *rtnl.Conn
	pingers      [2]*pinger // IPv4, IPv6
	echoMonitors [2]*echoMonitor
	listeners    map[listenerKey]*listener
}

// socketsIn returns the host's sockets. They stay open until the prober is closed.
func (p *prober) socketsIn(host string) (*hostSockets, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.hosts[host]; s != nil {
		return s, nil
	}
	ns, err := p.namespace(host)
	if err != nil {
		return nil, err
	}
	s := &hostSockets{ns: ns, listeners: map[listenerKey]*listener{}}
	p.hosts[host] = s
	return s, nil
}

// close closes every socket and namespace that the prober opened.
func (p *prober) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, s := range p.hosts {
		errs = append(errs, s.close())
	}
	clear(p.hosts)
	return errors.Join(errs...)
}

func (s *hostSockets) close() error {
	for v := range s.pingers {
		if s.pingers[v] != nil {
			s.pingers[v].close()
		}
		if s.echoMonitors[v] != nil {
			s.echoMonitors[v].close()
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

// netlink returns the host's rtnetlink socket.
func (s *hostSockets) netlink() (_ *rtnl.Conn, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		s.conn, err = rtnl.Dial(s.ns)
	}
	return s.conn, err
}

// pinger returns the host's pinger of a family.
func (s *hostSockets) pinger(v4 bool) (_ *pinger, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.pingers[index(v4)]
	if *p == nil {
		*p, err = newPinger(s.ns, v4)
	}
	return *p, err
}

// echoMonitor returns the host's echo monitor of a family.
func (s *hostSockets) echoMonitor(v4 bool) (_ *echoMonitor, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &s.echoMonitors[index(v4)]
	if *e == nil {
		*e, err = newEchoMonitor(s.ns, v4)
	}
	return *e, err
}

func index(v4 bool) int {
	if v4 {
		return 0
	}
	return 1
}
