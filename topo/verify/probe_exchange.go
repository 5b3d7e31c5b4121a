package verify

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/topo/lab"
)

// A probe over TCP or UDP is a request of eight random bytes and a reply: the same
// bytes, then the source address of the request as 16 bytes.
const (
	requestLen = 8
	replyLen   = requestLen + 16
)

// replyTo returns the reply to a request from an address.
func replyTo(request []byte, from netip.Addr) []byte {
	a := from.As16()
	return append(append(make([]byte, 0, replyLen), request[:requestLen]...), a[:]...)
}

// seenAddr returns the source address in a reply to a request. If it is not a reply to this
// request, the address is invalid.
func seenAddr(reply, request []byte) netip.Addr {
	if len(reply) < replyLen || string(reply[:requestLen]) != string(request) {
		return netip.Addr{}
	}
	return netip.AddrFrom16([16]byte(reply[requestLen:])).Unmap()
}

// newToken returns eight random bytes.
func newToken() []byte { return binary.BigEndian.AppendUint64(nil, rand.Uint64()) }

// openProbeSocket opens a TCP or UDP socket that reports ICMP errors.
func openProbeSocket(ns *os.File, v4 bool, typ int) (*socket, error) {
	return openSocket(ns, v4, typ, 0, func(fd int) error {
		if v4 {
			return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1)
		}
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
	})
}

// tcp opens a connection. If the listener is the prober's own (ours), data must also pass in both
// directions. It sends no data to other programs.
func (s *hostSockets) tcp(to netip.AddrPort, ours bool, request []byte, deadline time.Time) (Answer, error) {
	c, err := openProbeSocket(s.ns, to.Addr().Is4(), unix.SOCK_STREAM)
	if err != nil {
		return Answer{}, err
	}
	defer c.close()
	start := time.Now()
	c.file.SetDeadline(deadline)
	if err := c.connect(to); err != nil {
		return c.answerFor(err, start), nil
	}
	a := Answer{Outcome: lab.Answered, Time: time.Since(start)}
	if !ours {
		return a, nil
	}
	reply := make([]byte, replyLen)
	if _, err := c.file.Write(request); err != nil {
		return c.answerFor(err, start), nil
	}
	if _, err := io.ReadFull(c.file, reply); err != nil {
		a := c.answerFor(err, start)
		a.Detail = "the connection opens, but no data comes back"
		return a, nil
	}
	a.Seen = seenAddr(reply, request)
	return a, nil
}

// udp sends a datagram again and again until a reply comes or the deadline has passed.
func (s *hostSockets) udp(to netip.AddrPort, request []byte, deadline time.Time) (Answer, error) {
	c, err := openProbeSocket(s.ns, to.Addr().Is4(), unix.SOCK_DGRAM)
	if err != nil {
		return Answer{}, err
	}
	defer c.close()
	start := time.Now()
	if err := c.connect(to); err != nil {
		return c.answerFor(err, start), nil
	}
	reply := make([]byte, 512)
	for {
		if _, err := c.file.Write(request); err != nil {
			return c.answerFor(err, start), nil
		}
		c.file.SetReadDeadline(earlier(time.Now().Add(resendInterval), deadline))
		n, _, err := c.receive(reply)
		if err == nil {
			seen := seenAddr(reply[:n], request)
			return Answer{Outcome: lab.Answered, Time: time.Since(start), Seen: seen}, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().After(deadline) {
			return c.answerFor(err, start), nil
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
