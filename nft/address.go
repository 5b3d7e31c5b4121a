//go:build linux

package nft

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/dial"
	"github.com/vnet-lab/vnet/nft/internal/nfnetlink"
)

// localAddresses returns the addresses of the socket's namespace and the subnets of its links.
func (c *Conn) localAddresses() (localAddrs, linkSubnets, error) {
	nl, err := c.rtnetlink()
	if err != nil {
		return nil, nil, &Error{Op: "open", Object: "rtnetlink socket", Err: nfnetlink.Errno(err)}
	}
	defer nl.Close()
	bodies, err := NewConn(nl).list("addresses", netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETADDR, Flags: netlink.Request | netlink.Dump},
		Data:   make([]byte, unix.SizeofIfAddrmsg),
	})
	if err != nil {
		return nil, nil, err
	}
	addrs, subnets := make(localAddrs), make(linkSubnets)
	names := make(map[uint32]string)
	for _, b := range bodies {
		link, addr, subnet, err := decodeAddr(b)
		if err != nil {
			return nil, nil, err
		}
		if _, known := names[link]; !known {
			names[link] = nameOf(nl, link)
		}
		addrs[localAddr{"", addr}], addrs[localAddr{names[link], addr}] = true, true
		subnets[subnet] = names[link]
	}
	return addrs, subnets, nil
}

// rtnetlink opens an rtnetlink socket in the namespace of c's socket. If the process may not enter namespaces, it is
// already in that one.
func (c *Conn) rtnetlink() (*netlink.Conn, error) {
	ns, err := c.namespace()
	if err != nil {
		return nil, err
	}
	defer unix.Close(ns)
	nl, err := dial.Conn(unix.NETLINK_ROUTE, nil, netlink.Config{NetNS: ns})
	if errors.Is(err, unix.EPERM) {
		return dial.Conn(unix.NETLINK_ROUTE, nil, netlink.Config{})
	}
	return nl, err
}

// decodeAddr decodes struct ifaddrmsg and its attributes. For an address with a peer, IFA_ADDRESS is the peer's
// address, and IFA_LOCAL the link's own. The subnet is that of the peer.
func decodeAddr(body []byte) (link uint32, addr netip.Addr, subnet netip.Prefix, err error) {
	if len(body) < unix.SizeofIfAddrmsg {
		return 0, addr, subnet, nfnetlink.ErrTruncated
	}
	ad, err := netlink.NewAttributeDecoder(body[unix.SizeofIfAddrmsg:])
	if err != nil {
		return 0, addr, subnet, err
	}
	var peer netip.Addr
	for ad.Next() {
		switch ad.Type() {
		case unix.IFA_LOCAL:
			addr, _ = netip.AddrFromSlice(ad.Bytes())
		case unix.IFA_ADDRESS:
			peer, _ = netip.AddrFromSlice(ad.Bytes())
		}
	}
	if !addr.IsValid() {
		addr = peer
	}
	if !peer.IsValid() {
		peer = addr
	}
	return binary.NativeEndian.Uint32(body[4:]), addr, netip.PrefixFrom(peer, int(body[1])).Masked(), ad.Err()
}

// nameOf returns the name of a link; "" if the link does not exist any more.
func nameOf(nl *netlink.Conn, link uint32) string {
	raw, err := nl.SyscallConn()
	if err != nil {
		return ""
	}
	ifr, _ := unix.NewIfreq("") // fails only for too long names
	ifr.SetUint32(link)
	raw.Control(func(fd uintptr) { err = unix.IoctlIfreq(int(fd), unix.SIOCGIFNAME, ifr) })
	if err != nil {
		return ""
	}
	return ifr.Name()
}
