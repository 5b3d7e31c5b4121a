package live

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// The first connection through a router that the lab just made loses no packet: the router's
// links have a link-local address, from which it solicits the neighbour, when Up returns.
func TestFirstConnectionOverIPv6(t *testing.T) {
	unix.Mkdir("/run/etc-netns", 0o755)
	const rounds = 12
	stop := changeCarriers(t)
	defer stop()
	for router, in := range map[string]string{"machine": "", "host": ", in: r"} {
		t.Run(router, func(t *testing.T) {
			lab, want := labtest.Compiled(t, fmt.Sprintf(firstLab, in, in))
			k := openKernel(t, lab)
			for n := range rounds {
				up(t, k, want)
				if lost := lostPackets(t, "red", "[fd00:2::2]:80", "blue"); lost > 0 {
					t.Errorf("round %d: the first connection lost %d packets", n, lost)
				}
				if _, err := k.Down(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

const firstLab = `
name: first
networks:
  n1: {subnets: ["fd00:1::/64"]%s}
  n2: {subnets: ["fd00:2::/64"]%s}
hosts:
  red: {networks: [n1]}
  blue: {networks: [n2]}
  r: {}
`

// TestCarrierPeerDown: waiting for carrier ends if another program has set the peer down.
func TestCarrierPeerDown(t *testing.T) {
	unix.Mkdir("/run/etc-netns", 0o755)
	lab, want := labtest.Compiled(t, "name: pair\nhosts: {red: {}, blue: {}}\nlinks: [{endpoints: [red, blue]}]")
	k := openKernel(t, lab)
	up(t, k, want)
	ends := [2]carrierEnd{}
	for i, host := range []string{"red", "blue"} {
		h := k.table.Handles[host]
		index, err := h.LinkIndex("eth0")
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = carrierEnd{h, index}
	}
	down := rtnl.LinkConfig{}
	down.SetUp(false)
	if err := ends[1].handle.Conn.Do(rtnl.SetLink(rtnl.LinkID{Index: ends[1].index}, down)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if err := (carrierWait{ends[0], ends[1]}).wait(ctx); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waited for carrier of a link whose peer is down: %v", err)
	}
}

// changeCarriers changes the carrier of other links all the time, so that the kernel delays changes.
func changeCarriers(t *testing.T) (stop func()) {
	t.Helper()
	ns, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := rtnl.Dial(ns)
	if err != nil {
		t.Fatal(err)
	}
	peer := rtnl.LinkConfig{Name: "b"}
	err = conn.Do(rtnl.AddLink(rtnl.LinkConfig{Name: "a", Kind: rtnl.Kind{Name: "veth", Peer: &peer}}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		var err error
		for n := 0; err == nil && ctx.Err() == nil; n++ {
			set := rtnl.LinkConfig{}
			set.SetUp(n%2 == 0)
			err = conn.Do(rtnl.SetLink(rtnl.LinkID{Name: "a"}, set), rtnl.SetLink(rtnl.LinkID{Name: "b"}, set))
		}
		done <- err
	}()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		conn.Close()
		ns.Close()
	}
}

// lostPackets connects two hosts and returns how many packets TCP had to send again.
func lostPackets(t *testing.T, from, addr, to string) (lost uint32) {
	t.Helper()
	var server net.Listener
	err := doIn(to, func() (err error) {
		server, err = net.Listen("tcp", addr)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	var c net.Conn
	err = doIn(from, func() (err error) {
		c, err = (&net.Dialer{Timeout: soon}).Dial("tcp", addr) // one address: on this thread
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if lost, err = sentAgain(c); err != nil {
		t.Fatal(err)
	}
	return lost
}

// sentAgain returns how many packets of a connection TCP had to send again.
func sentAgain(c net.Conn) (again uint32, err error) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	controlErr := raw.Control(func(fd uintptr) {
		var info *unix.TCPInfo
		if info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			again = info.Total_retrans
		}
	})
	if err == nil {
		err = controlErr
	}
	return again, err
}

// TestLinkLocalComesBack: Up makes the kernel generate link-local addresses that were deleted, also when nothing else
// differs from the lab.
func TestLinkLocalComesBack(t *testing.T) {
	labtest.NeedIP(t)
	unix.Mkdir("/run/etc-netns", 0o755)
	lab, want := labtest.Compiled(t,
		"name: local\nnetworks: {sw: {subnets: [fd00:5::/64]}}\nhosts: {red: {networks: [sw]}}")
	k := openKernel(t, lab)
	up(t, k, want)
	links := []string{"addr show dev sw scope link", "-n red addr show dev eth0 scope link"}
	for _, show := range links {
		labtest.IP(t, strings.ReplaceAll(show, "show", "flush"))
	}
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	for _, show := range links {
		if out := labtest.IP(t, show); !strings.Contains(out, "fe80::") {
			t.Errorf("ip %s: no link-local address:\n%s", show, out)
		}
	}
}
