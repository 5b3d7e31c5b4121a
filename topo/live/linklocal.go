package live

import (
	"context"
	"errors"
	"io/fs"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// waitForLinkLocal waits for the link-local addresses of the lab's bridges with IPv6 addresses. The
// kernel creates them when it handles the bridge's carrier, which it delays by up to a second if
// carriers of other links change too. Until then, neighbour discovery for forwarded packets has no
// source address: the first packet waits for a second, or is lost.
func (rd *reader) waitForLinkLocal(ctx context.Context) error {
	if err := rd.restoreLinkLocal(); err != nil {
		return err
	}
	for _, h := range rd.table.Handles {
		v := rd.snapshots.get(h)
		for _, link := range v.withoutLinkLocal() {
			if err := v.waitForLinkLocal(ctx, link); err != nil {
				return err
			}
		}
	}
	return nil
}

const operUp = 6 // IF_OPER_UP of <linux/if.h>

// restoreLinkLocal makes the kernel create the link-local addresses that somebody deleted, for example with ip addr
// flush. It creates one when a link gets carrier, or another addr_gen_mode.
func (rd *reader) restoreLinkLocal() (err error) {
	for _, h := range rd.table.Handles {
		v := rd.snapshots.get(h)
		if v == nil {
			continue
		}
		for _, l := range v.Links {
			generates := l.AddrGenMode != nil && *l.AddrGenMode != rtnl.AddrGenNone
			if v.inLab[l.Index] && generates && l.OperState == operUp && v.lostLinkLocal(l.Index) {
				err = errors.Join(err, h.RunInside(func() error { return generateAgain(l) }))
			}
		}
	}
	return err
}

// generateAgain changes the addr_gen_mode of a link and changes it back.
func generateAgain(l rtnl.Link) error {
	key := linux.LinkSysctl("ipv6", l.Name, "addr_gen_mode")
	for _, mode := range []uint8{rtnl.AddrGenNone, *l.AddrGenMode} {
		err := nsfs.SetSysctl(key, strconv.Itoa(int(mode)))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EROFS) {
			return nil // the link was deleted; or in a container: vnet can do without the address
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lostLinkLocal reports whether a link has IPv6 addresses, and no link-local one, not even a tentative one.
func (v *netnsSnapshot) lostLinkLocal(link uint32) bool {
	has6 := false
	for _, a := range v.Addrs {
		if a.Link == link && a.Is6() {
			has6 = true
			if a.Prefix.Addr().IsLinkLocalUnicast() {
				return false
			}
		}
	}
	return has6
}

// withoutLinkLocal returns the bridges of the lab that will get a link-local address and have none.
func (v *netnsSnapshot) withoutLinkLocal() (links []rtnl.Link) {
	if v == nil {
		return nil
	}
	for _, l := range v.Links {
		generates := l.AddrGenMode != nil && *l.AddrGenMode != rtnl.AddrGenNone
		if !v.inLab[l.Index] || l.Kind.Name != "bridge" || !l.Up() || !generates || len(v.portsWithCarrier(l.Index)) == 0 {
			continue
		}
		if has6, usable := linkLocalIn(v.Addrs, l.Index); has6 && !usable {
			links = append(links, l)
		}
	}
	return links
}

// linkLocalIn reports whether a link has an IPv6 address, and whether it has a link-local one that
// it can use.
func linkLocalIn(addrs []rtnl.Addr, link uint32) (has6, usable bool) {
	for _, a := range addrs {
		if a.Link != link || !a.Is6() {
			continue
		}
		has6 = true
		unusable := a.Flags&unix.IFA_F_TENTATIVE != 0 && a.Flags&unix.IFA_F_OPTIMISTIC == 0
		usable = usable || a.Prefix.Addr().IsLinkLocalUnicast() && !unusable
	}
	return has6, usable
}

// portsWithCarrier returns the indexes of the ports of a bridge that have carrier.
func (v *netnsSnapshot) portsWithCarrier(bridge uint32) (ports []uint32) {
	for _, l := range v.Links {
		if l.Master == bridge && l.Up() && l.Flags&unix.IFF_LOWER_UP != 0 {
			ports = append(ports, l.Index)
		}
	}
	return ports
}

// linkLocalTime is longer than the kernel delays a change of carrier. There is a limit because the
// address may never come: another program can turn IPv6 off on the bridge.
const linkLocalTime = 2 * time.Second

func (v *netnsSnapshot) waitForLinkLocal(ctx context.Context, bridge rtnl.Link) error {
	events, err := v.handle.Watch(rtnl.GroupAddr6)
	if err != nil {
		return err
	}
	defer events.Close()
	// Since Linux 6.8, a request for a single link makes the kernel handle a delayed change of its
	// carrier at once. The port comes first, because the bridge gets its carrier from the port.
	for _, index := range []uint32{v.portsWithCarrier(bridge.Index)[0], bridge.Index} {
		if _, err := v.handle.Conn.Link(rtnl.LinkID{Index: index}); err != nil {
			return err
		}
	}
	wait, cancel := context.WithTimeout(ctx, linkLocalTime)
	defer cancel()
	for {
		addrs, err := v.handle.Conn.Addrs(rtnl.AddrFilter{Link: bridge.Index, Family: unix.AF_INET6})
		if err != nil {
			return err
		}
		if _, usable := linkLocalIn(addrs, bridge.Index); usable {
			return nil
		}
		if _, err := events.Next(wait); err != nil {
			return ctx.Err()
		}
	}
}
