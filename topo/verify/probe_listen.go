package verify

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/topo/lab"
)

type listenerKey struct {
	probe string // ProbeTCP or ProbeUDP
	at    netip.AddrPort
}

// A listener replies to the requests of probes in one namespace. Probes of the same port share it.
type listener struct {
	socket *socket
	users  int
	done   sync.WaitGroup
}

// listen listens on a port until the caller calls release. If several probes use the port, it stays
// open until the last one releases it. ours is false if another program listens there.
func (s *hostSockets) listen(probe string, at netip.AddrPort) (release func(), ours bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := listenerKey{probe, at}
	l := s.listeners[key]
	if l == nil {
		l, err = newListener(s.ns, probe, at)
		if errors.Is(err, unix.EADDRINUSE) {
			return func() {}, false, nil
		}
		if err != nil {
			return nil, false, err
		}
		s.listeners[key] = l
	}
	l.users++
	return func() { s.release(key) }, true, nil
}

func (s *hostSockets) release(key listenerKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.listeners[key]
	if l.users--; l.users == 0 {
		delete(s.listeners, key)
		l.close()
	}
}

// newListener binds a socket in ns and serves it.
func newListener(ns *os.File, probe string, at netip.AddrPort) (*listener, error) {
	typ := unix.SOCK_STREAM
	if probe == lab.ProbeUDP {
		typ = unix.SOCK_DGRAM
	}
	c, err := openSocket(ns, at.Addr().Is4(), typ, 0, func(fd int) error {
		// Old connections of an earlier probe must not block the port.
		if typ == unix.SOCK_STREAM {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
				return err
			}
		}
		if err := unix.Bind(fd, sockaddr(at)); err != nil {
			return &os.PathError{Op: "listen on", Path: probe + " " + at.String(), Err: err}
		}
		if typ == unix.SOCK_STREAM {
			return unix.Listen(fd, unix.SOMAXCONN)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	l := &listener{socket: c}
	serve := l.serveConns
	if probe == lab.ProbeUDP {
		serve = l.serveDatagrams
	}
	l.done.Go(serve)
	return l, nil
}

// close stops listening, and waits until every accepted connection has its reply.
func (l *listener) close() {
	l.socket.close()
	l.done.Wait()
}

func (l *listener) serveConns() {
	for {
		var fd int
		var from unix.Sockaddr
		var err error
		waitErr := l.socket.raw.Read(func(lfd uintptr) bool {
			fd, from, err = unix.Accept4(int(lfd), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			return err != unix.EAGAIN
		})
		if waitErr != nil {
			return
		}
		if err == nil {
			f := os.NewFile(uintptr(fd), "accepted")
			l.done.Go(func() { serveConn(f, addrPort(from).Addr()) })
		}
	}
}

func serveConn(f *os.File, from netip.Addr) {
	defer f.Close()
	f.SetDeadline(time.Now().Add(probeTimeout))
	request := make([]byte, requestLen)
	if _, err := io.ReadFull(f, request); err != nil {
		return // the client reports the error
	}
	_, _ = f.Write(replyTo(request, from)) // the client reports a missing reply
}

func (l *listener) serveDatagrams() {
	buf := make([]byte, 512)
	for {
		n, from, err := l.socket.receive(buf)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err == nil && n >= requestLen {
			_ = l.socket.sendTo(replyTo(buf, from.Addr()), sockaddr(from))
		}
	}
}
