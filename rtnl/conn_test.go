package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/netlink"
	"github.com/mdlayher/netlink/nltest"
	"golang.org/x/sys/unix"
)

// A fakeKernel records the messages, one slice for each sendmsg. It answers like the
// kernel: with an acknowledgement if requested, with an error if a request fails, and
// with an empty list.
type fakeKernel struct {
	sent [][]netlink.Message
	// fails has the errno of each request that fails, by index from 0.
	fails map[int]unix.Errno
	// stale makes an answer to an earlier request come first.
	stale    bool
	requests int
	answers  []netlink.Message
}

func (s *fakeKernel) Close() error                 { return nil }
func (s *fakeKernel) Send(m netlink.Message) error { return s.SendMessages([]netlink.Message{m}) }

func (s *fakeKernel) SendMessages(ms []netlink.Message) error {
	s.sent = append(s.sent, ms)
	if s.stale {
		s.answers = append(s.answers, errorTo(netlink.Header{Sequence: ms[0].Header.Sequence - 1}, unix.EBUSY))
	}
	for _, m := range ms {
		errno, fails := s.fails[s.requests]
		s.requests++
		switch {
		case fails || m.Header.Flags&netlink.Acknowledge != 0:
			s.answers = append(s.answers, errorTo(m.Header, errno))
		case m.Header.Flags&netlink.Dump == netlink.Dump:
			done := netlink.Header{Type: netlink.Done, Flags: netlink.Multi, Sequence: m.Header.Sequence, PID: m.Header.PID}
			s.answers = append(s.answers, netlink.Message{Header: done, Data: make([]byte, 4)})
		}
	}
	return nil
}

// errorTo returns a message with struct nlmsgerr; errno 0 is an acknowledgement.
func errorTo(h netlink.Header, errno unix.Errno) netlink.Message {
	answer := netlink.Header{Type: netlink.Error, Sequence: h.Sequence, PID: h.PID}
	data := binary.NativeEndian.AppendUint32(nil, uint32(-int32(errno)))
	return netlink.Message{Header: answer, Data: append(data, make([]byte, unix.NLMSG_HDRLEN)...)}
}

// Receive returns one datagram.
func (s *fakeKernel) Receive() ([]netlink.Message, error) {
	if len(s.answers) == 0 {
		return nil, errors.New("no more answers")
	}
	m := s.answers[0]
	s.answers = s.answers[1:]
	return []netlink.Message{m}, nil
}

func (s *fakeKernel) ReceiveIter() iter.Seq2[netlink.Message, error] {
	return func(yield func(netlink.Message, error) bool) {
		ms, err := s.Receive()
		if err != nil {
			yield(netlink.Message{}, err)
			return
		}
		for _, m := range ms {
			if !yield(m, nil) {
				return
			}
		}
	}
}

// vethRequests returns n requests that add a veth pair each.
func vethRequests(n int) []Request {
	requests := make([]Request, n)
	for i := range requests {
		requests[i] = AddLink(LinkConfig{Name: fmt.Sprintf("v%d", i), Kind: Kind{Name: "veth"}})
	}
	return requests
}

// TestSystemCalls counts system calls and messages, which determine the run time.
func TestSystemCalls(t *testing.T) {
	long := SetLink(LinkID{Index: 1}, LinkConfig{Alias: ptr(strings.Repeat("x", maxAlias))})
	for _, tt := range []struct {
		what            string
		do              func(*Conn) error
		sends, messages int
	}{
		{"nothing", func(c *Conn) error { return c.Do() }, 0, 0},
		{"a veth pair", func(c *Conn) error { return c.Do(vethRequests(1)...) }, 1, 1},
		{"256 veth pairs", func(c *Conn) error { return c.Do(vethRequests(256)...) }, 1, 256},
		{"257 veth pairs", func(c *Conn) error { return c.Do(vethRequests(257)...) }, 2, 257},
		{"a thousand veth pairs", func(c *Conn) error { return c.Do(vethRequests(1000)...) }, 4, 1000},
		{"256 long requests", func(c *Conn) error {
			many := make([]Request, 256)
			for i := range many {
				many[i] = long
			}
			return c.Do(many...)
		}, 2, 256},
		{"all links", func(c *Conn) error { _, err := c.Links(LinkFilter{}); return err }, 1, 1},
		{"all addresses", func(c *Conn) error { _, err := c.Addrs(AddrFilter{}); return err }, 1, 1},
		{"all routes", func(c *Conn) error { _, err := c.Routes(RouteFilter{}); return err }, 2, 2},
		{"all IPv4 routes", func(c *Conn) error { _, err := c.Routes(RouteFilter{Family: unix.AF_INET}); return err }, 1, 1},
		{"all neighbours", func(c *Conn) error { _, err := c.Neighs(NeighFilter{}); return err }, 1, 1},
		{"all rules", func(c *Conn) error { _, err := c.Rules(0); return err }, 1, 1},
		{"all namespace ids", func(c *Conn) error { _, err := c.NSIDs(); return err }, 1, 1},
		{"all VLANs", func(c *Conn) error { _, err := c.PortVLANs(); return err }, 1, 1},
		{"all netems", func(c *Conn) error { _, err := c.Netems(); return err }, 1, 1},
	} {
		kernel := &fakeKernel{}
		if err := tt.do(NewConn(netlink.NewConn(kernel, 1))); err != nil {
			t.Errorf("%s: %v", tt.what, err)
		}
		if len(kernel.sent) != tt.sends || kernel.requests != tt.messages {
			t.Errorf("%s: %d messages in %d sendmsg, want %d in %d", tt.what, kernel.requests, len(kernel.sent), tt.messages,
				tt.sends)
		}
		for _, ms := range kernel.sent {
			acks, bytes := 0, 0
			for _, m := range ms {
				acks += int(m.Header.Flags&netlink.Acknowledge) / int(netlink.Acknowledge)
				bytes += int(m.Header.Length)
			}
			if acks > 1 || bytes > batchBytes {
				t.Errorf("%s: %d acknowledgements requested, %d bytes", tt.what, acks, bytes)
			}
		}
	}
}

