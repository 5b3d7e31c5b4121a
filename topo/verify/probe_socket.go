package verify

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo/lab"
)

// A socket belongs to some namespace. Its calls block no thread.
type socket struct {
	file *os.File
	raw  syscall.RawConn
	v4   bool
}

// openSocket opens a socket inside ns, then calls prepare on it.
func openSocket(ns *os.File, v4 bool, typ, proto int, prepare func(fd int) error) (*socket, error) {
	family := unix.AF_INET6
	if v4 {
		family = unix.AF_INET
	}
	var fd int
	err := nsfs.Do(ns, func() (err error) {
		fd, err = unix.Socket(family, typ|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
		return os.NewSyscallError("socket", err)
	})
	if err != nil {
		return nil, err
	}
	if err := prepare(fd); err != nil {
		unix.Close(fd)
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "probe")
	raw, err := f.SyscallConn()
	return &socket{f, raw, v4}, err
}

func (s *socket) close() error { return s.file.Close() }

// sendTo sends one packet.
func (s *socket) sendTo(b []byte, to unix.Sockaddr) error {
	var sendErr error
	err := s.raw.Write(func(fd uintptr) bool {
		sendErr = unix.Sendto(int(fd), b, 0, to)
		return sendErr != unix.EAGAIN
	})
	return errors.Join(err, sendErr)
}

// receive waits for a packet. It returns os.ErrClosed on a closed socket.
func (s *socket) receive(b []byte) (n int, from netip.AddrPort, err error) {
	var sa unix.Sockaddr
	waitErr := s.raw.Read(func(fd uintptr) bool {
		n, sa, err = unix.Recvfrom(int(fd), b, 0)
		return err != unix.EAGAIN
	})
	switch {
	case errors.Is(waitErr, os.ErrDeadlineExceeded):
		return 0, from, waitErr
	case waitErr != nil: // RawConn returns another error for a closed file
		return 0, from, os.ErrClosed
	}
	return n, addrPort(sa), err
}

// connect connects. For TCP it waits until the other side accepts or refuses.
func (s *socket) connect(to netip.AddrPort) error {
	var result error
	started := false
	err := s.raw.Write(func(fd uintptr) bool {
		if !started {
			started = true
			result = unix.Connect(int(fd), sockaddr(to))
			return result != unix.EINPROGRESS
		}
		// After a spurious wakeup the socket has no error and no peer.
		errno, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && errno != 0 {
			err = unix.Errno(errno)
		}
		if err == nil {
			if _, err = unix.Getpeername(int(fd)); err == unix.ENOTCONN {
				return false
			}
		}
		result = err
		return true
	})
	return errors.Join(err, result)
}

// icmpError reads the ICMP error that the kernel queued for the socket; see IP_RECVERR in ip(7).
func (s *socket) icmpError() (typ, code byte, sender netip.Addr, ok bool) {
	s.raw.Control(func(fd uintptr) {
		oob := make([]byte, 512)
		_, n, _, _, err := unix.Recvmsg(int(fd), nil, oob, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if err != nil {
			return
		}
		msgs, err := unix.ParseSocketControlMessage(oob[:n])
		if err != nil {
			return
		}
		for _, m := range msgs {
			if typ, code, sender, ok = parseExtendedErr(m.Data); ok {
				return
			}
		}
	})
	return
}

// parseExtendedErr parses a struct sock_extended_err of <linux/errqueue.h> and the address after
// it: the sender of the ICMP error.
func parseExtendedErr(b []byte) (typ, code byte, sender netip.Addr, ok bool) {
	const size = 16 // of the struct
	if len(b) < size || b[4] != unix.SO_EE_ORIGIN_ICMP && b[4] != unix.SO_EE_ORIGIN_ICMP6 {
		return 0, 0, sender, false
	}
	if from := b[size:]; len(from) >= 24 {
		switch binary.NativeEndian.Uint16(from) {
		case unix.AF_INET:
			sender = netip.AddrFrom4([4]byte(from[4:]))
		case unix.AF_INET6:
			sender = netip.AddrFrom16([16]byte(from[8:]))
		}
	} else if len(from) >= 8 && binary.NativeEndian.Uint16(from) == unix.AF_INET {
		sender = netip.AddrFrom4([4]byte(from[4:]))
	}
	return b[5], b[6], sender, true
}

// answerFor returns the answer that an error of a system call means.
func (s *socket) answerFor(err error, start time.Time) Answer {
	a := Answer{Outcome: lab.Unreachable, Time: time.Since(start)}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return a
	}
	if typ, code, sender, ok := s.icmpError(); ok {
		if w, known := lookupICMP(s.v4, typ, code); known {
			return a.withICMPError(w, sender)
		}
	}
	var errno unix.Errno
	if !errors.As(err, &errno) {
		a.Detail = err.Error()
		return a
	}
	if errno == unix.ECONNREFUSED {
		a.Outcome, a.Detail = lab.Refused, "connection refused"
		return a
	}
	a.Detail = errnoText(errno)
	if errno == unix.EACCES {
		a.Outcome = lab.Refused
	}
	return a
}

// withICMPError returns a with the outcome and text of an ICMP error from sender.
func (a Answer) withICMPError(w icmpMeaning, sender netip.Addr) Answer {
	a.Outcome, a.Detail, a.Sender = lab.Unreachable, w.text, sender
	if w.refusal {
		a.Outcome = lab.Refused
	}
	return a
}

// errnoText says what an errno of the sending host's own kernel means.
func errnoText(errno unix.Errno) string {
	switch errno {
	case unix.ENETUNREACH:
		return "no route"
	case unix.EHOSTUNREACH:
		return "no route to host"
	case unix.EACCES:
		return "prohibited by a route"
	case unix.EINVAL:
		return "discarded by a blackhole route"
	case unix.EPERM:
		return "dropped by the host's own firewall"
	case unix.EMSGSIZE:
		return "packet too big"
	case unix.EADDRNOTAVAIL:
		return "no source address"
	}
	return errno.Error()
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}
