package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"time"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// A testnet is the place where a tool makes a network: the machine and, for NAT, an outside
// that has a route to the machine only.
//
//	hosts ── bridge ── machine ── 203.0.113.1/24 ── 203.0.113.9 outside
type testnet struct {
	network network
	machine *rtnl.Conn
	outside *os.File // nil without NAT
	ids     int      // number of namespace ids before the network exists
}

// Addresses between the machine and the outside.
var (
	uplinkAddr  = netip.MustParsePrefix("203.0.113.1/24")
	outsideAddr = netip.MustParsePrefix("203.0.113.9/24")
)

// uplink is the machine's link to the outside.
const uplink = "uplink"

func newTestnet(n network) (*testnet, error) {
	c, err := rtnl.Dial(nil)
	if err != nil {
		return nil, err
	}
	w := &testnet{network: n, machine: c}
	if err := c.Do(rtnl.SetLink(rtnl.LinkID{Name: "lo"}, linkUp())); err != nil {
		return nil, err
	}
	if n.NAT {
		if err := w.addOutside(); err != nil {
			return nil, fmt.Errorf("outside: %w", err)
		}
	}
	ids, err := c.NSIDs()
	w.ids = len(ids)
	return w, err
}

// linkUp returns the configuration that sets a link up.
func linkUp() rtnl.LinkConfig {
	var up rtnl.LinkConfig
	up.SetUp(true)
	return up
}

// addOutside makes the outside. It has no route except to the machine.
func (w *testnet) addOutside() error {
	var err error
	if w.outside, err = nsfs.New(); err != nil {
		return err
	}
	there, err := rtnl.Dial(w.outside)
	if err != nil {
		return err
	}
	defer there.Close()
	peer := &rtnl.LinkConfig{Name: "eth0", NS: w.outside}
	add := rtnl.AddLink(rtnl.LinkConfig{Name: uplink, Kind: rtnl.Kind{Name: "veth", Peer: peer}})
	return errors.Join(w.machine.Do(add), addAddress(w.machine, uplink, uplinkAddr),
		addAddress(there, "eth0", outsideAddr))
}

// addAddress adds an address to a link, and sets it up.
func addAddress(c *rtnl.Conn, name string, p netip.Prefix) error {
	l, err := c.Link(rtnl.LinkID{Name: name})
	if err != nil {
		return err
	}
	return c.Do(rtnl.SetLink(rtnl.LinkID{Index: l.Index}, linkUp()), rtnl.AddAddr(rtnl.Addr{Link: l.Index, Prefix: p}))
}

func (w *testnet) Close() {
	w.machine.Close()
	if w.outside != nil {
		w.outside.Close()
	}
}

// openNamespace opens a host's namespace by pid, or by name.
func openNamespace(processes map[string]int, host string) (*os.File, error) {
	if pid := processes[host]; pid != 0 {
		return nsfs.OpenPid(pid)
	}
	return nsfs.Open(host)
}

// assignNSIDs assigns an id to each host's namespace in the machine, so that the kernel
// sends a message when the namespace is gone.
func (w *testnet) assignNSIDs(processes map[string]int) error {
	for _, h := range w.network.Hosts {
		ns, err := openNamespace(processes, h.Name)
		if err != nil {
			return err
		}
		err = w.machine.Do(rtnl.SetNSID(ns, rtnl.NoNSID))
		ns.Close()
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// remaining returns the number of links and namespaces of the network that still exist.
func (w *testnet) remaining() (int, error) {
	links, err := w.machine.Links(rtnl.LinkFilter{NoStats: true})
	if err != nil {
		return 0, err
	}
	count := 0
	for _, l := range links {
		if l.Name != uplink && (l.Kind.Name == "veth" || l.Kind.Name == "bridge") {
			count++
		}
	}
	ids, err := w.machine.NSIDs()
	return count + len(ids) - w.ids, err
}

// waitGone waits until nothing remains: the kernel destroys namespaces, and the peers of
// their veth devices, some time after their deletion.
func (w *testnet) waitGone() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	here, err := nsfs.Current()
	if err != nil {
		return err
	}
	defer here.Close()
	events, err := rtnl.Watch(here, rtnl.GroupLink, rtnl.GroupNSID)
	if err != nil {
		return err
	}
	defer events.Close()
	for {
		left, err := w.remaining()
		if err != nil || left <= 0 {
			return err
		}
		if err := waitDeletions(ctx, events, left); err != nil {
			return fmt.Errorf("wait until everything is gone: %d remain: %w", left, err)
		}
	}
}

// waitDeletions waits for this many deletions, or for fewer if messages were lost.
func waitDeletions(ctx context.Context, events *rtnl.Watcher, count int) error {
	for count > 0 {
		e, err := events.Next(ctx)
		if err != nil {
			return err
		}
		if e.Lost {
			return nil
		}
		if e.Deleted {
			count--
		}
	}
	return nil
}
