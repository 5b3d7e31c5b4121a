//go:build linux

package dial

import (
	"encoding/binary"
	"os"
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

// TestSocket: a list and its end come in their order, each once, and what is read is the
// reader's also after the next answer.
func TestSocket(t *testing.T) {
	s, err := Open(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var first string
	var kept []byte
	for range 2 {
		if err := s.Send(links); err != nil {
			t.Fatal(err)
		}
		list, err := s.Next()
		if err != nil || typeOf(list) != unix.RTM_NEWLINK {
			t.Fatalf("a list begins with %d bytes, %v", len(list), err)
		}
		if first == "" {
			first, kept = string(list), list
		}
		if end, err := s.Next(); err != nil || typeOf(end) != unix.NLMSG_DONE {
			t.Fatalf("a list ends with %q, %v", end, err)
		}
	}
	if string(kept) != first {
		t.Error("what was read has changed")
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
	if b, err := s.Next(); err != nil || typeOf(b) != unix.RTM_NEWLINK {
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
		b, err := s.Next()
		if fits && (err != nil || len(b) != size) {
			t.Errorf("of %d bytes, %d are read, %v", size, len(b), err)
		}
		if !fits && (err == nil || !strings.Contains(err.Error(), "more than")) {
			t.Errorf("%d bytes are read, %v", size, err)
		}
	}
}
