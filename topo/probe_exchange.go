//go:build linux

package topo

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// An exchange, over TCP or UDP, is a question of eight random bytes, and an
// answer: the same bytes and the source address that the question came from, as
// sixteen.
const (
	questionLen = 8
	answerLen   = questionLen + 16
)

func answerTo(question []byte, from netip.Addr) []byte {
	a := from.As16()
	return append(append(make([]byte, 0, answerLen), question[:questionLen]...), a[:]...)
}

// seenIn reads an answer; the address is invalid if it is none to that question.
func seenIn(answer, question []byte) netip.Addr {
	if len(answer) < answerLen || string(answer[:questionLen]) != string(question) {
		return netip.Addr{}
	}
	return netip.AddrFrom16([16]byte(answer[questionLen:])).Unmap()
}

// newQuestion makes up eight bytes.
func newQuestion() []byte { return binary.BigEndian.AppendUint64(nil, rand.Uint64()) }

// openStream opens a socket for one exchange, which is told of ICMP errors.
func openStream(ns *os.File, v4 bool, typ int) (*socket, error) {
	return openSocket(ns, v4, typ, 0, func(fd int) error {
		if v4 {
			return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1)
		}
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
	})
}

// tcp opens a connection. If one of our own listeners is there, data has to go
// both ways as well; another program is left alone.
func (s *station) tcp(to netip.AddrPort, ours bool, question []byte, deadline time.Time) (Answer, error) {
	c, err := openStream(s.ns, to.Addr().Is4(), unix.SOCK_STREAM)
	if err != nil {
		return Answer{}, err
	}
	defer c.close()
	start := time.Now()
	c.file.SetDeadline(deadline)
	if err := c.connect(to); err != nil {
		return c.verdict(err, start), nil
	}
	a := Answer{Outcome: Answered, Time: time.Since(start)}
	if !ours {
		return a, nil
	}
	answer := make([]byte, answerLen)
	if _, err := c.file.Write(question); err != nil {
		return c.verdict(err, start), nil
	}
	if _, err := io.ReadFull(c.file, answer); err != nil {
		a := c.verdict(err, start)
		a.Said = "the connection opens, but data does not come back"
		return a, nil
	}
	a.Seen = seenIn(answer, question)
	return a, nil
}

// udp sends a datagram, again and again until an answer comes or the deadline
// has passed.
func (s *station) udp(to netip.AddrPort, question []byte, deadline time.Time) (Answer, error) {
	c, err := openStream(s.ns, to.Addr().Is4(), unix.SOCK_DGRAM)
	if err != nil {
		return Answer{}, err
	}
	defer c.close()
	start := time.Now()
	if err := c.connect(to); err != nil {
		return c.verdict(err, start), nil
	}
	answer := make([]byte, 512)
	for {
		if _, err := c.file.Write(question); err != nil {
			return c.verdict(err, start), nil
		}
		c.file.SetReadDeadline(earlier(time.Now().Add(resend), deadline))
		n, _, err := c.receive(answer)
		if err == nil {
			seen := seenIn(answer[:n], question)
			return Answer{Outcome: Answered, Time: time.Since(start), Seen: seen}, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().After(deadline) {
			return c.verdict(err, start), nil
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
