package verify

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nft/ruleset"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo/lab"
)

// sysctl reads a number under /proc/sys/net of the host. It returns -1 if it cannot be read;
// callers then report no problem.
func (h *hostInfo) sysctl(key string) int {
	value := ""
	err := nsfs.Do(h.ns, func() (err error) {
		value, err = nsfs.Sysctl("net/" + key)
		return err
	})
	n, convErr := strconv.Atoi(value)
	if err != nil || convErr != nil {
		return -1
	}
	return n
}

// forwards reports whether the host forwards packets of a family that arrive on a link.
func (h *hostInfo) forwards(in uint32, v4 bool) bool {
	if v4 {
		return h.sysctl("ipv4/conf/"+h.links[in].Name+"/forwarding") != 0
	}
	return h.sysctl("ipv6/conf/all/forwarding") != 0
}

// noRouteReason says why the kernel has no route to dst. For a packet that arrived by a link, the
// errno does not show the cause, so noRouteReason checks the possible causes one by one.
func (h *hostInfo) noRouteReason(err error, at packetPos, src, dst netip.Addr) string {
	if at.in != 0 {
		if _, own := h.conn.RouteGet(rtnl.RouteQuery{Dst: dst}); own != nil {
			err = own
		} else {
			return h.sourceProblem(err, at.in, src, dst)
		}
	}
	switch {
	case errors.Is(err, unix.ENETUNREACH):
		return "no route to " + dst.String()
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EACCES), errors.Is(err, unix.EINVAL):
		return "packets to " + dst.String() + " are not routed: " + errnoText(errnoIn(err))
	}
	return err.Error()
}

// sourceProblem says why a packet from src is not forwarded, although the host itself has a route
// to dst.
func (h *hostInfo) sourceProblem(err error, in uint32, src, dst netip.Addr) string {
	name := h.links[in].Name
	if _, own := h.addrs[src]; own {
		return fmt.Sprintf("packets from %s that arrive on %s are dropped: the host itself has that address", src, name)
	}
	if h.rpFilterDrops(src, in) {
		return fmt.Sprintf("rp_filter drops packets from %s that arrive on %s", src, name)
	}
	return fmt.Sprintf("packets from %s that arrive on %s are not forwarded to %s: %v", src, name, dst, errnoIn(err))
}

// Values of rp_filter. The kernel uses the greater one of conf/all and conf/LINK.
// See Documentation/networking/ip-sysctl.rst in the kernel's source.
const (
	strictRPFilter = 1 // the route to the source must use the same link
	looseRPFilter  = 2 // there must be a route to the source
)

// rpFilterDrops reports whether rp_filter drops packets from src that arrive on a link. IPv6 has
// no rp_filter.
func (h *hostInfo) rpFilterDrops(src netip.Addr, in uint32) bool {
	if !src.Is4() {
		return false
	}
	filter := max(h.sysctl("ipv4/conf/all/rp_filter"), h.sysctl("ipv4/conf/"+h.links[in].Name+"/rp_filter"))
	if filter < strictRPFilter {
		return false
	}
	back, err := h.conn.RouteGet(rtnl.RouteQuery{Dst: src, FIBMatch: true})
	if filter >= looseRPFilter {
		return err != nil
	}
	return err != nil || back.Link != in && !hasHop(back.Hops, in)
}

