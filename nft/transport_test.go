//go:build linux

package nft

import (
	"errors"
	"iter"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A fakeSocket is a netlink socket on which a test plays the kernel.
type fakeSocket struct {
	netlink.Socket
	// replies contains a function for each send. It returns the datagrams that the kernel sends as replies.
	replies []func(sent []netlink.Message) [][]netlink.Message
	queue   [][]netlink.Message
	// failures contains an error for each of the first receives; nil for none.
	failures []error
}

// fakeConn returns a Conn with a fakeSocket.
func fakeConn(replies ...func([]netlink.Message) [][]netlink.Message) *Conn {
	return NewConn(netlink.NewConn(&fakeSocket{replies: replies}, 1))
}

func (s *fakeSocket) Send(m netlink.Message) error { return s.SendMessages([]netlink.Message{m}) }

func (s *fakeSocket) SendMessages(m []netlink.Message) error {
	if len(s.replies) == 0 {
		return errors.New("unexpected request")
	}
	s.queue = append(s.queue, s.replies[0](m)...)
	s.replies = s.replies[1:]
	return nil
}

func (s *fakeSocket) Receive() ([]netlink.Message, error) {
	if len(s.failures) > 0 {
		err := s.failures[0]
		s.failures = s.failures[1:]
		if err != nil {
			return nil, err
		}
	}
	if len(s.queue) == 0 {
		return nil, errors.New("no more replies")
	}
	m := s.queue[0]
	s.queue = s.queue[1:]
	return m, nil
}

func (s *fakeSocket) ReceiveIter() iter.Seq2[netlink.Message, error] {
	return func(yield func(netlink.Message, error) bool) {
		got, err := s.Receive()
		for _, m := range got {
			if !yield(m, nil) {
				return
			}
		}
		if err != nil {
			yield(netlink.Message{}, err)
		}
	}
}

// failingConn returns a Conn whose first receives fail.
func failingConn(failures []error, replies ...func([]netlink.Message) [][]netlink.Message) *Conn {
	return NewConn(netlink.NewConn(&fakeSocket{replies: replies, failures: failures}, 1))
}

// tableReply returns the kernel's message for a table in a dump.
func tableReply(to netlink.Message, name string, flags netlink.HeaderFlags) netlink.Message {
	m := request(unix.NFT_MSG_NEWTABLE, flags|netlink.Multi, attrString(unix.NFTA_TABLE_NAME, name))
	m.Header.Sequence, m.Header.PID = to.Header.Sequence, to.Header.PID
	return m
}

func done(to netlink.Message) netlink.Message {
	return netlink.Message{Header: netlink.Header{Type: netlink.Done, Flags: netlink.Multi,
		Sequence: to.Header.Sequence}, Data: make([]byte, 4)}
}

// errorReply returns an NLMSG_ERROR message.
func errorReply(sequence uint32, errno unix.Errno) netlink.Message {
	return netlink.Message{Header: netlink.Header{Type: netlink.Error, Sequence: sequence},
		Data: append(native32(uint32(-int32(errno))), make([]byte, 16)...)}
}

// TestInterruptedDumps checks that a dump is repeated if the kernel reports that it was interrupted, until
// the time is over.
func TestInterruptedDumps(t *testing.T) {
	list := func(flags netlink.HeaderFlags, names ...string) func([]netlink.Message) [][]netlink.Message {
		return func(sent []netlink.Message) [][]netlink.Message {
			var all []netlink.Message
			for _, n := range names {
				all = append(all, tableReply(sent[0], n, flags))
			}
			return [][]netlink.Message{append(all, done(sent[0]))}
		}
	}
	c := fakeConn(list(netlink.DumpInterrupted, "vnet_red"), list(0, "vnet_red", "vnet_blue"))
	tables, err := c.Tables()
	if diff := cmp.Diff([]string{"vnet_red", "vnet_blue"}, tables); diff != "" || err != nil {
		t.Errorf("%v; -want +got:\n%s", err, diff)
	}
	c = fakeConn(list(netlink.DumpInterrupted, "vnet_red"))
	c.waitLimit = 0
	if tables, err = c.Tables(); !errors.Is(err, errBusy) {
		t.Errorf("tables %q, %v", tables, err)
	}
	c = fakeConn(list(netlink.DumpInterrupted, "gone"), list(0))
	if chains, err := c.Dump("chains", unix.NFT_MSG_GETCHAIN, unix.NFPROTO_UNSPEC); err != nil || len(chains) != 0 {
		t.Errorf("chains %q, %v", chains, err)
	}
}

// TestLateReplies checks that late replies to earlier requests are skipped.
func TestLateReplies(t *testing.T) {
	old := func(sent []netlink.Message) [][]netlink.Message {
		before := sent[0]
		before.Header.Sequence--
		stale := tableReply(before, "stale", 0)
		stale.Header.Flags = 0
		return [][]netlink.Message{{errorReply(before.Header.Sequence, unix.EPERM)}, {stale}}
	}
	replied := func(sent []netlink.Message) [][]netlink.Message {
		fresh := tableReply(sent[1], "fresh", 0)
		fresh.Header.Flags = 0
		return append(old(sent), []netlink.Message{errorReply(sent[0].Header.Sequence, unix.ENOENT)},
			[]netlink.Message{fresh})
	}
	req := request(unix.NFT_MSG_GETTABLE, 0)
	replies, err := fakeConn(replied).query("tables", []netlink.Message{req, req})
	if err != nil {
		t.Fatal(err)
	}
	name, err := decodeString(replies[1].body, unix.NFTA_TABLE_NAME)
	if !errors.Is(replies[0].err, unix.ENOENT) || name != "fresh" || err != nil {
		t.Errorf("replies %v, %q, %v", replies[0].err, name, err)
	}
	committed := func(sent []netlink.Message) [][]netlink.Message {
		return append(old(sent), []netlink.Message{errorReply(sent[1].Header.Sequence, 0)})
	}
	if done, err := fakeConn(committed).commit(0, []message{{Message: req}}); !done || err != nil {
		t.Errorf("done %v, %v", done, err)
	}
	listed := func(sent []netlink.Message) [][]netlink.Message {
		return append(old(sent), []netlink.Message{tableReply(sent[0], "fresh", 0), done(sent[0])})
	}
	if tables, err := fakeConn(listed).Tables(); err != nil || len(tables) != 1 || tables[0] != "fresh" {
		t.Errorf("tables %q, %v", tables, err)
	}
}

// TestLostReplies checks that queries are repeated if replies are lost, that an interrupted wait goes on, and that it
// has an end. A dump of which parts are lost is read to its end before it is repeated.
func TestLostReplies(t *testing.T) {
	timeout, lost := os.ErrDeadlineExceeded, unix.ENOBUFS
	generation := func(sent []netlink.Message) [][]netlink.Message {
		m := request(unix.NFT_MSG_NEWGEN, 0, attr32(unix.NFTA_GEN_ID, 7))
		m.Header.Sequence = sent[0].Header.Sequence
		return [][]netlink.Message{{m}}
	}
	dump := func(sent []netlink.Message) [][]netlink.Message {
		return [][]netlink.Message{{tableReply(sent[0], "red", 0)}, {tableReply(sent[0], "blue", 0)}, {done(sent[0])}}
	}
	type replies = []func([]netlink.Message) [][]netlink.Message
	for _, tt := range []struct {
		what     string
		failures []error
		replies  replies
	}{
		{"interrupted", []error{timeout, timeout}, replies{dump}},
		{"interrupted between parts", []error{nil, timeout, nil, timeout}, replies{dump}},
		{"lost", []error{lost}, replies{dump, dump}},
		{"lost between parts", []error{nil, lost}, replies{dump, dump}},
		{"lost at the end", []error{nil, nil, lost}, replies{dump, dump}},
	} {
		tables, err := failingConn(tt.failures, tt.replies...).Tables()
		if diff := cmp.Diff([]string{"red", "blue"}, tables); diff != "" || err != nil {
			t.Errorf("%s: %v; -want +got:\n%s", tt.what, err, diff)
		}
	}
	n, err := failingConn([]error{lost, timeout}, generation, generation).generation()
	if n != 7 || err != nil {
		t.Errorf("generation %d, %v", n, err)
	}
	for what, call := range map[string]func(*Conn) error{
		"query": func(c *Conn) error { _, err := c.generation(); return err },
		"dump":  func(c *Conn) error { _, err := c.Tables(); return err },
		"transaction": func(c *Conn) error {
			_, err := c.commit(0, []message{{Message: request(unix.NFT_MSG_NEWTABLE, 0)}})
			return err
		},
	} {
		c := failingConn([]error{timeout, timeout, timeout, timeout}, dump, dump)
		c.waitLimit = 0
		if err := call(c); !errors.Is(err, errLost) {
			t.Errorf("%s without reply: %v", what, err)
		}
	}
}
