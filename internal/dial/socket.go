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
//	Send ─▶ kernel ─▶ Hear: a list's datagram, and behind it the list's end,
//	                  which are read together
type Socket struct {
	fd   int
	left [][]byte // datagrams that were read and not yet heard
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

// Hear calls fn with each datagram that the kernel sends, until it wants no more or fails. It
// waits for them. The bytes are lent to fn: the next datagram comes where they are.
func (s *Socket) Hear(fn func(datagram []byte) (more bool, err error)) error {
	for len(s.left) > 0 {
		next := s.left[0]
		s.left = s.left[1:]
		if more, err := fn(next); err != nil || !more {
			return err
		}
	}
	n := takeCatch()
	defer n.putBack()
	for {
		heard, err := n.read(s.fd)
		if err != nil {
			return err
		}
		for i, datagram := range heard {
			if more, err := fn(datagram); err != nil || !more {
				for _, d := range heard[i+1:] {
					s.left = append(s.left, bytes.Clone(d))
				}
				return err
			}
		}
	}
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
	heard   [atOnce][]byte
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

// read waits for a datagram and returns what there is, until it reads again. What came from
// others before the socket was connected is none.
func (n *catch) read(fd int) (heard [][]byte, err error) {
	for i := range n.heads {
		n.parts[i].Base = &n.bytes[i][0]
		n.parts[i].SetLen(mostBytes)
		n.senders[i] = unix.RawSockaddrNetlink{}
		h := &n.heads[i]
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&n.senders[i])), unix.SizeofSockaddrNetlink
		h.Iov = &n.parts[i]
		h.SetIovlen(1)
	}
	count, err := recvmmsg(fd, unsafe.Pointer(&n.heads), atOnce)
	if err != nil {
		return nil, err
	}
	heard = n.heard[:0]
	for i := range count {
		switch {
		case n.senders[i].Pid != 0:
		case n.heads[i].Flags&unix.MSG_TRUNC != 0:
			return nil, fmt.Errorf("recvmmsg: an answer of more than %d bytes", mostBytes)
		default:
			heard = append(heard, n.bytes[i][:n.heads[i].size])
		}
	}
	return heard, nil
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
