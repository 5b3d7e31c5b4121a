package rtnl

import (
	"errors"
	"testing"

	"github.com/mdlayher/netlink"
	"github.com/vnet-lab/vnet/nsfs"
	"golang.org/x/sys/unix"
)

// TestSocketIsTheLibrarys: what our socket reads is what the library's reads, for a
// list that does not fit into one datagram too.
func TestSocketIsTheLibrarys(t *testing.T) {
	var add []Request
	for i := range 200 {
		add = append(add, AddLink(LinkConfig{Name: "d" + string(rune('a'+i/26)) + string(rune('a'+i%26)), Index: uint32(1000 + i), Kind: Kind{Name: "bridge"}}))
	}
	var ours, theirs *Conn
	err := nsfs.Travel(func(on nsfs.Traveller) error {
		ns, err := on.New()
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

// TestClosedSocket: a socket that was closed says so, and does not use the number
// that may be another file's by now.
func TestClosedSocket(t *testing.T) {
	c, err := Dial(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Links(LinkFilter{}); !errors.Is(err, unix.EBADF) {
		t.Errorf("a question to a closed socket: %v", err)
	}
}

// TestBrokenDatagrams: what the kernel would not send is an error, not a panic.
func TestBrokenDatagrams(t *testing.T) {
	for _, b := range [][]byte{append(make([]byte, 15), 1), {8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, {64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}} {
		if m, err := messagesOf(b); err == nil {
			t.Errorf("%v is %v", b, m)
		}
	}
}
