package rtnl

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Link is a network device as the kernel reports it; struct ifinfomsg and the
// IFLA_ attributes of <linux/if_link.h>, see rtnetlink(7).
type Link struct {
	// Index is the number of the link in its namespace, from 1.
	Index uint32
	// Name has at most 15 bytes; AltNames have up to 127.
	Name     string
	AltNames []string
	// Alias is free text, of at most 255 bytes.
	Alias string
	// Type is ARPHRD_ETHER … of <linux/if_arp.h>.
	Type uint16
	// Flags are IFF_UP, IFF_LOWER_UP … of <linux/if.h>.
	Flags uint32
	// MTU, MinMTU and MaxMTU are in bytes; a MinMTU or MaxMTU of zero is no limit.
	MTU, MinMTU, MaxMTU uint32
	// Address is the address of the link, Broadcast the broadcast address, Permanent
	// the permanent address of the hardware.
	Address, Broadcast, Permanent LLAddr
	// Master is the index of the bridge, VRF … of which the link is a port; zero is
	// none.
	Master uint32
	// Parent is the index of the lower link of a VLAN, or of the peer of a veth; zero
	// is none. It is an index in the namespace with the id ParentNSID; nil is this
	// namespace.
	Parent     uint32
	ParentNSID *int32
	// Group is the group of the link; the default is zero.
	Group uint32
	// OperState is IF_OPER_UP … of <linux/if.h>; see RFC 2863.
	OperState uint8
	// LinkMode is IF_LINK_MODE_DEFAULT or IF_LINK_MODE_DORMANT of <linux/if.h>.
	LinkMode uint8
	// Carrier is 1 if the link has carrier.
	Carrier uint8
	// CarrierChanges counts changes of Carrier.
	CarrierChanges uint32
	// Qdisc is the name of the queueing discipline.
	Qdisc string
	// TxQueueLen is in packets.
	TxQueueLen uint32
	// Kind is the kind of the link. PortKind is the kind of port ("bridge_slave") and
	// Port has the options of the port; both are zero if the link is not a port.
	Kind     Kind
	PortKind string
	Port     Options
	// Promiscuity and AllMulti count the users of these modes.
	Promiscuity, AllMulti uint32
	// AddrGenMode is how the kernel generates the IPv6 link-local address,
	// AddrGenEUI64 …; nil if the link has no IPv6.
	AddrGenMode *uint8
	// Limits are the numbers of queues and the offload sizes.
	Limits Limits
	// ProtoDown means that a protocol keeps the link down. ProtoDownReason has a bit
	// for each reason.
	ProtoDown       bool
	ProtoDownReason uint32
	// ParentDev is the device of the link on a bus, ParentBus the name of the bus.
	ParentDev, ParentBus string
	// NetnsImmutable means that the link cannot move to another namespace.
	NetnsImmutable bool
	// XDP means that an XDP program is attached.
	XDP bool
	// Stats are the counters since the link was created.
	Stats Stats
	// Event is IFLA_EVENT_… in a notification.
	Event uint32
	// Seen has the bit IFLA_X%64 of element IFLA_X/64 set for each attribute that the
	// kernel sent; see [Link.Has].
	Seen [2]uint64
}

// How the kernel generates the IPv6 link-local address of a link; enum
// in6_addr_gen_mode of <linux/if_link.h>.
const (
	AddrGenEUI64 uint8 = iota
	AddrGenNone
	AddrGenStablePrivacy
	AddrGenRandom
)

// Has reports whether the kernel sent an attribute, for example IFLA_GRO_MAX_SIZE.
// Older kernels have fewer attributes.
func (l Link) Has(attr uint16) bool {
	return int(attr) < 64*len(l.Seen) && l.Seen[attr/64]&(1<<(attr%64)) != 0
}

// AsInet6 returns the part of the link that the kernel reports in an AF_INET6 dump,
// which "ip -6 address" requests.
func (l Link) AsInet6() Link {
	part := Link{
		Index: l.Index, Name: l.Name, Type: l.Type, Flags: l.Flags, MTU: l.MTU, Address: l.Address,
		Parent: l.Parent, OperState: l.OperState,
	}
	const attrs = 1<<unix.IFLA_IFNAME | 1<<unix.IFLA_MTU | 1<<unix.IFLA_ADDRESS | 1<<unix.IFLA_LINK |
		1<<unix.IFLA_OPERSTATE
	part.Seen[0] = l.Seen[0] & attrs
	return part
}

// Up reports whether the link is set up (IFF_UP).
func (l Link) Up() bool { return l.Flags&unix.IFF_UP != 0 }

