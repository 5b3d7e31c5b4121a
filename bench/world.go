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

// A world is the sandbox in which a network is made: the machine, and for NAT an
// outside that knows the machine alone.
//
//	hosts ── switch ── machine ── 203.0.113.1/24 ── 203.0.113.9 outside
type world struct {
	network network
	machine *rtnl.Conn
	outside *os.File // nil without NAT
	ids     int      // of namespaces, before the network
}

// Addresses between the machine and the outside.
var (
	doorstep = netip.MustParsePrefix("203.0.113.1/24")
	outside  = netip.MustParsePrefix("203.0.113.9/24")
)

// door is the machine's link to the outside.
const door = "door"

func newWorld(n network) (*world, error) {
	c, err := rtnl.Dial(nil)
	if err != nil {
		return nil, err
	}
	w := &world{network: n, machine: c}
	if err := c.Do(rtnl.SetLink(rtnl.LinkID{Name: "lo"}, raised())); err != nil {
		return nil, err
	}
	if n.NAT {
		if err := w.open(); err != nil {
			return nil, fmt.Errorf("outside: %w", err)
		}
	}
	ids, err := c.NSIDs()
	w.ids = len(ids)
	return w, err
}

// raised is what makes a link be up.
func raised() rtnl.LinkConfig {
	var up rtnl.LinkConfig
	up.SetUp(true)
	return up
}

// open makes the outside, which has no way back but to the machine.
func (w *world) open() error {
	var err error
	if w.outside, err = nsfs.New(); err != nil {
		return err
	}
	there, err := rtnl.Dial(w.outside)
	if err != nil {
		return err
	}
	defer there.Close()
	add := rtnl.AddLink(rtnl.LinkConfig{Name: door, Kind: rtnl.Kind{Name: "veth", Peer: &rtnl.LinkConfig{Name: "eth0", NS: w.outside}}})
	return errors.Join(w.machine.Do(add), address(w.machine, door, doorstep), address(there, "eth0", outside))
}

// address gives a link an address, and raises it.
func address(c *rtnl.Conn, name string, p netip.Prefix) error {
	l, err := c.Link(rtnl.LinkID{Name: name})
	if err != nil {
		return err
	}
	return c.Do(rtnl.SetLink(rtnl.LinkID{Index: l.Index}, raised()), rtnl.AddAddr(rtnl.Addr{Link: l.Index, Prefix: p}))
}

func (w *world) Close() {
	w.machine.Close()
	if w.outside != nil {
		w.outside.Close()
	}
}

// space opens a host's namespace: that of a process, or of its name.
func space(processes map[string]int, host string) (*os.File, error) {
	if pid := processes[host]; pid != 0 {
		return nsfs.OpenPid(pid)
	}
	return nsfs.Open(host)
}

// remember gives each host's namespace an id in the machine, so that the kernel
// tells when it goes.
func (w *world) remember(processes map[string]int) error {
	for _, h := range w.network.Hosts {
		ns, err := space(processes, h.Name)
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

// left is how many links and namespaces of the network there still are.
func (w *world) left() (int, error) {
	links, err := w.machine.Links(rtnl.LinkFilter{NoStats: true})
	if err != nil {
		return 0, err
	}
	left := 0
	for _, l := range links {
		if l.Name != door && (l.Kind.Name == "veth" || l.Kind.Name == "bridge") {
			left++
		}
	}
	ids, err := w.machine.NSIDs()
	return left + len(ids) - w.ids, err
}

// gone waits until nothing is left: the kernel takes namespaces down on its own
// time, and with them the far ends of their cables.
func (w *world) gone() error {
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
		left, err := w.left()
		if err != nil || left <= 0 {
			return err
		}
		if err := deletions(ctx, events, left); err != nil {
			return fmt.Errorf("wait until all is gone: %d left: %w", left, err)
		}
	}
}

// deletions waits for so many, or for fewer if some were not told.
func deletions(ctx context.Context, events *rtnl.Watcher, count int) error {
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
