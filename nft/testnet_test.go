//go:build linux

package nft_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
)

// A testNet is a test network: the hosts red and blue and the machine on a bridge, and a host outside that has a route
// to the machine only.
//
//	red  192.168.15.2 ─┐
//	                 v-net-0 192.168.15.1 machine 10.9.0.1 eth0 ─── 10.9.0.2 outside
//	blue 192.168.15.3 ─┘    fd00:15::1      2001:db8:9::1        2001:db8:9::2
type testNet struct {
	t                           testing.TB
	machine, red, blue, outside *os.File
	nft                         *nft.Conn
}

func newTestNet(t testing.TB) *testNet {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("no ip on this machine to build a network with")
	}
	w := &testNet{t: t}
	for _, ns := range []**os.File{&w.machine, &w.red, &w.blue, &w.outside} {
		f, err := nsfs.New()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		*ns = f
	}
	w.sh(w.machine, `ip link set lo up
		ip link add v-net-0 type bridge
		ip link add veth-red master v-net-0 type veth peer name eth0 netns `+path(w.red)+`
		ip link add veth-blue master v-net-0 type veth peer name eth0 netns `+path(w.blue)+`
		ip link add eth0 type veth peer name eth0 netns `+path(w.outside)+`
		ip addr add 192.168.15.1/24 dev v-net-0; ip addr add fd00:15::1/64 dev v-net-0 nodad
		ip addr add 10.9.0.1/24 dev eth0; ip addr add 2001:db8:9::1/64 dev eth0 nodad
		for i in v-net-0 veth-red veth-blue eth0; do ip link set $i up; done
		echo 1 > /proc/sys/net/ipv4/ip_forward
		echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
		echo 1 > /proc/sys/net/ipv4/conf/v-net-0/route_localnet`)
	host := `ip link set lo up; ip link set eth0 up
		ip addr add %s dev eth0; ip addr add %s dev eth0 nodad
		ip route add default via 192.168.15.1; ip route add default via fd00:15::1`
	w.sh(w.red, fmt.Sprintf(host, "192.168.15.2/24", "fd00:15::2/64"))
	w.sh(w.blue, fmt.Sprintf(host, "192.168.15.3/24", "fd00:15::3/64"))
	w.sh(w.outside, `ip link set lo up; ip link set eth0 up
		ip addr add 10.9.0.2/24 dev eth0; ip addr add 2001:db8:9::2/64 dev eth0 nodad`)
	c, err := nft.Dial(w.machine)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	w.nft = c
	return w
}

// path returns a path of a namespace for ip netns arguments.
func path(ns *os.File) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.Fd()) }

// sh runs a shell script in a namespace.
func (w *testNet) sh(ns *os.File, script string) string {
	w.t.Helper()
	var out []byte
	err := nsfs.Do(ns, func() (err error) {
		out, err = exec.Command("sh", "-ec", script).CombinedOutput()
		return err
	})
	if err != nil {
		w.t.Fatalf("%s\n%s\n%v", script, out, err)
	}
	return string(out)
}

func (w *testNet) apply(del, add []nft.Rule) {
	w.t.Helper()
	if err := w.nft.Apply("vnet", del, add); err != nil {
		w.t.Fatal(err)
	}
}

// serve replies to each client with name and the client's address.
func (w *testNet) serve(ns *os.File, name, network, address string) {
	w.t.Helper()
	err := nsfs.Do(ns, func() error {
		if strings.HasPrefix(network, "udp") {
			c, err := net.ListenPacket(network, address)
			if err != nil {
				return err
			}
			w.t.Cleanup(func() { c.Close() })
			go answerUDP(c, name)
			return nil
		}
		l, err := net.Listen(network, address)
		if err != nil {
			return err
		}
		w.t.Cleanup(func() { l.Close() })
		go answerTCP(l, name)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func answerTCP(l net.Listener, name string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprintf(c, "%s %s", name, hostOf(c.RemoteAddr()))
		c.Close()
	}
}

func answerUDP(c net.PacketConn, name string) {
	buf := make([]byte, 64)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		c.WriteTo([]byte(name+" "+hostOf(from)+string(buf[:n])), from)
	}
}

func hostOf(a net.Addr) string {
	return netip.MustParseAddrPort(a.String()).Addr().Unmap().String()
}

// answerTimeout is the maximum time to wait for an answer. Only a failing test waits that long.
const answerTimeout = 30 * time.Second

// connect connects to a server and returns its answer, or "no answer". It tries again after an error such as "no route
// to host" if it may wait for long: neighbour discovery on a busy machine may give up.
func (w *testNet) connect(ns *os.File, network, address string, wait time.Duration) string {
	w.t.Helper()
	var conn net.Conn
	err := nsfs.Do(ns, func() (err error) {
		d := net.Dialer{Deadline: time.Now().Add(wait)}
		if strings.HasPrefix(network, "udp") {
			d.LocalAddr = freshPort()
		}
		for range 5 {
			conn, err = d.DialContext(context.Background(), network, address)
			if err == nil || wait < answerTimeout || errors.Is(err, unix.ECONNREFUSED) {
				break
			}
		}
		return err
	})
	if err != nil {
		return "no answer"
	}
	defer conn.Close()
	return exchange(conn, wait)
}

var lastPort atomic.Uint32

// freshPort returns a source port that no earlier flow had. A port that the kernel chose could be that of an earlier
// flow, which conntrack still knows and lets pass. The ports are below those that the kernel chooses from.
func freshPort() *net.UDPAddr { return &net.UDPAddr{Port: 10000 + int(lastPort.Add(1))%20000} }

// exchange sends a request and returns the answer, or "no answer". Over UDP it sends again each second: a busy
// machine loses datagrams.
func exchange(conn net.Conn, wait time.Duration) string {
	end := time.Now().Add(wait)
	_, udp := conn.(*net.UDPConn)
	for udp && time.Until(end) > time.Second {
		if answer := exchangeOnce(conn, time.Now().Add(time.Second)); answer != "no answer" {
			return answer
		}
	}
	return exchangeOnce(conn, end)
}

// exchangeOnce sends one request over UDP, none over TCP, and waits for the answer.
func exchangeOnce(conn net.Conn, end time.Time) string {
	conn.SetDeadline(end)
	request := ""
	if _, udp := conn.(*net.UDPConn); udp {
		request = fmt.Sprintf("? %d", time.Now().UnixNano())
		if _, err := conn.Write([]byte(request)); err != nil {
			return "no answer"
		}
	}
	buf := make([]byte, 64)
	for {
		n, err := conn.Read(buf)
		if err != nil && n == 0 {
			return "no answer"
		}
		// Skip late answers to earlier requests.
		if answer, ok := strings.CutSuffix(string(buf[:n]), request); ok {
			return answer
		}
	}
}

// dialFrom opens a connected UDP socket, which keeps its source port.
func (w *testNet) dialFrom(ns *os.File, address string) net.Conn {
	w.t.Helper()
	var conn net.Conn
	err := nsfs.Do(ns, func() (err error) {
		conn, err = net.Dial("udp", address)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	return conn
}

// pings reports whether an address answers an echo request.
func (w *testNet) pings(ns *os.File, address string) bool {
	w.t.Helper()
	err := nsfs.Do(ns, func() error {
		return exec.Command("ping", "-n", "-c", "1", "-W", "5", address).Run()
	})
	return err == nil
}
