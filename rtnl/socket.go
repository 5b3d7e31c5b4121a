package rtnl

import (
	"encoding/binary"
	"fmt"
	"iter"
	"os"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A socket carries questions, whose answers are there as soon as they are sent: the
// kernel works while it is told. That of the library can also wait and be called off,
// for which it starts a goroutine in each call, twice a message; among a thousand
// namespaces that takes longer than the kernel does. Who watches needs that one.
type socket struct{ fd int }

// openSocket opens one in the calling thread's namespace.
func openSocket() (*netlink.Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	s := &socket{fd}
	pid, err := s.prepare()
	if err != nil {
		s.Close()
		return nil, err
	}
	return netlink.NewConn(s, pid), nil
}

// prepare gives the socket its port, which it returns, and strict manners.
func (s *socket) prepare() (uint32, error) {
	if err := unix.Bind(s.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, os.NewSyscallError("bind", err)
	}
	for _, option := range []int{unix.NETLINK_EXT_ACK, unix.NETLINK_GET_STRICT_CHK} {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, option, 1); err != nil {
			return 0, os.NewSyscallError("setsockopt", err)
		}
	}
	at, err := unix.Getsockname(s.fd)
	if err != nil {
		return 0, os.NewSyscallError("getsockname", err)
	}
	return at.(*unix.SockaddrNetlink).Pid, nil
}

// Close implements [netlink.Socket]. What is sent later fails.
func (s *socket) Close() error {
	fd := s.fd
	s.fd = -1
	return os.NewSyscallError("close", unix.Close(fd))
}

// Send implements [netlink.Socket].
func (s *socket) Send(m netlink.Message) error { return s.SendMessages([]netlink.Message{m}) }

// SendMessages implements [netlink.Socket], in one system call.
func (s *socket) SendMessages(messages []netlink.Message) error {
	var all []byte
	for _, m := range messages {
		b, err := m.MarshalBinary()
		if err != nil {
			return err
		}
		all = append(all, b...)
	}
	_, err := again(func() (int, error) { return unix.Write(s.fd, all) })
	return os.NewSyscallError("sendmsg", err)
}

// Receive implements [netlink.Socket]: it reads one datagram, whatever its size.
func (s *socket) Receive() ([]netlink.Message, error) {
	size, err := again(func() (int, error) {
		n, _, err := unix.Recvfrom(s.fd, nil, unix.MSG_PEEK|unix.MSG_TRUNC)
		return n, err
	})
	if err != nil {
		return nil, os.NewSyscallError("recvmsg", err)
	}
	b := make([]byte, aligned(size))
	if _, err := again(func() (int, error) { return unix.Read(s.fd, b) }); err != nil {
		return nil, os.NewSyscallError("recvmsg", err)
	}
	return messagesOf(b)
}

// again repeats a system call that a signal came in the way of.
func again(call func() (int, error)) (n int, err error) {
	for n, err = call(); err == unix.EINTR; {
		n, err = call()
	}
	return n, err
}

func aligned(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }

// messagesOf takes a datagram apart.
func messagesOf(b []byte) (messages []netlink.Message, err error) {
	for len(b) >= unix.NLMSG_HDRLEN {
		n := aligned(int(binary.NativeEndian.Uint32(b)))
		if n < unix.NLMSG_HDRLEN || n > len(b) {
			return nil, fmt.Errorf("netlink message of %d bytes in %d", n, len(b))
		}
		var m netlink.Message
		if err := m.UnmarshalBinary(b[:n]); err != nil {
			return nil, err
		}
		messages, b = append(messages, m), b[n:]
	}
	return messages, nil
}

// ReceiveIter implements [netlink.Socket].
func (s *socket) ReceiveIter() iter.Seq2[netlink.Message, error] {
	return func(yield func(netlink.Message, error) bool) {
		messages, err := s.Receive()
		if err != nil {
			yield(netlink.Message{}, err)
			return
		}
		for _, m := range messages {
			if !yield(m, nil) {
				return
			}
		}
	}
}
