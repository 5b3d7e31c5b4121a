//go:build linux

// Package dial opens netlink sockets that hear nobody but the kernel. Who rules in a
// namespace may send to every socket there as if he were it, and so end or garble what is
// read; one that is connected to the kernel takes nothing from others.
package dial

import (
	"errors"
	"os"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Conn opens one of the library's in the namespace ns; nil is the one that config names, or
// else the calling thread's. The file may be closed afterwards.
func Conn(family int, ns *os.File, config netlink.Config) (*netlink.Conn, error) {
	if ns != nil {
		config.NetNS = int(ns.Fd())
	}
	nl, err := netlink.Dial(family, &config)
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

// kernelOnly connects a socket to the kernel, and throws away what came before. Groups
// are none of this.
func kernelOnly(fd int) error {
	if err := connect(fd); err != nil {
		return err
	}
	for {
		_, _, err := unix.Recvfrom(fd, nil, unix.MSG_DONTWAIT)
		switch err {
		case nil, unix.EINTR:
		case unix.EAGAIN:
			return nil
		default:
			return os.NewSyscallError("recvfrom", err)
		}
	}
}

func connect(fd int) error {
	return os.NewSyscallError("connect", unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
}
