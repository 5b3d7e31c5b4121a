package rtnl

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"os"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/dial"
)

// A socket carries questions, whose answers are there as soon as they are sent: the
// kernel works while it is told. That of the library can also wait and be called off,
// for which it starts a goroutine in each call, twice a message, and it copies each
// message twice; among a thousand namespaces that takes longer than the kernel does. Who
// watches needs that one.
type socket struct {
	*dial.Socket
	sequence uint32            // of the message sent last
	first    uint32            // of those that were sent together with it
	messages []netlink.Message // of the last datagram; their memory is used again
}

// openSocket opens one in the calling thread's namespace.
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

// SendMessages numbers messages and sends them, in one system call. It returns them as
// they were sent.
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
		all = binary.NativeEndian.AppendUint32(all, h.PID) // zero: the kernel knows
		all = append(all, messages[i].Data...)
		all = append(all, make([]byte, aligned(len(all))-len(all))...)
	}
	return messages, s.Send(all)
}

// Answer reads an answer, which may be a list in many datagrams, and calls fn with the
// messages of each, whose bytes are lent. What fn has against it comes after the last; a
// refusal is a *[netlink.OpError]. What is left over of an answer to earlier messages, where
// something broke the exchange, is passed over.
func (s *socket) Answer(fn func([]netlink.Message) error) error {
	var failed error
	err := s.Hear(func(datagram []byte) (more bool, err error) {
		if s.messages, err = messagesOf(s.messages[:0], datagram); err != nil {
			return false, err
		}
		of := slices.DeleteFunc(s.messages, func(m netlink.Message) bool { return !s.answers(m) })
		if len(of) == 0 {
			return true, nil
		}
		for _, m := range of {
			if err := refusal(m); err != nil {
				return false, err
			}
		}
		if failed == nil {
			failed = fn(of)
		}
		last := of[len(of)-1].Header
		return last.Flags&netlink.Multi != 0 && last.Type != netlink.Done, nil
	})
	return cmp.Or(err, failed)
}

// answers tells whether a message answers one of those that were sent last. Numbers begin
// again at zero some day.
func (s *socket) answers(m netlink.Message) bool {
	return m.Header.Sequence-s.first <= s.sequence-s.first
}

// aligned is where the next message, or attribute, begins.
func aligned(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }

// messagesOf takes a datagram apart, and appends what is in it.
func messagesOf(messages []netlink.Message, b []byte) ([]netlink.Message, error) {
	b = append(b, make([]byte, aligned(len(b))-len(b))...)
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

// refusal is the error that a message is: struct nlmsgerr, which begins with the error's
// number, or the end of a list, which may begin with one.
func refusal(m netlink.Message) error {
	if m.Header.Type != netlink.Error && m.Header.Type != netlink.Done || len(m.Data) < 4 {
		return nil
	}
	errno := -int32(binary.NativeEndian.Uint32(m.Data))
	if errno <= 0 {
		return nil
	}
	e := &netlink.OpError{Op: "receive", Err: unix.Errno(errno), Sequence: m.Header.Sequence}
	details := m.Data[4:]
	if m.Header.Type == netlink.Error { // behind the refused request
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
