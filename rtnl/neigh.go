package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

var errMalformedNeigh = errors.New("malformed neighbour message")

// Neigh is a neighbour entry: the link-layer address of a neighbour on a link; struct
// ndmsg and the NDA_ attributes of <linux/neighbour.h>, see rtnetlink(7).
type Neigh struct {
	// Link is the index of the link.
	Link uint32
	// Addr is the address of the neighbour. It is required, and determines the family.
	Addr netip.Addr
	// LLAddr is the link-layer address; "" is unknown.
	LLAddr LLAddr
	// State is one of NUD_PERMANENT, NUD_REACHABLE …; in a request to add, replace or
	// change an entry, zero is NUD_PERMANENT, unless NoState is set or it is a proxy entry.
	State   uint16
	NoState bool
	// Flags are NTF_ROUTER, NTF_PROXY, NTF_EXT_LEARNED …; FlagsExt are NTF_EXT_….
	Flags, FlagsExt uint32
	// Type is RTN_UNICAST, RTN_MULTICAST …. Read-only.
	Type uint8
	// Protocol is the origin of the entry, as for routes; zero is unknown.
	Protocol uint8
	// Master is the index of the bridge, VRF … of which the link is a port, if the
	// kernel reports it. Read-only.
	Master uint32
	// Cache has the times of use. Read-only.
	Cache NeighCache
	// Probes is the number of probes sent to the neighbour. Read-only.
	Probes uint32
}

// NeighCache is struct nda_cacheinfo. Confirmed, Used and Updated are hundredths of a
// second before now; References is a count.
type NeighCache struct {
	Confirmed, Used, Updated, References uint32
}

// Proxy reports whether the entry is a proxy entry: this machine answers for the
// neighbour.
func (n Neigh) Proxy() bool { return n.Flags&unix.NTF_PROXY != 0 }

// String returns the entry as ip-neighbour(8) writes it.
func (n Neigh) String() string {
	if n.Proxy() {
		return "proxy " + n.Addr.String()
	}
	return n.Addr.String()
}

// AddNeigh adds an entry. If it exists, the error is fs.ErrExist.
func AddNeigh(n Neigh) Request {
	return neighRequest("add", n.withDefaultState(), unix.RTM_NEWNEIGH, netlink.Create|netlink.Excl)
}

// ReplaceNeigh adds an entry or replaces the existing one.
func ReplaceNeigh(n Neigh) Request {
	return neighRequest("replace", n.withDefaultState(), unix.RTM_NEWNEIGH, netlink.Create|netlink.Replace)
}

// ChangeNeigh changes an entry. If it does not exist, the error is fs.ErrNotExist.
func ChangeNeigh(n Neigh) Request {
	return neighRequest("change", n.withDefaultState(), unix.RTM_NEWNEIGH, netlink.Replace)
}

// DeleteNeigh deletes the entry with the same Link, Addr and NTF_PROXY flag as n. If
// there is none, the error is fs.ErrNotExist.
func DeleteNeigh(n Neigh) Request { return neighRequest("delete", n, unix.RTM_DELNEIGH, 0) }

// withDefaultState returns n with the state NUD_PERMANENT if it has none. A proxy entry
// and one with NoState have no state.
func (n Neigh) withDefaultState() Neigh {
	if n.State == 0 && !n.Proxy() && !n.NoState {
		n.State = unix.NUD_PERMANENT
	}
	return n
}

func neighRequest(op string, n Neigh, typ netlink.HeaderType, flags netlink.HeaderFlags) Request {
	body, err := encodeNeigh(n)
	return Request{
		op: op, object: fmt.Sprintf("neighbour %v dev %s", n, LinkID{Index: n.Link}), err: err,
		msg: netlink.Message{Header: netlink.Header{Type: typ, Flags: flags}, Data: body},
	}
}

// encodeNeigh returns the body of a request. The message type of package rtnetlink
// cannot be used: it turns IPv4 addresses into 0.0.0.0, and always sends a link-layer
// address.
func encodeNeigh(n Neigh) ([]byte, error) {
	if !n.Addr.IsValid() {
		return nil, errors.New("no address")
	}
	body := neighHeader(n)
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(unix.NDA_DST, n.Addr.AsSlice())
	if n.LLAddr != "" {
		ae.Bytes(unix.NDA_LLADDR, []byte(n.LLAddr))
	}
	if n.Protocol != 0 {
		ae.Uint8(ndaProtocol, n.Protocol)
	}
	if n.FlagsExt != 0 {
		ae.Uint32(ndaFlagsExt, n.FlagsExt)
	}
	attrs, err := ae.Encode()
	return append(body, attrs...), err
}

