//go:build linux

package dial

import (
	"bytes"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Socket carries questions to the kernel and its answers, in as few system calls as
// that takes. It is for one goroutine at a time.
//
//	Send ─▶ kernel ─▶ Next: a list's datagram, and behind it the list's end,
//	                  which are read together
type Socket struct {
	fd    int
	heard [][]byte // datagrams that were read and not yet asked for
}

// Open opens a socket of a netlink family, such as NETLINK_ROUTE, in the calling thread's
// namespace. Its caller closes it.
func Open(family int) (*Socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, family)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	s := &Socket{fd: fd}
	if err := connect(fd); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Fd is the socket's number as an open file; -1 once it is closed.
func (s *Socket) Fd() int { return s.fd }

// Close closes the socket. What is asked later fails.
func (s *Socket) Close() error {
	fd := s.fd
	s.fd = -1
	return os.NewSyscallError("close", unix.Close(fd))
}

// Send sends messages, whose lengths and numbers are in them.
func (s *Socket) Send(messages []byte) error {
	for {
		_, err := unix.Write(s.fd, messages)
		if err != unix.EINTR {
			return os.NewSyscallError("write", err)
		}
	}
}

// Next is the next datagram that the kernel sent, whose bytes are the caller's. It waits
// for one.
func (s *Socket) Next() ([]byte, error) {
	for len(s.heard) == 0 {
		if err := s.hear(); err != nil {
			return nil, err
		}
	}
	next := s.heard[0]
	s.heard = s.heard[1:]
	return next, nil
}

const (
	// atOnce is how many datagrams are read together.
	atOnce = 2
	// mostBytes is how large a datagram may be. Those of a list have 32 KiB at most
	// (netlink_recvmsg in the kernel's af_netlink.c), unless one object is larger: a
	// link of 256 virtual functions takes some 80.
	mostBytes = 128 << 10
)

// A catch is what datagrams are caught with: struct mmsghdr of recvmmsg(2), for each.
type catch struct {
	heads [atOnce]struct {
		unix.Msghdr
		size uint32
	}
	parts   [atOnce]unix.Iovec
	senders [atOnce]unix.RawSockaddrNetlink
	bytes   [atOnce][]byte
}

// catches are those that nobody uses just now. Package sync's pool would give them up to each
// collection of garbage, and they are dear to make: memory for them has to be cleared.
var catches = make(chan *catch, 4)

func takeCatch() *catch {
	select {
	case n := <-catches:
		return n
	default:
		n := &catch{}
		for i := range n.heads {
			n.bytes[i] = make([]byte, mostBytes)
		}
		return n
	}
}

func (n *catch) putBack() {
	select {
	case catches <- n:
	default:
	}
}

// hear waits for a datagram and reads what there is. What came from others before the
// socket was connected is none.
func (s *Socket) hear() error {
	n := takeCatch()
	defer n.putBack()
	for i := range n.heads {
		n.parts[i].Base = &n.bytes[i][0]
		n.parts[i].SetLen(mostBytes)
		n.senders[i] = unix.RawSockaddrNetlink{}
		h := &n.heads[i]
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&n.senders[i])), unix.SizeofSockaddrNetlink
		h.Iov = &n.parts[i]
		h.SetIovlen(1)
	}
	count, err := recvmmsg(s.fd, unsafe.Pointer(&n.heads), atOnce)
	if err != nil {
		return err
	}
	for i := range count {
		switch {
		case n.senders[i].Pid != 0:
		case n.heads[i].Flags&unix.MSG_TRUNC != 0:
			err = fmt.Errorf("recvmmsg: an answer of more than %d bytes", mostBytes)
		default:
			s.heard = append(s.heard, bytes.Clone(n.bytes[i][:n.heads[i].size]))
		}
	}
	return err
}

// recvmmsg waits for one message and reads so many, if there are.
func recvmmsg(fd int, heads unsafe.Pointer, most uintptr) (int, error) {
	for {
		n, _, err := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(heads), most, unix.MSG_WAITFORONE, 0, 0)
		switch err {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, os.NewSyscallError("recvmmsg", err)
		}
	}
}
