//go:build linux

package nft

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
)

// TestForgedReplies checks that only the kernel can send to a Conn's socket: root in a namespace may send to every
// netlink socket in it.
func TestForgedReplies(t *testing.T) {
	ns, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	for name, at := range map[string]*os.File{"from inside": nil, "from outside": ns} {
		err := nsfs.Do(ns, func() error {
			c, err := Dial(at)
			if err != nil {
				return err
			}
			defer c.Close()
			raw, err := c.nl.SyscallConn()
			if err != nil {
				return err
			}
			var port uint32
			err = raw.Control(func(fd uintptr) {
				if to, err := unix.Getsockname(int(fd)); err == nil {
					port = to.(*unix.SockaddrNetlink).Pid
				}
			})
			if err != nil {
				return err
			}
			forger, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
			if err != nil {
				return err
			}
			defer unix.Close(forger)
			err = unix.Sendto(forger, make([]byte, unix.NLMSG_HDRLEN), 0,
				&unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: port})
			if !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("%s: sending to socket %d returned %v", name, port, err)
			}
			_, err = c.Tables()
			return err
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
