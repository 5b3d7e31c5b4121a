package live

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo"
)

// changedLab has a server with a forwarded port and a visitor from outside. The tests
// change everything else.
const changedLab = `
name: changed
networks:
  dmz: {subnets: [10.0.6.0/24, "fd00:6::/64"], nat: true}
hosts:
  web: {networks: [dmz], ports: ["8080:80"]}
  visitor: {}
links:
  - {endpoints: [machine:street0, visitor:eth0], addresses: [198.51.100.1/24, 198.51.100.7/24]}
`

// changes are replacements in the lab file, applied one after another.
var changes = []struct{ old, new string }{
	{"  visitor: {}", "  visitor: {}\n  db: {networks: [dmz]}"},
	{`ports: ["8080:80"]`, `ports: ["8080:80", "8443:443", "9000-9010:9000-9010/udp"]`},
	{"hosts:\n", "  lan: {subnets: [10.0.7.0/24], nat: true}\nhosts:\n  pc: {networks: [lan], ports: [\"2222:22\"]}\n"},
	{`, "8443:443", "9000-9010:9000-9010/udp"`, ""},
	{"198.51.100.7/24]", "198.51.100.7/24], mtu: 1400"},
	{"\n  db: {networks: [dmz]}", ""},
}

// While the rest of a lab changes, an open connection stays open, no new connection
// through an unchanged forwarded port fails, and the counters of unchanged links and
// ports do not restart.
func TestTrafficContinues(t *testing.T) {
	unix.Mkdir("/run/etc-netns", 0o755)
	lab, want := labtest.Compiled(t, changedLab)
	k := openKernel(t, lab)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	serveLines(t, "web", "tcp4", ":80")
	open := dialFrom(t, "visitor", "198.51.100.1:8080")
	ctx, stop := context.WithCancel(t.Context())
	var made atomic.Int64
	failed := make(chan error, 1)
	go func() { failed <- keepDialing(ctx, &made) }()
	text, last := changedLab, readCounters(t, lab, want)
	for range 2 {
		for _, c := range changes {
			next := strings.Replace(text, c.old, c.new, 1)
			if next == text {
				t.Fatalf("nothing to replace: %s", c.old)
			}
			text = next
			_, want := labtest.Compiled(t, text)
			plan, err := k.Up(t.Context(), want, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range plan {
				if s := step.String(); strings.Contains(s, "web-eth0") || strings.Contains(s, "--dport 8080 ") {
					t.Errorf("the plan touches an unchanged object: %s", s)
				}
			}
			checkOpenConnection(t, open)
			now := readCounters(t, lab, want)
			if now.packets <= last.packets || now.connections < last.connections {
				t.Errorf("the counters went from %+v to %+v", last, now)
			}
			last = now
		}
		text = changedLab
		_, want := labtest.Compiled(t, text)
		if _, err := k.Up(t.Context(), want, nil); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if err := <-failed; err != nil {
		t.Errorf("connection %d failed: %v", made.Load()+1, err)
	}
	if made.Load() < 50 {
		t.Errorf("only %d connections during all changes", made.Load())
	}
	t.Logf("%d connections while the lab changed %d times", made.Load(), 2*(len(changes)+1))
}

// counters are those of the unchanged link and forwarded port.
type counters struct{ packets, connections uint64 }

func readCounters(t *testing.T, lab string, want topo.State) (c counters) {
	t.Helper()
	o, err := Observe(lab)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	o.table.Etc = "/run/etc-netns"
	s, err := o.Status(want)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range s.Hosts {
		for _, l := range h.Links {
			if h.Name == "web" && l.Name == "eth0" {
				c.packets = l.Received.Packets
			}
		}
	}
	for _, r := range s.Rules {
		if strings.Contains(fmt.Sprint(r), "8080") {
			c.connections += r.Packets
		}
	}
	return c
}

// keepDialing opens connections from the visitor, one after another, until ctx ends.
func keepDialing(ctx context.Context, made *atomic.Int64) error {
	for ctx.Err() == nil {
		c, err := dialIn("visitor", "198.51.100.1:8080")
		if err == nil {
			err = exchangeLine(c)
			c.Close()
		}
		if err != nil {
			return err
		}
		made.Add(1)
	}
	return nil
}

// serveLines runs an echo server in a host.
func serveLines(t *testing.T, host, network, addr string) {
	t.Helper()
	var l net.Listener
	err := doIn(host, func() (err error) {
		l, err = net.Listen(network, addr)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(c, c)
				c.Close()
			}()
		}
	}()
}

func dialFrom(t *testing.T, host, addr string) net.Conn {
	t.Helper()
	c, err := dialIn(host, addr)
	for range 3 { // neighbour requests may get lost on a busy machine
		if errors.Is(err, unix.EHOSTUNREACH) {
			c, err = dialIn(host, addr)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func dialIn(host, addr string) (c net.Conn, err error) {
	to, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, err
	}
	err = doIn(host, func() (err error) {
		c, err = net.DialTCP("tcp", nil, to) // must run on this thread
		return err
	})
	return c, err
}

func doIn(host string, fn func() error) error {
	ns, err := nsfs.Open(host)
	if err != nil {
		return err
	}
	defer ns.Close()
	return nsfs.Do(ns, fn)
}

func checkOpenConnection(t *testing.T, c net.Conn) {
	t.Helper()
	if err := exchangeLine(c); err != nil {
		t.Errorf("the open connection: %v", err)
	}
}

func exchangeLine(c net.Conn) error {
	c.SetDeadline(time.Now().Add(soon))
	if _, err := io.WriteString(c, "hello\n"); err != nil {
		return err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && line != "hello\n" {
		err = fmt.Errorf("got %q back", line)
	}
	return err
}
