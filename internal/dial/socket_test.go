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

// TestMain runs the tests in a sandbox, where sockets may send to one another.
func TestMain(m *testing.M) { os.Exit(nsfs.Sandbox(m.Run)) }

// message is a netlink message: struct nlmsghdr, and what is behind it.
func message(typ, flags uint16, body []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(body)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, 1)
	return append(binary.NativeEndian.AppendUint32(b, 0), body...)
}

// links asks for all links.
var links = message(unix.RTM_GETLINK, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, make([]byte, unix.SizeofIfInfomsg))

func typeOf(datagram []byte) uint16 { return binary.NativeEndian.Uint16(datagram[4:]) }

// next is the next datagram.
func next(s *Socket) (datagram []byte, err error) {
	err = s.Hear(func(b []byte) (more bool, err error) {
		datagram = bytes.Clone(b)
		return false, nil
	})
	return datagram, err
}

// TestSocket: a list and its end come in their order, each once, whether they are heard
// together or not.
func TestSocket(t *testing.T) {
	s, err := Open(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 2 {
		if err := s.Send(links); err != nil {
			t.Fatal(err)
		}
		if list, err := next(s); err != nil || typeOf(list) != unix.RTM_NEWLINK {
			t.Fatalf("a list begins with %d bytes, %v", len(list), err)
		}
		if end, err := next(s); err != nil || typeOf(end) != unix.NLMSG_DONE {
			t.Fatalf("a list ends with %q, %v", end, err)
		}
		if err := s.Send(links); err != nil {
			t.Fatal(err)
		}
		var types []uint16
		err := s.Hear(func(b []byte) (more bool, err error) {
			types = append(types, typeOf(b))
			return typeOf(b) != unix.NLMSG_DONE, nil
		})
		if err != nil || !slices.Equal(types, []uint16{unix.RTM_NEWLINK, unix.NLMSG_DONE}) {
			t.Fatalf("a list is %v, %v", types, err)
		}
	}
}

// TestFailure: what is behind a datagram that somebody fails at is there for the next.
func TestFailure(t *testing.T) {
	s, err := Open(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Send(links); err != nil {
		t.Fatal(err)
	}
	if err := s.Hear(func([]byte) (bool, error) { return true, os.ErrInvalid }); err != os.ErrInvalid {
		t.Fatal(err)
	}
	if end, err := next(s); err != nil || typeOf(end) != unix.NLMSG_DONE {
		t.Errorf("behind it is %q, %v", end, err)
	}
}

// TestStrangers: who sent to a socket before it heard the kernel alone is not heard.
func TestStrangers(t *testing.T) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	s := &Socket{fd: fd}
	defer s.Close()
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(stranger)
	for range 3 {
		if err := unix.Sendto(stranger, message(unix.NLMSG_DONE, unix.NLM_F_MULTI, make([]byte, 4)), 0, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := connect(fd); err != nil {
		t.Fatal(err)
	}
	if err := s.Send(links); err != nil {
		t.Fatal(err)
	}
	if b, err := next(s); err != nil || typeOf(b) != unix.RTM_NEWLINK {
		t.Errorf("the first that is heard is %q, %v", b, err)
	}
}

// TestTooLarge: a datagram that does not fit is an error, not half a list.
func TestTooLarge(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	s := &Socket{fd: pair[0]}
	defer s.Close()
	for size, fits := range map[int]bool{mostBytes: true, mostBytes + 1: false} {
		if _, err := unix.Write(pair[1], make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		b, err := next(s)
		if fits && (err != nil || len(b) != size) {
			t.Errorf("of %d bytes, %d are read, %v", size, len(b), err)
		}
		if !fits && (err == nil || !strings.Contains(err.Error(), "more than")) {
			t.Errorf("%d bytes are read, %v", size, err)
		}
	}
}
