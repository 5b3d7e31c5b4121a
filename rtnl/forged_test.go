package rtnl

import (
	"errors"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
)

// TestForgedAnswers: root in a namespace cannot send messages to the sockets of this package,
// so each answer is from the kernel.
func TestForgedAnswers(t *testing.T) {
	ns := newNS(t)
	dials := map[string]func() (*Conn, error){
		"from inside":  func() (*Conn, error) { return Dial(nil) },
		"from outside": func() (*Conn, error) { return Dial(ns) },
	}
	for name, dial := range dials {
		var c *Conn
		var forger int
		err := nsfs.Do(ns, func() (err error) {
			if c, err = dial(); err != nil {
				return err
			}
			forger, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
			return err
		})
		if err != nil {
			t.Fatal(name, err)
		}
		defer c.Close()
		defer unix.Close(forger)
		// This message would end the next dump before it begins.
		m := netlink.Message{Header: netlink.Header{Length: 20, Type: netlink.Done, Flags: netlink.Multi, Sequence: 1},
			Data: make([]byte, 4)}
		forged, err := m.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		err = unix.Sendto(forger, forged, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: portOf(t, c)})
		if !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("%s: sending to the socket: %v, want ECONNREFUSED", name, err)
		}
		if links, err := c.Links(LinkFilter{}); err != nil || len(links) == 0 {
			t.Errorf("%s: got %d links, %v", name, len(links), err)
		}
	}
}

// portOf returns the netlink port ID of a socket, which /proc/net/netlink shows to everybody.
func portOf(t *testing.T, c *Conn) uint32 {
	t.Helper()
	var addr unix.Sockaddr
	var err error
	name := func(fd uintptr) { addr, err = unix.Getsockname(int(fd)) }
	switch nl := c.nl.(type) {
	case *socket:
		name(uintptr(nl.Fd()))
	case libraryConn:
		raw, err := nl.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if err := raw.Control(name); err != nil {
			t.Fatal(err)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return addr.(*unix.SockaddrNetlink).Pid
}
