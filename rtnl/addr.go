package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Forever is the lifetime of an address that does not expire; INFINITY_LIFE_TIME
// of ip-address(8).
const Forever = 0xffffffff

// ifaProto is IFA_PROTO of <linux/if_addr.h>.
const ifaProto = 11

var errMalformedAddr = errors.New("malformed address message")

// Addr is an address of a link; struct ifaddrmsg and the IFA_ attributes of
// <linux/if_addr.h>, see rtnetlink(7).
type Addr struct {
	// Link is the index of the link.
	Link uint32
	// Prefix is the address itself and the prefix length of its network. It is
	// required, and determines the family.
	Prefix netip.Prefix
	// Peer is the address at the other end of a point-to-point link; zero is none.
	// With a Peer, the prefix length is that of the peer's network.
	Peer netip.Addr
	// Broadcast is the IPv4 broadcast address; zero is none.
	Broadcast netip.Addr
	// Anycast means that Prefix is an IPv6 anycast address (IFA_ANYCAST). Read-only.
	Anycast bool
	// Label is the link name that old tools show for an IPv4 address: the name of
	// the link, or that name, a colon and more; "" is the name of the link.
	Label string
	// Scope is RT_SCOPE_UNIVERSE … RT_SCOPE_HOST. For an IPv6 address, the kernel
	// computes it.
	Scope uint8
	// Flags are IFA_F_NODAD, IFA_F_NOPREFIXROUTE, IFA_F_PERMANENT ….
	Flags uint32
	// Valid and Preferred are lifetimes in seconds; zero for both is [Forever].
	Valid, Preferred uint32
	// Metric is the metric of the prefix route; zero is the kernel's default.
	Metric uint32
	// Proto is the origin of the address, IFAPROT_…; zero is unknown.
	Proto uint8
	// AnyLength makes [DeleteAddr] ignore the prefix length of an IPv4 address.
	AnyLength bool
	// Created and Updated are in hundredths of a second since boot. Read-only.
	Created, Updated uint32
}

// Is6 reports whether the address is an IPv6 address.
func (a Addr) Is6() bool { return a.Prefix.Addr().Is6() }

// String returns the address as ip-address(8) writes it: 10.0.0.1 peer 10.0.0.2/32.
func (a Addr) String() string {
	if a.Peer.IsValid() {
		return fmt.Sprintf("%v peer %v/%d", a.Prefix.Addr(), a.Peer, a.Prefix.Bits())
	}
	return a.Prefix.String()
}

// BroadcastOf returns the broadcast address of an IPv4 prefix, as "brd +" of
// ip-address(8). It returns zero for IPv6 and for prefixes longer than 30 bits.
func BroadcastOf(p netip.Prefix) netip.Addr {
	if !p.Addr().Is4() || p.Bits() > 30 {
		return netip.Addr{}
	}
	b := p.Addr().As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])|0xffffffff>>p.Bits())
	return netip.AddrFrom4(b)
}

// AddAddr adds an address to a link. If the address exists, the error is fs.ErrExist.
func AddAddr(a Addr) Request {
	return addrRequest("add", a, unix.RTM_NEWADDR, netlink.Create|netlink.Excl)
}

// ReplaceAddr adds an address to a link, or changes the flags and lifetimes of an
// existing one.
func ReplaceAddr(a Addr) Request {
	return addrRequest("replace", a, unix.RTM_NEWADDR, netlink.Create|netlink.Replace)
}

// ChangeAddr sends the request of "ip address change". It has the effect of
// [ReplaceAddr].
func ChangeAddr(a Addr) Request { return addrRequest("change", a, unix.RTM_NEWADDR, netlink.Replace) }

// DeleteAddr deletes an address. For IPv4, the Label (if set), the Peer and the
// prefix length must match. If no address matches, the error is fs.ErrNotExist.
func DeleteAddr(a Addr) Request { return addrRequest("delete", a, unix.RTM_DELADDR, 0) }

func addrRequest(op string, a Addr, typ netlink.HeaderType, flags netlink.HeaderFlags) Request {
	body, err := encodeAddr(a)
	return Request{
		op: op, object: fmt.Sprintf("address %v dev %s", a, LinkID{Index: a.Link}), err: err,
		msg: netlink.Message{Header: netlink.Header{Type: typ, Flags: flags}, Data: body},
	}
}

// encodeAddr returns the body of a request. The message type of package rtnetlink
// cannot be used: it turns ::ffff:10.0.0.1 into 10.0.0.1, and silently drops
// lifetimes, metric and protocol.
func encodeAddr(a Addr) ([]byte, error) {
	if err := checkAddr(a); err != nil {
		return nil, err
	}
	local, peer := a.Prefix.Addr(), a.Peer
	if !peer.IsValid() {
		peer = local
	}
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(unix.IFA_LOCAL, local.AsSlice())
	if !a.AnyLength {
		ae.Bytes(unix.IFA_ADDRESS, peer.AsSlice())
	}
	if a.Broadcast.IsValid() {
		ae.Bytes(unix.IFA_BROADCAST, a.Broadcast.AsSlice())
	}
	if a.Label != "" {
		ae.String(unix.IFA_LABEL, a.Label)
	}
	if a.Flags > math.MaxUint8 { // the header has only eight bits
		ae.Uint32(unix.IFA_FLAGS, a.Flags)
	}
	if a.Valid != 0 || a.Preferred != 0 {
		life := binary.NativeEndian.AppendUint32(nil, a.Preferred)
		ae.Bytes(unix.IFA_CACHEINFO, append(binary.NativeEndian.AppendUint32(life, a.Valid), make([]byte, 8)...))
	}
	if a.Metric != 0 {
		ae.Uint32(unix.IFA_RT_PRIORITY, a.Metric)
	}
	if a.Proto != 0 {
		ae.Uint8(ifaProto, a.Proto)
	}
	attrs, err := ae.Encode()
	head := []byte{familyOf(local), uint8(a.Prefix.Bits()), uint8(a.Flags), a.Scope}
	return append(binary.NativeEndian.AppendUint32(head, a.Link), attrs...), err
}

