//go:build linux

// Package topotest gives tests a lab, as net/http/httptest gives them a server. The lab
// comes up in the test and is taken down when the test ends.
//
//	func TestMain(m *testing.M) { topotest.Main(m) } // in a sandbox: needs no root
//
//	func TestServer(t *testing.T) {
//		lab := topotest.Up(t, "hosts: …")
//		lab.In("red", func() error { … })  // sockets opened there stay in red
//		lab.Verify()                       // the facts of the lab, with real packets
//	}
//
// A TestMain that calls os.Exit(nsfs.Sandbox(m.Run)) does the same as [Main]. All tests of a
// package share the sandbox, which takes the place of the machine: tests that run in parallel
// need different names for labs and hosts, and different forwarded ports.
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
	"github.com/vnet-lab/vnet/topo/lab"
	"github.com/vnet-lab/vnet/topo/live"
	"github.com/vnet-lab/vnet/topo/verify"
)

// Main runs the tests of a package in a sandbox, and exits. Without it, labs come up on the
// machine itself, which needs root.
func Main(m *testing.M) { os.Exit(nsfs.Sandbox(m.Run)) }

// A Lab is up until its test ends.
type Lab struct {
	lab.Topology
	t      testing.TB
	kernel *live.Kernel
}

// Up brings up the lab that text, a lab file, describes, and takes it down when the test ends. Any
// error ends the test.
func Up(t testing.TB, text string) *Lab {
	t.Helper()
	l := &Lab{t: t}
	want := l.compile(text)
	ctx := context.Background() // the context of the test is done before its cleanup
	kernel, err := live.OpenKernel(ctx, l.Name, nil)
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

// Change changes the lab to what text describes. Unchanged parts keep running. The name of the lab
// must stay the same.
func (l *Lab) Change(text string) {
	l.t.Helper()
	name := l.Name
	want := l.compile(text)
	if l.Name != name {
		l.t.Fatalf("the name of the lab is %s and cannot change to %s", name, l.Name)
	}
	l.up(want)
}

func (l *Lab) compile(text string) topo.State {
	l.t.Helper()
	topology, err := lab.Parse("lab.yaml", []byte(text))
	if err != nil {
		l.t.Fatal(err)
	}
	if err := topology.Fill(live.Machine{}); err != nil {
		l.t.Fatal(err)
	}
	want, err := lab.Compile(topology)
	if err != nil {
		l.t.Fatal(err)
	}
	l.Topology = topology
	return want
}

func (l *Lab) up(want topo.State) {
	l.t.Helper()
	if _, err := l.kernel.Up(l.t.Context(), want, nil); err != nil {
		l.t.Fatalf("up: %v", err)
	}
}

// Verify proves the facts under expect with real packets. Each fact that does not hold fails the
// test, and the message says where its packets were lost.
func (l *Lab) Verify() verify.Report {
	l.t.Helper()
	r := verify.Verify(l.t.Context(), l.Topology, lab.Facts(l.Topology))
	if !r.OK() {
		var text strings.Builder
		if err := r.WriteText(&text, false); err != nil {
			l.t.Error(err)
		}
		l.t.Errorf("%s:\n%s", l.Name, text.String())
	}
	return r
}

// In runs fn inside a host, or on the machine if host is [topo.Machine], and returns its error.
// Sockets that fn opens on its own goroutine stay in that host.
func (l *Lab) In(host string, fn func() error) error {
	ns, err := l.Open(host)
	if err != nil {
		return err
	}
	defer ns.Close()
	return nsfs.Do(ns, fn)
}

// Open opens the namespace of a host, for package rtnl or nft. The caller closes it.
func (l *Lab) Open(host string) (*os.File, error) {
	if host == topo.Machine {
		return nsfs.Current()
	}
	return nsfs.Open(host)
}

// Listen listens on TCP inside a host until the caller closes the listener. Port 0 means any free
// port.
func (l *Lab) Listen(host string, at netip.AddrPort) (server net.Listener, err error) {
	err = l.In(host, func() (err error) {
		server, err = new(net.ListenConfig).Listen(l.t.Context(), "tcp", at.String())
		return err
	})
	return server, err
}

// Dial connects to a TCP address from inside a host. It takes no names: they would be resolved on
// another goroutine, outside the host.
func (l *Lab) Dial(host string, to netip.AddrPort) (conn net.Conn, err error) {
	err = l.In(host, func() (err error) {
		conn, err = new(net.Dialer).DialContext(l.t.Context(), "tcp", to.String())
		return err
	})
	return conn, err
}
