//go:build linux

package topo

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// setting reads a number under /proc/sys/net of the host; -1 says that it cannot
// be read, and accuses nobody.
func (v *hostView) setting(key string) int {
	value := ""
	err := nsfs.Do(v.ns, func() (err error) {
		value, err = nsfs.Sysctl("net/" + key)
		return err
	})
	n, convErr := strconv.Atoi(value)
	if err != nil || convErr != nil {
		return -1
	}
	return n
}

// forwards tells whether packets of a family that come in by a link are sent on.
func (v *hostView) forwards(in uint32, v4 bool) bool {
	if v4 {
		return v.setting("ipv4/conf/"+v.links[in].Name+"/forwarding") != 0
	}
	return v.setting("ipv6/conf/all/forwarding") != 0
}

// whyNoRoute says why the kernel has no way to dst. For a packet that came in it
// does not tell: what is wrong with where it comes from is found out one by one.
func (v *hostView) whyNoRoute(err error, at spot, src, dst netip.Addr) string {
	if at.in != 0 {
		if _, own := v.conn.RouteGet(rtnl.RouteQuery{Dst: dst}); own != nil {
			err = own
		} else {
			return v.whyNotFrom(err, at.in, src, dst)
		}
	}
	switch {
	case errors.Is(err, unix.ENETUNREACH):
		return "no route to " + dst.String()
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EACCES), errors.Is(err, unix.EINVAL):
		return "a route to " + dst.String() + " says no: " + localWords(errnoIn(err))
	}
	return err.Error()
}

// whyNotFrom says why a packet from src is not sent on, although the host itself
// has a way to dst.
func (v *hostView) whyNotFrom(err error, in uint32, src, dst netip.Addr) string {
	name := v.links[in].Name
	if _, own := v.addrs[src]; own {
		return fmt.Sprintf("packets from %s that come in by %s are discarded: the address is its own", src, name)
	}
	if v.filters(src, in) {
		return fmt.Sprintf("rp_filter discards packets from %s that come in by %s", src, name)
	}
	return fmt.Sprintf("packets from %s that come in by %s are not sent on to %s: %v", src, name, dst, errnoIn(err))
}

// The values of rp_filter; see ip-sysctl.rst of the kernel. What counts is the
// greater one of all's and the link's.
const (
	strictRPFilter = 1 // the way back must lead over the same link
	looseRPFilter  = 2 // there must be one
)

// filters tells whether rp_filter discards packets from src that come in by a
// link. There is none for IPv6.
func (v *hostView) filters(src netip.Addr, in uint32) bool {
	if !src.Is4() {
		return false
	}
	filter := max(v.setting("ipv4/conf/all/rp_filter"), v.setting("ipv4/conf/"+v.links[in].Name+"/rp_filter"))
	if filter < strictRPFilter {
		return false
	}
	back, err := v.conn.RouteGet(rtnl.RouteQuery{Dst: src, FIBMatch: true})
	if filter >= looseRPFilter {
		return err != nil
	}
	return err != nil || back.Link != in && !overLink(back.Hops, in)
}

func overLink(hops []rtnl.Hop, link uint32) bool {
	for _, h := range hops {
		if h.Link == link {
			return true
		}
	}
	return false
}

func errnoIn(err error) unix.Errno {
	var errno unix.Errno
	errors.As(err, &errno)
	return errno
}

// linkProblem says why nothing goes over a link.
func (v *hostView) linkProblem(index uint32) string {
	l, ok := v.links[index]
	switch {
	case !ok:
		return ""
	case !l.Up():
		return "link " + l.Name + " is down"
	case l.Flags&unix.IFF_LOWER_UP == 0:
		return "link " + l.Name + " has no carrier: its other end is down"
	}
	if m, ok := v.links[l.Master]; ok && !m.Up() {
		return "link " + m.Name + " is down"
	}
	return ""
}

// neighProblem says that a neighbour on a link was asked for and does not
// answer.
func (v *hostView) neighProblem(link uint32, hop netip.Addr) string {
	l := v.links[link]
	if l.Flags&(unix.IFF_LOOPBACK|unix.IFF_NOARP) != 0 {
		return ""
	}
	n, err := v.conn.Neigh(link, hop, false)
	if err != nil || n.State&(unix.NUD_INCOMPLETE|unix.NUD_FAILED) == 0 {
		return ""
	}
	return fmt.Sprintf("neighbour %s on %s does not answer (%s)", hop, l.Name, neighProtocol(hop))
}

// asksFrom is the address that the host asks for a neighbour from: that of the
// packet if it is its own.
func (v *hostView) asksFrom(src, hop netip.Addr) netip.Addr {
	if _, own := v.addrs[src]; own {
		return src
	}
	route, _ := v.conn.RouteGet(rtnl.RouteQuery{Dst: hop})
	return route.PrefSrc
}

// hairpinProblem says that a bridge does not send back over the port that it came
// in by what br_netfilter makes the host forward within the bridge.
func (w *walker) hairpinProblem(v *hostView, to *iface, v4 bool) string {
	key := "bridge/bridge-nf-call-ip6tables"
	if v4 {
		key = "bridge/bridge-nf-call-iptables"
	}
	if to.att == nil || v.setting(key) != 1 {
		return ""
	}
	name, _ := portName(w.layout.t.Name, to.host, to.dev)
	for _, l := range v.links {
		if l.Name == name && l.Port["hairpin"] == uint64(0) {
			return fmt.Sprintf("bridge %s does not send back by %s what came in by it (hairpin off)", v.links[l.Master].Name, name)
		}
	}
	return ""
}

func familyName(a netip.Addr) string {
	if a.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

func neighProtocol(a netip.Addr) string {
	if a.Is4() {
		return "ARP"
	}
	return "neighbour discovery"
}