// From <linux/neighbour.h>.
const (
	ndaProtocol = 12 // NDA_PROTOCOL
	ndaFlagsExt = 15 // NDA_FLAGS_EXT
)

func neighHeader(n Neigh) []byte {
	b := make([]byte, unix.SizeofNdMsg)
	if n.Addr.IsValid() {
		b[0] = familyOf(n.Addr)
	}
	binary.NativeEndian.PutUint32(b[4:], n.Link)
	binary.NativeEndian.PutUint16(b[8:], n.State)
	b[10], b[11] = uint8(n.Flags), n.Type
	return b
}

// decodeNeigh decodes the body of a neighbour message. It ignores unknown attributes.
func decodeNeigh(b []byte) (Neigh, error) {
	if len(b) < unix.SizeofNdMsg {
		return Neigh{}, errMalformedNeigh
	}
	n := Neigh{
		Link: binary.NativeEndian.Uint32(b[4:]), State: binary.NativeEndian.Uint16(b[8:]),
		Flags: uint32(b[10]), Type: b[11],
	}
	ad, err := parseAttributes(b[unix.SizeofNdMsg:])
	if err != nil {
		return Neigh{}, errMalformedNeigh
	}
	for ad.Next() {
		switch value := ad.Bytes(); ad.Type() {
		case unix.NDA_DST:
			n.Addr, _ = netip.AddrFromSlice(value)
		case unix.NDA_LLADDR:
			n.LLAddr = LLAddr(value)
		case unix.NDA_PROBES:
			n.Probes = number(value)
		case unix.NDA_MASTER:
			n.Master = number(value)
		case ndaProtocol:
			n.Protocol = uint8(number(value))
		case ndaFlagsExt:
			n.FlagsExt = number(value)
		case unix.NDA_CACHEINFO:
			if len(value) >= 16 {
				n.Cache = NeighCache{
					Confirmed: binary.NativeEndian.Uint32(value), Used: binary.NativeEndian.Uint32(value[4:]),
					Updated: binary.NativeEndian.Uint32(value[8:]), References: binary.NativeEndian.Uint32(value[12:]),
				}
			}
		}
	}
	return n, nil
}

// NeighFilter selects neighbours. Zero fields match all.
type NeighFilter struct {
	// Family is unix.AF_INET or unix.AF_INET6; zero is both. unix.AF_BRIDGE reads the link-layer addresses that
	// links receive and bridges have learned (fdb); these entries have no Addr.
	Family uint8
	// Link is the index of the link, Master that of the bridge, VRF … of which the
	// link is a port.
	Link, Master uint32
	// Proxy selects proxy entries instead of neighbours.
	Proxy bool
}

// Neighs returns neighbours in the kernel's order.
func (c *Conn) Neighs(f NeighFilter) ([]Neigh, error) {
	head := make([]byte, unix.SizeofNdMsg)
	head[0] = f.Family
	if f.Proxy {
		head[10] = unix.NTF_PROXY
	}
	ae := netlink.NewAttributeEncoder()
	if f.Link != 0 {
		ae.Uint32(unix.NDA_IFINDEX, f.Link)
	}
	if f.Master != 0 {
		ae.Uint32(unix.NDA_MASTER, f.Master)
	}
	attrs, err := ae.Encode()
	if err != nil {
		return nil, err
	}
	var neighs []Neigh
	err = c.list("neighbours", unix.RTM_GETNEIGH, append(head, attrs...), func() { neighs = nil }, func(b []byte) error {
		one, err := decodeNeigh(b)
		// Bridges also return FDB entries, which have no address.
		if one.Addr.IsValid() || f.Family == unix.AF_BRIDGE {
			neighs = append(neighs, one)
		}
		return err
	})
	return neighs, err
}

// Neigh returns one entry, or a proxy entry if proxy is set. If it does not exist, the
// error is fs.ErrNotExist.
func (c *Conn) Neigh(link uint32, addr netip.Addr, proxy bool) (Neigh, error) {
	want := Neigh{Link: link, Addr: addr}
	if proxy {
		want.Flags = unix.NTF_PROXY
	}
	object := "neighbour " + want.String()
	body, err := encodeNeigh(want)
	if err != nil {
		return Neigh{}, &Error{Op: "get", Object: object, Err: err}
	}
	answer, err := c.get("get", object, unix.RTM_GETNEIGH, body)
	if err != nil {
		return Neigh{}, err
	}
	n, err := decodeNeigh(answer)
	if err != nil {
		return Neigh{}, &Error{Op: "get", Object: object, Err: err}
	}
	return n, nil
}
