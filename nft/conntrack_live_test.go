//go:build linux

package nft

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
)

// connWithFlows returns a Conn in a new namespace with conntrack entries of UDP flows to the given number of ports.
func connWithFlows(t testing.TB, ports int) *Conn {
	t.Helper()
	ns, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	c, err := Dial(ns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	const ctNew, ctaTimeout, confirmed = 0, 7, 1 << 3
	var flows []netlink.Message
	for i := range ports {
		port := uint16(i + 1)
		m := conntrackRequest(ctNew, netlink.Create|netlink.Acknowledge, unix.AF_INET)
		m.Data = slices.Concat(m.Data, tupleAttr(ctaTupleOrig, "192.168.15.2", "10.9.0.2", 9, port),
			tupleAttr(ctaTupleReply, "10.9.0.2", "192.168.15.2", port, 9),
			attr32(ctaStatus, confirmed), attr32(ctaTimeout, 600))
		flows = append(flows, m)
	}
	answers, err := c.query("tracked connections", flows)
	for _, a := range answers {
		if err == nil {
			err = a.err
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestDumpFilteredByPort checks that a change of one port reads and deletes only flows to this port.
func TestDumpFilteredByPort(t *testing.T) {
	c := connWithFlows(t, 300)
	forward := Forward{Proto: UDP, Ports: Ports{53, 53}, To: netip.MustParseAddr("10.9.0.3"), ToPort: 53}
	inside6 := forward
	inside6.To = netip.MustParseAddr("fd00::3")
	other := forward
	other.Ports = Ports{54, 54}
	for _, tt := range []struct {
		rules []Rule
		want  int
	}{
		{[]Rule{forward}, 1}, {[]Rule{inside6}, 0}, {[]Rule{forward, inside6}, 300}, {[]Rule{forward, other}, 300},
		{[]Rule{forward, Masquerade{Out: "eth0"}}, 300},
	} {
		flows, err := c.flows(newStaleMatcher(nil, tt.rules).dumpRequest())
		if err != nil || len(flows) != tt.want {
			t.Errorf("%v: read %d flows, %v; want %d", tt.rules, len(flows), err, tt.want)
		}
	}
	if err := c.deleteStaleFlows(nil, []Rule{forward}); err != nil {
		t.Fatal(err)
	}
	if n, err := c.flowCount(); err != nil || n != 299 {
		t.Errorf("%d flows remain, %v", n, err)
	}
}

// BenchmarkDeleteStaleFlows measures the cost of one more port with 60000 flows.
func BenchmarkDeleteStaleFlows(b *testing.B) {
	c := connWithFlows(b, 60000)
	forward := Forward{Proto: UDP, Ports: Ports{65000, 65000}, To: netip.MustParseAddr("10.9.0.3"), ToPort: 53}
	b.Run("one port", func(b *testing.B) {
		for b.Loop() {
			if err := c.deleteStaleFlows(nil, []Rule{forward}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("all flows", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.flows(conntrackRequest(ctGet, netlink.Dump, unix.AF_UNSPEC)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
