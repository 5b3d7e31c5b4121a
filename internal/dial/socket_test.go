//go:build linux

package dial

import (
	"bytes"
	"encoding/binary"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
)

// TestMain runs the tests in a sandbox, where sockets may send to each other.
func TestMain(m *testing.M) { os.Exit(nsfs.Sandbox(m.Run)) }

// message returns a netlink message: struct nlmsghdr and a body.
func message(typ, flags uint16, body []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(body)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, 1)
	return append(binary.NativeEndian.AppendUint32(b, 0), body...)
}

// dumpLinks requests all links.
var dumpLinks = message(unix.RTM_GETLINK, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, make([]byte, unix.SizeofIfInfomsg))

func typeOf(datagram []byte) uint16 { return binary.NativeEndian.Uint16(datagram[4:]) }

// next receives one datagram.
func next(s *Socket) (datagram []byte, err error) {
	err = s.Receive(func(b []byte) (more bool, err error) {
		datagram = bytes.Clone(b)
		return false, nil
	})
	return datagram, err
}

// TestSocket: the datagram of a dump and its end arrive in order and once, in one call of
// Receive or in two.
func TestSocket(t *testing.T) {
	s, err := Open(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 2 {
		if err := s.Send(dumpLinks); err != nil {
			t.Fatal(err)
		}
		if list, err := next(s); err != nil || typeOf(list) != unix.RTM_NEWLINK {
			t.Fatalf("the dump begins with %d bytes, %v", len(list), err)
		}
		if end, err := next(s); err != nil || typeOf(end) != unix.NLMSG_DONE {
			t.Fatalf("the dump ends with %q, %v", end, err)
		}
		if err := s.Send(dumpLinks); err != nil {
			t.Fatal(err)
		}
		var types []uint16
		err := s.Receive(func(b []byte) (more bool, err error) {
			types = append(types, typeOf(b))
			return typeOf(b) != unix.NLMSG_DONE, nil
		})
		if err != nil || !slices.Equal(types, []uint16{unix.RTM_NEWLINK, unix.NLMSG_DONE}) {
			t.Fatalf("the dump is %v, %v", types, err)
		}
	}
}

// TestReceiveError: if fn returns an error, the next call gets the next datagram.
func TestReceiveError(t *testing.T) {
	s, err := Open(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Send(dumpLinks); err != nil {
		t.Fatal(err)
	}
	if err := s.Receive(func([]byte) (bool, error) { return true, os.ErrInvalid }); err != os.ErrInvalid {
		t.Fatal(err)
	}
	if end, err := next(s); err != nil || typeOf(end) != unix.NLMSG_DONE {
		t.Errorf("the next datagram is %q, %v", end, err)
	}
}

// TestOtherSenders: messages that other sockets sent before the connect are dropped.
func TestOtherSenders(t *testing.T) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	s := &Socket{fd: fd}
	defer s.Close()
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		t.Fatal(err)
	}
	addr, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	other, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(other)
	for range 3 {
		forged := message(unix.NLMSG_DONE, unix.NLM_F_MULTI, make([]byte, 4))
		if err := unix.Sendto(other, forged, 0, addr); err != nil {
			t.Fatal(err)
		}
	}
	if err := connect(fd); err != nil {
		t.Fatal(err)
	}
	if err := s.Send(dumpLinks); err != nil {
		t.Fatal(err)
	}
	if b, err := next(s); err != nil || typeOf(b) != unix.RTM_NEWLINK {
		t.Errorf("the first datagram is %q, %v", b, err)
	}
}

// TestTooLarge: a datagram that does not fit is an error. It is not truncated.
func TestTooLarge(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	s := &Socket{fd: pair[0]}
	defer s.Close()
	for size, fits := range map[int]bool{maxDatagramSize: true, maxDatagramSize + 1: false} {
		if _, err := unix.Write(pair[1], make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		b, err := next(s)
		if fits && (err != nil || len(b) != size) {
			t.Errorf("read %d of %d bytes, %v", len(b), size, err)
		}
		if !fits && (err == nil || !strings.Contains(err.Error(), "more than")) {
			t.Errorf("read %d bytes, %v, want an error", size, err)
		}
	}
}
