//go:build linux

package nft_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
)

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
			w := newTestNet(t)
			if c.firewall != "" {
				w.sh(w.machine, "nft 'add table inet fw; "+c.firewall+"'")
			}
			tracer, err := nft.Trace(w.machine, nft.Probe{Proto: unix.IPPROTO_UDP, Payload: []byte(payload)})
			if err != nil {
				t.Fatal(err)
			}
			sendUDP(t, w.red, net.JoinHostPort(c.to, "7"), payload)
			sendUDP(t, w.red, net.JoinHostPort(c.to, "7"), "something else")
			// The packets pass the machine before the call returns, unless they wait for neighbour discovery.
			var events []nft.TraceEvent
			for len(events) == 0 || !finished(events) {
				more, err := tracer.Events()
				if err != nil {
					t.Fatal(err)
				}
				events = append(events, more...)
			}
			if got := summary(events); got != strings.TrimSpace(c.want) {
				t.Errorf("got\n%s\nwant%s", got, c.want)
			}
			if err := tracer.Close(); err != nil {
				t.Error(err)
			}
			if tables := w.sh(w.machine, "nft list tables"); strings.Contains(tables, nft.TraceTable) {
				t.Errorf("Close left tables: %s", tables)
			}
		})
	}
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

func finished(events []nft.TraceEvent) bool {
	last := events[len(events)-1]
	return last.Dropped || last.Hook == nft.Postrouting || last.Hook == nft.Input
}

// summary returns a line for each hook that a packet passed, and a line for its drop.
func summary(events []nft.TraceEvent) string {
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
