package rtnl

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/dial"
)

// ErrDumpInterrupted means that a table changed during each attempt to read it, so
// that there is no consistent list; NLM_F_DUMP_INTR of the kernel.
var ErrDumpInterrupted = errors.New("table kept changing while it was read")

const (
	// dumpTries is how often an interrupted dump is tried.
	dumpTries = 20
	// Limits for one sendmsg. If all requests fail, the kernel returns each request
	// in its answer; all answers must fit into the default receive buffer.
	batchRequests = 256
	batchBytes    = 64 << 10
)

// Conn is a socket in one network namespace. It is safe for concurrent use.
type Conn struct {
	mu sync.Mutex // one request and its answer at a time
	nl transport
}

// A transport sends and receives messages. It is a [socket] or a [libraryConn].
// SendMessages sets the sequence numbers. ReceiveAnswer reads an answer to its end and
// calls fn with each part; the bytes are valid only during the call. If the kernel
// refuses a request, ReceiveAnswer returns an error. The end of a dump is part of the
// answer of a socket, because it may have the flag NLM_F_DUMP_INTR.
type transport interface {
	SendMessages([]netlink.Message) ([]netlink.Message, error)
	ReceiveAnswer(fn func([]netlink.Message) error) error
	Close() error
}

// A libraryConn is a transport over a socket of package netlink. Its answers have one part.
type libraryConn struct{ *netlink.Conn }

// ReceiveAnswer reads an answer and calls fn with it.
func (l libraryConn) ReceiveAnswer(fn func([]netlink.Message) error) error {
	answer, err := l.Receive()
	if err != nil {
		return err
	}
	return fn(answer)
}

// Dial opens a socket in the namespace ns; nil is the namespace of the calling
// thread. The file may be closed afterwards.
func Dial(ns *os.File) (*Conn, error) {
	var nl transport
	var err error
	if ns == nil {
		nl, err = openSocket()
	} else {
		var conn *netlink.Conn
		conn, err = dial.Conn(unix.NETLINK_ROUTE, ns, netlink.Config{Strict: true})
		nl = libraryConn{conn}
	}
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	return &Conn{nl: nl}, nil
}

// NewConn returns a Conn that uses an open NETLINK_ROUTE socket. Tests use it with a
// fake kernel; see package nltest of github.com/mdlayher/netlink. The socket must have
// the options ExtendedAcknowledge and GetStrictCheck.
func NewConn(nl *netlink.Conn) *Conn { return &Conn{nl: libraryConn{nl}} }

// Namespace opens the namespace that the socket is in. It works only for Dial(nil);
// otherwise the error is errors.ErrUnsupported.
func (c *Conn) Namespace() (*os.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.nl.(*socket)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	ns, err := unix.IoctlRetInt(s.Fd(), unix.SIOCGSKNS)
	if err != nil {
		return nil, os.NewSyscallError("ioctl", err)
	}
	return os.NewFile(uintptr(ns), "netns"), nil
}

// Close waits for a running request and closes the socket.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nl.Close()
}

// A Request is one change. [Conn.Do] sends it. The zero value is not valid.
type Request struct {
	op, object string // for errors: "add", "link veth-red"
	msg        netlink.Message
	err        error // the encoding failed; Do returns it before it sends anything
}

// String returns the operation and the object, as errors show them: "add link veth-red".
func (r Request) String() string { return r.op + " " + r.object }

// For returns the request with another object for its errors. Requests contain the
// index of a link; an error should show the name.
func (r Request) For(object string) Request {
	r.object = object
	return r
}