// Limits are the numbers of queues of a link, and the largest sizes of packets before
// segmentation (GSO, TSO) and after merging (GRO).
type Limits struct {
	TxQueues, RxQueues             uint32
	GSOMaxSize, GSOMaxSegs         uint32
	TSOMaxSize, TSOMaxSegs         uint32
	GROMaxSize                     uint32
	GSOIPv4MaxSize, GROIPv4MaxSize uint32
	MaxPacing                      uint64
}

// Stats are struct rtnl_link_stats64 of <linux/if_link.h>.
type Stats struct {
	RxPackets, TxPackets, RxBytes, TxBytes               uint64
	RxErrors, TxErrors, RxDropped, TxDropped             uint64
	Multicast, Collisions                                uint64
	RxLengthErrors, RxOverErrors, RxCRCErrors            uint64
	RxFrameErrors, RxFIFOErrors, RxMissedErrors          uint64
	TxAbortedErrors, TxCarrierErrors, TxFIFOErrors       uint64
	TxHeartbeatErrors, TxWindowErrors                    uint64
	RxCompressed, TxCompressed, RxNohandler, RxOtherHost uint64
}

// LinkConfig has the properties that [AddLink] gives a new link, or that [SetLink]
// changes. Zero values and nil mean the kernel's default in AddLink, and no change in
// SetLink.
type LinkConfig struct {
	// Name has 1 to 15 bytes. If it is empty in AddLink, the kernel chooses a name,
	// such as bridge0. SetLink renames the link.
	Name string
	// Index is the index of a new link; zero lets the kernel choose.
	Index uint32
	// Flags are the values of the flags (IFF_UP …) whose bits are set in Change.
	Flags, Change uint32
	MTU           uint32 // bytes
	Address       LLAddr
	Broadcast     LLAddr
	// Master is the index of the bridge, VRF … of which the link becomes a port; 0
	// removes the link from its master.
	Master *uint32
	// Parent is the index of the lower link, in the namespace with the id ParentNSID;
	// nil is this namespace.
	Parent     uint32
	ParentNSID *int32
	// Group, Alias ("" removes it) and TxQueueLen (in packets) are as in [Link].
	Group      *uint32
	Alias      *string
	TxQueueLen *uint32
	// NS is the namespace in which AddLink creates the link, or to which SetLink moves
	// it; nil is this namespace.
	NS *os.File
	// NSPid gives that namespace by a process in it; zero is none.
	NSPid uint32
	// NewIndex is the index that the link gets in the namespace to which SetLink moves it; zero keeps the index, if
	// it is free there.
	NewIndex uint32
	// Kind is the kind and its options. To change options, SetLink needs the name of
	// the kind too.
	Kind Kind
	// PortKind is the kind of port ("bridge_slave") and Port its options.
	PortKind string
	Port     Options
	// Limits are set if not zero. SetLink cannot change the numbers of queues.
	Limits Limits

	// XDPOff detaches the XDP program of a mode, XDP_FLAGS_SKB_MODE … of
	// <linux/if_link.h>; zero is the current mode. Nil detaches nothing.
	XDPOff *uint32

	// LinkMode, Carrier, ProtoDown and AddrGenMode are as in [Link]; ProtoDown is 0 or 1.
	LinkMode    *uint8
	Carrier     *uint8
	ProtoDown   *uint8
	AddrGenMode *uint8
	// OperState is IF_OPER_UP or IF_OPER_DORMANT, for a link whose program decides when it is up.
	OperState *uint8
	// ProtoDownReason has reasons for ProtoDown, one per bit: those that change in the high 32 bits, those that then
	// apply in the low 32 bits.
	ProtoDownReason *uint64
}

// SetUp makes the request set the link up or down.
func (l *LinkConfig) SetUp(up bool) {
	l.Change |= unix.IFF_UP
	l.Flags &^= unix.IFF_UP
	if up {
		l.Flags |= unix.IFF_UP
	}
}

// String returns the link as in an "ip link add" command, for errors.
func (l LinkConfig) String() string {
	var b strings.Builder
	b.WriteString("link " + l.Name)
	if l.Kind.Name != "" {
		b.WriteString(" type " + l.Kind.Name)
	}
	if l.Kind.Peer != nil && l.Kind.Peer.Name != "" {
		b.WriteString(" peer name " + l.Kind.Peer.Name)
	}
	return b.String()
}

// A LinkID identifies a link: by Index or, if Index is zero, by Name. Name may be an
// alternative name; before Linux 5.19 only to read the link. A lookup by name is as
// fast as one by index.
type LinkID struct {
	Index uint32
	Name  string
}

// String returns the name, or if7 for index 7.
func (id LinkID) String() string {
	if id.Name != "" {
		return id.Name
	}
	return fmt.Sprintf("if%d", id.Index)
}

// AddLink creates a link. If the name exists, the error is fs.ErrExist; if the kernel
// does not have the kind, EOPNOTSUPP.
func AddLink(l LinkConfig) Request {
	body, err := l.encode()
	return linkRequest("add", l.String(), unix.RTM_NEWLINK, netlink.Create|netlink.Excl, body, err)
}