func hasHop(hops []rtnl.Hop, link uint32) bool {
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

// linkProblem says why a link carries no packets; "" if it carries packets.
func (h *hostInfo) linkProblem(index uint32) string {
	l, ok := h.links[index]
	switch {
	case !ok:
		return ""
	case !l.Up():
		return "link " + l.Name + " is down"
	case l.Flags&unix.IFF_LOWER_UP == 0:
		return "link " + l.Name + " has no carrier: its peer is down"
	}
	if m, ok := h.links[l.Master]; ok && !m.Up() {
		return "link " + m.Name + " is down"
	}
	return ""
}

// portProblem says that the bridge port of a host's device does not forward yet; "" if it does, or the device is not
// on a bridge.
func (w *walker) portProblem(i *lab.Iface) string {
	if i.Attachment == nil {
		return ""
	}
	host := w.layout.Topology.BridgeHost(i.Network)
	h, err := w.info(host)
	if err != nil {
		return "" // the lab has no such host any more; other checks report that
	}
	name, _ := w.layout.PortName(i)
	for _, l := range h.links {
		if state := l.Port["state"]; l.Name == name && (state == linux.PortListening || state == linux.PortLearning) {
			return fmt.Sprintf("port %s of bridge %s (in %s) does not forward yet: the spanning tree is not ready",
				name, h.links[l.Master].Name, host)
		}
	}
	return ""
}

// neighProblem says that a neighbour does not answer ARP or neighbour discovery; "" if it
// answers.
func (h *hostInfo) neighProblem(link uint32, hop netip.Addr) string {
	l := h.links[link]
	if l.Flags&(unix.IFF_LOOPBACK|unix.IFF_NOARP) != 0 {
		return ""
	}
	n, err := h.conn.Neigh(link, hop, false)
	if err != nil || n.State&(unix.NUD_INCOMPLETE|unix.NUD_FAILED) == 0 {
		return ""
	}
	return fmt.Sprintf("neighbour %s on %s does not answer (%s)", hop, l.Name, neighProtocol(hop))
}

// neighSource returns the source address of the host's neighbour requests: the packet's source if
// the host has that address, else the one that the kernel selects.
func (h *hostInfo) neighSource(src, hop netip.Addr) netip.Addr {
	if _, own := h.addrs[src]; own {
		return src
	}
	route, _ := h.conn.RouteGet(rtnl.RouteQuery{Dst: hop})
	return route.PrefSrc
}

// hairpinProblem says that a bridge port without hairpin blocks a packet. It applies where
// br_netfilter passes bridged packets to NAT, and the packet has to leave through the port on which it
// arrived.
func (w *walker) hairpinProblem(h *hostInfo, to *lab.Iface, v4 bool) string {
	key := "bridge/bridge-nf-call-ip6tables"
	if v4 {
		key = "bridge/bridge-nf-call-iptables"
	}
	if to.Attachment == nil || h.sysctl(key) != 1 {
		return ""
	}
	name, _ := w.layout.PortName(to)
	for _, l := range h.links {
		if l.Name == name && l.Port["hairpin"] == uint64(0) {
			bridge := h.links[l.Master].Name
			return fmt.Sprintf("bridge %s does not send a packet back out of its ingress port %s (hairpin off)", bridge, name)
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

// ownChains says why the chains of vnet's own tables drop packets; see package nft.
var ownChains = map[string]string{
	"apart":           "isolate",
	"closed":          "the network is private",
	"guard":           "127.0.0.1 is for the host itself",
	"spoofed":         "the source address is not behind the incoming link",
	"spoof":           "the source address is not behind the incoming link",
	"spoof_input":     "the source address is not behind the incoming link",
	"private":         "NAT did not translate the private source address",
	"leak":            "NAT did not translate the private source address",
	"antispoof":       "antispoof",
	"antispoof_input": "antispoof",
	"gateway_port":    "antispoof",
	"router_port":     "antispoof",
	"host_port":       "antispoof",
	"same_port":       "a host does not get back what it sends",
}

// dropReason says why a chain of vnet drops packets: " (isolate, lab shop)"; "" for a chain of others.
func dropReason(c ruleset.Chain) string {
	lab, isLab := strings.CutPrefix(c.Table, mark.Table(""))
	switch why := ownChains[c.Name]; {
	case c.Table == nft.GuardTable:
		return " (vnet turned forwarding on for its own networks only)"
	case why != "" && isLab:
		return " (" + why + ", lab " + lab + ")"
	case why != "" && c.Table == "vnet":
		return " (" + why + ", vnet nat)"
	}
	return ""
}
