//go:build linux

package nft

import (
	"errors"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// dial opens a socket in the namespace ns, a descriptor; 0 is the calling thread's.
func dial(family, ns int) (*netlink.Conn, error) {
	nl, err := netlink.Dial(family, &netlink.Config{NetNS: ns})
	if err != nil {
		return nil, err
	}
	raw, err := nl.SyscallConn()
	if err == nil {
		refused := raw.Control(func(fd uintptr) { err = kernelOnly(int(fd)) })
		err = errors.Join(refused, err)
	}
	if err != nil {
		nl.Close()
		return nil, err
	}
	return nl, nil
}

// kernelOnly lets nobody but the kernel answer on a socket. Who rules in the namespace
// could send to it too, and so end or garble what is read there; what came before is
// thrown away. Groups are none of this.
func kernelOnly(fd int) error {
	if err := unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	for {
		_, _, err := unix.Recvfrom(fd, nil, unix.MSG_DONTWAIT)
		switch err {
		case nil, unix.EINTR:
		case unix.EAGAIN:
			return nil
		default:
			return err
		}
	}
}
