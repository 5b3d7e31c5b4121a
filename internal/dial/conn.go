//go:build linux

package dial

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// answerTime is how long a socket waits for an answer. The kernel answers a request during the
// send call, so the answer is usually there already. A dump takes much less than this time.
const answerTime = time.Minute

// ErrNoAnswer means that the kernel did not answer in time, or that the answer was lost. The
// request may have been executed.
var ErrNoAnswer = errors.New("no answer from the kernel")

func noAnswer(wait time.Duration) error { return fmt.Errorf("%w within %v", ErrNoAnswer, wait) }

// A conn is a netlink.Conn with its own methods to send and to receive. Those of package netlink
// treat an interrupted call (EINTR) like one without a message (EAGAIN): they wait for the next
// message, perhaps forever, although the answer has arrived.
type conn struct {
	*netlink.Conn
	raw  syscall.RawConn
	wait atomic.Int64 // for an answer, in nanoseconds; 0 means no limit
	recv receiveCall

	mu      sync.Mutex
	pending [][]byte // datagrams that were read and not yet returned
}

// newConn returns a connection that uses the socket of nl. After an error, nl is closed.
func newConn(nl *netlink.Conn) (*conn, error) {
	raw, err := nl.SyscallConn()
	if err != nil {
		nl.Close()
		return nil, err
	}
	c := &conn{Conn: nl, raw: raw, recv: recvmmsg}
	c.wait.Store(int64(answerTime))
	return c, nil
}

// open returns the connection for package netlink.
func (c *conn) open() (*netlink.Conn, error) {
	var name unix.Sockaddr
	var err error
	controlErr := c.raw.Control(func(fd uintptr) { name, err = unix.Getsockname(int(fd)) })
	if err = errors.Join(controlErr, err); err != nil {
		c.Close()
		return nil, err
	}
	pid := uint32(0)
	if own, ok := name.(*unix.SockaddrNetlink); ok {
		pid = own.Pid
	}
	return netlink.NewConn(c, pid), nil
}

// JoinGroup joins a multicast group. Afterwards the socket waits for messages without a time limit.
func (c *conn) JoinGroup(group uint32) error {
	c.wait.Store(0)
	return c.Conn.JoinGroup(group)
}

// SetDeadline sets the caller's deadline for sending and receiving. The limit for answers no longer applies.
func (c *conn) SetDeadline(t time.Time) error {
	c.wait.Store(0)
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline sets the caller's deadline for receiving. The limit for answers no longer applies.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.wait.Store(0)
	return c.Conn.SetReadDeadline(t)
}

// Send sends a message.
func (c *conn) Send(m netlink.Message) error { return c.SendMessages([]netlink.Message{m}) }

// SendMessages sends messages in one system call.
func (c *conn) SendMessages(messages []netlink.Message) error {
	var all []byte
	for _, m := range messages {
		b, err := m.MarshalBinary()
		if err != nil {
			return err
		}
		all = append(all, b...)
	}
	var err error
	rawErr := c.raw.Write(func(fd uintptr) bool {
		err = unix.EINTR
		for err == unix.EINTR {
			err = unix.Sendto(int(fd), all, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		}
		return err != unix.EAGAIN
	})
	return errors.Join(rawErr, os.NewSyscallError("sendmsg", err))
}

// Receive receives the messages of one datagram. If there are two, one system call reads both.
func (c *conn) Receive() (messages []netlink.Message, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.pending) == 0 {
		if err := c.receive(); err != nil {
			return nil, err
		}
	}
	datagram := c.pending[0]
	c.pending = c.pending[1:]
	return Messages(nil, datagram)
}

// ReceiveIter is Receive as a sequence.
func (c *conn) ReceiveIter() iter.Seq2[netlink.Message, error] {
	return func(yield func(netlink.Message, error) bool) {
		messages, err := c.Receive()
		for _, m := range messages {
			if !yield(m, nil) {
				return
			}
		}
		if err != nil {
			yield(netlink.Message{}, err)
		}
	}
}

// receive waits for datagrams and reads them.
func (c *conn) receive() (err error) {
	wait := time.Duration(c.wait.Load())
	if wait > 0 {
		if err := c.Conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return err
		}
	}
	b := getBuffers()
	defer b.release()
	var datagrams [][]byte
	rawErr := c.raw.Read(func(fd uintptr) bool {
		datagrams, err = b.read(int(fd), c.recv)
		return !errors.Is(err, unix.EAGAIN)
	})
	switch {
	case rawErr != nil && wait > 0 && errors.Is(rawErr, os.ErrDeadlineExceeded):
		return noAnswer(wait)
	case rawErr != nil:
		return rawErr
	}
	for _, d := range datagrams {
		c.pending = append(c.pending, bytes.Clone(d))
	}
	return err
}

// aligned returns n rounded up to the alignment of messages and attributes.
func aligned(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }

// Messages appends the messages of a datagram b to messages. Their data is part of b.
func Messages(messages []netlink.Message, b []byte) ([]netlink.Message, error) {
	b = append(b, make([]byte, aligned(len(b))-len(b))...)
	for len(b) >= unix.NLMSG_HDRLEN {
		n := aligned(int(binary.NativeEndian.Uint32(b)))
		if n < unix.NLMSG_HDRLEN || n > len(b) {
			return nil, fmt.Errorf("netlink message of %d bytes, but only %d bytes are left", n, len(b))
		}
		var m netlink.Message
		if err := m.UnmarshalBinary(b[:n]); err != nil {
			return nil, err
		}
		messages, b = append(messages, m), b[n:]
	}
	return messages, nil
}
