//go:build linux

package topo

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A pinger is the raw ICMP socket of one namespace and family. Any number of
// echoes, up to the 65536 that a sequence number tells apart, can be in flight.
type pinger struct {
	socket *socket
	id     uint16 // tells this socket's echoes from others' in the namespace

	mu      sync.Mutex
	seq     uint16
	waiting map[uint16]waiter
}

type waiter struct {
	nonce uint64
	heard chan<- icmpMessage
}

func newPinger(ns *os.File, v4 bool) (*pinger, error) {
	s, err := openICMP(ns, v4,
		[]byte{icmpEchoReply, icmpUnreachable, icmpExceeded},
		[]byte{icmp6EchoReply, icmp6Unreachable, icmp6TooBig, icmp6Exceeded})
	if err != nil {
		return nil, err
	}
	p := &pinger{socket: s, id: uint16(rand.Uint32()), waiting: map[uint16]waiter{}}
	go hear(s, p.heard)
	return p, nil
}

func (p *pinger) close() { p.socket.close() }

// openICMP opens a raw socket that hears only these types of ICMP messages, and
// sends without fragmenting.
func openICMP(ns *os.File, v4 bool, types, types6 []byte) (*socket, error) {
	if v4 {
		return openSocket(ns, v4, unix.SOCK_RAW, unix.IPPROTO_ICMP, func(fd int) error {
			block := ^uint32(0)
			for _, t := range types {
				block &^= 1 << t
			}
			return errors.Join(
				unix.SetsockoptInt(fd, unix.SOL_RAW, unix.ICMP_FILTER, int(int32(block))),
				unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO),
				receiveBuffer(fd))
		})
	}
	return openSocket(ns, v4, unix.SOCK_RAW, unix.IPPROTO_ICMPV6, func(fd int) error {
		var block unix.ICMPv6Filter
		for i := range block.Data {
			block.Data[i] = ^uint32(0)
		}
		for _, t := range types6 {
			block.Data[t>>5] &^= 1 << (t & 31)
		}
		return errors.Join(
			unix.SetsockoptICMPv6Filter(fd, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &block),
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO),
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 1),
			receiveBuffer(fd))
	})
}

// receiveBuffer asks for room for thousands of answers; as much as is allowed
// is given.
func receiveBuffer(fd int) error {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20) == nil {
		return nil
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20)
}

// hear hands on what the socket receives, until it is closed.
func hear(s *socket, heard func(icmpMessage)) {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := s.receive(buf)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		// Other errors belong to single packets (IP_RECVERR); the socket goes on.
		if m, ok := parseICMP(s.v4, buf[:max(n, 0)]); ok && err == nil {
			m.from = from.Addr()
			heard(m)
		}
	}
}

// heard finds out which echo a message is about.
func (p *pinger) heard(m icmpMessage) {
	if m.id != p.id {
		return
	}
	p.mu.Lock()
	w, ok := p.waiting[m.seq]
	p.mu.Unlock()
	if !ok || isEcho(p.socket.v4, m.typ) && m.nonce != w.nonce && m.nonce != 0 {
		return
	}
	select {
	case w.heard <- m:
	default: // the second answer
	}
}

// expect reserves a sequence number.
func (p *pinger) expect(nonce uint64) (seq uint16, heard <-chan icmpMessage) {
	c := make(chan icmpMessage, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		p.seq++
		if _, taken := p.waiting[p.seq]; !taken {
			p.waiting[p.seq] = waiter{nonce, c}
			return p.seq, c
		}
	}
}

func (p *pinger) forget(seq uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, seq)
}

// ping sends an echo request, again and again until an answer comes or the
// deadline has passed. Size is that of the IP packet; 0 is small.
func (p *pinger) ping(to netip.Addr, nonce uint64, size int, deadline time.Time) Answer {
	seq, heard := p.expect(nonce)
	defer p.forget(seq)
	echo := appendEcho(nil, p.socket.v4, p.id, seq, nonce, size)
	sa, start := sockaddr(netip.AddrPortFrom(to, 0)), time.Now()
	for {
		err := p.socket.sendTo(echo, sa)
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return p.socket.verdict(err, start)
		}
		again := min(time.Until(deadline), resend)
		if again <= 0 {
			return Answer{Outcome: Unreachable, Time: time.Since(start)}
		}
		select {
		case m := <-heard:
			a := Answer{Outcome: Answered, Time: time.Since(start)}
			if w, is := icmpMeans(p.socket.v4, m.typ, m.code); is && !isEcho(p.socket.v4, m.typ) {
				a = a.told(w, m.from)
			}
			return a
		case <-time.After(again):
		}
	}
}

// An ear hears the echo requests that arrive in a namespace, and so the source
// address that they arrive with.
type ear struct {
	socket *socket
	mu     sync.Mutex
	wanted map[uint64]chan netip.Addr // by nonce
}

func newEar(ns *os.File, v4 bool) (*ear, error) {
	s, err := openICMP(ns, v4, []byte{icmpEcho}, []byte{icmp6Echo})
	if err != nil {
		return nil, err
	}
	e := &ear{socket: s, wanted: map[uint64]chan netip.Addr{}}
	go hear(s, e.hear)
	return e, nil
}

func (e *ear) close() { e.socket.close() }

func (e *ear) hear(m icmpMessage) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c, ok := e.wanted[m.nonce]; ok {
		c <- m.from
		delete(e.wanted, m.nonce)
	}
}

// listen begins to listen for an echo request. The function it returns ends
// that, and says where the request came from; invalid if it did not come.
func (e *ear) listen(nonce uint64) (source func(deadline time.Time) netip.Addr) {
	c := make(chan netip.Addr, 1)
	e.mu.Lock()
	e.wanted[nonce] = c
	e.mu.Unlock()
	return func(deadline time.Time) (from netip.Addr) {
		select {
		case from = <-c:
		case <-time.After(time.Until(deadline)):
			e.mu.Lock()
			delete(e.wanted, nonce)
			e.mu.Unlock()
		}
		return from
	}
}