// Do sends the requests in order. The kernel continues after a request that fails. Do
// returns all failures, each an *[Error] with its request, joined with errors.Join if
// there are several. If one of the requests cannot be encoded, Do sends nothing.
func (c *Conn) Do(requests ...Request) error {
	for i, r := range requests {
		if r.err != nil {
			return &Error{Op: r.op, Object: r.object, Index: i, Err: r.err}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var failures []error
	for first := 0; first < len(requests); {
		next := first + batchLen(requests[first:])
		errs, err := c.send(requests[first:next], first)
		failures = append(failures, errs...)
		if err != nil {
			return errors.Join(append(failures, err)...)
		}
		first = next
	}
	if len(failures) == 1 {
		return failures[0]
	}
	return errors.Join(failures...)
}

// batchLen returns how many of the requests go into one sendmsg.
func batchLen(requests []Request) int {
	bytes := 0
	for i, r := range requests {
		bytes += unix.NLMSG_HDRLEN + len(r.msg.Data)
		if i > 0 && (i == batchRequests || bytes > batchBytes) {
			return i
		}
	}
	return len(requests)
}

// send sends the requests with one sendmsg and reads the answers. Only the last request
// asks for an acknowledgement: the kernel handles requests in order and always reports
// failures. send returns the errors of refused requests, and the error of the socket.
func (c *Conn) send(requests []Request, first int) (refused []error, socketErr error) {
	msgs := make([]netlink.Message, len(requests))
	for i, r := range requests {
		msgs[i] = r.msg
		msgs[i].Header.Flags |= netlink.Request
	}
	msgs[len(msgs)-1].Header.Flags |= netlink.Acknowledge
	sent, err := c.nl.SendMessages(msgs)
	if err != nil {
		return nil, err
	}
	index := make(map[uint32]int, len(sent))
	for i, m := range sent {
		index[m.Header.Sequence] = i
	}
	last := sent[len(sent)-1].Header.Sequence
	for {
		done := false
		err := c.nl.ReceiveAnswer(func(answers []netlink.Message) error {
			done = done || acknowledged(answers, last)
			return nil
		})
		var oe *netlink.OpError
		switch {
		case errors.As(err, &oe) && oe.Sequence != 0:
			i, known := index[oe.Sequence]
			if !known {
				continue // an answer to an earlier request
			}
			e := newError(requests[i].op, requests[i].object, msgs[i], err)
			e.Index = first + i
			refused = append(refused, e)
			if oe.Sequence == last {
				return refused, nil
			}
		case err != nil:
			return refused, err
		case done:
			return refused, nil
		}
	}
}

func acknowledged(answers []netlink.Message, sequence uint32) bool {
	for _, m := range answers {
		if m.Header.Sequence == sequence && m.Header.Type == netlink.Error {
			return true
		}
	}
	return false
}

// query sends one request and calls fn with the messages of each part of the answer. The bytes
// are valid only during the call of fn.
func (c *Conn) query(request netlink.Message, fn func([]netlink.Message) error) error {
	sent, err := c.nl.SendMessages([]netlink.Message{request})
	if err != nil {
		return err
	}
	return c.nl.ReceiveAnswer(func(answers []netlink.Message) error {
		if err := netlink.Validate(sent[0], answers); err != nil {
			return err
		}
		return fn(answers)
	})
}

// get requests one object and returns the body of its message.
func (c *Conn) get(op, object string, typ netlink.HeaderType, body []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Without NLM_F_ACK: the acknowledgement would stay in the receive queue.
	m := netlink.Message{Header: netlink.Header{Type: typ, Flags: netlink.Request}, Data: body}
	var answer []byte
	count := 0
	err := c.query(m, func(answers []netlink.Message) error {
		for _, a := range answers {
			count, answer = count+1, bytes.Clone(a.Data)
		}
		return nil
	})
	if err != nil {
		return nil, newError(op, object, m, err)
	}
	if count != 1 {
		return nil, &Error{Op: op, Object: object, Err: fmt.Errorf("got %d answers, expected one", count)}
	}
	return answer, nil
}

// list requests a dump and calls add with the body of each message, which is valid only during
// the call. If the table changed during the dump, or the dump failed, list calls reset: the
// caller must drop what was added.
func (c *Conn) list(
	object string, typ netlink.HeaderType, body []byte, reset func(), add func(body []byte) error,
) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := netlink.Message{Header: netlink.Header{Type: typ, Flags: netlink.Request | netlink.Dump}, Data: body}
	for range dumpTries {
		consistent, decodeErr := true, error(nil)
		err := c.query(m, func(answers []netlink.Message) error {
			for _, a := range answers {
				consistent = consistent && a.Header.Flags&netlink.DumpInterrupted == 0
				if consistent && decodeErr == nil && a.Header.Type != netlink.Done {
					decodeErr = add(a.Data)
				}
			}
			return nil
		})
		if err == nil && consistent && decodeErr == nil {
			return nil
		}
		switch reset(); {
		case err != nil:
			return newError("show", object, m, err)
		case consistent:
			return &Error{Op: "show", Object: object, Err: decodeErr}
		}
	}
	return &Error{Op: "show", Object: object, Err: ErrDumpInterrupted}
}
