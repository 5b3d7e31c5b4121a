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
	// Index is the link's number in its namespace, from 1.
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
	// MTU, MinMTU and MaxMTU are in bytes; a bound of zero is none.
	MTU, MinMTU, MaxMTU uint32
	// Address is the link's own, Broadcast reaches all, Permanent is what the
	// hardware came with.
	Address, Broadcast, Permanent LLAddr
	// Master is the index of the bridge, VRF … that the link is a port of; zero is
	// none.
	Master uint32
	// Parent is the index of the link below a VLAN, and of a veth's peer; zero is
	// none. It counts in the namespace ParentNSID, nil being this one.
	Parent     uint32
	ParentNSID *int32
	// Group is zero by default.
	Group uint32
	// OperState is IF_OPER_UP … of <linux/if.h>, after RFC 2863.
	OperState uint8
	// LinkMode is IF_LINK_MODE_DEFAULT or DORMANT.
	LinkMode uint8
	// Carrier is 1 with carrier.
	Carrier uint8
	// CarrierChanges counts how often that came or went.
	CarrierChanges uint32
	// Qdisc is the queueing discipline's name.
	Qdisc string
	// TxQueueLen is in packets.
	TxQueueLen uint32
	// Kind is what the link is, and PortKind what kind of port ("bridge_slave"),
	// with its Port settings.
	Kind     Kind
	PortKind string
	Port     Options
	// Promiscuity and AllMulti count who asked for it.
	Promiscuity, AllMulti uint32
	// AddrGenMode is how an IPv6 link-local address is made, AddrGenEUI64 …; nil if the link has no IPv6.
	AddrGenMode *uint8
	// Limits are numbers of queues and offload sizes.
	Limits Limits
	// ProtoDown is what a protocol keeps down, for the reasons' bits.
	ProtoDown       bool
	ProtoDownReason uint32
	// ParentDev is the device below that is no link, on its bus.
	ParentDev, ParentBus string
	// NetnsImmutable links stay in the namespace that they were born in.
	NetnsImmutable bool
	// XDP is set if a program is attached.
	XDP bool
	// Stats are the counters since the link was made.
	Stats Stats
	// Event is IFLA_EVENT_… in a notification.
	Event uint32
	// Seen has a bit 1<<IFLA_X for each attribute that the kernel sent.
	Seen [2]uint64
}

// How an IPv6 link-local address is made of a link's own; enum in6_addr_gen_mode of
// <linux/if_link.h>.
const (
	AddrGenEUI64 uint8 = iota
	AddrGenNone
	AddrGenStablePrivacy
	AddrGenRandom
)

// Has says whether the kernel sent an attribute, IFLA_GRO_MAX_SIZE say: older
// kernels know fewer.
func (l Link) Has(attr uint16) bool {
	return int(attr) < 64*len(l.Seen) && l.Seen[attr/64]&(1<<(attr%64)) != 0
}

// OfInet6 is the link as the kernel tells of it to who asks for AF_INET6, as
// ip-address(8) does: that part of it that IPv6 knows.
func (l Link) OfInet6() Link {
	known := Link{
		Index: l.Index, Name: l.Name, Type: l.Type, Flags: l.Flags, MTU: l.MTU, Address: l.Address,
		Parent: l.Parent, OperState: l.OperState,
	}
	known.Seen[0] = l.Seen[0] & (1<<unix.IFLA_IFNAME | 1<<unix.IFLA_MTU | 1<<unix.IFLA_ADDRESS | 1<<unix.IFLA_LINK | 1<<unix.IFLA_OPERSTATE)
	return known
}

// Up says whether the link was set up.
func (l Link) Up() bool { return l.Flags&unix.IFF_UP != 0 }

// Limits are a link's queues, and how large packets may be before they are cut up.
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

// LinkConfig is what a link should be: for [AddLink] all of it, for [SetLink] what
// is to change. Zero values and nil leave a property to the kernel, or as it is.
type LinkConfig struct {
	// Name has 1 to 15 bytes. Without, AddLink lets the kernel find one: bridge0;
	// SetLink gives the link this name.
	Name string
	// Index chooses the number that a new link gets; zero lets the kernel choose.
	Index uint32
	// Flags are the values of those flags whose bits are set in Change: IFF_UP …
	Flags, Change uint32
	MTU           uint32 // bytes
	Address       LLAddr
	Broadcast     LLAddr
	// Master makes the link a port; 0 takes it out.
	Master *uint32
	// Parent is the index of the link to stand on. With ParentNSID, it counts in
	// that namespace.
	Parent     uint32
	ParentNSID *int32
	// Group, Alias ("" removes it) and TxQueueLen (packets).
	Group      *uint32
	Alias      *string
	TxQueueLen *uint32
	// NS is the namespace that the link is born in, or moved to; nil is here.
	NS *os.File
	// NSPid says the same by a process; zero is none.
	NSPid uint32
	// Kind and its options. SetLink needs the name of the kind too.
	Kind Kind
	// PortKind and Port are settings as a port: "bridge_slave".
	PortKind string
	Port     Options
	// Limits that are not zero; SetLink cannot change the numbers of queues.
	Limits Limits

	// XDPOff takes an XDP program off: XDP_FLAGS_SKB_MODE … of <linux/if_link.h>,
	// zero for whichever mode it is in. Nil leaves it.
	XDPOff *uint32

	LinkMode    *uint8
	Carrier     *uint8
	ProtoDown   *uint8
	AddrGenMode *uint8
}

