//go:build linux

package dial

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Socket sends requests to the kernel and receives the answers with few system calls.
// Only one goroutine at a time may use it.
//
//	Send ─▶ kernel ─▶ Receive: reads the datagram of a dump and its end (NLMSG_DONE)
//	                  in one system call
type Socket struct {
	fd      int
	wait    time.Duration // for an answer
	pending [][]byte      // datagrams that were read and not yet given to a caller
}

// Open opens a socket of a netlink family, such as NETLINK_ROUTE, in the calling thread's
// namespace. It waits up to a minute for an answer, then it returns [ErrNoAnswer]. The caller must close it.
func Open(family int) (*Socket, error) { return openSocket(family, answerTime) }

func openSocket(family int, wait time.Duration) (*Socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, family)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	s := &Socket{fd: fd, wait: wait}
	err = connect(fd)
	if err == nil {
		limit := unix.NsecToTimeval(wait.Nanoseconds())
		err = os.NewSyscallError("setsockopt", unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit))
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Fd returns the file descriptor; -1 if the socket is closed.
func (s *Socket) Fd() int { return s.fd }

// Close closes the socket. Later calls fail.
func (s *Socket) Close() error {
	fd := s.fd
	s.fd = -1
	return os.NewSyscallError("close", unix.Close(fd))
}

// Send sends messages, with their headers, in one system call.
func (s *Socket) Send(messages []byte) error {
	for {
		_, err := unix.Write(s.fd, messages)
		if err != unix.EINTR {
			return os.NewSyscallError("write", err)
		}
	}
}

// Receive waits for datagrams of the kernel and calls fn with each, until fn returns false or
// an error. The bytes are valid only during the call of fn.
func (s *Socket) Receive(fn func(datagram []byte) (more bool, err error)) error {
	for len(s.pending) > 0 {
		next := s.pending[0]
		s.pending = s.pending[1:]
		if more, err := fn(next); err != nil || !more {
			return err
		}
	}
	b := getBuffers()
	defer b.release()
	for {
		datagrams, err := b.read(s.fd, recvmmsg)
		if errors.Is(err, unix.EAGAIN) {
			return noAnswer(s.wait)
		}
		if err != nil {
			return err
		}
		for i, datagram := range datagrams {
			if more, err := fn(datagram); err != nil || !more {
				for _, d := range datagrams[i+1:] {
					s.pending = append(s.pending, bytes.Clone(d))
				}
				return err
			}
		}
	}
}

const (
	// maxDatagrams is the largest number of datagrams that one system call reads.
	maxDatagrams = 2
	// maxDatagramSize is in bytes. The datagrams of a dump have at most 32 KiB
	// (netlink_recvmsg in the kernel's af_netlink.c), unless one object is larger: a
	// link with 256 virtual functions needs about 80 KiB.
	maxDatagramSize = 128 << 10
)

// buffers are the receive buffers of one recvmmsg(2) call: a struct mmsghdr and memory for
// each datagram.
type buffers struct {
	headers [maxDatagrams]struct {
		unix.Msghdr
		size uint32
	}
	iovecs    [maxDatagrams]unix.Iovec
	senders   [maxDatagrams]unix.RawSockaddrNetlink
	bytes     [maxDatagrams][]byte
	datagrams [maxDatagrams][]byte
}

// freeBuffers are buffers that are not in use. sync.Pool would drop them at each garbage
// collection, and new ones are expensive: their memory has to be cleared.
var freeBuffers = make(chan *buffers, 4)

func getBuffers() *buffers {
	select {
	case b := <-freeBuffers:
		return b
	default:
		b := &buffers{}
		for i := range b.headers {
			b.bytes[i] = make([]byte, maxDatagramSize)
		}
		return b
	}
}

func (b *buffers) release() {
	select {
	case freeBuffers <- b:
	default:
	}
}

// read waits for a datagram and returns all datagrams that have arrived, up to maxDatagrams. They are
// valid until the next read. It drops datagrams of other senders, which may have arrived
// before the socket was connected to the kernel.
func (b *buffers) read(fd int, recv receiveCall) (datagrams [][]byte, err error) {
	for i := range b.headers {
		b.iovecs[i].Base = &b.bytes[i][0]
		b.iovecs[i].SetLen(maxDatagramSize)
		b.senders[i] = unix.RawSockaddrNetlink{}
		h := &b.headers[i]
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&b.senders[i])), unix.SizeofSockaddrNetlink
		h.Iov = &b.iovecs[i]
		h.SetIovlen(1)
	}
	count, err := b.receive(fd, recv)
	if err != nil {
		return nil, err
	}
	datagrams = b.datagrams[:0]
	for i := range count {
		switch {
		case b.senders[i].Pid != 0:
		case b.headers[i].Flags&unix.MSG_TRUNC != 0:
			return nil, fmt.Errorf("recvmmsg: an answer of more than %d bytes", maxDatagramSize)
		default:
			datagrams = append(datagrams, b.bytes[i][:b.headers[i].size])
		}
	}
	return datagrams, nil
}

// receive calls recv until it succeeds, or readAgain returns false.
func (b *buffers) receive(fd int, recv receiveCall) (count int, err error) {
	for failures := 0; ; {
		count, errno := recv(fd, unsafe.Pointer(&b.headers), maxDatagrams)
		if errno == 0 {
			return count, nil
		}
		if !readAgain(errno, &failures) {
			return 0, os.NewSyscallError("recvmmsg", errno)
		}
	}
}

// A receiveCall is recvmmsg(2), which waits for one message and reads up to count.
type receiveCall func(fd int, headers unsafe.Pointer, count uintptr) (int, unix.Errno)

func recvmmsg(fd int, headers unsafe.Pointer, count uintptr) (int, unix.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(headers), count, unix.MSG_WAITFORONE, 0, 0)
	return int(n), errno
}

// readAgain reports whether to read again after an error: the message is still in the queue, and only
// the message shows whether the kernel executed the request. It is false after EAGAIN, which means
// that there is no message, and ENOBUFS, which means that messages were lost. After EINTR it is always
// true. Other errors, such as a lack of memory, may end: it is true three times.
func readAgain(err unix.Errno, failures *int) bool {
	switch err {
	case unix.EINTR:
		return true
	case unix.EAGAIN, unix.ENOBUFS, unix.EBADF:
		return false
	}
	*failures++
	return *failures <= 3
}
