package rtnl

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Kind is the kind of a link and its options, as "type bridge vlan_filtering 1" of
// ip-link(8).
type Kind struct {
	// Name is the kernel's name: bridge, veth, vlan, vxlan, macvlan, macvtap, ipvlan,
	// ipvtap, vrf, dummy, ifb …; "" is a link without a kind, such as lo.
	Name string
	// Options that are not set keep the kernel's value.
	Options Options
	// Peer is the peer of a new veth pair; nil lets the kernel choose its properties.
	// [AddLink] cannot set a peer up, nor set its Master and Alias: the kernel ignores
	// or refuses them.
	Peer *LinkConfig
}

// Options are the options of a kind of link by the names of ip-link(8);
// [KindOptions] lists them. Numbers and switches (0 or 1) are uint64. An address is
// a netip.Addr or an [LLAddr]. See [OptionType].
type Options map[string]any

// An OptionType is the encoding of an option in a message.
type OptionType uint8

// The types of options. The comments give the Go type of the value in [Options].
const (
	U8        OptionType = iota + 1 // uint64
	U16                             // uint64
	U32                             // uint64
	U64                             // uint64
	BE16                            // uint64, in network byte order in the message: a port, a protocol
	BE32                            // uint64, in network byte order in the message: a flow label
	Flag                            // uint64 1: the attribute is present, also with another number
	IPAddr                          // netip.Addr, of the address family of the option
	LL                              // LLAddr
	Bits                            // uint64: flags in the low 32 bits, the mask of flags to change in the high 32 bits
	PortRange                       // uint64: first port << 16 | last port
	Index                           // uint64: index of another link, zero is none
	Addrs                           // []netip.Addr, all of one family
	QoSMap                          // []QoS
	Nested                          // Options, listed by KindOptions under the option's name; read-only
	BE64                            // uint64, in network byte order in the message: bridge priority << 48 | MAC address
	LLs                             // []LLAddr
)

// QoS maps the VLAN priority of received packets to a packet priority (skb->priority),
// or the packet priority of sent packets to a VLAN priority.
type QoS struct{ From, To uint32 }

// An Option describes an option of a kind of link.
type Option struct {
	Name string
	// Attr is the number of the attribute inside IFLA_INFO_DATA.
	Attr uint16
	// Attr6 is the number for an IPv6 address; zero means Attr.
	Attr6 uint16
	Type  OptionType
	// ReadOnly options are reported but cannot be set.
	ReadOnly bool
	// Names are the names of the values 0, 1, …; nil if the values have no names.
	Names []string
}

// KindOptions returns the options of a kind of link, or of a kind of port
// ("bridge_slave"), in the order in which ip-link(8) prints them. It returns nil for
// kinds without known options.
func KindOptions(kind string) []Option { return kindOptions[kind] }

func (k Kind) encode(ae *netlink.AttributeEncoder) error {
	ae.String(unix.IFLA_INFO_KIND, k.Name)
	if k.Peer != nil {
		ae.Nested(unix.IFLA_INFO_DATA, func(ae *netlink.AttributeEncoder) error {
			peer, err := k.Peer.encode()
			ae.Bytes(vethInfoPeer, peer)
			return err
		})
	}
	return k.Options.encode(ae, k.Name, unix.IFLA_INFO_DATA)
}

// encode appends the options as the attribute typ in the order of the table, so that
// equal options give equal bytes.
func (o Options) encode(ae *netlink.AttributeEncoder, kind string, typ uint16) error {
	if len(o) == 0 {
		return nil
	}
	known := 0
	inner := netlink.NewAttributeEncoder()
	for _, opt := range kindOptions[kind] {
		value, set := o[opt.Name]
		if !set {
			continue
		}
		known++
		b, err := opt.encode(value)
		if err != nil {
			return fmt.Errorf("%s: %w", opt.Name, err)
		}
		inner.Bytes(opt.attrFor(value), b)
	}
	if known < len(o) {
		return fmt.Errorf("kind %s does not have all options of %v", kind, o)
	}
	b, err := inner.Encode()
	ae.Bytes(typ, b)
	return err
}

// attrFor returns the number of the attribute for a value.
func (opt Option) attrFor(value any) uint16 {
	if addr, ok := value.(netip.Addr); ok && !addr.Is4() {
		return cmp.Or(opt.Attr6, opt.Attr)
	}
	return opt.Attr
}

func (opt Option) encode(value any) ([]byte, error) {
	switch v := value.(type) {
	case netip.Addr:
		if opt.Type == IPAddr {
			return v.AsSlice(), nil
		}
	case LLAddr:
		if opt.Type == LL {
			return []byte(v), nil
		}
	case []netip.Addr:
		if opt.Type == Addrs {
			return encodeList(len(v), func(ae *netlink.AttributeEncoder, i int) {
				ae.Bytes(uint16(i), v[i].AsSlice())
			})
		}
	case []LLAddr:
		if opt.Type == LLs {
			return encodeList(len(v), func(ae *netlink.AttributeEncoder, i int) {
				ae.Bytes(unix.IFLA_MACVLAN_MACADDR, []byte(v[i]))
			})
		}
	case []QoS:
		if opt.Type == QoSMap {
			return encodeList(len(v), func(ae *netlink.AttributeEncoder, i int) {
				b := binary.NativeEndian.AppendUint32(nil, v[i].From)
				ae.Bytes(unix.IFLA_VLAN_QOS_MAPPING, binary.NativeEndian.AppendUint32(b, v[i].To))
			})
		}
	case uint64:
		return opt.encodeNumber(v)
	}
	return nil, fmt.Errorf("unexpected value %v of type %T", value, value)
}

