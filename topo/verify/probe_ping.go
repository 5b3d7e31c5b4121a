package verify

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/topo/lab"
)

// A pinger is the raw ICMP socket of one namespace and family. Up to 65536 echo requests, one per
// sequence number, can be in flight.
type pinger struct {
	socket *socket
	id     uint16 // distinguishes this socket's echo requests from those of other programs

	mu      sync.Mutex
	seq     uint16
	waiting map[uint16]waiter
}

type waiter struct {
	nonce uint64
	reply chan<- icmpMessage
}

func newPinger(ns *os.File, v4 bool) (*pinger, error) {
	s, err := openICMP(ns, v4,
		[]byte{icmpEchoReply, icmpUnreachable, icmpExceeded},
		[]byte{icmp6EchoReply, icmp6Unreachable, icmp6TooBig, icmp6Exceeded})
	if err != nil {
		return nil, err
	}
	p := &pinger{socket: s, id: uint16(rand.Uint32()), waiting: map[uint16]waiter{}}
	go receiveLoop(s, p.deliver)
	return p, nil
}

func (p *pinger) close() { p.socket.close() }

// openICMP opens a raw socket that receives only these types of ICMP messages, and sends without
// fragmenting.
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
				growReceiveBuffer(fd))
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
			growReceiveBuffer(fd))
	})
}

// growReceiveBuffer requests a receive buffer with room for thousands of replies. The kernel may
// make it smaller.
func growReceiveBuffer(fd int) error {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20) == nil {
		return nil
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20)
}

// receiveLoop passes on the ICMP messages that the socket receives, until it is closed.
func receiveLoop(s *socket, deliver func(icmpMessage)) {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := s.receive(buf)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		// Other errors are about single packets (IP_RECVERR); the socket stays usable.
		if m, ok := parseICMP(s.v4, buf[:max(n, 0)]); ok && err == nil {
			m.from = from.Addr()
			deliver(m)
		}
	}
}

// deliver passes a message to the probe that sent the echo request.
func (p *pinger) deliver(m icmpMessage) {
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
	case w.reply <- m:
	default: // a second reply
	}
}

// reserve returns a free sequence number and the channel for its reply.
func (p *pinger) reserve(nonce uint64) (seq uint16, reply <-chan icmpMessage) {
	c := make(chan icmpMessage, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		p.seq++
		if _, used := p.waiting[p.seq]; !used {
			p.waiting[p.seq] = waiter{nonce, c}
			return p.seq, c
		}
	}
}

func (p *pinger) release(seq uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, seq)
}

// ping sends an echo request again and again until an answer comes or the deadline has passed.
// size is that of the IP packet in bytes; 0 means as small as possible.
func (p *pinger) ping(to netip.Addr, nonce uint64, size int, deadline time.Time) Answer {
	seq, reply := p.reserve(nonce)
	defer p.release(seq)
	request := appendEcho(nil, p.socket.v4, p.id, seq, nonce, size)
	sa, start := sockaddr(netip.AddrPortFrom(to, 0)), time.Now()
	for {
		err := p.socket.sendTo(request, sa)
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return p.socket.answerFor(err, start)
		}
		again := min(time.Until(deadline), resendInterval)
		if again <= 0 {
			return Answer{Outcome: lab.Unreachable, Time: time.Since(start)}
		}
		select {
		case m := <-reply:
			a := Answer{Outcome: lab.Answered, Time: time.Since(start)}
			if w, ok := lookupICMP(p.socket.v4, m.typ, m.code); ok && !isEcho(p.socket.v4, m.typ) {
				a = a.withICMPError(w, m.from)
			}
			return a
		case <-time.After(again):
		}
	}
}

// An echoMonitor receives the echo requests that arrive in a namespace, and so learns their source
// address.
type echoMonitor struct {
	socket  *socket
	mu      sync.Mutex
	waiting map[uint64]chan netip.Addr // by nonce
}

func newEchoMonitor(ns *os.File, v4 bool) (*echoMonitor, error) {
	s, err := openICMP(ns, v4, []byte{icmpEcho}, []byte{icmp6Echo})
	if err != nil {
		return nil, err
	}
	e := &echoMonitor{socket: s, waiting: map[uint64]chan netip.Addr{}}
	go receiveLoop(s, e.deliver)
	return e, nil
}

func (e *echoMonitor) close() { e.socket.close() }

func (e *echoMonitor) deliver(m icmpMessage) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c, ok := e.waiting[m.nonce]; ok {
		c <- m.from
		delete(e.waiting, m.nonce)
	}
}

// watch begins to wait for the echo request with this nonce. The returned function ends the wait
// and returns the source address; invalid if the request did not arrive before the deadline.
func (e *echoMonitor) watch(nonce uint64) (source func(deadline time.Time) netip.Addr) {
	c := make(chan netip.Addr, 1)
	e.mu.Lock()
	e.waiting[nonce] = c
	e.mu.Unlock()
	return func(deadline time.Time) (from netip.Addr) {
		select {
		case from = <-c:
		case <-time.After(time.Until(deadline)):
			e.mu.Lock()
			delete(e.waiting, nonce)
			e.mu.Unlock()
		}
		return from
	}
}
