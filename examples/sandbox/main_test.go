package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo/live/member"
)

// outsideEnv makes the test binary the program in a box; its value is the address of the server outside.
const outsideEnv = "VNET_TEST_OUTSIDE"

func TestMain(m *testing.M) {
	server := os.Getenv(outsideEnv)
	if server == "" {
		os.Exit(nsfs.Sandbox(m.Run))
	}
	if err := inBox(server); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// inBox tells the server its address, gets that of another box, and fails if that one can be reached.
func inBox(server string) error {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", ":80")
	if err != nil {
		return err
	}
	defer l.Close()
	c, err := net.DialTimeout("tcp", server, 10*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	var own string
	for _, a := range addrs {
		if ip := a.(*net.IPNet).IP; ip.To4() != nil && !ip.IsLoopback() {
			own = ip.String()
		}
	}
	fmt.Fprintln(c, own)
	other, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return err
	}
	if d, err := net.DialTimeout("tcp", strings.TrimSpace(other)+":80", 300*time.Millisecond); err == nil {
		d.Close()
		return errors.New("a box reaches another one")
	}
	fmt.Fprintln(c, "isolated")
	_, err = io.Copy(io.Discard, c) // until all boxes have tried
	return err
}

// serve waits for 32 boxes, and tells each the address of the next one.
func serve(l net.Listener) error {
	var boxes []*bufio.ReadWriter
	var addrs []string
	for range 32 {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		defer c.Close()
		b := bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c))
		addr, err := b.ReadString('\n')
		if err != nil {
			return err
		}
		boxes, addrs = append(boxes, b), append(addrs, addr)
	}
	for i, b := range boxes {
		b.WriteString(addrs[(i+1)%len(addrs)])
		b.Flush()
	}
	for _, b := range boxes {
		if answer, err := b.ReadString('\n'); answer != "isolated\n" {
			return fmt.Errorf("%q, %w", answer, err)
		}
	}
	return nil
}

// outside makes a namespace beside the machine, which knows no route to the boxes, and listens there.
func outside(t *testing.T) (l net.Listener) {
	t.Helper()
	ns, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	add := rtnl.LinkConfig{Name: "out0", Kind: rtnl.Kind{Name: "veth", Peer: &rtnl.LinkConfig{Name: "eth0", NS: ns}}}
	for _, end := range []struct {
		ns         *os.File
		link, addr string
	}{{nil, "out0", "192.0.2.1/24"}, {ns, "eth0", "192.0.2.2/24"}} {
		c, err := rtnl.Dial(end.ns)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if end.ns == nil {
			err = c.Do(rtnl.AddLink(add))
		}
		link, linkErr := c.Link(rtnl.LinkID{Name: end.link})
		var up rtnl.LinkConfig
		up.SetUp(true)
		err = errors.Join(err, linkErr, c.Do(rtnl.SetLink(rtnl.LinkID{Name: end.link}, up),
			rtnl.AddAddr(rtnl.Addr{Link: link.Index, Prefix: netip.MustParsePrefix(end.addr)})))
		if err != nil {
			t.Fatal(err)
		}
	}
	err = nsfs.Do(ns, func() (err error) {
		l, err = net.Listen("tcp", "192.0.2.2:80")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// The boxes reach the outside and not each other, and the example has at most 45 lines and leaves nothing behind.
func TestSandbox(t *testing.T) {
	l := outside(t)
	served := make(chan error, 1)
	go func() { served <- serve(l) }()
	t.Setenv(outsideEnv, l.Addr().String())
	if code := run("/proc/self/exe"); code != 0 {
		t.Errorf("exit %d", code)
	}
	l.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := member.Open(network.Name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left: %v", err)
	}
	text, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(text, []byte("\n")); lines > 45 {
		t.Errorf("%d lines", lines)
	}
}

// A program that fails is a failure, and nothing is left either.
func TestSandboxFails(t *testing.T) {
	if run("false") == 0 {
		t.Error("a program that fails is no failure")
	}
	if _, err := member.Open(network.Name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left: %v", err)
	}
}
