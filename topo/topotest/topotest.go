//go:build linux

// Package topotest gives tests a lab, as net/http/httptest gives them a server: it
// comes up, and goes away with the test.
//
//	func TestMain(m *testing.M) { topotest.Main(m) } // in a sandbox: no root, no harm
//
//	func TestServer(t *testing.T) {
//		lab := topotest.Up(t, "hosts: …")
//		lab.In("red", func() error { … })  // what is opened there stays there
//		lab.Verify()                       // the lab's own facts, with real packets
//	}
//
// A TestMain of one's own with os.Exit(nsfs.Sandbox(m.Run)) does the same as [Main].
// All tests of a package share the sandbox, which plays the machine: tests that run in
// parallel need labs, hosts and forwarded ports of different names.
package topotest

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo"
)

// Main runs the tests of a package in a sandbox, and exits. Without it, labs come up
// on the machine itself, which needs root.
func Main(m *testing.M) { os.Exit(nsfs.Sandbox(m.Run)) }

// A Lab is up until its test ends.
type Lab struct {
	topo.Topology
	t      testing.TB
	kernel *topo.Kernel
}

// Up brings up the lab that text describes, in the words of a lab file, and takes it
// down when the test ends. Whatever goes wrong ends the test.
func Up(t testing.TB, text string) *Lab {
	t.Helper()
	l := &Lab{t: t}
	want := l.compile(text)
	ctx := context.Background() // that of the test is done before it is cleaned up
	kernel, err := topo.OpenKernel(ctx, l.Name, nil)
	if err != nil {
		t.Fatal(err)
	}
	l.kernel = kernel
	t.Cleanup(func() {
		if _, err := kernel.Down(ctx, nil); err != nil {
			t.Errorf("down: %v", err)
		}
		kernel.Close()
	})
	l.up(want)
	return l
}

// Change makes the lab what text describes. What has not changed is left alone. The
// name of the lab stays.
func (l *Lab) Change(text string) {
	l.t.Helper()
	name := l.Name
	want := l.compile(text)
	if l.Name != name {
		l.t.Fatalf("the lab is %s, and cannot become %s", name, l.Name)
	}
	l.up(want)
}

func (l *Lab) compile(text string) topo.State {
	l.t.Helper()
	lab, err := topo.Parse("lab.yaml", []byte(text))
	if err != nil {
		l.t.Fatal(err)
	}
	if err := lab.Fit(); err != nil {
		l.t.Fatal(err)
	}
	want, err := topo.Compile(lab)
	if err != nil {
		l.t.Fatal(err)
	}
	l.Topology = lab
	return want
}

func (l *Lab) up(want topo.State) {
	l.t.Helper()
	if _, err := l.kernel.Up(l.t.Context(), want, nil); err != nil {
		l.t.Fatalf("up: %v", err)
	}
}

// Verify proves the facts of the lab's expect, with real packets. Each that does not
// hold fails the test, and says where its packets were lost.
func (l *Lab) Verify() topo.Report {
	l.t.Helper()
	r := topo.Verify(l.t.Context(), l.Topology, topo.Facts(l.Topology))
	if !r.OK() {
		var text strings.Builder
		if err := r.WriteText(&text, false); err != nil {
			l.t.Error(err)
		}
		l.t.Errorf("%s:\n%s", l.Name, text.String())
	}
	return r
}

// In runs fn inside a host, or on the machine if host is [topo.Machine]: sockets that
// it opens, on its own goroutine, stay there. Its error is that of In.
func (l *Lab) In(host string, fn func() error) error {
	ns, err := l.Open(host)
	if err != nil {
		return err
	}
	defer ns.Close()
	return nsfs.Do(ns, fn)
}

// Open opens the namespace of a host, for package rtnl or nft. Its caller closes it.
func (l *Lab) Open(host string) (*os.File, error) {
	if host == topo.Machine {
		return nsfs.Current()
	}
	return nsfs.Open(host)
}

// Listen listens with TCP inside a host until its caller closes the listener. Port 0
// is any that is free.
func (l *Lab) Listen(host string, at netip.AddrPort) (server net.Listener, err error) {
	err = l.In(host, func() (err error) {
		server, err = new(net.ListenConfig).Listen(l.t.Context(), "tcp", at.String())
		return err
	})
	return server, err
}

// Dial calls an address with TCP from inside a host. It takes no names: they would be
// looked up on another goroutine, outside the host.
func (l *Lab) Dial(host string, to netip.AddrPort) (conn net.Conn, err error) {
	err = l.In(host, func() (err error) {
		conn, err = new(net.Dialer).DialContext(l.t.Context(), "tcp", to.String())
		return err
	})
	return conn, err
}