// SetLink changes the properties that are set in l. If the link does not exist, the
// error is fs.ErrNotExist. To rename a link, id must have its Index.
func SetLink(id LinkID, l LinkConfig) Request {
	body, err := l.encodeFor(id)
	return linkRequest("set", "link "+id.String(), unix.RTM_NEWLINK, 0, body, err)
}

// DeleteLink deletes a link. The kernel also deletes the peer of a veth and the links
// above, such as VLANs. If the link does not exist, the error is fs.ErrNotExist.
func DeleteLink(id LinkID) Request {
	body, err := LinkConfig{}.encodeFor(id)
	return linkRequest("delete", "link "+id.String(), unix.RTM_DELLINK, 0, body, err)
}

// DeleteLinkGroup deletes all links of a group at once. This is much faster than
// deleting many links one by one: each deletion waits for an RCU grace period of some
// 20 ms. If the group has no link, the error is fs.ErrNotExist.
func DeleteLinkGroup(group uint32) Request {
	body, err := LinkConfig{Group: &group}.encode()
	return linkRequest("delete", fmt.Sprintf("links of group %d", group), unix.RTM_DELLINK, 0, body, err)
}

// SetLinkGroup changes all links of a group at once. If the group has no link, it changes nothing, without an error.
func SetLinkGroup(group uint32, l LinkConfig) Request {
	l.Group = &group
	body, err := l.encode()
	return linkRequest("set", fmt.Sprintf("links of group %d", group), unix.RTM_NEWLINK, 0, body, err)
}

// AddAltNames gives a link alternative names, of at most 127 bytes each. If a link of
// the namespace has such a name, the error is fs.ErrExist.
func AddAltNames(id LinkID, names ...string) Request {
	body, err := encodeAltNames(id, names)
	const flags = netlink.Create | netlink.Excl | netlink.Append
	return linkRequest("add", "alternative names of link "+id.String(), unix.RTM_NEWLINKPROP, flags, body, err)
}

// DeleteAltNames removes alternative names of a link. If the link does not have one of
// them, the error is fs.ErrNotExist.
func DeleteAltNames(id LinkID, names ...string) Request {
	body, err := encodeAltNames(id, names)
	return linkRequest("delete", "alternative names of link "+id.String(), unix.RTM_DELLINKPROP, 0, body, err)
}

func linkRequest(
	op, object string, typ netlink.HeaderType, flags netlink.HeaderFlags, body []byte, err error,
) Request {
	return Request{
		op: op, object: object, err: err,
		msg: netlink.Message{Header: netlink.Header{Type: typ, Flags: flags}, Data: body},
	}
}

// LinkFilter selects links. Zero fields match all.
type LinkFilter struct {
	// Kind is the name of a kind: "bridge".
	Kind string
	// Master is the index of the bridge, VRF … of which the links are ports.
	Master uint32
	// NSID is the id of another namespace to read instead; nil is this namespace.
	NSID *int32
	// NoStats makes the kernel omit the counters of IPv6 and of virtual functions,
	// which this package does not decode. That is faster. Stats are always filled.
	// Old kernels, such as 5.10, then also omit AddrGenMode.
	NoStats bool
}

// Links returns links in the kernel's order.
func (c *Conn) Links(f LinkFilter) ([]Link, error) {
	body, err := f.encode()
	if err != nil {
		return nil, &Error{Op: "show", Object: "links", Err: err}
	}
	var links []Link
	err = c.list("links", unix.RTM_GETLINK, body, func() { links = nil }, func(b []byte) error {
		one, err := decodeLink(b)
		if len(links) == cap(links) {
			// Links are large. The growth of append would copy five thousand for a thousand links.
			links = slices.Grow(links, max(2, len(links)))
		}
		links = append(links, one)
		return err
	})
	return links, err
}

// Link returns one link. If it does not exist, the error is fs.ErrNotExist.
func (c *Conn) Link(id LinkID) (Link, error) {
	object := "link " + id.String()
	body, err := LinkConfig{}.encodeFor(id)
	if err != nil {
		return Link{}, &Error{Op: "show", Object: object, Err: err}
	}
	ae := netlink.NewAttributeEncoder()
	ae.Uint32(unix.IFLA_EXT_MASK, rtextFilterVF)
	mask, err := ae.Encode()
	if err != nil {
		return Link{}, &Error{Op: "show", Object: object, Err: err}
	}
	answer, err := c.get("show", object, unix.RTM_GETLINK, append(body, mask...))
	if err != nil {
		return Link{}, err
	}
	l, err := decodeLink(answer)
	if err != nil {
		return Link{}, &Error{Op: "show", Object: object, Err: err}
	}
	return l, nil
}