// SetUp makes the link go up (or down) with the request.
func (l *LinkConfig) SetUp(up bool) {
	l.Change |= unix.IFF_UP
	l.Flags &^= unix.IFF_UP
	if up {
		l.Flags |= unix.IFF_UP
	}
}

// String is the link as ip-link(8) would make it, for errors.
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

// A LinkID names a link: by Index, or if that is zero by Name, which may be an
// alternative one (before Linux 5.19 only to read the link). Names cost the kernel
// no more than numbers.
type LinkID struct {
	Index uint32
	Name  string
}

// String is the name, or the number.
func (id LinkID) String() string {
	if id.Name != "" {
		return id.Name
	}
	return fmt.Sprintf("if%d", id.Index)
}

// AddLink makes a link. A name that is taken is fs.ErrExist; a kind that the
// kernel does not know is EOPNOTSUPP.
func AddLink(l LinkConfig) Request {
	body, err := l.encode()
	return linkRequest("add", l.String(), unix.RTM_NEWLINK, netlink.Create|netlink.Excl, body, err)
}

// SetLink changes what is set in l. An absent link is fs.ErrNotExist. A new name
// can only be given to a link that is named by its index.
func SetLink(id LinkID, l LinkConfig) Request {
	body, err := l.encodeFor(id)
	return linkRequest("set", "link "+id.String(), unix.RTM_NEWLINK, 0, body, err)
}

// DeleteLink removes a link; a veth's peer goes with it, and what stands on it.
// An absent link is fs.ErrNotExist.
func DeleteLink(id LinkID) Request {
	body, err := LinkConfig{}.encodeFor(id)
	return linkRequest("delete", "link "+id.String(), unix.RTM_DELLINK, 0, body, err)
}

// DeleteLinkGroup removes all links of a group at once. That is how to remove
// many: one at a time, each waits for what the kernel calls a grace period, some
// 20 ms. No link in it is fs.ErrNotExist.
func DeleteLinkGroup(group uint32) Request {
	body, err := LinkConfig{Group: &group}.encode()
	return linkRequest("delete", fmt.Sprintf("links of group %d", group), unix.RTM_DELLINK, 0, body, err)
}

// SetLinkGroup changes all links of a group at once.
func SetLinkGroup(group uint32, l LinkConfig) Request {
	l.Group = &group
	body, err := l.encode()
	return linkRequest("set", fmt.Sprintf("links of group %d", group), unix.RTM_NEWLINK, 0, body, err)
}

// AddAltNames gives a link further names, of at most 127 bytes each.
func AddAltNames(id LinkID, names ...string) Request {
	body, err := encodeAltNames(id, names)
	return linkRequest("add", "alternative names of link "+id.String(), unix.RTM_NEWLINKPROP, netlink.Create|netlink.Excl|netlink.Append, body, err)
}

// DeleteAltNames takes further names away.
func DeleteAltNames(id LinkID, names ...string) Request {
	body, err := encodeAltNames(id, names)
	return linkRequest("delete", "alternative names of link "+id.String(), unix.RTM_DELLINKPROP, 0, body, err)
}

func linkRequest(op, object string, typ netlink.HeaderType, flags netlink.HeaderFlags, body []byte, err error) Request {
	return Request{op: op, object: object, err: err, msg: netlink.Message{Header: netlink.Header{Type: typ, Flags: flags}, Data: body}}
}

// LinkFilter chooses links. Zero fields fit all.
type LinkFilter struct {
	// Kind is the kind's name: "bridge".
	Kind string
	// Master is the index of what the links are ports of.
	Master uint32
	// NSID reads the links of another namespace, by its id in this one; nil is
	// this one.
	NSID *int32
	// NoStats leaves out the counters that are not decoded, those of IPv6 and of
	// virtual functions, which is quicker; Stats come in any case. Old kernels, 5.10
	// among them, leave out AddrGenMode with them.
	NoStats bool
}

// Links lists links in the order of their indexes.
func (c *Conn) Links(f LinkFilter) ([]Link, error) {
	body, err := f.encode()
	if err != nil {
		return nil, &Error{Op: "show", Object: "links", Err: err}
	}
	var links []Link
	err = c.list("links", unix.RTM_GETLINK, body, func() { links = nil }, func(b []byte) error {
		one, err := decodeLink(b)
		if len(links) == cap(links) { // links are large: of a thousand, append by itself would copy five times as many
			links = slices.Grow(links, max(2, len(links)))
		}
		links = append(links, one)
		return err
	})
	return links, err
}

// Link returns one link. An absent one is fs.ErrNotExist.
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