func encodeList(n int, element func(ae *netlink.AttributeEncoder, i int)) ([]byte, error) {
	ae := netlink.NewAttributeEncoder()
	for i := range n {
		element(ae, i)
	}
	return ae.Encode()
}

// decodeList decodes the result of encodeList; false if an element is malformed.
func (opt Option) decodeList(b []byte) (any, bool) {
	var addrs []netip.Addr
	var maps []QoS
	var lls []LLAddr
	valid := true
	nested(b, func(typ uint16, value []byte) {
		if opt.Type == LLs {
			lls, valid = append(lls, LLAddr(value)), valid && len(value) <= maxLLAddr
		} else if opt.Type == Addrs {
			addr, ok := netip.AddrFromSlice(value)
			addrs, valid = append(addrs, addr), valid && ok
		} else if valid = valid && len(value) == 8; valid {
			maps = append(maps, QoS{binary.NativeEndian.Uint32(value), binary.NativeEndian.Uint32(value[4:])})
		}
	})
	switch opt.Type {
	case Addrs:
		return addrs, valid && addrs != nil
	case LLs:
		return lls, valid && lls != nil
	}
	return maps, valid && maps != nil
}

// widths has the lengths of the values that are numbers, in bytes.
var widths = map[OptionType]int{
	U8: 1, U16: 2, U32: 4, U64: 8, BE16: 2, BE32: 4, Bits: 8, PortRange: 4, Index: 4, BE64: 8,
}

// Max returns the greatest number of an option of the type; types without a width have no limit.
func (t OptionType) Max() uint64 {
	if width := widths[t]; width != 0 && width < 8 {
		return 1<<(8*width) - 1
	}
	return 1<<64 - 1
}

func (opt Option) encodeNumber(v uint64) ([]byte, error) {
	if v > opt.Type.Max() {
		return nil, fmt.Errorf("%d is too large", v)
	}
	switch opt.Type {
	case Flag:
		return nil, nil
	case U8:
		return []byte{byte(v)}, nil
	case U16:
		return binary.NativeEndian.AppendUint16(nil, uint16(v)), nil
	case U32, Index:
		return binary.NativeEndian.AppendUint32(nil, uint32(v)), nil
	case U64:
		return binary.NativeEndian.AppendUint64(nil, v), nil
	case BE16:
		return binary.BigEndian.AppendUint16(nil, uint16(v)), nil
	case BE32, PortRange:
		return binary.BigEndian.AppendUint32(nil, uint32(v)), nil
	case BE64:
		return binary.BigEndian.AppendUint64(nil, v), nil
	case Bits:
		b := binary.NativeEndian.AppendUint32(nil, uint32(v))
		return binary.NativeEndian.AppendUint32(b, uint32(v>>32)), nil
	}
	return nil, fmt.Errorf("unexpected number %d", v)
}

// decode decodes one option; false if the value has an unexpected length.
func (opt Option) decode(b []byte) (any, bool) {
	switch opt.Type {
	case Flag:
		return uint64(1), true
	case LL:
		return LLAddr(b), len(b) <= maxLLAddr
	case IPAddr:
		addr, ok := netip.AddrFromSlice(b)
		return addr, ok
	case Addrs, QoSMap, LLs:
		return opt.decodeList(b)
	case Nested:
		inner := decodeOptions(opt.Name, b)
		return inner, inner != nil
	}
	if len(b) != widths[opt.Type] {
		return nil, false
	}
	switch opt.Type {
	case U8:
		return uint64(b[0]), true
	case U16:
		return uint64(binary.NativeEndian.Uint16(b)), true
	case U32, Index:
		return uint64(binary.NativeEndian.Uint32(b)), true
	case U64:
		return binary.NativeEndian.Uint64(b), true
	case BE16:
		return uint64(binary.BigEndian.Uint16(b)), true
	case BE32, PortRange:
		return uint64(binary.BigEndian.Uint32(b)), true
	case BE64:
		return binary.BigEndian.Uint64(b), true
	case Bits:
		return uint64(binary.NativeEndian.Uint32(b[4:]))<<32 | uint64(binary.NativeEndian.Uint32(b)), true
	}
	return nil, false
}

// decodeOptions decodes the options of a kind. It ignores unknown attributes.
func decodeOptions(kind string, b []byte) Options {
	table := kindOptions[kind]
	ad, err := parseAttributes(b)
	if err != nil || table == nil {
		return nil
	}
	n := 0
	for count := ad; count.Next(); {
		n++
	}
	options := make(Options, n)
	for ad.Next() {
		typ := ad.Type()
		for i := range table {
			opt := &table[i]
			if typ != opt.Attr && typ != cmp.Or(opt.Attr6, opt.Attr) {
				continue
			}
			if value, ok := opt.decode(ad.Bytes()); ok {
				options[opt.Name] = value
			}
		}
	}
	return options
}
