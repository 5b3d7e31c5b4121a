//go:build linux

package ruleset_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft/ruleset"
	"github.com/vnet-lab/vnet/nsfs"
)

// A traceNet is a network of three namespaces: red's packets to outside pass the machine.
//
//	red 192.168.15.2 ─── 192.168.15.1 machine 10.9.0.1 ─── 10.9.0.2 outside
//	    fd00:15::2       fd00:15::1           2001:db8:9::1  2001:db8:9::2
type traceNet struct{ red, machine, outside *os.File }

func newTraceNet(t *testing.T) (w traceNet) {
	t.Helper()
	needNFT(t)
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("no ip on this machine to build a network with")
	}
	for _, ns := range []**os.File{&w.red, &w.machine, &w.outside} {
		f, err := nsfs.New()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		*ns = f
	}
	up := func(ns *os.File, link, addr4, addr6 string) {
		shell(t, ns, "ip addr add "+addr4+" dev "+link+"; ip addr add "+addr6+" dev "+link+" nodad\n"+
			"ip link set "+link+" up\n"+
			"until ip -6 maddr show dev "+link+" | grep -q ff02::1:ff00:; do :; done") // a worker of the kernel joins the group
	}
	veth := "ip link add %s type veth peer name eth0 netns /proc/%d/fd/%d\n"
	shell(t, w.machine, fmt.Sprintf(veth+veth+"echo 1 > /proc/sys/net/ipv4/ip_forward\n"+
		"echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
		"red", os.Getpid(), w.red.Fd(), "outside", os.Getpid(), w.outside.Fd()))
	up(w.red, "eth0", "192.168.15.2/24", "fd00:15::2/64")
	up(w.machine, "red", "192.168.15.1/24", "fd00:15::1/64")
	up(w.machine, "outside", "10.9.0.1/24", "2001:db8:9::1/64")
	up(w.outside, "eth0", "10.9.0.2/24", "2001:db8:9::2/64")
	shell(t, w.red, "ip route add default via 192.168.15.1; ip route add default via fd00:15::1")
	return w
}

// TestTrace sends datagrams from red to outside and traces them through the machine. A packet that passes has an event
// at each hook. A dropped packet has one at the rule or policy that dropped it.
func TestTrace(t *testing.T) {
	const payload = "whereami"
	cases := []struct {
		firewall string // on the machine
		to       string
		want     string // hook, chain and handle of the drop, addresses
	}{
		{"", "10.9.0.2", `
prerouting 192.168.15.2 10.9.0.2
forward 192.168.15.2 10.9.0.2
postrouting 192.168.15.2 10.9.0.2`},
		{"", "2001:db8:9::2", `
prerouting fd00:15::2 2001:db8:9::2
forward fd00:15::2 2001:db8:9::2
postrouting fd00:15::2 2001:db8:9::2`},
		{"add chain inet fw f { type filter hook forward priority 0; policy drop; }", "10.9.0.2", `
prerouting 192.168.15.2 10.9.0.2
dropped by the policy of chain inet fw f`},
		{"add chain inet fw f { type filter hook forward priority 0; }; " +
			"add rule inet fw f udp dport 7 counter drop", "2001:db8:9::2", `
prerouting fd00:15::2 2001:db8:9::2
dropped by rule 2 of chain inet fw f`},
		{"add chain inet fw r; add rule inet fw r reject; " +
			"add chain inet fw f { type filter hook forward priority 0; }; add rule inet fw f jump r", "10.9.0.2", `
prerouting 192.168.15.2 10.9.0.2
dropped by rule 2 of chain inet fw r`},
		{"add chain inet fw i { type filter hook input priority 0; }; add rule inet fw i drop", "192.168.15.1", `
prerouting 192.168.15.2 192.168.15.1
dropped by rule 2 of chain inet fw i`},
	}
	for _, c := range cases {
		t.Run(c.firewall+" to "+c.to, func(t *testing.T) {
			w := newTraceNet(t)
			if c.firewall != "" {
				shell(t, w.machine, "nft 'add table inet fw; "+c.firewall+"'")
			}
			tracer, err := ruleset.Trace(w.machine, ruleset.Probe{Proto: unix.IPPROTO_UDP, Payload: []byte(payload)})
			if err != nil {
				t.Fatal(err)
			}
			events := traced(t, tracer, func() {
				sendUDP(t, w.red, net.JoinHostPort(c.to, "7"), payload)
				sendUDP(t, w.red, net.JoinHostPort(c.to, "7"), "something else")
			})
			if got := summary(events); got != strings.TrimSpace(c.want) {
				t.Errorf("got\n%s\nwant%s", got, c.want)
			}
			if err := tracer.Close(); err != nil {
				t.Error(err)
			}
			if tables := shell(t, w.machine, "nft list tables"); strings.Contains(tables, ruleset.TraceTable) {
				t.Errorf("Close left tables: %s", tables)
			}
		})
	}
}

// traced returns the events of a packet that passes the machine or is dropped there. It sends again if no event
// comes: all namespaces share the kernel's packet queues, and a full one loses packets. Before that, it waits for
// longer than the kernel's three neighbour requests take.
func traced(t *testing.T, tracer *ruleset.Tracer, send func()) (events []ruleset.TraceEvent) {
	t.Helper()
	for range 3 {
		send()
		for until := time.Now().Add(4 * time.Second); time.Now().Before(until); time.Sleep(time.Millisecond) {
			more, err := tracer.Events()
			if err != nil {
				t.Fatal(err)
			}
			if events = append(events, more...); len(events) > 0 && finished(events) {
				return events
			}
		}
		if len(events) > 0 {
			break
		}
	}
	t.Fatalf("the packet's way through the machine has no end:\n%s", summary(events))
	return nil
}

func sendUDP(t *testing.T, ns *os.File, to, what string) {
	t.Helper()
	err := nsfs.Do(ns, func() error {
		c, err := net.Dial("udp", to)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte(what))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func finished(events []ruleset.TraceEvent) bool {
	last := events[len(events)-1]
	return last.Dropped || last.Hook == ruleset.Postrouting || last.Hook == ruleset.Input
}

// summary returns a line for each hook that a packet passed, and a line for its drop.
func summary(events []ruleset.TraceEvent) string {
	var lines []string
	add := func(line string) {
		if len(lines) == 0 || lines[len(lines)-1] != line {
			lines = append(lines, line)
		}
	}
	for _, e := range events {
		none := netip.Addr{}
		switch {
		case e.Dropped && e.Handle == 0:
			add("dropped by the policy of " + e.Chain.String())
		case e.Dropped:
			add(fmt.Sprintf("dropped by rule %d of %s", e.Handle, e.Chain))
		case e.Hook != "" && e.Src != none:
			add(fmt.Sprintf("%s %s %s", e.Hook, e.Src, e.Dst))
		}
	}
	return strings.Join(lines, "\n")
}
