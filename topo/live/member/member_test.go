//go:build linux

package member

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
)

func TestMain(m *testing.M) {
	if words := os.Getenv(childEnv); words != "" {
		os.Exit(runChild(strings.Fields(words)))
	}
	os.Exit(nsfs.Sandbox(m.Run))
}

// testNetwork is a network with all that a network can have for reaching the outside.
func testNetwork(t *testing.T, change ...func(*Network)) Network {
	t.Helper()
	n := Network{Name: "net", Bridge: "br0", DefaultRoute: true, Masquerade: true, Hairpin: true,
		Subnets: testSubnets()}
	for _, c := range change {
		c(&n)
	}
	t.Cleanup(func() {
		if err := errors.Join(Sweep(context.Background(), n.Name, []ID{}), Remove(context.Background(), n.Name)); err != nil {
			t.Error(err)
		}
	})
	return n
}

func testSubnets() []Subnet {
	return []Subnet{{Prefix: netip.MustParsePrefix("10.77.0.0/16")}, {Prefix: netip.MustParsePrefix("fd00:77::/64")}}
}

// newNS makes a namespace without a name, and returns its path.
func newNS(t testing.TB) string {
	t.Helper()
	ns, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.Fd())
}

// outside makes a namespace beside the machine: 192.0.2.2 and 2001:db8::2, with a route to the machine only.
func outside(t testing.TB) string {
	t.Helper()
	path := newNS(t)
	sh(t, "", `ip link add out0 type veth peer name eth0 netns `+path+`
		ip addr add 192.0.2.1/24 dev out0; ip addr add 2001:db8::1/64 dev out0 nodad; ip link set out0 up; ip link set lo up`)
	sh(t, path, `ip link set lo up; ip link set eth0 up
		ip addr add 192.0.2.2/24 dev eth0; ip addr add 2001:db8::2/64 dev eth0 nodad`)
	t.Cleanup(func() { sh(t, "", "ip link del out0") })
	return path
}

// sh runs a script in a namespace, "" is the machine.
func sh(t testing.TB, path, script string) string {
	t.Helper()
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil && strings.Contains(script, tool+" ") {
			t.Skipf("no %s on this machine", tool)
		}
	}
	out, err := try(path, script)
	if err != nil {
		t.Fatalf("%s\n%s\n%v", script, out, err)
	}
	return out
}

func try(path, script string) (out string, err error) {
	err = in(path, func() error {
		b, err := exec.Command("sh", "-ec", script).CombinedOutput()
		out = string(b)
		return err
	})
	return out, err
}

func in(path string, fn func() error) error {
	if path == "" {
		return fn()
	}
	ns, err := nsfs.OpenPath(path)
	if err != nil {
		return err
	}
	defer ns.Close()
	return nsfs.Do(ns, fn)
}

func attach(t testing.TB, n Network, m Member) Attached {
	t.Helper()
	a, err := Attach(context.Background(), n, m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// serve answers each connection and datagram at an address in a namespace with a name and the client's address.
func serve(t testing.TB, path, name, address string) {
	t.Helper()
	var l net.Listener
	var p net.PacketConn
	err := in(path, func() (err error) {
		if l, err = net.Listen("tcp", address); err == nil {
			p, err = net.ListenPacket("udp", address)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); p.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintf(c, "%s %s", name, hostOf(c.RemoteAddr()))
			c.Close()
		}
	}()
	go func() {
		for b := make([]byte, 100); ; {
			_, from, err := p.ReadFrom(b)
			if err != nil {
				return
			}
			p.WriteTo([]byte(name+" "+hostOf(from)), from)
		}
	}()
}

func hostOf(a net.Addr) string {
	host, _, _ := net.SplitHostPort(a.String())
	return host
}

var lastPort atomic.Uint32

// ask connects to a server from a namespace and returns its answer; "" if there is none.
func ask(t testing.TB, path, network, address string) string {
	t.Helper()
	var c net.Conn
	err := in(path, func() (err error) {
		d := net.Dialer{Timeout: time.Second}
		if network == "udp" { // conntrack would let a port of an earlier flow pass
			d.LocalAddr = &net.UDPAddr{Port: 10000 + int(lastPort.Add(1))%20000}
		}
		c, err = d.Dial(network, address)
		return err
	})
	if err != nil {
		return ""
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	if network == "udp" {
		c.Write([]byte("?"))
	}
	b := make([]byte, 100)
	n, _ := c.Read(b)
	return string(b[:n])
}

// answer is ask for a server that answers: a busy machine may need more than the time of one question.
func answer(t testing.TB, path, network, address string) (got string) {
	t.Helper()
	for range 15 {
		if got = ask(t, path, network, address); got != "" {
			break
		}
	}
	return got
}

func TestAttach(t *testing.T) {
	out := outside(t)
	n := testNetwork(t)
	red, blue := newNS(t), newNS(t)
	web := Port{Proto: nft.TCP, HostPort: 8080, Port: 80}
	dns := Port{Proto: nft.UDP, HostPort: 5353, Port: 80}
	a := attach(t, n, Member{ID: "red", Link: "eth0", NS: red, Ports: []Port{web, dns}})
	b := attach(t, n, Member{ID: "blue", Link: "eth0", NS: blue})
	if len(a.Addresses) != 2 || len(b.Addresses) != 2 {
		t.Fatalf("addresses: %v, %v", a.Addresses, b.Addresses)
	}
	for i, server := range []string{"192.0.2.2", "2001:db8::2"} {
		to := netip.AddrPortFrom(a.Addresses[i].Prefix.Addr(), 80).String()
		serve(t, red, "red", to)
		outer := net.JoinHostPort(server, "9")
		serve(t, out, "outside", outer)
		machine := strings.Replace(server, "2.2", "2.1", 1)
		machine = strings.Replace(machine, "::2", "::1", 1)
		blueAddr := b.Addresses[i].Prefix.Addr().String()
		gateway := a.Addresses[i].Gateway.String()
		for _, c := range []struct{ from, network, to, want string }{
			{blue, "tcp", to, "red " + blueAddr},
			{blue, "udp", to, "red " + blueAddr},
			{blue, "tcp", outer, "outside " + machine},
			{out, "tcp", net.JoinHostPort(machine, "8080"), "red " + server},
			{out, "udp", net.JoinHostPort(machine, "5353"), "red " + server},
			{out, "tcp", net.JoinHostPort(machine, "81"), ""},
			{blue, "tcp", net.JoinHostPort(machine, "8080"), "red " + gateway},
			{red, "tcp", net.JoinHostPort(machine, "8080"), "red " + gateway},
			{"", "tcp", to, "red " + gateway},
		} {
			question := answer
			if c.want == "" {
				question = ask
			}
			if got := question(t, c.from, c.network, c.to); got != c.want {
				t.Errorf("%s %s: %q, not %q", c.network, c.to, got, c.want)
			}
		}
	}
	if got := ask(t, "", "tcp", "127.0.0.1:8080"); got != "red 10.77.0.1" {
		t.Errorf("from 127.0.0.1: %q", got)
	}
	if _, err := Attach(context.Background(), n, Member{ID: "red", Link: "eth0", NS: red}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("attached twice: %v", err)
	}
}
