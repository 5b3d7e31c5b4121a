package live

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/announce"
	"github.com/vnet-lab/vnet/topo/live/internal/convert"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// announce sends announcements. It only writes a warning if it cannot: the entries of the
// neighbours expire, too.
func (k *Kernel) announce(list []topo.Announcement) {
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].NS == list[0].NS {
			n++
		}
		h, err := k.table.Handle(list[0].NS)
		if err == nil {
			err = h.RunInside(func() error { return sendAnnouncements(h, list[:n]) })
		}
		if err != nil {
			k.log.Warn(fmt.Sprintf("%scannot announce changed addresses, so neighbours may not reach them for half a minute: %v",
				display.In(list[0].NS), err))
		}
		list = list[n:]
	}
}

// knownOtherwise returns a function that reports whether a neighbour entry of the last snapshot
// has another MAC address for an address that the plan creates.
func (k *Kernel) knownOtherwise(plan topo.Plan) func(netip.Addr, topo.MAC) bool {
	known := map[netip.Addr][]rtnl.LLAddr{}
	for _, s := range plan {
		if a, ok := s.Want.(topo.Address); ok {
			known[a.Prefix.Addr()] = nil
		}
	}
	for _, h := range k.table.Handles {
		if h.Snapshot == nil || len(known) == 0 {
			continue
		}
		for _, n := range h.Snapshot.Neighs {
			if _, created := known[n.Addr]; created && n.LLAddr != "" {
				known[n.Addr] = append(known[n.Addr], n.LLAddr)
			}
		}
	}
	return func(addr netip.Addr, mac topo.MAC) bool {
		for _, l := range known[addr] {
			if l != convert.LLAddr(mac) {
				return true
			}
		}
		return false
	}
}

// sendAnnouncements sends announcements in the namespace of the calling thread.
func sendAnnouncements(h *netns.Handle, list []topo.Announcement) error {
	fd, err := announce.Socket()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, a := range list {
		link, err := h.LinkIndex(a.Link)
		if err != nil {
			return err
		}
		addrs := []rtnl.Addr{{Prefix: netip.PrefixFrom(a.Addr, 0)}}
		if !a.Addr.IsValid() {
			if addrs, err = h.Conn.Addrs(rtnl.AddrFilter{Link: link}); err != nil {
				return err
			}
		}
		for _, addr := range addrs {
			if err := announce.Send(fd, link, addr.Prefix.Addr(), a.MAC, a.Router); err != nil {
				return err
			}
		}
	}
	return nil
}
