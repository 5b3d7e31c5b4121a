package rtnl

import (
	"bytes"
	"errors"
	"testing"

	"github.com/mdlayher/netlink"
	"github.com/vnet-lab/vnet/nsfs"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/dial"
)

// TestSocketLikeLibrary: our socket reads the same as that of package netlink, also for a
// dump of several datagrams.
func TestSocketLikeLibrary(t *testing.T) {
	var add []Request
	for i := range 200 {
		add = append(add, AddLink(LinkConfig{Name: "d" + string(rune('a'+i/26)) + string(rune('a'+i%26)),
			Index: uint32(1000 + i), Kind: Kind{Name: "bridge"}}))
	}
	var ours, theirs *Conn
	err := nsfs.WithThread(func(thread nsfs.Thread) error {
		ns, err := thread.New()
		if err != nil {
			return err
		}
		defer ns.Close()
		if ours, err = Dial(nil); err != nil {
			return err
		}
		nl, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Strict: true})
		if err == nil {
			theirs = NewConn(nl)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	defer theirs.Close()
	if err := ours.Do(add...); err != nil {
		t.Fatal(err)
	}
	got, err := ours.Links(LinkFilter{NoStats: true})
	if err != nil {
		t.Fatal(err)
	}
	want, err := theirs.Links(LinkFilter{NoStats: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) || len(got) < 200 {
		t.Fatalf("%d links, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].Index != want[i].Index || got[i].Name != want[i].Name {
			t.Errorf("link %d is %d %s, want %d %s", i, got[i].Index, got[i].Name, want[i].Index, want[i].Name)
		}
	}
}

// TestClosedSocket: a closed socket returns EBADF. It does not use the old file descriptor,
// which may belong to another file by now.
func TestClosedSocket(t *testing.T) {
	c, err := Dial(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Links(LinkFilter{}); !errors.Is(err, unix.EBADF) {
		t.Errorf("a request on a closed socket: %v", err)
	}
}

// TestUnreadAnswers: answers that an earlier call did not read are not part of the next
// answer.
func TestUnreadAnswers(t *testing.T) {
	var c *Conn
	err := nsfs.Do(newNS(t), func() (err error) {
		c, err = Dial(nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want, err := c.Links(LinkFilter{})
	if err != nil || len(want) == 0 {
		t.Fatal(want, err)
	}
	s := c.nl.(*socket)
	list := netlink.Message{Header: netlink.Header{Type: unix.RTM_GETADDR, Flags: netlink.Request | netlink.Dump},
		Data: make([]byte, unix.SizeofIfAddrmsg)}
	refused := SetLink(LinkID{Index: 1 << 30}, LinkConfig{MTU: 1400}).msg
	refused.Header.Flags |= netlink.Request
	for what, datagrams := range map[string]int{"nothing": 0, "a list": 1} {
		if _, err := s.SendMessages([]netlink.Message{refused, list}); err != nil {
			t.Fatal(err)
		}
		for range datagrams {
			if err := s.Receive(func([]byte) (bool, error) { return false, nil }); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := c.Links(LinkFilter{}); err != nil || len(got) != len(want) {
			t.Errorf("after %s was received: %d links, %v", what, len(got), err)
		}
		if l, err := c.Link(LinkID{Index: 1}); err != nil || l.Name != "lo" {
			t.Errorf("after %s was received: %v, %v", what, l.Name, err)
		}
	}
}

// TestBrokenDatagrams: malformed datagrams give an error, not a panic.
func TestBrokenDatagrams(t *testing.T) {
	for _, b := range [][]byte{append(make([]byte, 15), 1), {8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		{64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}} {
		if m, err := dial.Messages(nil, b); err == nil {
			t.Errorf("%v is %v", b, m)
		}
	}
}

// FuzzMessages: dial.Messages and errorIn accept any bytes. parseAttributes finds the same
// attributes as package netlink.
func FuzzMessages(f *testing.F) {
	refused := netlink.Message{Header: netlink.Header{Length: 56, Type: netlink.Error, Flags: netlink.AcknowledgeTLVs,
		Sequence: 7},
		Data: append([]byte{0xef, 0xff, 0xff, 0xff, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
			[]byte{6, 0, 1, 0, 'n', 'o', 0, 0, 8, 0, 2, 0, 4, 0, 0, 0, 4, 0, 3, 0}...)}
	whole, err := refused.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[unix.NLMSG_HDRLEN+20:])
	overlong := bytes.Clone(whole)
	copy(overlong[20:], []byte{0xff, 0xff, 0xff, 0x80}) // the length of the refused request
	f.Add(overlong)
	f.Fuzz(func(t *testing.T, b []byte) {
		messages, _ := dial.Messages(nil, b)
		for _, m := range messages {
			if err := errorIn(m); err != nil && m.Header.Type != netlink.Error && m.Header.Type != netlink.Done {
				t.Errorf("%v is %v", m, err)
			}
		}
		ours, err := parseAttributes(b)
		if err != nil {
			return // package netlink skips some malformed ones that the kernel never sends
		}
		theirs, err := netlink.NewAttributeDecoder(b)
		if err != nil {
			t.Fatal(err)
		}
		for ours.Next() {
			if !theirs.Next() || ours.Type() != theirs.Type() || !bytes.Equal(ours.Bytes(), theirs.Bytes()) {
				t.Fatalf("attribute %d is %x", ours.Type(), ours.Bytes())
			}
		}
		if theirs.Next() {
			t.Errorf("package netlink also finds attribute %d", theirs.Type())
		}
	})
}
