//go:build linux

// Package dial opens netlink sockets that accept messages from the kernel only. Root in a
// namespace can send messages to every socket there. Without this protection such a message
// could look like an answer of the kernel. A socket that is connected to the kernel receives
// nothing from other senders.
package dial

import (
	"errors"
	"os"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Conn opens a socket of package netlink in the namespace ns. If ns is nil, it is the
// namespace that config names, or else the calling thread's. The file may be closed afterwards.
// The socket waits up to a minute for an answer, then it returns [ErrNoAnswer]. This limit ends when
// the caller sets a deadline for receiving or joins a multicast group.
func Conn(family int, ns *os.File, config netlink.Config) (*netlink.Conn, error) {
	if ns != nil {
		config.NetNS = int(ns.Fd())
	}
	nl, err := netlink.Dial(family, &config)
	if err != nil {
		return nil, err
	}
	c, err := newConn(nl)
	if err != nil {
		return nil, err
	}
	controlErr := c.raw.Control(func(fd uintptr) { err = kernelOnly(int(fd)) })
	if err = errors.Join(controlErr, err); err != nil {
		nl.Close()
		return nil, err
	}
	return c.open()
}

// kernelOnly connects a socket to the kernel and discards the messages that came before.
// Messages of multicast groups still arrive.
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
