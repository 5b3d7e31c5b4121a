package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// check reports an error if the network differs from the expected one: bridges with
// their addresses and ports, hosts with their addresses and routes. It sends a packet over
// every veth pair and back.
func (w *testnet) check(processes map[string]int) error {
	ports, err := w.checkBridges()
	if err != nil {
		return err
	}
	ends := w.network.ends()
	for _, h := range w.network.Hosts {
		ns, err := openNamespace(processes, h.Name)
		if err != nil {
			return err
		}
		err = w.checkHost(ns, h, ends[h.Name], ports)
		ns.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
	return w.checkChain(processes)
}

// checkBridges checks the bridges and returns the name of the bridge of each port.
func (w *testnet) checkBridges() (map[uint32]string, error) {
	links, err := w.machine.Links(rtnl.LinkFilter{NoStats: true})
	if err != nil {
		return nil, err
	}
	addrs, err := w.machine.Addrs(rtnl.AddrFilter{Family: unix.AF_INET})
	if err != nil {
		return nil, err
	}
	ports := map[uint32]string{}
	for _, s := range w.network.Bridges {
		i := slices.IndexFunc(links, func(l rtnl.Link) bool { return l.Name == s.Name && l.Kind.Name == "bridge" && l.Up() })
		if i < 0 {
			return nil, fmt.Errorf("bridge %s does not exist or is down", s.Name)
		}
		for _, l := range links {
			if l.Master == links[i].Index && l.Up() {
				ports[l.Index] = s.Name
			}
		}
		if !slices.ContainsFunc(addrs, func(a rtnl.Addr) bool { return a.Link == links[i].Index && a.Prefix == s.Addr }) {
			return nil, fmt.Errorf("bridge %s has no address %s", s.Name, s.Addr)
		}
	}
	return ports, nil
}

func (w *testnet) checkHost(ns *os.File, h host, ends []vethPair, ports map[uint32]string) error {
	c, err := rtnl.Dial(ns)
	if err != nil {
		return err
	}
	defer c.Close()
	links, err := c.Links(rtnl.LinkFilter{NoStats: true})
	if err != nil {
		return err
	}
	if len(links) != 1+len(ends) {
		return fmt.Errorf("%d links, expected lo and %d", len(links), len(ends))
	}
	addrs, err := c.Addrs(rtnl.AddrFilter{Family: unix.AF_INET})
	if err != nil {
		return err
	}
	for _, l := range links {
		if err := checkLink(l, addrs, ends, ports); err != nil {
			return fmt.Errorf("%s: %w", l.Name, err)
		}
	}
	if err := checkRoutes(c, h.Routes); err != nil {
		return err
	}
	return w.checkPackets(c, ns, ends)
}

// checkPackets pings the other end of each veth pair, and the outside. For a pair between hosts, it does so
// from the first end only. The neighbour entry that this adds in the other host is deleted when
// that host is checked.
func (w *testnet) checkPackets(c *rtnl.Conn, ns *os.File, ends []vethPair) error {
	for _, e := range ends {
		if e[1].Host != "" && e[1].Addr.Addr().Less(e[0].Addr.Addr()) {
			continue
		}
		if err := ping(ns, w.network.peerAddr(e[1])); err != nil {
			return err
		}
	}
	if w.network.NAT {
		if err := ping(ns, outsideAddr.Addr()); err != nil {
			return err
		}
	}
	return errors.Join(deleteNeighbours(c), deleteNeighbours(w.machine))
}

// deleteNeighbours removes all neighbour entries: the kernel has one table for all
// namespaces, with room for 1024.
func deleteNeighbours(c *rtnl.Conn) error {
	neighs, err := c.Neighs(rtnl.NeighFilter{Family: unix.AF_INET})
	if err != nil {
		return err
	}
	for _, n := range neighs {
		if err := c.Do(rtnl.DeleteNeigh(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// checkLink checks that a link is up, has the address of one of the ends, and that its
// peer is a port of the right bridge.
func checkLink(l rtnl.Link, addrs []rtnl.Addr, ends []vethPair, ports map[uint32]string) error {
	if !l.Up() {
		return errors.New("is down")
	}
	if l.Name == "lo" {
		return nil
	}
	for _, e := range ends {
		has := func(a rtnl.Addr) bool { return a.Link == l.Index && a.Prefix == e[0].Addr }
		if !slices.ContainsFunc(addrs, has) {
			continue
		}
		if sw := e[1].Bridge; sw != "" && ports[l.Parent] != sw {
			return fmt.Errorf("is in bridge %q, expected %s", ports[l.Parent], sw)
		}
		return nil
	}
	return errors.New("has no address of this host")
}

func checkRoutes(c *rtnl.Conn, want []route) error {
	routes, err := c.Routes(rtnl.RouteFilter{Family: unix.AF_INET})
	if err != nil {
		return err
	}
	for _, r := range want {
		is := func(have rtnl.Route) bool { return have.Dst == r.Dst && have.Gateway == r.Via }
		if !slices.ContainsFunc(routes, is) {
			return fmt.Errorf("no route to %s via %s", r.Dst, r.Via)
		}
	}
	return nil
}

// checkChain pings from the first router of a chain to a distant one, within the TTL of
// a packet.
func (w *testnet) checkChain(processes map[string]int) error {
	if len(w.network.Hosts) < 3 || !w.network.Hosts[1].Forwards {
		return nil
	}
	far := min(len(w.network.Pairs), 60) - 1
	ns, err := openNamespace(processes, w.network.Hosts[0].Name)
	if err != nil {
		return err
	}
	defer ns.Close()
	return ping(ns, w.network.Pairs[far][1].Addr.Addr())
}

// ping sends echo requests from a namespace until it gets a reply: a link that has just
// been set up may lose the first ones.
func ping(ns *os.File, to netip.Addr) error {
	return nsfs.Do(ns, func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
		if err != nil {
			return os.NewSyscallError("socket", err)
		}
		defer unix.Close(fd)
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
			return err
		}
		if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: to.As4()}); err != nil {
			return fmt.Errorf("ping %s: %w", to, err)
		}
		for range 5 {
			if err = echo(fd); err == nil {
				return nil
			}
		}
		return fmt.Errorf("ping %s: %w", to, err)
	})
}

// echo sends one request and waits for its reply. The request has type, code, checksum,
// id and sequence number, all zero except type and checksum.
func echo(fd int) error {
	request := []byte{8, 0, 0xf7, 0xff, 0, 0, 0, 0}
	if _, err := unix.Write(fd, request); err != nil {
		return err
	}
	var packet [128]byte
	for {
		n, err := unix.Read(fd, packet[:])
		if err != nil {
			return err
		}
		header := int(packet[0]&0xf) * 4
		if n > header && packet[header] == 0 {
			return nil
		}
	}
}
