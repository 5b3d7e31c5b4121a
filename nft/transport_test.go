//go:build linux

package nft

import (
	"errors"
	"iter"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A script is a socket whose kernel says what a test has it say to each exchange.
type script struct {
	netlink.Socket
	// replies make the datagrams that answer what is sent, exchange by exchange.
	replies []func(sent []netlink.Message) [][]netlink.Message
	queue   [][]netlink.Message
}

// scripted is a Conn to such a kernel.
func scripted(replies ...func([]netlink.Message) [][]netlink.Message) *Conn {
	return NewConn(netlink.NewConn(&script{replies: replies}, 1))
}

func (s *script) Send(m netlink.Message) error { return s.SendMessages([]netlink.Message{m}) }

func (s *script) SendMessages(m []netlink.Message) error {
	if len(s.replies) == 0 {
		return errors.New("nothing more was to be asked")
	}
	s.queue = append(s.queue, s.replies[0](m)...)
	s.replies = s.replies[1:]
	return nil
}

func (s *script) Receive() ([]netlink.Message, error) {
	if len(s.queue) == 0 {
		return nil, errors.New("nothing more is said")
	}
	m := s.queue[0]
	s.queue = s.queue[1:]
	return m, nil
}

func (s *script) ReceiveIter() iter.Seq2[netlink.Message, error] {
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

// tableNamed is what the kernel lists of a table.
func tableNamed(to netlink.Message, name string, flags netlink.HeaderFlags) netlink.Message {
	m := request(unix.NFT_MSG_NEWTABLE, flags|netlink.Multi, attrString(unix.NFTA_TABLE_NAME, name))
	m.Header.Sequence, m.Header.PID = to.Header.Sequence, to.Header.PID
	return m
}

func done(to netlink.Message) netlink.Message {
	return netlink.Message{Header: netlink.Header{Type: netlink.Done, Flags: netlink.Multi, Sequence: to.Header.Sequence}, Data: make([]byte, 4)}
}

// refused is an error's message.
func refused(sequence uint32, errno unix.Errno) netlink.Message {
	return netlink.Message{Header: netlink.Header{Type: netlink.Error, Sequence: sequence}, Data: append(native32(uint32(-int32(errno))), make([]byte, 16)...)}
}

// TestBrokenLists: a list that changed while it was written is asked for again,
// but not for ever.
func TestBrokenLists(t *testing.T) {
	list := func(flags netlink.HeaderFlags, names ...string) func([]netlink.Message) [][]netlink.Message {
		return func(sent []netlink.Message) [][]netlink.Message {
			var all []netlink.Message
			for _, n := range names {
				all = append(all, tableNamed(sent[0], n, flags))
			}
			return [][]netlink.Message{append(all, done(sent[0]))}
		}
	}
	c := scripted(list(netlink.DumpInterrupted, "vnet_red"), list(0, "vnet_red", "vnet_blue"))
	tables, err := c.Tables()
	if diff := cmp.Diff([]string{"vnet_red", "vnet_blue"}, tables); diff != "" || err != nil {
		t.Errorf("%v; -want +got:\n%s", err, diff)
	}
	endless := make([]func([]netlink.Message) [][]netlink.Message, tries)
	for i := range endless {
		endless[i] = list(netlink.DumpInterrupted, "vnet_red")
	}
	if tables, err = scripted(endless...).Tables(); !errors.Is(err, errBusy) {
		t.Errorf("tables %q, %v", tables, err)
	}
	c = scripted(list(netlink.DumpInterrupted, "gone"), list(0))
	if drops, err := c.ForwardDrops(); err != nil || len(drops) != 0 {
		t.Errorf("chains %v, %v", drops, err)
	}
}

// TestLeftOver: answers to an exchange that was broken off are passed over.
func TestLeftOver(t *testing.T) {
	old := func(sent []netlink.Message) [][]netlink.Message {
		before := sent[0]
		before.Header.Sequence--
		stale := tableNamed(before, "stale", 0)
		stale.Header.Flags = 0
		return [][]netlink.Message{{refused(before.Header.Sequence, unix.EPERM)}, {stale}}
	}
	answered := func(sent []netlink.Message) [][]netlink.Message {
		fresh := tableNamed(sent[1], "fresh", 0)
		fresh.Header.Flags = 0
		return append(old(sent), []netlink.Message{refused(sent[0].Header.Sequence, unix.ENOENT)}, []netlink.Message{fresh})
	}
	question := request(unix.NFT_MSG_GETTABLE, 0)
	answers, err := scripted(answered).ask("tables", []netlink.Message{question, question})
	if err != nil {
		t.Fatal(err)
	}
	name, err := decodeString(answers[1].body, unix.NFTA_TABLE_NAME)
	if !errors.Is(answers[0].err, unix.ENOENT) || name != "fresh" || err != nil {
		t.Errorf("answers %v, %q, %v", answers[0].err, name, err)
	}
	committed := func(sent []netlink.Message) [][]netlink.Message {
		return append(old(sent), []netlink.Message{refused(sent[1].Header.Sequence, 0)})
	}
	if done, err := scripted(committed).commit(0, []message{{Message: question}}); !done || err != nil {
		t.Errorf("done %v, %v", done, err)
	}
	listed := func(sent []netlink.Message) [][]netlink.Message {
		return append(old(sent), []netlink.Message{tableNamed(sent[0], "fresh", 0), done(sent[0])})
	}
	if tables, err := scripted(listed).Tables(); err != nil || len(tables) != 1 || tables[0] != "fresh" {
		t.Errorf("tables %q, %v", tables, err)
	}
}