// checkAddr refuses what the kernel would truncate, pad or ignore.
func checkAddr(a Addr) error {
	is4 := a.Prefix.Addr().Is4()
	switch {
	case !a.Prefix.IsValid():
		return errors.New("no address")
	case a.Link == 0:
		return errors.New("no link")
	case a.Peer.IsValid() && a.Peer.Is4() != is4:
		return fmt.Errorf("peer %v is of the other address family", a.Peer)
	case a.Broadcast.IsValid() && (!is4 || !a.Broadcast.Is4()):
		return fmt.Errorf("broadcast %v: only IPv4 addresses have one", a.Broadcast)
	case len(a.Label) >= unix.IFNAMSIZ:
		return fmt.Errorf("label %q has %d bytes, a label has at most %d", a.Label, len(a.Label), unix.IFNAMSIZ-1)
	case a.Valid < a.Preferred:
		return fmt.Errorf("preferred lifetime %d is longer than valid lifetime %d", a.Preferred, a.Valid)
	}
	return nil
}

// decodeAddr reads the body of an address message. It ignores unknown attributes.
func decodeAddr(b []byte) (Addr, error) {
	if len(b) < unix.SizeofIfAddrmsg {
		return Addr{}, errMalformedAddr
	}
	a := Addr{Flags: uint32(b[2]), Scope: b[3], Link: binary.NativeEndian.Uint32(b[4:])}
	ad, err := parseAttributes(b[unix.SizeofIfAddrmsg:])
	if err != nil {
		return Addr{}, errMalformedAddr
	}
	var addr, local netip.Addr
	for ad.Next() {
		switch value := ad.Bytes(); ad.Type() {
		case unix.IFA_ADDRESS:
			addr, _ = netip.AddrFromSlice(value)
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(value)
		case unix.IFA_ANYCAST:
			local, _ = netip.AddrFromSlice(value)
			a.Anycast = true
		default:
			a.decodeAttr(ad.Type(), value)
		}
	}
	if !local.IsValid() { // IPv6 without a peer
		local, addr = addr, netip.Addr{}
	}
	if addr != local {
		a.Peer = addr
	}
	a.Prefix = netip.PrefixFrom(local, int(b[1]))
	if !a.Prefix.IsValid() || addr.IsValid() && addr.Is4() != local.Is4() {
		return Addr{}, errMalformedAddr
	}
	return a, nil
}

func (a *Addr) decodeAttr(typ uint16, value []byte) {
	switch typ {
	case unix.IFA_BROADCAST:
		a.Broadcast, _ = netip.AddrFromSlice(value)
	case unix.IFA_LABEL:
		a.Label = text(value)
	case unix.IFA_FLAGS:
		a.Flags = number(value)
	case unix.IFA_RT_PRIORITY:
		a.Metric = number(value)
	case ifaProto:
		a.Proto = uint8(number(value))
	case unix.IFA_CACHEINFO:
		if len(value) >= 16 {
			a.Preferred = binary.NativeEndian.Uint32(value)
			a.Valid = binary.NativeEndian.Uint32(value[4:])
			a.Created = binary.NativeEndian.Uint32(value[8:])
			a.Updated = binary.NativeEndian.Uint32(value[12:])
		}
	}
}

// AddrFilter selects addresses. Zero fields match all.
type AddrFilter struct {
	// Family is unix.AF_INET or unix.AF_INET6; zero is both, IPv4 first.
	Family uint8
	// Link is the index of a link.
	Link uint32
	// NSID is the id of another namespace to read instead; nil is this namespace.
	NSID *int32
}

// Addrs returns addresses in the kernel's order.
func (c *Conn) Addrs(f AddrFilter) ([]Addr, error) {
	head := make([]byte, unix.SizeofIfAddrmsg)
	head[0] = f.Family
	binary.NativeEndian.PutUint32(head[4:], f.Link)
	ae := netlink.NewAttributeEncoder()
	if f.NSID != nil {
		ae.Int32(10, *f.NSID) // IFA_TARGET_NETNSID
	}
	attrs, err := ae.Encode()
	if err != nil {
		return nil, err
	}
	var addrs []Addr
	body := slices.Concat(head, attrs)
	err = c.list("addresses", unix.RTM_GETADDR, body, func() { addrs = nil }, func(b []byte) error {
		one, err := decodeAddr(b)
		addrs = append(addrs, one)
		return err
	})
	return addrs, err
}
