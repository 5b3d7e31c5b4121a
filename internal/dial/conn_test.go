//go:build linux

package dial

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

func openConn(t *testing.T) (*conn, *netlink.Conn) {
	t.Helper()
	nl, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := newConn(nl)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	conn, err := c.open()
	if err != nil {
		t.Fatal(err)
	}
	return c, conn
}

// linkRequest requests the link lo.
func linkRequest() netlink.Message {
	data := make([]byte, unix.SizeofIfInfomsg)
	data[4] = 1 // ifi_index
	return netlink.Message{Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request}, Data: data}
}

// TestInterruptedCall: after a system call that was interrupted, the answer that is already there
// is received. The poller would not report it again.
func TestInterruptedCall(t *testing.T) {
	for nth := range 4 {
		c, nl := openConn(t)
		calls := 0
		c.recv = func(fd int, headers unsafe.Pointer, count uintptr) (int, unix.Errno) {
			if calls++; calls-1 == nth {
				return 0, unix.EINTR
			}
			return recvmmsg(fd, headers, count)
		}
		c.wait.Store(int64(5 * time.Second))
		for range 2 {
			if answers, err := nl.Execute(linkRequest()); err != nil || len(answers) != 1 {
				t.Errorf("with call %d interrupted: %d answers, %v", nth, len(answers), err)
			}
		}
	}
}

// TestNoAnswer: waiting for an answer that never comes has an end, and the error says so. Waiting
// for the messages of a group has none, and a deadline of the caller counts.
func TestNoAnswer(t *testing.T) {
	c, nl := openConn(t)
	c.wait.Store(int64(10 * time.Millisecond))
	const want = "no answer from the kernel within 10ms"
	if _, err := nl.Receive(); !errors.Is(err, ErrNoAnswer) || !strings.Contains(err.Error(), want) {
		t.Errorf("Receive: %v", err)
	}
	if answers, err := nl.Execute(linkRequest()); err != nil || len(answers) != 1 { // the socket still works
		t.Errorf("%d answers, %v", len(answers), err)
	}
	if err := nl.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var timeout interface{ Timeout() bool }
	if _, err := nl.Receive(); errors.Is(err, ErrNoAnswer) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("Receive with a deadline: %v", err)
	}
	s, err := openSocket(unix.NETLINK_ROUTE, 10*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := next(s); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("Socket.Receive: %v", err)
	}
	c, nl = openConn(t)
	c.wait.Store(int64(time.Millisecond))
	if err := nl.JoinGroup(unix.RTNLGRP_LINK); err != nil {
		t.Fatal(err)
	}
	if wait := c.wait.Load(); wait != 0 {
		t.Errorf("waiting for events ends after %v", time.Duration(wait))
	}
}
