package rtnl

import (
	"cmp"
	"encoding/binary"
	"os"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/dial"
)

// A socket is a transport for requests that the kernel answers during the send call. On a
// socket of package netlink, a [Watcher] can also wait for messages, and stop waiting. For that,
// package netlink starts two goroutines per message and copies each message twice. With a
// thousand namespaces, that takes longer than the work of the kernel.
type socket struct {
	*dial.Socket
	sequence uint32            // of the last message sent
	first    uint32            // of the first message in the last call of SendMessages
	messages []netlink.Message // of the last datagram; their memory is reused
}

// openSocket opens a socket in the calling thread's namespace.
func openSocket() (*socket, error) {
	s, err := dial.Open(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	for _, option := range []int{unix.NETLINK_EXT_ACK, unix.NETLINK_GET_STRICT_CHK} {
		if err := unix.SetsockoptInt(s.Fd(), unix.SOL_NETLINK, option, 1); err != nil {
			s.Close()
			return nil, os.NewSyscallError("setsockopt", err)
		}
	}
	return &socket{Socket: s}, nil
}

// SendMessages sets the sequence numbers of messages and sends them in one system call.
// It returns them as sent.
func (s *socket) SendMessages(messages []netlink.Message) ([]netlink.Message, error) {
	var all []byte
	s.first = s.sequence + 1
	for i := range messages {
		h := &messages[i].Header
		s.sequence++
		h.Length, h.Sequence = uint32(unix.NLMSG_HDRLEN+len(messages[i].Data)), s.sequence
		all = binary.NativeEndian.AppendUint32(all, h.Length)
		all = binary.NativeEndian.AppendUint16(all, uint16(h.Type))
		all = binary.NativeEndian.AppendUint16(all, uint16(h.Flags))
		all = binary.NativeEndian.AppendUint32(all, h.Sequence)
		all = binary.NativeEndian.AppendUint32(all, h.PID) // zero: the kernel uses the port of the socket
		all = append(all, messages[i].Data...)
		all = append(all, make([]byte, aligned(len(all))-len(all))...)
	}
	return messages, s.Send(all)
}

// ReceiveAnswer reads an answer, which may be a dump of many datagrams, and calls fn with
// the messages of each; the bytes are valid only during the call. If fn fails, ReceiveAnswer
// still reads the answer to its end and then returns that error. If the kernel refused the
// request, the error is a *[netlink.OpError]. Answers to earlier requests are skipped: an
// earlier call may have failed before it read all of them.
func (s *socket) ReceiveAnswer(fn func([]netlink.Message) error) error {
	var fnErr error
	err := s.Receive(func(datagram []byte) (more bool, err error) {
		if s.messages, err = dial.Messages(s.messages[:0], datagram); err != nil {
			return false, err
		}
		answers := slices.DeleteFunc(s.messages, func(m netlink.Message) bool { return !s.isAnswer(m) })
		if len(answers) == 0 {
			return true, nil
		}
		for _, m := range answers {
			if err := errorIn(m); err != nil {
				return false, err
			}
		}
		if fnErr == nil {
			fnErr = fn(answers)
		}
		last := answers[len(answers)-1].Header
		return last.Flags&netlink.Multi != 0 && last.Type != netlink.Done, nil
	})
	return cmp.Or(err, fnErr)
}

// isAnswer reports whether a message answers one of the messages of the last
// SendMessages. It also works after the sequence numbers wrap around.
func (s *socket) isAnswer(m netlink.Message) bool {
	return m.Header.Sequence-s.first <= s.sequence-s.first
}

// aligned returns n rounded up to the alignment of messages and attributes.
func aligned(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }

// errorIn returns the error that a message contains: struct nlmsgerr begins with an errno,
// and the end of a dump may begin with one.
func errorIn(m netlink.Message) error {
	if m.Header.Type != netlink.Error && m.Header.Type != netlink.Done || len(m.Data) < 4 {
		return nil
	}
	errno := -int32(binary.NativeEndian.Uint32(m.Data))
	if errno <= 0 {
		return nil
	}
	e := &netlink.OpError{Op: "receive", Err: unix.Errno(errno), Sequence: m.Header.Sequence}
	details := m.Data[4:]
	if m.Header.Type == netlink.Error { // after the refused request
		if len(details) < unix.NLMSG_HDRLEN {
			return e
		}
		request := min(binary.NativeEndian.Uint32(details), uint32(len(details))) // an int may have 32 bits
		details = details[min(aligned(int(request)), len(details)):]
	}
	if m.Header.Flags&netlink.AcknowledgeTLVs == 0 {
		return e
	}
	nested(details, func(typ uint16, value []byte) {
		switch typ {
		case unix.NLMSGERR_ATTR_MSG:
			e.Message = text(value)
		case unix.NLMSGERR_ATTR_OFFS:
			e.Offset = int(number(value))
		}
	})
	return e
}
