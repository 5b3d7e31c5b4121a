package nft_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
)

// TestRandomMasquerade: without Random, connections keep the client's port; with it, they get others. All forms of the
// rule are read back as they were written.
func TestRandomMasquerade(t *testing.T) {
	for _, rule := range []nft.Masquerade{
		{Source: prefix("192.168.15.0/24")}, {Source: prefix("fd00:15::/64")},
		{Source: prefix("192.168.15.0/24"), Out: "eth0"}, {Source: prefix("fd00:15::/64"), Out: "eth0"},
		{Out: "eth0"}, {Source: prefix("0.0.0.0/0")}, {Source: prefix("::/0")},
	} {
		for _, random := range []bool{false, true} {
			rule.Random = random
			t.Run(rule.String(), func(t *testing.T) {
				w := newTestNet(t)
				w.apply(nil, []nft.Rule{rule})
				ipv6 := rule.Source.Addr().Is6()
				if kept := keptPorts(w, ipv6); (kept == 8) == random {
					t.Errorf("%d of 8 connections keep their port", kept)
				}
				got, err := w.nft.Read("vnet")
				if err != nil || len(got) != 1 || got[0].Rule != nft.Rule(rule) || got[0].Packets == 0 {
					t.Errorf("%v, %v", got, err)
				}
				other := rule
				other.Random = !random
				err = w.nft.Apply("vnet", nil, []nft.Rule{other})
				if err == nil || !strings.Contains(err.Error(), "conflicts with") {
					t.Errorf("the same rule with other ports: %v", err)
				}
				w.apply([]nft.Rule{rule}, []nft.Rule{other})
			})
		}
	}
}

// keptPorts sends from eight ports of red to outside, and returns how many arrive from the same port.
func keptPorts(w *testNet, ipv6 bool) (kept int) {
	from, to := "192.168.15.2", "10.9.0.2:4242"
	if ipv6 {
		from, to = "fd00:15::2", "[2001:db8:9::2]:4242"
	}
	var server net.PacketConn
	err := nsfs.Do(w.outside, func() (err error) { server, err = net.ListenPacket("udp", to); return err })
	if err != nil {
		w.t.Fatal(err)
	}
	defer server.Close()
	for port := uint16(4001); port <= 4008; port++ {
		var client net.Conn
		err := nsfs.Do(w.red, func() (err error) {
			at := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), port))
			client, err = (&net.Dialer{LocalAddr: at}).Dial("udp", to)
			return err
		})
		if err != nil {
			w.t.Fatal(err)
		}
		if arrivesFrom(w, client, server) == port {
			kept++
		}
		client.Close()
	}
	return kept
}

// arrivesFrom sends datagrams until one arrives, and returns its source port.
func arrivesFrom(w *testNet, client net.Conn, server net.PacketConn) uint16 {
	for until := time.Now().Add(answerTimeout); time.Now().Before(until); {
		if _, err := client.Write([]byte(client.LocalAddr().String())); err != nil {
			continue // neighbour discovery failed
		}
		server.SetReadDeadline(time.Now().Add(time.Second))
		text := make([]byte, 64)
		for {
			n, addr, err := server.ReadFrom(text)
			if err != nil {
				break
			}
			if string(text[:n]) == client.LocalAddr().String() { // not a late datagram of another port
				return netip.MustParseAddrPort(addr.String()).Port()
			}
		}
	}
	w.t.Fatal("nothing arrives")
	return 0
}