// TestFailures: Do returns an error for each request that fails, in order, whichever
// sendmsg it was in, and no other errors.
func TestFailures(t *testing.T) {
	kernel := &fakeKernel{stale: true, fails: map[int]unix.Errno{
		0: unix.EEXIST, 3: unix.EPERM, 255: unix.EBUSY, 256: unix.ENODEV, 299: unix.EEXIST,
	}}
	err := NewConn(netlink.NewConn(kernel, 1)).Do(vethRequests(300)...)
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%v", err)
	}
	var got []string
	for _, err := range joined.Unwrap() {
		e := err.(*Error)
		got = append(got, fmt.Sprintf("%d %v", e.Index, e))
	}
	want := []string{
		"0 add link v0 type veth: file exists", "3 add link v3 type veth: operation not permitted",
		"255 add link v255 type veth: device or resource busy", "256 add link v256 type veth: no such device",
		"299 add link v299 type veth: file exists",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, target := range []error{fs.ErrExist, fs.ErrPermission, fs.ErrNotExist, unix.EBUSY} {
		if !errors.Is(err, target) {
			t.Errorf("%v is not %v", err, target)
		}
	}
}

// TestOneFailure: a single failure is not joined, and is an *Error.
func TestOneFailure(t *testing.T) {
	kernel := &fakeKernel{fails: map[int]unix.Errno{1: unix.EBUSY}}
	err := NewConn(netlink.NewConn(kernel, 1)).Do(vethRequests(2)...)
	var e *Error
	if !errors.As(err, &e) || e != err || e.Index != 1 || e.Op != "add" || e.Object != "link v1 type veth" ||
		e.Err != unix.EBUSY {
		t.Errorf("%#v", err)
	}
}

// TestEncodeFailure: if one of the requests cannot be encoded, nothing is sent.
func TestEncodeFailure(t *testing.T) {
	kernel := &fakeKernel{}
	requests := append(vethRequests(3), AddLink(LinkConfig{Name: "sixteen-bytes-xx"}))
	err := NewConn(netlink.NewConn(kernel, 1)).Do(requests...)
	want := `add link sixteen-bytes-xx: "sixteen-bytes-xx" has 16 bytes, a link's name has at most 15`
	var e *Error
	if !errors.As(err, &e) || e.Index != 3 || e.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
	if len(kernel.sent) != 0 {
		t.Errorf("%d requests were sent", kernel.requests)
	}
}

// TestSocketError: if the socket fails, the error also contains the failures so far.
func TestSocketError(t *testing.T) {
	kernel := &fakeKernel{fails: map[int]unix.Errno{0: unix.EBUSY}}
	lossy := &lossyKernel{fakeKernel: kernel}
	err := NewConn(netlink.NewConn(lossy, 1)).Do(vethRequests(2)...)
	if !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), "no more answers") {
		t.Errorf("%v", err)
	}
}

// A lossyKernel drops the last answer.
type lossyKernel struct{ *fakeKernel }

func (s *lossyKernel) SendMessages(ms []netlink.Message) error {
	err := s.fakeKernel.SendMessages(ms)
	s.answers = s.answers[:len(s.answers)-1]
	return err
}

// TestAnswersToGet: get expects one answer.
func TestAnswersToGet(t *testing.T) {
	kernel := &fakeKernel{fails: map[int]unix.Errno{0: unix.ENODEV}}
	_, err := NewConn(netlink.NewConn(kernel, 1)).Link(LinkID{Name: "nope"})
	if !errors.Is(err, fs.ErrNotExist) || err.Error() != "show link nope: no such device" {
		t.Errorf("%v", err)
	}
	if flags := kernel.sent[0][0].Header.Flags; flags != netlink.Request {
		t.Errorf("flags %v: an acknowledgement would stay in the receive queue", flags)
	}
	none := nltest.Dial(func([]netlink.Message) ([]netlink.Message, error) { return nil, io.EOF })
	if _, err := NewConn(none).Link(LinkID{Name: "nope"}); err == nil ||
		err.Error() != "show link nope: got 0 answers, expected one" {
		t.Errorf("without an answer: %v", err)
	}
}

// TestRequestNames: For replaces the index of a link by its name.
func TestRequestNames(t *testing.T) {
	r := SetLink(LinkID{Index: 7}, LinkConfig{MTU: 1400})
	if got := r.String(); got != "set link if7" {
		t.Error(got)
	}
	if got := r.For("link veth-red").String(); got != "set link veth-red" || r.String() != "set link if7" {
		t.Error(got, r)
	}
}
