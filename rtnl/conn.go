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

// ErrDumpInterrupted says that a table changed each time while it was read, so
// that no consistent list could be had; the kernel's NLM_F_DUMP_INTR.
var ErrDumpInterrupted = errors.New("table kept changing while it was read")

const (
	// dumpTries bounds how often an interrupted dump is begun again.
	dumpTries = 20
	// What goes into one sendmsg: few enough that the answers to requests that
	// all fail, each with its request in it, fit the default receive buffer.
	batchRequests = 256
	batchBytes    = 64 << 10
)

// Conn is a socket in one network namespace. It is safe for concurrent use.
type Conn struct {
	mu sync.Mutex // one exchange at a time
	nl exchange
}

// An exchange carries messages: our [socket], or the library's. It numbers what it sends. An
// answer is read to its end and lent part by part; a list's end, which the library keeps to
// itself, is part of it, for it may say that the list changed. A refusal is an error.
type exchange interface {
	SendMessages([]netlink.Message) ([]netlink.Message, error)
	Answer(fn func([]netlink.Message) error) error
	Close() error
}

// A library exchange has an answer as a whole.
type library struct{ *netlink.Conn }

// Answer reads an answer, and calls fn with it.
func (l library) Answer(fn func([]netlink.Message) error) error {
	answer, err := l.Receive()
	if err != nil {
		return err
	}
	return fn(answer)
}

// Dial opens a socket in the namespace ns; nil is the calling thread's. The file
// may be closed afterwards.
func Dial(ns *os.File) (*Conn, error) {
	var nl exchange
	var err error
	if ns == nil {
		nl, err = openSocket()
	} else {
		var conn *netlink.Conn
		conn, err = dial.Conn(unix.NETLINK_ROUTE, ns, netlink.Config{Strict: true})
		nl = library{conn}
	}
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	return &Conn{nl: nl}, nil
}

// NewConn makes a Conn of a NETLINK_ROUTE socket that was opened by other means.
// Tests put a recorder or a counter there; see package nltest of
// github.com/mdlayher/netlink. Its options ExtendedAcknowledge and
// GetStrictCheck are to be set.
func NewConn(nl *netlink.Conn) *Conn { return &Conn{nl: library{nl}} }

// Namespace opens the namespace that the socket is in. It knows those only that were
// opened for the calling thread's: who named another one has its file. Of the others it
// says errors.ErrUnsupported.
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

// Close closes the socket, when what is under way has been answered.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nl.Close()
}

// A Request is one change, ready to be sent by [Conn.Do]. The zero value is none.
type Request struct {
	op, object string // what an error says: "add", "link veth-red"
	msg        netlink.Message
	err        error // why it cannot be encoded; Do returns it before it sends anything
}

// String says what is asked for, as errors do: "add link veth-red".
func (r Request) String() string { return r.op + " " + r.object }

// For returns the request with another object in its errors: requests know links
// by their numbers, people by their names.
func (r Request) For(object string) Request {
	r.object = object
	return r
}

// Do carries out the requests in their order. The kernel goes on after one that
// fails; all failures are returned, each an *[Error] that names its request,
// joined if there are several. If one of the requests cannot be encoded, nothing
// is sent.
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

// batchLen is how many of the requests go into one sendmsg.
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

// send puts the requests into one sendmsg and reads the answers. Only the last
// one is acknowledged; the kernel reports failures in any case, and works in
// order. It returns the kernel's refusals, and what broke the exchange itself.
func (c *Conn) send(requests []Request, first int) (refusals []error, broken error) {
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
		err := c.nl.Answer(func(answers []netlink.Message) error {
			done = done || answered(answers, last)
			return nil
		})
		var oe *netlink.OpError
		switch {
		case errors.As(err, &oe) && oe.Sequence != 0:
			i, ours := index[oe.Sequence]
			if !ours {
				continue // left over from an exchange that was broken off
			}
			e := newError(requests[i].op, requests[i].object, msgs[i], err)
			e.Index = first + i
			refusals = append(refusals, e)
			if oe.Sequence == last {
				return refusals, nil
			}
		case err != nil:
			return refusals, err
		case done:
			return refusals, nil
		}
	}
}

func answered(answers []netlink.Message, sequence uint32) bool {
	for _, m := range answers {
		if m.Header.Sequence == sequence && m.Header.Type == netlink.Error {
			return true
		}
	}
	return false
}

// ask puts one question, and calls fn with the messages of its answer, part by part; their
// bytes are lent.
func (c *Conn) ask(question netlink.Message, fn func([]netlink.Message) error) error {
	sent, err := c.nl.SendMessages([]netlink.Message{question})
	if err != nil {
		return err
	}
	return c.nl.Answer(func(answers []netlink.Message) error {
		if err := netlink.Validate(sent[0], answers); err != nil {
			return err
		}
		return fn(answers)
	})
}

// get asks for one object and returns its message's body.
func (c *Conn) get(op, object string, typ netlink.HeaderType, body []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Without an acknowledgement, which would be left in the queue.
	m := netlink.Message{Header: netlink.Header{Type: typ, Flags: netlink.Request}, Data: body}
	var answer []byte
	count := 0
	err := c.ask(m, func(answers []netlink.Message) error {
		for _, a := range answers {
			count, answer = count+1, bytes.Clone(a.Data)
		}
		return nil
	})
	if err != nil {
		return nil, newError(op, object, m, err)
	}
	if count != 1 {
		return nil, &Error{Op: op, Object: object, Err: fmt.Errorf("%d answers to one question", count)}
	}
	return answer, nil
}

// list asks for a list, and calls add with the bodies of its messages, which are lent. Of one
// that changed while the kernel wrote it, and of one that is an error, what was added is to be
// forgotten.
func (c *Conn) list(object string, typ netlink.HeaderType, body []byte, forget func(), add func(body []byte) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := netlink.Message{Header: netlink.Header{Type: typ, Flags: netlink.Request | netlink.Dump}, Data: body}
	for range dumpTries {
		whole, illegible := true, error(nil)
		err := c.ask(m, func(answers []netlink.Message) error {
			for _, a := range answers {
				whole = whole && a.Header.Flags&netlink.DumpInterrupted == 0
				if whole && illegible == nil && a.Header.Type != netlink.Done {
					illegible = add(a.Data)
				}
			}
			return nil
		})
		if err == nil && whole && illegible == nil {
			return nil
		}
		switch forget(); {
		case err != nil:
			return newError("show", object, m, err)
		case whole:
			return &Error{Op: "show", Object: object, Err: illegible}
		}
	}
	return &Error{Op: "show", Object: object, Err: ErrDumpInterrupted}
}
